"""Changed rows that wait: in memory while they are few, then in a temporary file."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO

_MEMORY = 128 * 1024 * 1024
_HEAD = struct.Struct("<Iqq")
_NONE = -1

Row = tuple[bytes, bytes | None, bytes | None]
"""Key, row before, row after."""


class RowSpool:
    """Takes rows and gives them back in the same order, once."""

    def __init__(self, memory: int = _MEMORY) -> None:
        self._rows: list[Row] = []
        self._left = memory
        self._file: IO[bytes] | None = None

    def __enter__(self) -> RowSpool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rows.clear()
        if self._file is not None:
            self._file.close()

    def add(self, key: bytes, before: bytes | None, after: bytes | None) -> None:
        """Take a row; what does not fit in memory goes to a file that is gone with the spool."""
        self._left -= len(key) + len(before or b"") + len(after or b"")
        if self._left >= 0:
            self._rows.append((key, before, after))
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="vgr-diff-")  # noqa: SIM115 - closed above
        sizes = (_NONE if row is None else len(row) for row in (before, after))
        self._file.write(b"".join((_HEAD.pack(len(key), *sizes), key, before or b"", after or b"")))

    def __iter__(self) -> Iterator[Row]:
        self._rows.reverse()
        while self._rows:
            yield self._rows.pop()
        if self._file is not None:
            yield from _read(self._file)


def _read(file: IO[bytes]) -> Iterator[Row]:
    file.seek(0)
    while head := file.read(_HEAD.size):
        key_size, old_size, new_size = _HEAD.unpack(head)
        key = file.read(key_size)
        old = None if old_size == _NONE else file.read(old_size)
        new = None if new_size == _NONE else file.read(new_size)
        yield key, old, new
