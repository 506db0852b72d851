"""Sorting more than memory holds: sorted runs in temporary files, merged while they are read."""

from __future__ import annotations

import heapq
import struct
import tempfile
from collections.abc import Iterator
from operator import itemgetter
from types import TracebackType
from typing import IO

Pair = tuple[bytes, bytes]

_key = itemgetter(0)
_HEAD = struct.Struct("<II")
_MEMORY = 256 * 1024 * 1024
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


def _read_run(run: IO[bytes]) -> Iterator[Pair]:
    run.seek(0)
    while head := run.read(_HEAD.size):
        key_size, value_size = _HEAD.unpack(head)
        yield run.read(key_size), run.read(value_size)
