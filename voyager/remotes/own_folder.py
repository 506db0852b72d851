"""Folders for what is in the making: each goes with its process, or with the next of its kind."""

from __future__ import annotations

import os
from pathlib import Path

from voyager.errors import StateError
from voyager.store import files

_LOCK = ".lock"


class OwnFolder:
    """A new folder below `tmp/` of a repository; a context.

    A lock beside it is held as long as the process lives. What killed ones of the same kind left
    is removed first.
    """

    def __init__(self, repository: Path, kind: str) -> None:
        parent = repository / "tmp"
        files.make_folder(parent)
        _remove_left(parent, kind)
        self.path = parent / f"{kind}-{os.urandom(8).hex()}"
        self._lock = _lock_of(self.path).acquire()
        files.make_folder(self.path)

    def remove(self) -> None:
        """Let it go with all that is in it."""
        files.remove_tree(self.path)
        files.remove(self._lock.path)
        self._lock.release()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *error: object) -> None:
        self.remove()


def _lock_of(folder: Path) -> files.FileLock:
    return files.FileLock(
        folder.with_name(folder.name + _LOCK), patience=0, what="lock of a folder"
    )


def _remove_left(parent: Path, kind: str) -> None:
    """Remove folders whose process is no more: its lock went with it."""
    for folder in parent.glob(f"{kind}-*"):
        if folder.name.endswith(_LOCK):
            continue
        lock = _lock_of(folder)
        try:
            lock.acquire()
        except StateError:
            continue
        files.remove_tree(folder)
        files.remove(lock.path)
        lock.release()
