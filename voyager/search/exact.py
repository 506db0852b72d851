"""Exact search: every vector is compared, and what is best is told apart in float64.

Fast products in float32 depend in their last bits on how rows are blocked. They only choose
candidates, with a margin that covers their error; the score of a candidate is a sum in float64,
rounded to float32. So the answer is the same whatever was scanned, and in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from voyager.search.membership import Mask, Membership, View
from voyager.search.recent import Recent
from voyager.search.segment import STRETCH, Floats, Rows, Segment

_LANE: Final = 64
"""So many scores are first looked at by the largest of them."""
_QUERIES: Final = 16
"""Queries that are compared with a block in one go."""
_BATCH: Final = 4096
"""Candidates whose scores are told apart in one go."""
_ASKED: Final = 256
"""Filters that are remembered, to see that one comes again."""
_SPARE: Final = 4
"""Candidates for each hit from which on they are thinned out."""
_ROUNDING: Final = 2.0**-23
_LEAST: Final = float(np.finfo(np.float32).min)


class Hit(NamedTuple):
    """A vector that was found, and its inner product with the query."""

    id: bytes
    score: float


class Block(NamedTuple):
    """Vectors to compare: their places or the first of them, a penalty to add to their scores."""

    places: Rows | int
    vectors: Floats
    penalty: Floats | None = None

    @property
    def nbytes(self) -> int:
        return self.vectors.nbytes


class Memory:
    """What is kept between searches: stretches as float32, gathered members, penalties."""

    def __init__(self, most_bytes: int) -> None:
        self._stretches: Recent[Floats] = Recent(most_bytes)
        self._gathered: Recent[Block] = Recent(most_bytes // 4)
        self._penalties: Recent[Floats] = Recent(most_bytes // 16)
        self._asked: dict[bytes, None] = {}

    def was_asked(self, members: Membership) -> bool:
        """Whether this was asked of the same members lately; from now on it was."""
        before = members.digest in self._asked
        self._asked[members.digest] = None
        if len(self._asked) > _ASKED:
            self._asked.pop(next(iter(self._asked)))
        return before

    def gathered(self, members: Membership) -> Block:
        """The vectors of members alone."""
        return self._gathered.get(members.digest, lambda: self._gather(members))

    def _gather(self, members: Membership) -> Block:
        parts = list(members.view.split(members.places))
        vectors = np.empty((members.count, parts[0][0].segment.dims), np.float32)
        done = 0
        for part, rows in parts:
            for number, some in _by_stretch(rows):
                target = vectors[done : done + len(some)]
                if (part.segment.name, number) in self._stretches:
                    block = self._stretch(part.segment, number)
                    np.take(block, some - number * STRETCH, axis=0, out=target, mode="clip")
                else:
                    target[:] = part.segment.take(some)
                done += len(some)
        return Block(members.places, vectors)

    def blocks(self, members: Membership) -> Iterator[Block]:
        """All vectors of the stretches that have members, those of others with a penalty."""
        penalty = self._penalties.get(members.digest, lambda: _penalty(members.mask))
        for part in members.view.parts:
            for start in range(0, part.segment.count, STRETCH):
                first, end = part.first + start, min(part.first + start + STRETCH, part.end)
                inside = np.count_nonzero(members.mask[first:end])
                if inside:
                    vectors = self._stretch(part.segment, start // STRETCH)
                    is_all = inside == end - first
                    yield Block(first, vectors, None if is_all else penalty[first:end])

    def _stretch(self, segment: Segment, number: int) -> Floats:
        key = (segment.name, number)
        return self._stretches.get(key, lambda: segment.stretch(number).astype(np.float32))


def block_of(segment: Segment, number: int, first: int, mask: Mask | None) -> Block:
    """One stretch whose places begin at `first`, with those alone that a mask has."""
    vectors = segment.stretch(number).astype(np.float32)
    return Block(first, vectors, None if mask is None else _penalty(mask))


def _penalty(mask: Mask) -> Floats:
    penalty = np.zeros(len(mask), np.float32)
    penalty[~mask] = -np.inf
    return penalty


def _by_stretch(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Sorted rows of a segment by stretch."""
    last = int(rows[-1]) // STRETCH
    bounds = np.searchsorted(rows, np.arange(last + 2) * STRETCH)
    for number, (start, end) in enumerate(pairwise(bounds.tolist())):
        if start < end:
            yield number, rows[start:end]


def near_best(queries: Floats, k: int, view: View, blocks: Iterable[Block]) -> list[Rows]:
    """Places among which are the k best of all blocks for each query; a few more than k."""
    found = [_Candidates(k, margin_of(query, view)) for query in queries]
    for block in blocks:
        for first in range(0, len(queries), _QUERIES):
            some = queries[first : first + _QUERIES]
            scores = block.vectors @ some[0] if len(some) == 1 else some @ block.vectors.T
            for one, row in zip(found[first:], np.atleast_2d(scores), strict=False):
                one.offer(row if block.penalty is None else row + block.penalty, block.places)
    return [candidates.places for candidates in found]


def margin_of(query: Floats, view: View) -> float:
    """How far a score in float32 may be from one that is as good: twice the error of a product."""
    longest = max((part.segment.longest for part in view.parts), default=0.0)
    return float(np.linalg.norm(query)) * longest * (len(query) + 2) * _ROUNDING


@dataclass(slots=True)
class _Candidates:
    """What may be among the k best for one query, as far as blocks were seen."""

    k: int
    margin: float
    limit: float = _LEAST
    places: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def offer(self, scores: Floats, places: Rows | int) -> None:
        """Take in the scores of more vectors."""
        self.limit = max(self.limit, kth(_lane_tops(scores, self.k), self.k))
        near = np.flatnonzero(scores >= self.limit - self.margin)
        if not len(near):
            return
        more = near + places if isinstance(places, int) else places[near]
        self.places = np.concatenate([self.places, more])
        self.scores = np.concatenate([self.scores, scores[near]])
        if len(self.scores) > _SPARE * self.k:
            self.limit = max(self.limit, kth(self.scores, self.k))
            kept = self.scores >= self.limit - self.margin
            self.places, self.scores = self.places[kept], self.scores[kept]


def _lane_tops(scores: Floats, k: int) -> Floats:
    """The largest of each lane: so many scores are at least as large as the k-th of these."""
    lanes = len(scores) // _LANE
    tops: Floats = scores[: lanes * _LANE].reshape(lanes, _LANE).max(axis=1)
    return tops if lanes >= 4 * k else scores


def kth(scores: Floats, k: int) -> float:
    """The k-th largest score; the least of all numbers where there are fewer."""
    if len(scores) < k:
        return _LEAST
    return max(_LEAST, float(np.partition(scores, len(scores) - k)[len(scores) - k]))


def ranked(query: Floats, k: int, view: View, places: Rows) -> list[Hit]:
    """The k best of the vectors at some places: best first, equal ones in the order of ids."""
    places = np.sort(places)
    scores = _true_scores(query, view, places)
    chosen = np.flatnonzero(scores >= kth(scores, k))
    hits = map(Hit, view.ids_at(places[chosen]), scores[chosen].tolist())
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:k]


def _true_scores(query: Floats, view: View, places: Rows) -> Floats:
    parts = [np.zeros(0, np.float32)]
    for part, rows in view.split(places):
        for start in range(0, len(rows), _BATCH):
            vectors = part.segment.take(rows[start : start + _BATCH]).astype(np.float64)
            parts.append((vectors * query.astype(np.float64)).sum(axis=1).astype(np.float32))
    return np.concatenate(parts)
