"""Batches of values, as they lie in the file of a method.

    file    magic · 8 random bytes that name this file
    batch   magic · count · body length · checksum of the body · checksum of all before the sums
            ids (32 bytes each) · lengths (u32 each) · sums · the values one after the other

Values of one size are read by the batch, and have no sums. Values that vary in size have a checksum
of 8 bytes each in `sums`, so that one of them can be read alone; the checksum of their body is that
of the sums. The magic of the file tells which.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from struct import Struct
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

ID_BYTES: Final = 32
FILE_HEAD_BYTES: Final = 16
NO_VALUE: Final = 0xFFFF_FFFF
"""The length of what has no value."""

_FILE_MAGIC: Final = {False: b"vgrderi1", True: b"vgrderv1"}
_MAGIC: Final = b"vgrvals1"
_HEAD: Final = Struct("<8sIQ8s")
_SUM_BYTES: Final = 8


@dataclass(slots=True, eq=False)
class Batch:
    """Some values in file order; `body` is held where they are not saved.

    `checked` says that a body of values of one size was read once, and is what was written.
    """

    ids: bytes
    lengths: NDArray[np.uint32]
    sums: NDArray[np.uint64]
    body_at: int
    body_length: int
    body: bytes | None = None
    checked: bool = False

    @property
    def end(self) -> int:
        return self.body_at + self.body_length

    def starts(self) -> NDArray[np.int64]:
        """Where each value starts in the body."""
        lengths = np.where(self.lengths == NO_VALUE, 0, self.lengths).astype(np.int64)
        return np.cumsum(lengths) - lengths

    def has_all_of(self, size: int) -> bool:
        """Whether its values are all of this size."""
        return int((self.lengths == size).sum()) * size == self.body_length

    def bare(self) -> Batch:
        """The same without what an index of it holds."""
        return replace(self, ids=b"", lengths=np.zeros(0, np.uint32))


def new_file(*, varying: bool) -> bytes:
    """The head of a new file."""
    magic = _FILE_MAGIC[varying]
    return magic + os.urandom(FILE_HEAD_BYTES - len(magic))


def kind_of(head: bytes) -> bool | None:
    """Whether the values of a file vary in size, by its head; None for a file of something else."""
    if len(head) < FILE_HEAD_BYTES:
        return None
    return next((kind for kind, magic in _FILE_MAGIC.items() if head.startswith(magic)), None)


def encode(ids: Sequence[bytes], values: Sequence[bytes | None], *, varying: bool) -> bytes:
    """A batch, None for what has no value."""
    body = b"".join(value for value in values if value is not None)
    lengths = np.array([NO_VALUE if value is None else len(value) for value in values], "<u4")
    sums = b"".join(checksum(value or b"") for value in values) if varying else b""
    head = _HEAD.pack(_MAGIC, len(ids), len(body), checksum(sums if varying else body))
    index = b"".join(ids) + lengths.tobytes()
    return head + checksum(head + index) + index + sums + body


def parse(ids: Sequence[bytes], values: Sequence[bytes | None]) -> Batch:
    """A batch that lies in no file."""
    body = b"".join(value for value in values if value is not None)
    lengths = np.array([NO_VALUE if value is None else len(value) for value in values], "<u4")
    return Batch(b"".join(ids), lengths, np.zeros(0, np.uint64), 0, len(body), body)


def read(fd: int, start: int, size: int, *, varying: bool) -> Batch | None:
    """The batch at a place of a file of that size, without its body.

    None where its head is damaged or the file ends in it.
    """
    head = os.pread(fd, _HEAD.size + _SUM_BYTES, start)
    if len(head) < _HEAD.size + _SUM_BYTES or not head.startswith(_MAGIC):
        return None
    _, count, body_length, body_sum = _HEAD.unpack_from(head)
    index_length = count * (ID_BYTES + 4)
    sums_length = count * _SUM_BYTES if varying else 0
    body_at = start + len(head) + index_length + sums_length
    if body_at + body_length > size:
        return None
    index = os.pread(fd, index_length + sums_length, start + len(head))
    index, sums = index[:index_length], index[index_length:]
    if checksum(head[: _HEAD.size] + index) != head[_HEAD.size :]:
        return None
    if varying and checksum(sums) != body_sum:
        return None
    ids, lengths = index[: count * ID_BYTES], np.frombuffer(index[count * ID_BYTES :], "<u4")
    sums = sums or body_sum
    return Batch(ids, lengths, np.frombuffer(sums, "<u8"), body_at, body_length)


def ids_place(count: int) -> tuple[int, int]:
    """Where the ids of a batch of so many lie, and how many bytes they have."""
    return _HEAD.size + _SUM_BYTES, count * ID_BYTES


def decode(data: bytes, *, varying: bool) -> list[tuple[bytes, bytes | None]] | None:
    """Every (id, value) of a batch by its bytes; None where anything in it is damaged."""
    if len(data) < _HEAD.size + _SUM_BYTES or not data.startswith(_MAGIC):
        return None
    _, count, body_length, body_sum = _HEAD.unpack_from(data)
    start, ids_length = ids_place(count)
    lengths_at = start + ids_length
    sums_at = lengths_at + 4 * count
    body_at = sums_at + (count * _SUM_BYTES if varying else 0)
    if body_at + body_length != len(data):
        return None
    if checksum(data[: _HEAD.size] + data[start:sums_at]) != data[_HEAD.size : start]:
        return None
    if checksum(data[sums_at:body_at] if varying else data[body_at:]) != body_sum:
        return None
    found: list[tuple[bytes, bytes | None]] = []
    at = body_at
    for number, length in enumerate(np.frombuffer(data[lengths_at:sums_at], "<u4").tolist()):
        blob = data[start + number * ID_BYTES : start + (number + 1) * ID_BYTES]
        value = None if length == NO_VALUE else data[at : at + length]
        at += 0 if value is None else length
        found.append((blob, value))
    return found if at == len(data) else None


def iter_starts(fd: int) -> Iterator[int]:
    """Where each batch of a file begins, and where the last one ends."""
    for start, _ in _iter_heads(fd):
        yield start


def value_bytes(fd: int) -> int | None:
    """The length of every value of a file, None where it varies or no image has a value."""
    if kind_of(os.pread(fd, FILE_HEAD_BYTES, 0)) is not False:
        return None
    for start, entries in _iter_heads(fd):
        batch = read(fd, start, os.fstat(fd).st_size, varying=False) if entries else None
        if batch is not None and (batch.lengths != NO_VALUE).any():
            return int(batch.lengths[batch.lengths != NO_VALUE][0])
    return None


def count(fd: int) -> int:
    """How many entries a file has."""
    return sum(entries for _, entries in _iter_heads(fd))


def _iter_heads(fd: int) -> Iterator[tuple[int, int]]:
    """(start, entries) of each batch, and (end, 0); no more is read than the heads."""
    varying = kind_of(os.pread(fd, FILE_HEAD_BYTES, 0))
    at, size = FILE_HEAD_BYTES, os.fstat(fd).st_size
    while varying is not None:
        head = os.pread(fd, _HEAD.size, at)
        if len(head) < _HEAD.size or not head.startswith(_MAGIC):
            break
        _, entries, body_length, _ = _HEAD.unpack(head)
        each = ID_BYTES + 4 + (_SUM_BYTES if varying else 0)
        end = at + _HEAD.size + _SUM_BYTES + entries * each + body_length
        if end > size:
            break
        yield at, entries
        at = end
    yield at, 0


def checksum(data: bytes | memoryview) -> bytes:
    """8 bytes that tell damage."""
    return blake3(data).digest(_SUM_BYTES)
