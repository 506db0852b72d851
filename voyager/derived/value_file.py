"""The file that keeps the values of one method: batches, appended one after the other.

    file    magic · 8 random bytes that name this file
    batch   magic · count · body length · body checksum · checksum of all before the body
            ids (32 bytes each) · lengths (u32 each) · the values one after the other

A damaged head ends the file, and the next writer cuts it off there; a damaged body makes its
values absent. So a torn write, a full disk or a flipped bit costs a computation and never gives a
wrong value. Writers take turns by a lock; readers take none, since half a batch is no batch.
(Not LMDB, for the reasons of the stat cache: no checksums, and a truncated file kills its reader.)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from struct import Struct
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.errors import StateError
from voyager.store import files

ID_BYTES: Final = 32
_FILE_MAGIC: Final = b"vgrderi1"
_FILE_HEAD_BYTES: Final = 16
_MAGIC: Final = b"vgrvals1"
_HEAD: Final = Struct("<8sIQ8s")
_SUM_BYTES: Final = 8
_NO_VALUE: Final = 0xFFFF_FFFF
_PATIENCE: Final = 10.0
"""Seconds to wait for another writer; after that values are kept in memory only."""

Entries = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class _Batch:
    """Some values in file order; `body` is None until it was read and found sound."""

    ids: bytes
    lengths: NDArray[np.uint32]
    body_at: int
    body_length: int
    body_sum: bytes
    body: bytes | None = None

    def bounds(self) -> NDArray[np.int64]:
        """Where each value starts in the body, and where the last one ends."""
        lengths = np.where(self.lengths == _NO_VALUE, 0, self.lengths).astype(np.int64)
        return np.concatenate(([0], np.cumsum(lengths)))

    def matrix(self, size: int) -> NDArray[np.uint8]:
        """All values of one size as rows, zeros where there is none."""
        rows = np.zeros((len(self.lengths), size), np.uint8)
        assert self.body is not None
        rows[self.lengths == size] = np.frombuffer(self.body, np.uint8).reshape(-1, size)
        return rows


class ValueFile:
    """The values of one method: `find` gives entry numbers for ids, the rest reads by those.

    Nothing here fails for a damaged, missing or unwritable file: values are then absent, or kept in
    memory only. No handle stays open between calls. One thread at a time.
    """

    def __init__(self, path: Path, size: int | None) -> None:
        self._path = path
        self._size = size
        self._unsaved: list[_Batch] = []
        self._forget()

    def _forget(self) -> None:
        self._name = b""
        self._end = 0
        self._batches: list[_Batch] = []
        self._index: _Index | None = None
        self._rows: NDArray[np.uint8] | None = None

    def refresh(self) -> None:
        """Take in what this or other processes have written since."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._forget()
            return
        try:
            self._follow(fd)
        except OSError:
            self._forget()
        finally:
            os.close(fd)

    def _follow(self, fd: int) -> None:
        name = os.pread(fd, _FILE_HEAD_BYTES, 0)
        if name != self._name or os.fstat(fd).st_size < self._end:
            self._forget()
        if len(name) < _FILE_HEAD_BYTES or not name.startswith(_FILE_MAGIC):
            return
        self._name = name
        self._end = max(self._end, _FILE_HEAD_BYTES)
        while (batch := _read_batch(fd, self._end)) is not None:
            self._end = batch.body_at + batch.body_length
            if self._size is None or _load_body(fd, batch, self._size):
                self._batches.append(batch)
                self._index = self._rows = None

    @property
    def _all(self) -> list[_Batch]:
        return self._batches + self._unsaved

    def find(self, ids: Sequence[bytes]) -> Entries:
        """The entry number of each id, -1 where nothing is known of it."""
        if self._index is None:
            self._index = _Index(self._all)
        return self._index.find(ids)

    def has_value(self, entries: Entries) -> NDArray[np.bool_]:
        """Which of these entries have a value; the others say that there can be none."""
        assert self._index is not None
        mask: NDArray[np.bool_] = self._index.lengths[entries] != _NO_VALUE
        return mask

    def matrix(self, entries: Entries) -> NDArray[np.uint8]:
        """The values of entries, all of one size, as rows."""
        assert self._size is not None
        if self._rows is None:
            parts = [batch.matrix(self._size) for batch in self._all]
            self._rows = np.concatenate(parts) if parts else np.zeros((0, self._size), np.uint8)
        return self._rows[entries]

    def values(self, entries: Entries) -> list[bytes | None]:
        """The values of entries of any size; None for those that turn out to be damaged."""
        assert self._index is not None
        found: list[bytes | None] = [None] * len(entries)
        numbers = self._index.batch_of(entries)
        for number in np.unique(numbers).tolist():
            body, batch = self._body(number), self._all[number]
            bounds = batch.bounds()
            for place in np.flatnonzero(numbers == number).tolist():
                at = int(entries[place]) - self._index.first(number)
                if body is not None:
                    found[place] = body[bounds[at] : bounds[at + 1]]
        return found

    def _body(self, number: int) -> bytes | None:
        batch = self._all[number]
        if batch.body is not None:
            return batch.body
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            same = os.pread(fd, _FILE_HEAD_BYTES, 0) == self._name
            body = os.pread(fd, batch.body_length, batch.body_at) if same else b""
        except OSError:
            return None
        finally:
            os.close(fd)
        return body if _checksum(body) == batch.body_sum else None

    def disown(self, ids: Sequence[bytes]) -> None:
        """Forget the batches of these ids, which are damaged; their values can then be added."""
        assert self._index is not None
        entries = self.find(ids)
        damaged = set(self._index.batch_of(entries[entries >= 0]).tolist())
        self._batches = [b for number, b in enumerate(self._batches) if number not in damaged]
        self._index = self._rows = None

    def add(self, ids: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Keep values, None for what has none; those that are known already are left out."""
        try:
            files.make_folder(self._path.parent)
            with files.FileLock(self._path.with_suffix(".lock"), patience=_PATIENCE):
                self.refresh()
                self._append(*self._new(ids, values))
            self.refresh()
        except (OSError, StateError):
            ids, values = self._new(ids, values)
            if ids:
                self._unsaved.append(_parse(_encode(ids, values)))
                self._index = self._rows = None

    def _new(
        self, ids: Sequence[bytes], values: Sequence[bytes | None]
    ) -> tuple[list[bytes], list[bytes | None]]:
        new = (self.find(ids) < 0).tolist()
        return list(compress(ids, new)), list(compress(values, new))

    def _append(self, ids: list[bytes], values: list[bytes | None]) -> None:
        if not ids:
            return
        if not self._name:
            files.remove(self._path)
            files.create(self._path, _FILE_MAGIC + os.urandom(_FILE_HEAD_BYTES - len(_FILE_MAGIC)))
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            if self._name and os.fstat(fd).st_size > self._end:
                files.truncate(fd, self._end)
            files.write_all(fd, [_encode(ids, values)])
        finally:
            os.close(fd)


class _Index:
    """Where each id is, by the sorted first 8 bytes of all ids.

    Of two ids that agree in those one is found; the other acts unknown, which costs a computation.
    """

    def __init__(self, batches: Sequence[_Batch]) -> None:
        ids = np.frombuffer(b"".join(batch.ids for batch in batches), np.uint64)
        self._ids = ids.reshape(-1, ID_BYTES // 8)
        self.lengths = np.concatenate([np.zeros(0, np.uint32), *(b.lengths for b in batches)])
        counts = [len(batch.lengths) for batch in batches]
        self._firsts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
        self._order = np.argsort(self._ids[:, 0], kind="stable")
        self._keys = self._ids[self._order, 0]

    def find(self, ids: Sequence[bytes]) -> Entries:
        asked = np.frombuffer(b"".join(ids), np.uint64).reshape(-1, ID_BYTES // 8)
        if not len(self._order):
            return np.full(len(asked), -1, np.int64)
        places = np.searchsorted(self._keys, asked[:, 0])
        entries = self._order[np.minimum(places, len(self._order) - 1)]
        found: Entries = np.where((self._ids[entries] == asked).all(axis=1), entries, -1)
        return found

    def batch_of(self, entries: Entries) -> Entries:
        return np.searchsorted(self._firsts, entries, side="right") - 1

    def first(self, number: int) -> int:
        return int(self._firsts[number])


def _encode(ids: Sequence[bytes], values: Sequence[bytes | None]) -> bytes:
    body = b"".join(value for value in values if value is not None)
    lengths = np.array([_NO_VALUE if value is None else len(value) for value in values], "<u4")
    head = _HEAD.pack(_MAGIC, len(ids), len(body), _checksum(body))
    index = b"".join(ids) + lengths.tobytes()
    return head + _checksum(head + index) + index + body


def _parse(batch: bytes) -> _Batch:
    """A batch that was just encoded, as it would be read."""
    _, count, body_length, body_sum = _HEAD.unpack_from(batch)
    ids_at = _HEAD.size + _SUM_BYTES
    lengths_at = ids_at + count * ID_BYTES
    body_at = len(batch) - body_length
    lengths = np.frombuffer(batch[lengths_at:body_at], "<u4")
    return _Batch(batch[ids_at:lengths_at], lengths, 0, body_length, body_sum, batch[body_at:])


def _read_batch(fd: int, start: int) -> _Batch | None:
    """The batch at a place of the file; None where its head is damaged or the file ends in it."""
    head = os.pread(fd, _HEAD.size + _SUM_BYTES, start)
    if len(head) < _HEAD.size + _SUM_BYTES or not head.startswith(_MAGIC):
        return None
    _, count, body_length, body_sum = _HEAD.unpack_from(head)
    index_at = start + len(head)
    index_length = count * (ID_BYTES + 4)
    body_at = index_at + index_length
    if body_at + body_length > os.fstat(fd).st_size:
        return None
    index = os.pread(fd, index_length, index_at)
    if _checksum(head[: _HEAD.size] + index) != head[_HEAD.size :]:
        return None
    ids, lengths = index[: count * ID_BYTES], np.frombuffer(index[count * ID_BYTES :], "<u4")
    return _Batch(ids, lengths, body_at, body_length, body_sum)


def _load_body(fd: int, batch: _Batch, size: int) -> bool:
    """Read the values of a batch, all of one size; False when they are damaged."""
    body = os.pread(fd, batch.body_length, batch.body_at)
    batch.body = body
    whole = (batch.lengths == size).sum() * size == len(body)
    return bool(whole) and _checksum(body) == batch.body_sum


def _checksum(data: bytes) -> bytes:
    return blake3(data).digest(_SUM_BYTES)
