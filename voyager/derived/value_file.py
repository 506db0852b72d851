"""The file that keeps the values of one method: batches, appended one after the other.

A damaged head ends the file, and the next writer cuts it off there; damaged values are absent. So a
torn write, a full disk or a flipped bit costs a computation and never gives a wrong value. Writers
take turns by a lock; readers take none, since half a batch is no batch. (Not LMDB, for the reasons
of the stat cache: no checksums, and a truncated file kills its reader.)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voyager.derived import value_batches
from voyager.derived.value_batches import FILE_HEAD_BYTES, ID_BYTES, NO_VALUE, Batch, checksum
from voyager.errors import StateError
from voyager.store import files

_PATIENCE: Final = 10.0
"""Seconds to wait for another writer; after that values are kept in memory only."""

Entries = NDArray[np.int64]


class ValueFile:
    """The values of one method: `find` gives entry numbers for ids, the rest reads by those.

    Nothing here fails for a damaged, missing or unwritable file: values are then absent, or kept in
    memory only, and `problem` says why. No handle stays open between calls but within `opened`. One
    thread at a time.
    """

    def __init__(self, path: Path, size: int | None) -> None:
        self.path = path
        self.problem: Exception | None = None
        self._size = size
        self._fd: int | None = None
        self._unsaved: list[Batch] = []
        self._forget()

    def _forget(self) -> None:
        self._name = b""
        self._end = 0
        self._batches: list[Batch] = []
        self._damaged: set[bytes] = set()
        self._index: _Index | None = None
        self._rows: NDArray[np.uint8] | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Take in what this or other processes have written since, and keep the file at hand."""
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._forget()
            yield
            return
        try:
            try:
                self._follow(self._fd)
            except OSError:
                self._forget()
            yield
        finally:
            os.close(self._fd)
            self._fd = None

    def refresh(self) -> None:
        """Take in what this or other processes have written since."""
        with self.opened():
            pass

    def _follow(self, fd: int) -> None:
        name = os.pread(fd, FILE_HEAD_BYTES, 0)
        size = os.fstat(fd).st_size
        if name != self._name or size < self._end:
            self._forget()
        varying = self._size is None
        if value_batches.kind_of(name) != varying:
            return
        self._name = name
        self._end = max(self._end, FILE_HEAD_BYTES)
        while (batch := value_batches.read(fd, self._end, size, varying=varying)) is not None:
            self._end = batch.end
            if self._size is None or value_batches.load_body(fd, batch, self._size):
                self._batches.append(batch)
                self._index = self._rows = None

    @property
    def _all(self) -> list[Batch]:
        if not self._unsaved:
            return self._batches
        return self._batches + self._unsaved

    def find(self, ids: Sequence[bytes]) -> Entries:
        """The entry number of each id, -1 where nothing is known of it."""
        if self._index is None:
            self._index = _Index(self._all)
        found = self._index.find(ids)
        if self._damaged:
            found[[one in self._damaged for one in ids]] = -1
        return found

    def ids(self) -> list[bytes]:
        """All ids of which something is known, each once, in the order of the file."""
        every = b"".join(batch.ids for batch in self._all)
        steps = range(0, len(every), ID_BYTES)
        return list(dict.fromkeys(every[at : at + ID_BYTES] for at in steps))

    def pairs(self, ids: Sequence[bytes]) -> list[tuple[bytes, bytes | None]]:
        """(id, value) of those that are known and sound, None for what has no value."""
        entries = self.find(ids)
        listed = [(one, at) for one, at in zip(ids, entries.tolist(), strict=True) if at >= 0]
        sound = self.has_value(np.array([at for _, at in listed], np.int64)).tolist()
        found: list[tuple[bytes, bytes | None]] = []
        for (one, at), has_value in zip(listed, sound, strict=True):
            value = self.value(at) if has_value else None
            if value is not None or not has_value:
                found.append((one, value))
        return found

    def missing(self, ids: Sequence[bytes]) -> list[bytes]:
        """Those of the ids of which nothing is known."""
        return list(compress(ids, (self.find(ids) < 0).tolist()))

    def failed(self, ids: Sequence[bytes]) -> list[bytes]:
        """Those of the ids of which it is known that they have no value."""
        entries = self.find(ids)
        bad = entries >= 0
        bad[bad] = ~self.has_value(entries[bad])
        return list(compress(ids, bad.tolist()))

    def has_value(self, entries: Entries) -> NDArray[np.bool_]:
        """Which of these entries have a value; the others say that there can be none."""
        assert self._index is not None
        mask: NDArray[np.bool_] = self._index.lengths[entries] != NO_VALUE
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
        return list(map(self.value, entries.tolist()))

    def value(self, entry: int) -> bytes | None:
        """The value of one entry of any size; None when it turns out to be damaged."""
        assert self._index is not None
        number, place = self._index.place_of(entry)
        start, length = int(self._index.starts[entry]), int(self._index.lengths[entry])
        if length == NO_VALUE:
            return None
        batch = self._all[number]
        if batch.body is not None:
            return batch.body[start : start + length]
        try:
            value = b"" if self._fd is None else os.pread(self._fd, length, batch.body_at + start)
        except OSError:
            return None
        return value if checksum(value) == batch.sums[place].tobytes() else None

    def disown(self, ids: Sequence[bytes]) -> None:
        """Forget the values of these ids, which are damaged; others can then be added."""
        self._damaged.update(ids)

    def add(self, ids: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Keep values, None for what has none; those that are known already are left out."""
        try:
            files.make_folder(self.path.parent)
            with files.FileLock(self.path.with_suffix(".lock"), patience=_PATIENCE):
                self.refresh()
                self._append(*self._new(ids, values))
            self.refresh()
        except (OSError, StateError) as error:
            self.problem = error
            ids, values = self._new(ids, values)
            if ids:
                self._unsaved.append(value_batches.parse(ids, values))
                self._index = self._rows = None
        self._damaged.difference_update(ids)

    def _new(
        self, ids: Sequence[bytes], values: Sequence[bytes | None]
    ) -> tuple[list[bytes], list[bytes | None]]:
        new = (self.find(ids) < 0).tolist()
        return list(compress(ids, new)), list(compress(values, new))

    def _append(self, ids: list[bytes], values: list[bytes | None]) -> None:
        if not ids:
            return
        varying = self._size is None
        if not self._name:
            files.remove(self.path)
            files.create(self.path, value_batches.new_file(varying=varying))
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            if self._name and os.fstat(fd).st_size > self._end:
                files.truncate(fd, self._end)
            files.write_all(fd, [value_batches.encode(ids, values, varying=varying)])
        finally:
            os.close(fd)


class _Index:
    """Where each id is, by the sorted first 8 bytes of all ids; the last entry of an id counts.

    Of two ids that agree in those one is found; the other acts unknown, which costs a computation.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        ids = np.frombuffer(b"".join(batch.ids for batch in batches), np.uint64)
        self._ids = ids.reshape(-1, ID_BYTES // 8)
        self.lengths = np.concatenate([np.zeros(0, np.uint32), *(b.lengths for b in batches)])
        self.starts = np.concatenate([np.zeros(0, np.int64), *(b.starts() for b in batches)])
        counts = [len(batch.lengths) for batch in batches]
        self._firsts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
        self._order = np.argsort(self._ids[:, 0], kind="stable")
        self._keys = self._ids[self._order, 0]

    def find(self, ids: Sequence[bytes]) -> Entries:
        asked = np.frombuffer(b"".join(ids), np.uint64).reshape(-1, ID_BYTES // 8)
        if not len(self._order):
            return np.full(len(asked), -1, np.int64)
        places = np.searchsorted(self._keys, asked[:, 0], side="right") - 1
        entries = self._order[np.maximum(places, 0)]
        found: Entries = np.where((self._ids[entries] == asked).all(axis=1), entries, -1)
        return found

    def place_of(self, entry: int) -> tuple[int, int]:
        """(number of the batch, place in it) of an entry."""
        number = int(np.searchsorted(self._firsts, entry, side="right")) - 1
        return number, entry - int(self._firsts[number])
