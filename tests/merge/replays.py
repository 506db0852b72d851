"""Repositories with branches to replay, of real photos and labels."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from voyager.config import Config
from voyager.repo.add import add
from voyager.repo.branches import find_branch
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import stage
from voyager.repo.switch import switch, switch_to_new
from voyager.samples import photo_paths
from voyager.schema import Box, Label, Region, Sample, encode_sample
from voyager.store.history import Commit, read_commit

PHOTOS = photo_paths()
KEYS = ["hat/1.jpg", "hat/2.jpg", "shoes/3.jpg", "shoes/4.jpg"]
"""Where the first four photos lie on `main`."""

Change = Callable[[Sample], Sample]


def set_author(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    now: str = "2026-01-02T03:04:05Z",
    repo: Repository | None = None,
) -> None:
    """Let the next commits be by somebody."""
    monkeypatch.setenv("VGR_AUTHOR_NAME", name)
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", f"{name.lower()}@example.org")
    monkeypatch.setenv("VGR_NOW", now)
    if repo is not None:
        repo.config = Config.load(repo.folder)


def make(root: Path) -> Repository:
    """A repository whose `main` has one commit of four photos, each red, and a README."""
    root.mkdir(parents=True, exist_ok=True)
    repo = Repository.init(root)
    (root / "README.md").write_text("photos\n")
    for number, key in enumerate(KEYS):
        place(repo, key, number)
    save(repo, "photos")
    with repo.edit("All is red") as edit:
        for key in KEYS:
            edit[key] = with_color("red")(edit[key])
    return repo


def place(repo: Repository, key: str, number: int) -> None:
    """Copy a photo of the samples to a key of the working tree."""
    path = repo.tree() / key
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PHOTOS[number], path)


def save(repo: Repository, message: str) -> bytes:
    """Stage everything, deletions too, and commit it: the commit."""
    add(repo, ["."], cwd=repo.tree(), all=True)
    return commit(repo, message).commit


def change(repo: Repository, key: str, change: Change, message: str = "") -> bytes:
    """Commit another value of a sample: the commit."""
    with repo.edit(message or f"change {key}") as edit:
        edit[key] = change(edit[key])
    assert edit.commit is not None
    return edit.commit


def rename(repo: Repository, old: str, new: str) -> bytes:
    """Commit a renamed sample: the commit."""
    with repo.edit(f"{old} becomes {new}") as edit:
        edit[new] = edit[old]
        del edit[old]
    assert edit.commit is not None
    return edit.commit


def settle(repo: Repository, key: str, change: Change) -> None:
    """Stage another value of a sample, as whoever resolves a conflict does."""
    sample = change(repo.staged()[key])
    with repo.transaction("stage", key) as txn:
        stage(txn, repo.staging, [(SAMPLES, key.encode(), encode_sample(sample))])
        txn.commit()


def labeled(task: str, value: str, source: str = "human") -> Change:
    """What gives a sample one more label, or another one in its place."""

    def changed(sample: Sample) -> Sample:
        kept = [one for one in sample.labels if (one.task, one.source) != (task, source)]
        new = Label(task=task, value=value, source=source)
        return sample.replace(labels=(*kept, new))

    return changed


def with_color(value: str) -> Change:
    return labeled("color", value)


def boxed(number: int, x: float = 10, *labels: Label) -> Change:
    """What draws a box, or draws it elsewhere."""

    def changed(sample: Sample) -> Sample:
        own = bytes([number]) * 16
        region = Region(id=own, geometries={"box": Box(x, 10, x + 50, 60)}, labels=labels)
        kept = [one for one in sample.regions if one.id != own]
        return sample.replace(regions=(*kept, region))

    return changed


def colors(repo: Repository, *keys: str) -> list[object]:
    """The color of samples of HEAD, None where there is none."""
    version = repo.dataset_of(repo.head.commit)
    return [
        next((one.value for one in version[key].labels if one.task == "color"), None)
        for key in keys
    ]


@contextmanager
def on_branch(repo: Repository, name: str, start: str | None = None) -> Iterator[None]:
    """Work on a branch, made where need be, and come back."""
    before = repo.head.branch
    assert before is not None
    if f"refs/heads/{name}" in repo.store.values("refs/heads/"):
        switch(repo, find_branch(repo, name))
    else:
        switch_to_new(repo, name, start)
    yield
    switch(repo, find_branch(repo, before))


def head_of(repo: Repository) -> Commit:
    commit_id = repo.head.commit
    assert commit_id is not None
    return read_commit(repo.store, commit_id)


def log(repo: Repository, count: int = 9) -> list[str]:
    """The subjects of the first line of history, newest first."""
    found, at = [], repo.head.commit
    while at is not None and len(found) < count:
        one = read_commit(repo.store, at)
        found.append(one.subject)
        at = one.parent_ids[0] if one.parents else None
    return found


def state(repo: Repository) -> dict[str, Any]:
    """All that can be seen of a repository: HEAD, branches, what is staged, what waits, files."""
    values = {
        name: repo.store.value_bytes(name) for name in ("HEAD", "MERGING", "GUARD", "REPORTS")
    }
    staged = repo.staged()
    rows = {space: dict(staged.rows(space)) for space in (*staged.roots, "samples", "conflicts")}
    return {
        **values,
        "refs": repo.store.values("refs/heads/"),
        "rows": {space: found for space, found in rows.items() if found},
        "files": files_of(repo.tree()),
    }


def files_of(root: Path) -> dict[str, bytes]:
    found = {}
    for path in root.rglob("*"):
        key = path.relative_to(root).as_posix()
        if path.is_file() and not key.startswith(".vgr/"):
            found[key] = path.read_bytes()
    return found
