"""Segments: immutable files of ids and float16 vectors, named by a digest of what is in them.

    magic · dims · count · longest length · model id
    digests of the stretches of vectors (8 bytes each) · ids (32 bytes each)
    zeros up to a multiple of 64 · the vectors, a row each

The name is a digest of all before the vectors, so a damaged head does not open; a stretch of
vectors is compared with its digest when it is first read. Files are mapped and never change.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from struct import Struct
from typing import Final, TypeAlias

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.errors import CorruptError
from voyager.store import files

ID_BYTES: Final = 32
STRETCH: Final = 1 << 16
"""Rows of a stretch."""

Halves: TypeAlias = NDArray[np.float16]
Floats: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64]

_MAGIC: Final = b"vgrvecs1"
_HEAD: Final = Struct("<8sIIf32s")
_SUM_BYTES: Final = 8
_ALIGNED: Final = 64


class DamagedSegment(CorruptError):
    """A segment whose bytes are not those that its name stands for."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the vectors of segment {name} are damaged")
        self.segment = name


@dataclass(frozen=True, slots=True)
class _Head:
    dims: int
    count: int
    longest: float
    model: bytes
    sums: bytes
    ids: bytes | memoryview

    @property
    def packed(self) -> bytes:
        return _HEAD.pack(_MAGIC, self.dims, self.count, self.longest, self.model) + self.sums

    @property
    def name(self) -> str:
        return blake3(self.packed).update(self.ids).hexdigest(16)

    @property
    def vectors_at(self) -> int:
        return -(-(len(self.packed) + len(self.ids)) // _ALIGNED) * _ALIGNED


class Segment:
    """Vectors with their ids, by row. Reading a row raises DamagedSegment where it is not sound."""

    def __init__(self, head: _Head, vectors: Halves) -> None:
        self.name = head.name
        self.count = head.count
        self.dims = head.dims
        self.longest = head.longest
        """No vector is longer."""
        self._head = head
        self._vectors = vectors
        self._sound = np.zeros(-(-head.count // STRETCH), bool)
        self._words = np.frombuffer(head.ids, np.uint64).reshape(-1, ID_BYTES // 8)

    @classmethod
    def of(cls, ids: Sequence[bytes], vectors: Halves, *, model: bytes) -> Segment:
        """A segment in memory."""
        vectors = np.ascontiguousarray(vectors)
        sums = b"".join(_checksum(part) for part in _stretches(vectors))
        longest = max(map(_longest, _stretches(vectors)), default=0.0)
        head = _Head(vectors.shape[1], len(ids), longest, model, sums, b"".join(ids))
        return cls(head, vectors)

    @classmethod
    def open(cls, path: Path) -> Segment:
        """Map a file; DamagedSegment for one that is not what its name says, or cut short."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if size < _HEAD.size:
                raise DamagedSegment(path.name)
            mapped = memoryview(mmap.mmap(fd, size, access=mmap.ACCESS_READ))
        finally:
            os.close(fd)
        head = _parse(mapped)
        if head is None or head.name != path.name:
            raise DamagedSegment(path.name)
        vectors = np.frombuffer(mapped, np.float16, head.count * head.dims, head.vectors_at)
        return cls(head, vectors.reshape(head.count, head.dims))

    def write(self, folder: Path) -> None:
        """Write the file of this segment, unless it is there and sound."""
        path = folder / self.name
        if path.exists() and _is_sound(path):
            return
        head = self._head
        gap = bytes(head.vectors_at - len(head.packed) - len(head.ids))
        vectors = self._vectors.data.cast("B")
        files.replace(path, [head.packed, memoryview(head.ids), gap, vectors])

    @property
    def model(self) -> bytes:
        return self._head.model

    def ids_at(self, rows: Rows) -> list[bytes]:
        """The ids of rows."""
        data = self._words[rows].tobytes()
        return [data[at : at + ID_BYTES] for at in range(0, len(data), ID_BYTES)]

    def find(self, asked: NDArray[np.uint64]) -> Rows:
        """The row of each id, given as four words; -1 where it is not here."""
        order, keys = self._by_id
        rows = np.full(len(asked), -1, np.int64)
        if not len(order):
            return rows
        places = np.searchsorted(keys, asked[:, 0])
        found = order[np.minimum(places, len(order) - 1)]
        same = (self._words[found] == asked).all(axis=1)
        rows[same] = found[same]
        return rows

    @cached_property
    def _by_id(self) -> tuple[Rows, NDArray[np.uint64]]:
        """Rows in the order of the first word of their ids, and these words."""
        order = np.argsort(self._words[:, 0], kind="stable")
        return order, self._words[order, 0]

    def stretch(self, number: int) -> Halves:
        """The vectors of a stretch."""
        part = self._vectors[number * STRETCH : (number + 1) * STRETCH]
        if not self._sound[number]:
            at = number * _SUM_BYTES
            if _checksum(part) != self._head.sums[at : at + _SUM_BYTES]:
                raise DamagedSegment(self.name)
            self._sound[number] = True
        return part

    def stretches(self) -> Iterator[Halves]:
        """All vectors, a stretch at a time."""
        return map(self.stretch, range(len(self._sound)))

    def whole(self) -> tuple[list[bytes], Halves]:
        """All ids and vectors."""
        rows = np.arange(self.count)
        return self.ids_at(rows), self.take(rows)

    def take(self, rows: Rows) -> Halves:
        """The vectors of some rows."""
        numbers = rows // STRETCH
        if not self._sound[numbers].all():
            for number in np.unique(numbers).tolist():
                self.stretch(number)
        if self.dims % 4:
            return self._vectors[rows]
        wide = self._vectors.view(np.float64)  # fewer and wider things to copy: twice as fast
        return wide.take(rows, axis=0).view(np.float16)


def _is_sound(path: Path) -> bool:
    """Whether a file is what its name says, as far as its head tells."""
    try:
        Segment.open(path)
    except (DamagedSegment, OSError):
        return False
    return True


def id_words(ids: Sequence[bytes]) -> NDArray[np.uint64]:
    """Ids as rows of four words, as `Segment.find` wants them."""
    return np.frombuffer(b"".join(ids), np.uint64).reshape(-1, ID_BYTES // 8)


def joined(segments: Sequence[Segment]) -> Segment:
    """One segment with the rows of several, in their order."""
    ids = b"".join(bytes(segment._head.ids) for segment in segments)
    vectors = np.concatenate([part for segment in segments for part in segment.stretches()])
    chunks = [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]
    return Segment.of(chunks, vectors, model=segments[0].model)


def _parse(mapped: memoryview) -> _Head | None:
    magic, dims, count, longest, model = _HEAD.unpack_from(mapped)
    sums_end = _HEAD.size + -(-count // STRETCH) * _SUM_BYTES
    ids_end = sums_end + count * ID_BYTES
    if magic != _MAGIC or len(mapped) < ids_end:
        return None
    sums, ids = bytes(mapped[_HEAD.size : sums_end]), mapped[sums_end:ids_end]
    head = _Head(dims, count, longest, model, sums, ids)
    return head if len(mapped) == head.vectors_at + 2 * count * dims else None


def _stretches(vectors: Halves) -> Iterator[Halves]:
    return (vectors[at : at + STRETCH] for at in range(0, len(vectors), STRETCH))


def _longest(part: Halves) -> float:
    squares = np.einsum("ij,ij->i", part, part, dtype=np.float32)
    return float(np.sqrt(squares.max(initial=0.0))) * (1 + 1e-5)


def _checksum(part: Halves) -> bytes:
    return blake3(part.data.cast("B")).digest(_SUM_BYTES)
