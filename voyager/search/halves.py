"""Scans of float16 vectors as they are, by faiss: half the bytes of float32, and none to convert.

One thread scans a few stretches, others scan others. For more queries than a few a
product of matrices (`exact.near_best`) is quicker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import numpy as np

from voyager.search.exact import Block, block_of, kth, margin_of, near_best
from voyager.search.membership import Mask, Membership
from voyager.search.recent import Recent
from voyager.search.segment import STRETCH, Floats, Halves, Rows, Segment
from voyager.store.cores import cores

MOST_QUERIES: Final = 3
_SPARE: Final = 16
"""A unit is asked for so many more than k, since the last bits of scores do not count."""
_UNIT: Final = 4
"""Stretches that one thread scans in one go."""
_MOST_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class _Codes:
    """Vectors as faiss wants them; their places, where they do not lie in a row."""

    index: Any
    places: Rows | None = None

    @property
    def nbytes(self) -> int:
        return int(self.index.ntotal * self.index.sa_code_size())


@dataclass(frozen=True, slots=True)
class _Unit:
    """A few stretches: the first of them, its first place, who counts (all where that is None)."""

    segment: Segment
    number: int
    first: int
    mask: Mask | None

    def blocks(self) -> Iterator[Block]:
        """The same for a product of matrices."""
        for at in range(
            0, min(_UNIT * STRETCH, self.segment.count - self.number * STRETCH), STRETCH
        ):
            mask = None if self.mask is None else self.mask[at : at + STRETCH]
            yield block_of(self.segment, self.number + at // STRETCH, self.first + at, mask)


@dataclass(frozen=True, slots=True)
class _Best:
    rows: Rows
    scores: Floats
    is_all: bool


class HalfScans:
    """Scans members, with all their stretches kept as they are stored."""

    def __init__(self, most_bytes: int) -> None:
        self._codes: Recent[_Codes] = Recent(most_bytes)
        self._gathered: Recent[_Codes] = Recent(most_bytes // 4)

    def near_best_gathered(self, query: Floats, k: int, members: Membership) -> Rows:
        """As `near_best`, the members alone laid side by side and kept."""
        codes = self._gathered.get(members.digest, partial(_gather, members))
        found = _scan(query, k + _SPARE, codes.index, None)
        limit = kth(found.scores, k) - margin_of(query, members.view)
        assert codes.places is not None
        if not found.is_all and found.scores[-1] >= limit:  # very many are equally good
            return codes.places
        return codes.places[found.rows[found.scores >= limit]]

    def near_best(self, query: Floats, k: int, members: Membership) -> Rows:
        """Places among which are the k best members for a query; a few more than k."""
        todo = list(_units(members))
        codes = [self._codes_of(one.segment, one.number) for one in todo]
        found = list(
            _pool().map(partial(_scan, query, k + _SPARE), codes, (one.mask for one in todo))
        )
        scores = np.concatenate([best.scores for best in found])
        limit = kth(scores, k) - margin_of(query, members.view)
        places = []
        for best, one in zip(found, todo, strict=True):
            if not best.is_all and best.scores[-1] >= limit:  # very many are equally good
                places += near_best(query[None], k, members.view, one.blocks())
            else:
                places.append(best.rows[best.scores >= limit] + one.first)
        return np.concatenate(places)

    def _codes_of(self, segment: Segment, number: int) -> Any:
        made = partial(_codes, segment, number)
        return self._codes.get((segment.name, number), made).index


def _units(members: Membership) -> Iterator[_Unit]:
    for part in members.view.parts:
        for first in range(part.first, part.end, _UNIT * STRETCH):
            mask = members.mask[first : min(first + _UNIT * STRETCH, part.end)]
            inside = np.count_nonzero(mask)
            if inside:
                number = (first - part.first) // STRETCH
                yield _Unit(part.segment, number, first, None if inside == len(mask) else mask)


def _codes(segment: Segment, number: int) -> _Codes:
    last = min(number + _UNIT, -(-segment.count // STRETCH))
    return _Codes(_index_of(segment.dims, map(segment.stretch, range(number, last))))


def _gather(members: Membership) -> _Codes:
    parts = list(members.view.split(members.places))
    vectors = (part.segment.take(rows) for part, rows in parts)
    return _Codes(_index_of(parts[0][0].segment.dims, vectors), members.places)


def _index_of(dims: int, vectors: Iterable[Halves]) -> Any:
    import faiss

    quantizer, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    index: Any = faiss.IndexScalarQuantizer(dims, quantizer, metric)
    index.is_trained = True  # float16 has nothing to learn
    for some in vectors:
        index.add_sa_codes(some.view(np.uint8))
    return index


def _scan(query: Floats, wanted: int, index: Any, mask: Mask | None) -> _Best:
    import faiss

    options = {}
    if mask is not None:
        selector: Any = faiss.IDSelectorBitmap
        options["sel"] = selector(np.packbits(mask, bitorder="little"))
    parameters = faiss.SearchParameters(**options)
    scores, rows = index.search(query[None], min(wanted, index.ntotal), params=parameters)
    there = rows[0] >= 0
    is_all = wanted >= index.ntotal or not there.all()
    return _Best(rows[0][there], scores[0][there], is_all)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(_MOST_THREADS), thread_name_prefix="vectors")
