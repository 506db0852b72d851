"""Which entry of a file of values is that of an id; grows with the file.

Ids are found by the sorted first 8 bytes of them. What is added is sorted alone, and runs that are
not much larger are merged with it: so an entry is moved a few times, however many are added.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.value_batches import ID_BYTES, NO_VALUE, Batch

Entries: TypeAlias = NDArray[np.int64]

_Run: TypeAlias = tuple[NDArray[np.uint64], Entries]
"""The first 8 bytes of some ids in order, and their entries."""

_WORDS: Final = ID_BYTES // 8
_MERGED: Final = 2
"""A run is merged with one that has so many times its entries at most."""


class ValueIndex:
    """Where each id is; the last entry of an id counts.

    Of two ids that agree in their first 8 bytes one may act unknown, which costs a computation.
    """

    def __init__(self) -> None:
        self._ids = np.zeros((0, _WORDS), np.uint64)
        self._lengths = np.zeros(0, np.uint32)
        self._starts = np.zeros(0, np.int64)
        self._firsts: list[int] = []
        self._runs: list[_Run] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, batches: Sequence[Batch]) -> None:
        """Take in the entries of batches, which are numbered on."""
        if not batches:
            return
        before = self._count
        ids = np.concatenate([_words(batch.ids) for batch in batches])
        self._ids = _appended(self._ids, before, ids)
        lengths = np.concatenate([batch.lengths for batch in batches])
        self._lengths = _appended(self._lengths, before, lengths)
        starts = np.concatenate([batch.starts() for batch in batches])
        self._starts = _appended(self._starts, before, starts)
        for batch in batches:
            self._firsts.append(self._count)
            self._count += len(batch.lengths)
        self._runs.append(_sorted(ids[:, 0], np.arange(before, self._count)))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= _MERGED * len(self._runs[-1][0]):
            (keys, order), (more, later) = self._runs.pop(-2), self._runs.pop()
            merged = _sorted(np.concatenate([keys, more]), np.concatenate([order, later]))
            self._runs.append(merged)

    def find(self, ids: Sequence[bytes]) -> Entries:
        """The entry of each id, -1 where there is none."""
        asked = _words(b"".join(ids))
        found = np.full(len(asked), -1, np.int64)
        for keys, order in self._runs if len(asked) else ():
            places = np.searchsorted(keys, asked[:, 0], side="right") - 1
            entries = order[np.maximum(places, 0)]
            found = np.where((self._ids[entries] == asked).all(axis=1), entries, found)
        return found

    def ids(self, entries: slice = slice(None)) -> list[bytes]:
        """The ids of entries, in their order."""
        every = self._ids[: self._count][entries].tobytes()
        return [every[at : at + ID_BYTES] for at in range(0, len(every), ID_BYTES)]

    def has_value(self, entries: Entries) -> NDArray[np.bool_]:
        """Which of these entries have a value."""
        mask: NDArray[np.bool_] = self._lengths[entries] != NO_VALUE
        return mask

    def span(self, entry: int) -> tuple[int, int]:
        """(start in the body of its batch, length) of an entry."""
        return int(self._starts[entry]), int(self._lengths[entry])

    def starts(self, entries: Entries) -> Entries:
        """Where the values of entries start in the bodies of their batches."""
        return self._starts[entries]

    def entries_of(self, number: int) -> slice:
        """The entries of a batch, by its number."""
        ends = [*self._firsts[number + 1 : number + 2], self._count]
        return slice(self._firsts[number], ends[0])

    def place_of(self, entry: int) -> tuple[int, int]:
        """(number of the batch, place in it) of an entry."""
        number = bisect_right(self._firsts, entry) - 1
        return number, entry - self._firsts[number]

    def by_batch(self, entries: Entries) -> list[tuple[int, Entries]]:
        """(number of a batch, places of those of the entries that are in it)."""
        if not len(entries):
            return []
        numbers = np.searchsorted(np.array(self._firsts), entries, side="right") - 1
        order = np.argsort(numbers, kind="stable")
        cuts = np.flatnonzero(np.diff(numbers[order])) + 1
        return [(int(numbers[some[0]]), some) for some in np.split(order, cuts)]


def _words(ids: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(ids, np.uint64).reshape(-1, _WORDS)


def _sorted(keys: NDArray[np.uint64], entries: Entries) -> _Run:
    """A run; of equal keys the later entry comes later."""
    order = np.argsort(keys, kind="stable")
    return keys[order], entries[order]


def _appended(kept: NDArray[Any], count: int, new: NDArray[Any]) -> NDArray[Any]:
    """An array with more after the first `count` elements, with room for as many again."""
    end = count + len(new)
    if end > len(kept):
        grown = np.empty((max(end, 2 * count), *kept.shape[1:]), kept.dtype)
        grown[:count] = kept[:count]
        kept = grown
    kept[count:end] = new
    return kept
