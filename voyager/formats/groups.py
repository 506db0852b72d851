"""Values by the number or word they belong to, as many as a file has annotations.

They lie in large blocks, and each is known by its place there: a million small objects, freed in
another order than they were made in, would scatter all later ones over memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Raw

from voyager.formats.spill import Sorter

if TYPE_CHECKING:
    from numpy.typing import NDArray

Key: TypeAlias = int | str

_MEMORY = 256 * 1024 * 1024
_first = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Part:
    """Some keys, how many values each has, and how to get these; `cost` is their size in bytes."""

    keys: list[Key]
    counts: list[int]
    cost: int
    load: Callable[[], list[bytes]]
    in_memory: bool = True
    """Whether the values are held anyway, so that they can be loaded later."""


class Groups:
    """Takes values and gives them back by key; those of one key in their order.

    Up to `memory` bytes stay in memory, which costs no sorting of values; more are sorted through
    files.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        self._memory = memory
        self._numbers: dict[Key, int] = {}
        self._blocks: list[bytes] = []
        self._owners: list[list[int]] = []
        self._sizes: list[list[int]] = []
        self._size = 0
        self._sorter: Sorter | None = None

    def __enter__(self) -> Groups:
        return self

    def __exit__(self, *error: object) -> None:
        self._forget()
        if self._sorter is not None:
            self._sorter.__exit__(None, None, None)

    def _forget(self) -> None:
        self._numbers, self._blocks, self._owners, self._sizes = {}, [], [], []
        self._size = 0

    def add_all(self, keys: Sequence[Key], values: Sequence[bytes | Raw]) -> None:
        """Take many values, each with its key."""
        numbers = self._numbers
        block = b"".join(values)
        self._blocks.append(block)
        self._owners.append([numbers.setdefault(key, len(numbers)) for key in keys])
        self._sizes.append(list(map(len, values)))
        self._size += len(block)
        if self._size > self._memory:
            self._spill()

    def _spill(self) -> None:
        if self._sorter is None:
            self._sorter = Sorter(min(self._memory, _MEMORY))
        names = [_name_of(key) for key in self._numbers]
        blocks = self._blocks[::-1]
        self._blocks.clear()
        for owners, sizes in zip(self._owners, self._sizes, strict=True):
            block, at = blocks.pop(), 0  # given back as it is sorted
            for owner, size in zip(owners, sizes, strict=True):
                self._sorter.add(names[owner], block[at : at + size])
                at += size
        self._forget()

    def drain(self, most: int) -> Iterator[Part]:
        """Every key with its values, once, in parts of so many keys."""
        if self._sorter is None:
            yield from self._parts(most)
            return
        self._spill()
        groups = groupby(self._sorter.drain(), key=_first)
        named = ((_key_of(name), [value for _, value in group]) for name, group in groups)
        while some := list(islice(named, most)):
            values = [value for _, group in some for value in group]
            yield Part(
                [key for key, _ in some],
                [len(group) for _, group in some],
                sum(map(len, values)),
                partial(list, values),
                in_memory=False,
            )

    def _parts(self, most: int) -> Iterator[Part]:
        import numpy as np

        if not self._blocks:
            return
        keys = list(self._numbers)
        owners = np.concatenate([np.array(some, np.int64) for some in self._owners])
        sizes = [np.array(some, np.int64) for some in self._sizes]
        starts = np.concatenate([np.cumsum(some) - some for some in sizes])
        blocks = np.repeat(np.arange(len(sizes)), [len(some) for some in sizes])
        order = np.argsort(owners, kind="stable")
        places = np.column_stack((blocks, starts, starts + np.concatenate(sizes)))[order]
        counts = np.bincount(owners, minlength=len(keys))
        ends = np.concatenate(([0], np.cumsum(counts)))
        for first in range(0, len(keys), most):
            last = min(first + most, len(keys))
            part = places[ends[first] : ends[last]]
            cost = int((part[:, 2] - part[:, 1]).sum())
            load = partial(_load, self._blocks, part)
            yield Part(keys[first:last], counts[first:last].tolist(), cost, load)


def _load(blocks: Sequence[bytes], places: NDArray[Any]) -> list[bytes]:
    return [blocks[block][start:end] for block, start, end in places.tolist()]


def _name_of(key: Key) -> bytes:
    """The bytes of a key: numbers and words are told apart."""
    return b"n%d" % key if type(key) is int else f"w{key}".encode(errors="surrogateescape")


def _key_of(name: bytes) -> Key:
    if name.startswith(b"n"):
        return int(name[1:])
    return name[1:].decode(errors="surrogateescape")
