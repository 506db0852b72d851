"""The journal: small objects and operations, appended in groups whose fsync is the commit (spec 6).

A group is any number of object entries and one operation, which carries a digest of the bytes
before it in the group. So a torn group is told apart from a whole one, and cut.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from voyager.errors import CorruptError
from voyager.store import files
from voyager.store.entry import (
    HEADER_BYTES,
    Damage,
    Header,
    compress,
    encode_header,
    expand,
    scan_entries,
    sum_of,
)
from voyager.store.ids import Kind, id_of, object_id
from voyager.store.operation import Operation, decode_operation
from voyager.store.pack import Placed
from voyager.store.spec import JOURNAL_MAGIC, LOG_MAGIC

_HEAD = struct.Struct("<8sI")
HEAD_BYTES = _HEAD.size + 4


def journal_head(generation: int) -> bytes:
    return _encode_head(JOURNAL_MAGIC, generation)


def log_head(first_seq: int) -> bytes:
    return _encode_head(LOG_MAGIC, first_seq)


def _encode_head(magic: bytes, number: int) -> bytes:
    head = _HEAD.pack(magic, number)
    return head + sum_of(head)[:4]


@dataclass(frozen=True, slots=True)
class Encoded:
    """An entry ready to be appended."""

    header: bytes
    stored: bytes

    @property
    def id(self) -> bytes:
        return self.header[24:56]


def encode_entry(kind: Kind, entry_id: bytes, method: int, stored: bytes, real: int) -> Encoded:
    header = encode_header(kind, method, len(stored), real, entry_id, sum_of(stored))
    return Encoded(header, stored)


def encode_operation_entry(operation: Operation) -> Encoded:
    data = operation.encode()
    method, stored = compress(data)
    return encode_entry(Kind.OPERATION, object_id(Kind.OPERATION, data), method, stored, len(data))


def digest_of(entries: list[Encoded]) -> tuple[int, bytes]:
    """(length, digest) of the bytes of a group before its operation."""
    hasher, length = blake3(), 0
    for entry in entries:
        hasher.update(entry.header)
        hasher.update(entry.stored)
        length += len(entry.header) + len(entry.stored)
    return length, hasher.digest()


@dataclass(frozen=True, slots=True)
class Group:
    """One whole group read back: its entries' places, its operation, and where it ends."""

    start: int
    objects: list[Placed]
    operation: Operation
    operation_at: Placed
    end: int


class Journal:
    """The journal or a segment of the log, opened for one append or one scan.

    Raises CorruptError when the head is damaged, unless `salvaging`.
    """

    def __init__(self, path: Path, *, write: bool = False, salvaging: bool = False) -> None:
        self.path = path
        self._fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC)
        head = os.pread(self._fd, HEAD_BYTES, 0).ljust(HEAD_BYTES, b"\0")
        magic, number = _HEAD.unpack_from(head)
        self.number: int = number
        """Generation of a journal, first sequence number of a log segment."""
        self.head_fits = magic in (JOURNAL_MAGIC, LOG_MAGIC) and head == _encode_head(magic, number)
        if not (self.head_fits or salvaging):
            os.close(self._fd)
            raise CorruptError(
                "the head of the journal is damaged", hint="vgr fsck --rebuild", path=path
            )

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def append(self, position: int, group: list[Encoded]) -> list[Placed]:
        """Append a group at `position` (the end) and sync: when this returns it is committed."""
        buffers: list[bytes] = []
        placed: list[Placed] = []
        at = position
        for entry in group:
            buffers += (entry.header, entry.stored)
            placed.append(Placed(entry.id, at, len(entry.stored)))
            at += HEADER_BYTES + len(entry.stored)
        os.lseek(self._fd, position, os.SEEK_SET)
        try:
            files.write_all(self._fd, buffers)
            files.sync(self._fd)
        except OSError:
            # A full disk leaves half a group; nothing was promised, so it is taken back.
            files.truncate(self._fd, position)
            raise
        return placed

    def cut(self, position: int) -> None:
        """Cut what follows the last whole group."""
        files.truncate(self._fd, position)
        files.sync(self._fd)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def iter_entries(self) -> Iterator[tuple[int, Header] | Damage]:
        """(offset, header) of every entry, whatever group it is in."""
        return scan_entries(self._fd, HEAD_BYTES, self.size)

    def iter_groups(self, start: int = HEAD_BYTES) -> Iterator[Group | Damage]:
        """The groups from `start` on; a stretch that is in no whole group is damage."""
        pending: list[Placed] = []
        group_start = start
        for found in scan_entries(self._fd, start, self.size):
            if isinstance(found, Damage):
                # The objects before it are lost with it: their operation can only be here.
                end = found.offset + found.length
                start = group_start if pending else found.offset
                yield Damage(start, end - start, found.reason)
                pending, group_start = [], end
                continue
            offset, header = found
            placed = Placed(header.id, offset, header.stored)
            end = offset + HEADER_BYTES + header.stored
            if header.kind is not Kind.OPERATION:
                pending.append(placed)
                continue
            yield self._close_group(group_start, pending, header, placed, end)
            pending, group_start = [], end
        if pending:
            yield Damage(group_start, self.size - group_start, "objects without an operation")

    def _close_group(
        self, start: int, objects: list[Placed], header: Header, placed: Placed, end: int
    ) -> Group | Damage:
        data = self.read(placed.offset + HEADER_BYTES, placed.stored)
        try:
            real = expand(header, data)
            if id_of(Kind.OPERATION, real) != header.id:
                raise CorruptError("an operation does not fit its id")
            operation = decode_operation(real)
            first = placed.offset - operation.length
            if first < start:
                raise CorruptError("objects of a group are missing")
            if blake3(self.read(first, operation.length)).digest() != operation.digest:
                raise CorruptError("the objects of a group do not fit its digest")
        except CorruptError as error:
            return Damage(start, end - start, error.message)
        return Group(start, objects, operation, placed, end)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
