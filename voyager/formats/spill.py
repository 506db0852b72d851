"""Sorting more than memory holds: sorted runs in temporary files, merged while they are read."""

from __future__ import annotations

import heapq
import struct
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import IO

Pair = tuple[bytes, bytes]

_key = itemgetter(0)
_HEAD = struct.Struct("<II")
_MEMORY = 256 * 1024 * 1024
_VALUE_COST = 60
_PAIR_COST = 150  # bytes of Python objects around a pair


class Sorter:
    """Takes (key, value) pairs in any order and gives them back by key; equal keys in their order.

    Up to `memory` bytes stay in memory; more go to sorted files in the system's temporary folder,
    which are gone when the context ends.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        self._memory = memory
        self._pairs: list[Pair] = []
        self._size = 0
        self._runs: list[IO[bytes]] = []
        self.count = 0

    def __enter__(self) -> Sorter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for run in self._runs:
            run.close()
        self._runs.clear()
        self._pairs.clear()

    def add(self, key: bytes, value: bytes) -> None:
        """Take a pair."""
        self._pairs.append((key, value))
        self.count += 1
        self._size += len(key) + len(value) + _PAIR_COST
        if self._size > self._memory:
            self._spill()

    def _spill(self) -> None:
        run = tempfile.TemporaryFile(prefix="vgr-sort-")  # noqa: SIM115 - closed with the sorter
        self.write_run(run)
        self._runs.append(run)

    def write_run(self, run: IO[bytes]) -> None:
        """Write what is in memory to a file, sorted, and forget it."""
        self._pairs.sort(key=_key)
        for key, value in self._pairs:
            run.write(_HEAD.pack(len(key), len(value)))
            run.write(key)
            run.write(value)
        self._pairs.clear()
        self._size = 0

    def adopt(self, run: IO[bytes], count: int) -> None:
        """Take the pairs that another sorter wrote to a file, which is closed with this one."""
        self._runs.append(run)
        self.count += count

    def pairs(self) -> Iterator[Pair]:
        """All pairs by key; may be asked for again, but not while another walk goes on."""
        self._pairs.sort(key=_key)
        if not self._runs:
            yield from self._pairs
            return
        yield from heapq.merge(*map(_read_run, self._runs), self._pairs, key=_key)

    def drain(self) -> Iterator[Pair]:
        """As `pairs`, for the last time: memory is given back on the way."""
        if self._runs:
            yield from self.pairs()
            return
        self._pairs.sort(key=_key)
        pairs = self._pairs
        for place in range(len(pairs)):
            pair = pairs[place]
            pairs[place] = (b"", b"")
            yield pair


class Groups:
    """Values by the number or word they belong to; those of one key in their order.

    Up to `memory` bytes stay in memory, which costs no sorting; more are sorted through files.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        self._memory = memory
        self._values: dict[int | str, list[bytes]] = {}
        self._size = 0
        self._sorter: Sorter | None = None

    def __enter__(self) -> Groups:
        return self

    def __exit__(self, *error: object) -> None:
        self._values.clear()
        if self._sorter is not None:
            self._sorter.__exit__(None, None, None)

    def add_all(self, keys: Iterable[int | str], values: Iterable[bytes]) -> None:
        """Take many values, each with its key."""
        groups = self._values
        for key, value in zip(keys, values, strict=True):
            group = groups.get(key)
            if group is None:
                groups[key] = [value]
            else:
                group.append(value)
            self._size += len(value) + _VALUE_COST
        if self._size > self._memory:
            self._spill()

    def _spill(self) -> None:
        if self._sorter is None:
            self._sorter = Sorter(self._memory)
        for key, values in self._values.items():
            name = _name_of(key)
            for value in values:
                self._sorter.add(name, value)
        self._values.clear()
        self._size = 0

    def drain(self) -> Iterator[tuple[int | str, list[bytes]]]:
        """Every key with its values, once: memory is given back on the way."""
        if self._sorter is None:
            groups = self._values
            for key in list(groups):
                yield key, groups.pop(key)
            return
        self._spill()
        for name, group in groupby(self._sorter.drain(), key=_key):
            yield _key_of(name), [value for _, value in group]


def _name_of(key: int | str) -> bytes:
    """The bytes of a key: numbers and words are told apart."""
    return b"n%d" % key if type(key) is int else f"w{key}".encode(errors="surrogateescape")


def _key_of(name: bytes) -> int | str:
    if name.startswith(b"n"):
        return int(name[1:])
    return name[1:].decode(errors="surrogateescape")


def _read_run(run: IO[bytes]) -> Iterator[Pair]:
    run.seek(0)
    while head := run.read(_HEAD.size):
        key_size, value_size = _HEAD.unpack(head)
        yield run.read(key_size), run.read(value_size)
