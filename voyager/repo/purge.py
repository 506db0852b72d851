"""Purging images of a repository: the store's bytes, and the files that still hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from voyager.repo.dataset import decode_row
from voyager.repo.intake import hash_file
from voyager.repo.layout import cached_blob, derived_folder, vectors_folder
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import TRACKED
from voyager.schema import FileRow
from voyager.store import files
from voyager.store.purge import purge


@dataclass(slots=True)
class PurgedBlobs:
    """How many blobs were purged now, and the keys whose file went from the working tree."""

    blobs: int
    files: list[str] = field(default_factory=list)


def purge_blobs(
    repo: Repository,
    blobs: Iterable[bytes],
    reason: str,
    *,
    who: str | None = None,
    progress: Progress = no_progress,
) -> PurgedBlobs:
    """Remove bytes for good; rows keep their key and labels, an edited file stays.

    `who` is who decided it, by default the author.
    """
    blobs = set(blobs)
    repo.refuse_if_running()
    named = list(_staged_keys(repo, blobs)) if repo.root is not None else []
    time, zone = repo.config.now()
    who = who or repo.config.author_or_unknown()
    done = purge(
        repo.store, blobs, reason=reason, who=who, now_ms=time, zone=zone, progress=progress
    )
    for blob in blobs:
        kept = cached_blob(repo.folder, blob)
        for path in kept.parent.glob(f"{kept.name}*"):  # and what a killed writer left of it
            files.remove(path)
    if blobs:
        _drop_derived(repo)
    removed = []
    for key in named:
        path = repo.tree() / key
        if path.is_file() and not path.is_symlink() and hash_file(path) in blobs:
            files.remove(path)
            files.remove_empty_folders(path.parent, repo.tree())
            removed.append(key)
    if removed:
        repo.stat_cache.update([], removed=removed)
    return PurgedBlobs(done.blobs, removed)


def _drop_derived(repo: Repository) -> None:
    """Remove what was made of pixels: that of purged images for good, the rest is made again.

    Values of regions are named by digests, which do not tell whose they are. The index of words
    stays: it holds no pixels, and rows of purged images keep their keys and captions.
    """
    files.remove_tree(derived_folder(repo.folder))
    files.remove_tree(vectors_folder(repo.folder))


def _staged_keys(repo: Repository, blobs: set[bytes]) -> list[str]:
    """The keys that the staging area gives one of these blobs."""
    staged = repo.staged()
    found = []
    for space in TRACKED:
        for key, row in staged.rows(space):
            value = decode_row(space, row)
            blob = value.blob_id if isinstance(value, FileRow) else value.image.blob_id
            if blob in blobs:
                found.append(key.decode())
    return found
