"""What is known of one directory: its files with their stats and contents, and what is tracked.

Everything is packed, so that a directory nobody touched is recognised by comparing bytes.
"""

from __future__ import annotations

import os
import stat
import sys
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import starmap
from operator import attrgetter
from struct import Struct
from typing import NamedTuple

import msgspec

_ROW = Struct("=QQqqQ")  # in the machine's byte order: the cache never leaves it
ROW_BYTES = _ROW.size
_MODE_LOW, _MODE_HIGH = (0, 1) if sys.byteorder == "little" else (7, 6)
_MTIME, _CTIME = 2, 3
_FIELDS = ROW_BYTES // 8
_NO_TIMES = bytes(ROW_BYTES - 8 * _MTIME)
_STAT_FIELDS = attrgetter("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")

ID_BYTES = 32
UNKNOWN = bytes(ID_BYTES)
"""Stands for the id of a file that nobody has read."""


class FileStat(NamedTuple):
    """What tells that a file changed."""

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileStat:
        return cls(*_STAT_FIELDS(found))

    @classmethod
    def unpack(cls, row: bytes) -> FileStat:
        return cls(*_ROW.unpack(row))

    def pack(self) -> bytes:
        """The row of ROW_BYTES that stands for it in a block."""
        return _ROW.pack(*self)

    @property
    def executable(self) -> bool:
        """Whether the owner may execute the file."""
        return bool(self.mode & 0o100)


def pack_stats(found: Iterable[os.stat_result]) -> bytes:
    """The packed rows of many files, one after the other."""
    return b"".join(starmap(_ROW.pack, map(_STAT_FIELDS, found)))


def mode_of(row: bytes) -> int:
    """`FileStat.mode` of a packed row."""
    return int.from_bytes(row[:8], sys.byteorder)


def size_of(row: bytes) -> int:
    """`FileStat.size` of a packed row."""
    return int.from_bytes(row[8:16], sys.byteorder)


def is_executable(row: bytes) -> bool:
    """`FileStat.executable` of a packed row."""
    return bool(row[_MODE_LOW] & 0o100)


_IS_EXECUTABLE = bytes(bool(low & 0o100) for low in range(256))
_IS_FILE = bytes(stat.S_ISREG(high << 8) for high in range(256))


def executables(stats: bytes) -> bytes:
    """One byte for each packed row: 1 where `is_executable`, else 0."""
    return stats[_MODE_LOW::ROW_BYTES].translate(_IS_EXECUTABLE)


def are_regular_files(stats: bytes) -> bool:
    """Whether every packed row is that of a regular file."""
    return b"\0" not in stats[_MODE_HIGH::ROW_BYTES].translate(_IS_FILE)


def pack_names(names: Iterable[str]) -> bytes:
    """Join file names; UnicodeEncodeError when one is not UTF-8."""
    return "\0".join(names).encode()


def unpack_names(names: bytes) -> list[str]:
    return names.decode().split("\0") if names else []


def cut(packed: bytes, width: int) -> list[bytes]:
    """Cut packed values of `width` bytes apart."""
    return [packed[start : start + width] for start in range(0, len(packed), width)]


class Tracked(NamedTuple):
    """A file as the dataset has it."""

    blob_id: bytes
    size: int
    executable: bool


