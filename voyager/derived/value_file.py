"""The file that keeps the values of one method: batches, appended one after the other.

A damaged head ends the file, and the next writer cuts it off there; values that turn out to be
damaged when they are read are absent from then on. So a torn write, a full disk or a flipped bit
costs a computation and never gives a wrong value. Writers take turns by a lock; readers take none,
since half a batch is no batch. What stays in memory is where each value is, 60 bytes a value. (Not
LMDB, for the reasons of the stat cache: it has no checksums.)
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voyager.derived import value_batches
from voyager.derived.value_batches import FILE_HEAD_BYTES, NO_VALUE, Batch, checksum
from voyager.derived.value_index import Entries, ValueIndex
from voyager.errors import StateError
from voyager.store import files

_PATIENCE: Final = 10.0
"""Seconds to wait for another writer; after that values are kept in memory only."""


class ValueFile:
    """The values of one method: `find` gives entry numbers for ids, the rest reads by those.

    Entry numbers hold until the next `opened`. Nothing here fails for a damaged, missing or
    unwritable file: values are then absent, or kept in memory only, and `problem` says why. No
    handle stays open between calls but within `opened`. One thread at a time.
    """

    def __init__(self, path: Path, size: int | None) -> None:
        self.path = path
        self.problem: Exception | None = None
        self._size = size
        self._fd: int | None = None
        self._batches: list[Batch] = []
        self._forget()

    def _forget(self) -> None:
        """Go back to what is in memory only."""
        self._name = b""
        self._end = 0
        self._damaged: set[bytes] = set()
        self._index = ValueIndex()
        self._batches = [batch for batch in self._batches if batch.body is not None]
        self._index.extend(self._batches)

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
        new = []
        while (batch := value_batches.read(fd, self._end, size, varying=varying)) is not None:
            self._end = batch.end
            if self._size is None or batch.has_all_of(self._size):
                new.append(batch)
        self._take(new)

    def _take(self, batches: Sequence[Batch]) -> None:
        self._index.extend(batches)
        self._batches += [batch if batch.body is not None else batch.bare() for batch in batches]

    def find(self, ids: Sequence[bytes]) -> Entries:
        """The entry number of each id, -1 where nothing is known of it."""
        found = self._index.find(ids)
        if self._damaged:
            found[[one in self._damaged for one in ids]] = -1
        return found

    def ids(self) -> list[bytes]:
        """All ids of which something is known, each once, in the order of the file."""
        return list(dict.fromkeys(self._index.ids()))

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
        return self._index.has_value(entries)

    def matrix(self, entries: Entries) -> NDArray[np.uint8] | None:
        """The values of entries that have one, all of one size, as rows; within `opened`.

        None where some turn out to be damaged: those are absent from now on.
        """
        assert self._size is not None
        rows = np.empty((len(entries), self._size), np.uint8)
        places = self._index.starts(entries) // max(self._size, 1)
        whole = self._mapped()
        sound = True
        for number, some in self._index.by_batch(entries):
            batch = self._batches[number]
            body = whole[batch.body_at : batch.end] if batch.body is None else batch.body
            if self._is_sound(number, body):
                rows[some] = np.frombuffer(body, np.uint8).reshape(-1, self._size)[places[some]]
            else:
                sound = False
        return rows if sound else None

    def _mapped(self) -> memoryview:
        """The file in memory as long as that is held; empty where it cannot be mapped."""
        try:
            if self._fd is not None:
                return memoryview(mmap.mmap(self._fd, self._end, access=mmap.ACCESS_READ))
        except (OSError, ValueError):
            pass
        return memoryview(b"")

    def _is_sound(self, number: int, body: memoryview | bytes) -> bool:
        """Whether the values of a batch, all of one size, are what was written; checked once."""
        batch = self._batches[number]
        if batch.body is None and not batch.checked:
            batch.checked = checksum(body) == batch.sums.tobytes()
        if batch.body is None and not (batch.checked and len(body) == batch.body_length):
            self._disown_batch(number)
            return False
        return True

    def _disown_batch(self, number: int) -> None:
        entries = self._index.entries_of(number)
        ids = self._index.ids(entries)
        here = self._index.find(ids) == np.arange(entries.start, entries.stop)
        self.disown(list(compress(ids, here.tolist())))

    def values(self, entries: Entries) -> list[bytes | None]:
        """The values of entries of any size; None for those that turn out to be damaged."""
        return list(map(self.value, entries.tolist()))

    def value(self, entry: int) -> bytes | None:
        """The value of one entry; None when it has none or turns out to be damaged."""
        start, length = self._index.span(entry)
        if length == NO_VALUE:
            return None
        number, place = self._index.place_of(entry)
        batch = self._batches[number]
        if batch.body is not None:
            return batch.body[start : start + length]
        try:
            if self._size is not None and not batch.checked:
                self._is_sound(number, self._read(batch.body_at, batch.body_length))
            value = self._read(batch.body_at + start, length)
        except OSError:
            return None
        if self._size is None:
            sound = checksum(value) == batch.sums[place].tobytes()
        else:
            sound = batch.checked and len(value) == length
        return value if sound else None

    def _read(self, start: int, length: int) -> bytes:
        return b"" if self._fd is None else os.pread(self._fd, length, start)

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
                self._take([value_batches.parse(ids, values)])
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
