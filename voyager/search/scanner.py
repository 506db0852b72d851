"""Searching among vectors: by indexes of segments where that is quicker, else by comparing all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from voyager.errors import UsageError
from voyager.search import approximate
from voyager.search.approximate import Lists
from voyager.search.exact import Hit, Memory, near_best, ranked
from voyager.search.halves import MOST_QUERIES, HalfScans
from voyager.search.membership import Membership, Placed
from voyager.search.planning import APPROXIMATE_FROM, Plan, gathers
from voyager.search.segment import Floats, Rows


@dataclass(frozen=True, slots=True)
class Found:
    """The answers to some queries, best first, and how they were found."""

    hits: list[list[Hit]]
    plan: Plan

    @property
    def ids(self) -> list[list[bytes]]:
        return [[hit.id for hit in hits] for hits in self.hits]

    @property
    def scores(self) -> list[list[float]]:
        return [[hit.score for hit in hits] for hits in self.hits]


class Scanner:
    """Searches in segments, and what it keeps between searches: up to so many bytes of vectors.

    `index_path` tells where the index of a segment lies.
    """

    def __init__(self, index_path: Callable[[str], Path], memory_bytes: int) -> None:
        self._index_path = index_path
        self._memory = Memory(memory_bytes)
        self._scans = HalfScans(memory_bytes)
        self._lists: dict[tuple[str, bytes], Lists | None] = {}

    def search(
        self, queries: Floats, k: int, members: Membership, exact: bool | None, lost: int
    ) -> Found:
        """The k best members for each query; `lost` are members that turned out to be damaged.

        Raises DamagedSegment for a segment that is not sound.
        """
        places: list[list[Rows]] = [[] for _ in queries]
        rest, lists = members, 0
        for part in () if exact else members.view.parts:
            probes = self._probes(part, members, forced=exact is False)
            if probes:
                rest, lists = rest.without_segment(part.segment.name), lists + probes
                _extend(places, self._by_lists(queries, k, part, probes, members))
        was_asked = bool(rest.count) and self._memory.was_asked(rest)
        gathered = bool(rest.count) and gathers(rest, was_asked=was_asked)
        if rest.count:
            _extend(places, self._exactly(queries, k, rest, gathered=gathered))
        plan = Plan(
            members=members.count + lost,
            vectors=members.view.size,
            exact=rest.count,
            gathered=gathered,
            lists=lists,
            lost=lost,
        )
        pairs = zip(queries, places, strict=True)
        return Found([ranked(q, k, members.view, _joined(found)) for q, found in pairs], plan)

    def _exactly(
        self, queries: Floats, k: int, members: Membership, *, gathered: bool
    ) -> list[Rows]:
        if len(queries) <= MOST_QUERIES and approximate.has_faiss():
            scan = self._scans.near_best_gathered if gathered else self._scans.near_best
            return [scan(one, k, members) for one in queries]
        memory = self._memory
        blocks = [memory.gathered(members)] if gathered else memory.blocks(members)
        return near_best(queries, k, members.view, blocks)

    def _probes(self, part: Placed, members: Membership, *, forced: bool) -> int:
        """How many lists of a segment to read; 0 where exact search is to be used."""
        count = int(np.count_nonzero(members.mask[part.first : part.end]))
        if part.index is None or not count or (count < APPROXIMATE_FROM and not forced):
            return 0
        lists = self.lists_of(part)
        if lists is None:
            return 0
        return lists.probes_for(count / part.segment.count) or (lists.index.nlist if forced else 0)

    def _by_lists(
        self, queries: Floats, k: int, part: Placed, probes: int, members: Membership
    ) -> list[Rows]:
        lists = self.lists_of(part)
        assert lists is not None
        mask = members.mask[part.first : part.end]
        found = lists.candidates(queries, k, probes, None if mask.all() else mask)
        return [rows + part.first for rows in found]

    def forget_lists(self, name: str, checksum: bytes) -> None:
        """Open an index anew the next time."""
        self._lists.pop((name, checksum), None)

    def lists_of(self, part: Placed) -> Lists | None:
        """The index of a segment, opened once."""
        if part.index is None or not approximate.has_faiss():
            return None
        name = part.segment.name
        key = (name, part.index.checksum)
        if key not in self._lists:
            path = self._index_path(name)
            self._lists[key] = approximate.open_index(path, part.index, part.segment)
        return self._lists[key]


def asked_vectors(queries: ArrayLike, k: int, dims: int) -> Floats:
    """Queries as a matrix; UsageError for those that no vectors of so many numbers can answer."""
    asked = np.ascontiguousarray(np.atleast_2d(np.asarray(queries)), np.float32)
    if asked.ndim != 2 or asked.shape[1] != dims:
        shape = "×".join(map(str, asked.shape))
        raise UsageError(f"queries have {dims} numbers each, not {shape}")
    if not np.isfinite(asked).all():
        raise UsageError("a query has a number that is infinite or none")
    if k < 1:
        raise UsageError(f"a search is for 1 or more, not {k}")
    return asked


def _extend(places: list[list[Rows]], more: Sequence[Rows]) -> None:
    for found, rows in zip(places, more, strict=True):
        found.append(rows)


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate([np.zeros(0, np.int64), *parts])
