"""Scans of float16 vectors as they are, by faiss: half the bytes of float32, and none to convert.

One thread scans a few stretches, others scan others. For more queries than a few a
product of matrices (`exact.near_best`) is quicker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import numpy as np

from voyager.search.exact import Block, block_of, kth, margin_of, near_best
from voyager.search.membership import Mask, Membership
from voyager.search.recent import Recent
from voyager.search.segment import STRETCH, Floats, Rows, Segment

MOST_QUERIES: Final = 3
_SPARE: Final = 16
"""A unit is asked for so many more than k, since the last bits of scores do not count."""
_UNIT: Final = 4
"""Stretches that one thread scans in one go."""
_MOST_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class _Codes:
    """A few stretches as faiss wants them."""

    index: Any
    nbytes: int


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

    def near_best(self, query: Floats, k: int, members: Membership) -> Rows:
        """Places among which are the k best members for a query; a few more than k."""
        todo = list(_units(members))
        codes = [self._codes_of(one.segment, one.number) for one in todo]
        found = list(_pool().map(partial(_scan, query, k + _SPARE), codes, todo))
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
    import faiss

    quantizer, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    index: Any = faiss.IndexScalarQuantizer(segment.dims, quantizer, metric)
    index.is_trained = True  # float16 has nothing to learn
    for one in range(number, min(number + _UNIT, -(-segment.count // STRETCH))):
        index.add_sa_codes(segment.stretch(one).view(np.uint8))
    return _Codes(index, index.ntotal * 2 * segment.dims)


def _scan(query: Floats, wanted: int, index: Any, unit: _Unit) -> _Best:
    import faiss

    options = {}
    if unit.mask is not None:
        selector: Any = faiss.IDSelectorBitmap
        options["sel"] = selector(np.packbits(unit.mask, bitorder="little"))
    parameters = faiss.SearchParameters(**options)
    scores, rows = index.search(query[None], min(wanted, index.ntotal), params=parameters)
    there = rows[0] >= 0
    is_all = wanted >= index.ntotal or not there.all()
    return _Best(rows[0][there], scores[0][there], is_all)


@cache
def _pool() -> ThreadPoolExecutor:
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    return ThreadPoolExecutor(threads, thread_name_prefix="vectors")
