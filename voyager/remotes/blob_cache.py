"""Images of a lazy clone that were looked at: files by id, the least used of which go first."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from voyager.repo.layout import cached_blob
from voyager.store import files
from voyager.store.ids import blob_id

_FULL_TO = 0.9
"""The share of the limit that is left when it was passed."""
_TOUCH_AFTER = 60.0
"""Seconds after which a use is noted anew."""


class _Kept(NamedTuple):
    used: float
    size: int
    path: str


class BlobCache:
    """Bytes of blobs below a repository's cache folder, up to a limit; safe for threads.

    What it gives was checked against its id just then.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self.limit = limit
        self._size: int | None = None
        self._lock = threading.Lock()

    def get(self, entry_id: bytes) -> bytes | None:
        """The bytes of a blob, None when they are not here, or not right."""
        path = cached_blob(self._folder, entry_id)
        try:
            data = path.read_bytes()
            if time.time() - path.stat().st_mtime > _TOUCH_AFTER:
                os.utime(path)
        except FileNotFoundError:
            return None
        if blob_id(data) != entry_id:
            files.remove(path)
            return None
        return data

    def use(self, entry_id: bytes) -> bool:
        """Whether there is a file for a blob, which then counts as used now; its bytes are not
        looked at."""
        try:
            os.utime(cached_blob(self._folder, entry_id))
        except FileNotFoundError:
            return False
        return True

    def put(self, entry_id: bytes, data: bytes) -> None:
        """Keep the bytes of a blob, in the place of those that were not used for longest."""
        path = cached_blob(self._folder, entry_id)
        if len(data) > self.limit or path.exists():
            return
        files.make_folder(path.parent)
        files.replace(path, [data])
        with self._lock:
            known = self.used()[1] if self._size is None else self._size + len(data)
            self._size = known if known <= self.limit else self.shrink(int(_FULL_TO * self.limit))

    def used(self) -> tuple[int, int]:
        """(files, bytes) that are kept."""
        found = [kept.size for kept in self._iter_kept()]
        return len(found), sum(found)

    def shrink(self, limit: int) -> int:
        """Let the least used go until so many bytes are left; how many those are."""
        kept = sorted(self._iter_kept())
        left = sum(one.size for one in kept)
        for one in kept:
            if left <= limit:
                break
            files.remove(one.path)
            left -= one.size
        return left

    def _iter_kept(self) -> Iterator[_Kept]:
        for folder, _, names in os.walk(cached_blob(self._folder, bytes(32)).parent.parent):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    stat = os.stat(path)
                    yield _Kept(stat.st_mtime, stat.st_size, path)
