"""What the tests of `voyager.repo` do to repositories of a few real photos."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from voyager.repo.add import Added, add
from voyager.repo.commit import commit
from voyager.repo.intake import hash_file
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import stage
from voyager.repo.status import status
from voyager.samples import photo_paths
from voyager.schema import Box, Label, Region, encode_sample

PHOTOS = photo_paths()
KEYS = ["hat/1.jpg", "hat/2.jpg", "shoes/3.jpg", "shoes/4.jpg"]
"""Where the first four photos lie in `photos_repo`, beside a README.md."""


def place(repo: Repository, key: str, number: int) -> Path:
    """Copy a photo of the samples to a key of the working tree."""
    path = repo.tree() / key
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PHOTOS[number], path)
    return path


def take(repo: Repository, *paths: str, **options: Any) -> Added:
    """`add` as from the top of the working tree, by default all of it."""
    return add(repo, paths or ["."], cwd=repo.root or repo.folder, **options)


def save(repo: Repository, message: str) -> bytes:
    """Stage everything, deletions too, and commit it: the commit."""
    take(repo, all=True)
    return commit(repo, message).commit


def say(repo: Repository, key: str, text: str) -> None:
    """Stage a label and a region on a sample, as commands that label do."""
    staging = repo.staging
    region = Region(id=bytes(15) + bytes([len(text)]), geometries={"box": Box(1, 2, 3, 4)})
    sample = repo.staged()[key].replace(labels=(Label(task="note", value=text),), regions=(region,))
    with repo.transaction("stage", key) as txn:
        stage(txn, staging, [(SAMPLES, key.encode(), encode_sample(sample))])
        txn.commit()


def said(repo: Repository, key: str) -> list[object]:
    """What `say` said of a staged sample."""
    return [label.value for label in repo.staged()[key].labels]


def files_of(repo: Repository) -> list[str]:
    """The keys of all files in the working tree."""
    root = repo.tree()
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and ".vgr" not in path.relative_to(root).parts
    )


def is_clean(repo: Repository) -> bool:
    """Whether nothing is staged, edited, gone or untracked, cache or not."""
    for _ in range(2):
        found = status(repo)
        if not found.clean or found.untracked:
            return False
        (repo.folder / "cache" / "stat" / "blocks").unlink(missing_ok=True)  # look anew
    return all(hash_file(repo.tree() / row.key) == row.blob for row in repo.staged().tracked())