class Content(NamedTuple):
    """A file as it is on disk; `blob_id` is UNKNOWN when nobody has read it in this state."""

    row: bytes
    blob_id: bytes

    @property
    def known_id(self) -> bytes | None:
        return None if self.blob_id == UNKNOWN else self.blob_id

    def is_as(self, tracked: Tracked) -> bool:
        return self.blob_id == tracked.blob_id and is_executable(self.row) == tracked.executable

    def as_tracked(self) -> Tracked:
        return Tracked(self.blob_id, size_of(self.row), is_executable(self.row))


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The regular files of one directory, by name in byte order, in three packed columns.

    A file is tracked as it is on disk unless `differs` has its name: there stands the tracked file
    where that is another or is not on disk, and None for a file that is not tracked.
    """

    names: bytes = b""
    stats: bytes = b""
    ids: bytes = b""
    differs: dict[str, Tracked | None] = {}

    @classmethod
    def of(cls, contents: Mapping[str, Content], differs: dict[str, Tracked | None]) -> Block:
        """A block of files given in the order of their names."""
        rows = b"".join([content.row for content in contents.values()])
        ids = b"".join([content.blob_id for content in contents.values()])
        return cls(pack_names(contents), rows, ids, differs)

    def __len__(self) -> int:
        """How many files are on disk."""
        return len(self.ids) // ID_BYTES

    def iter_contents(self) -> Iterator[tuple[str, Content]]:
        contents = map(Content, cut(self.stats, ROW_BYTES), cut(self.ids, ID_BYTES))
        return zip(unpack_names(self.names), contents, strict=True)

    def tracked(self) -> dict[str, Tracked]:
        """The tracked files of this directory."""
        tracked = {
            name: content.as_tracked()
            for name, content in self.iter_contents()
            if name not in self.differs
        }
        tracked.update((name, file) for name, file in self.differs.items() if file is not None)
        return tracked

    def has_tracked(self) -> bool:
        untracked = sum(file is None for file in self.differs.values())
        return len(self) > untracked or len(self.differs) > untracked

    def contents_of(self, names: Iterable[str]) -> dict[str, Content]:
        """Those of a few names that are on disk."""
        on_disk = unpack_names(self.names)
        found = {}
        for name in names:
            at = bisect_left(on_disk, name)
            if at < len(on_disk) and on_disk[at] == name:
                row = self.stats[at * ROW_BYTES : (at + 1) * ROW_BYTES]
                found[name] = Content(row, self.ids[at * ID_BYTES : (at + 1) * ID_BYTES])
        return found

    def only(self, names: Collection[str]) -> Block:
        """The same knowledge of a few names."""
        differs = {name: self.differs[name] for name in names if name in self.differs}
        return Block(differs=differs).with_contents(self.contents_of(names))

    def with_part(self, before: Block, after: Block) -> Block:
        """The block when what `only` gave as `before` has become `after`."""
        edits: dict[str, Content | None] = dict.fromkeys(unpack_names(before.names))
        edits.update(after.iter_contents())
        differs = {name: file for name, file in self.differs.items() if name not in before.differs}
        return msgspec.structs.replace(self.with_contents(edits), differs=differs | after.differs)

    def with_contents(self, edits: Mapping[str, Content | None]) -> Block:
        """Other contents for some names, None for a file that is gone; `differs` stays as it is."""
        old = unpack_names(self.names)
        names: list[str] = []
        stats: list[bytes] = []
        ids: list[bytes] = []

        def keep(start: int, end: int) -> None:
            names.extend(old[start:end])
            stats.append(self.stats[start * ROW_BYTES : end * ROW_BYTES])
            ids.append(self.ids[start * ID_BYTES : end * ID_BYTES])

        done = 0
        for name in sorted(edits):
            at = bisect_left(old, name, done)
            if done < at:
                keep(done, at)
            done = at + (at < len(old) and old[at] == name)
            if (content := edits[name]) is not None:
                names.append(name)
                stats.append(content.row)
                ids.append(content.blob_id)
        keep(done, len(old))
        return Block(pack_names(names), b"".join(stats), b"".join(ids), self.differs)

    def settled(self, horizon_ns: int) -> Block:
        """The block with every stat at or after `horizon_ns` made unlike any real one.

        A file written within the grain of its file system's clock can be written again without a
        trace in its stat, so such a stat proves nothing (size and mode stay readable).
        """
        numbers = memoryview(self.stats).cast("q")
        newest = map(max, numbers[_MTIME::_FIELDS], numbers[_CTIME::_FIELDS])
        late = [at for at, time_ns in enumerate(newest) if time_ns >= horizon_ns]
        if not late:
            return self
        stats = bytearray(self.stats)
        for at in late:
            stats[at * ROW_BYTES + 8 * _MTIME : (at + 1) * ROW_BYTES] = _NO_TIMES
        return msgspec.structs.replace(self, stats=bytes(stats))
