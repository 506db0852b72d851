"""How much room derived values take: what is kept of each method, and what goes above a limit.

What was used least recently goes first, method by method. Where the methods in use alone are above
the limit they lose their oldest batches.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voyager.derived import value_batches
from voyager.derived.value_batches import FILE_HEAD_BYTES
from voyager.errors import StateError
from voyager.store import files

LOCK: Final = ".lock"
_TEMPORARY: Final = ".tmp"
_FULL_TO: Final = 0.9
"""The share of the limit that is left when it was passed."""
_TOUCH_AFTER: Final = 60.0
"""Seconds after which a use is noted anew."""
_COPY_BYTES: Final = 8 << 20
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one method: how many values (those that cannot be included), and bytes."""

    name: str
    version: int
    path: Path
    bytes: int
    used: float

    def value_bytes(self) -> int | None:
        """The length of every value, None where it varies or there is none."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return value_batches.value_bytes(fd)
        finally:
            os.close(fd)

    def count(self) -> int:
        """How many images have an entry."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            return value_batches.count(fd)
        finally:
            os.close(fd)


def iter_kept(folder: Path) -> Iterator[Kept]:
    """The files of values in a folder, in no order."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        name, _, version = entry.name.rpartition("-")
        if name and version.isdecimal():
            with contextlib.suppress(FileNotFoundError):
                stat = entry.stat()
                yield Kept(name, int(version), Path(entry.path), stat.st_size, stat.st_mtime)


def note_use(path: Path) -> None:
    """Remember that values of a file were asked for."""
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _TOUCH_AFTER:
            os.utime(path)


def remove_older(folder: Path, name: str, version: int) -> None:
    """Remove values of former versions of a method."""
    for kept in iter_kept(folder):
        if kept.name == name and kept.version < version:
            remove(kept.path)


def remove(path: Path) -> None:
    """Remove a file of values; its lock stays, since others may wait for it."""
    with contextlib.suppress(OSError):
        files.remove(path)


def make_room(folder: Path, limit: int, in_use: Collection[Path]) -> None:
    """Remove values until the folder is within its limit of bytes."""
    kept = sorted(iter_kept(folder), key=lambda one: (one.path in in_use, one.used))
    total = sum(one.bytes for one in kept)
    if total <= limit:
        return
    spare = int(limit * _FULL_TO)
    for one in kept:
        if total <= spare:
            return
        if one.path in in_use:
            share = int(spare * one.bytes / total) if total else 0
            with contextlib.suppress(OSError, StateError):
                _keep_newest(one.path, share)
        else:
            remove(one.path)
            total -= one.bytes


def _keep_newest(path: Path, most: int) -> None:
    """Cut the oldest batches off a file, until it has so many bytes at most."""
    with files.FileLock(path.with_suffix(LOCK), patience=_PATIENCE):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _copy_newest(fd, path, most)
        finally:
            os.close(fd)


def _copy_newest(fd: int, path: Path, most: int) -> None:
    size = os.fstat(fd).st_size
    varying = value_batches.kind_of(os.pread(fd, FILE_HEAD_BYTES, 0))
    if varying is None or size <= most:
        return
    start = next(
        (at for at in value_batches.iter_starts(fd) if size - at + FILE_HEAD_BYTES <= most), size
    )
    temporary = path.with_suffix(_TEMPORARY)
    files.remove(temporary)
    try:
        files.create_from(temporary, _chunks(fd, start, size, varying=varying))
        files.rename(temporary, path)
    except OSError:
        files.remove(temporary)
        raise


def _chunks(fd: int, start: int, end: int, *, varying: bool) -> Iterator[bytes]:
    yield value_batches.new_file(varying=varying)
    for at in range(start, end, _COPY_BYTES):
        yield os.pread(fd, min(_COPY_BYTES, end - at), at)
