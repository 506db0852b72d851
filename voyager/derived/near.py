"""Which images are near-duplicates: sketches name candidates, and their alignment tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived import alignment, nearest
from voyager.derived.cache import Progress, Values
from voyager.derived.sketch import SKETCH_BYTES, mirrored
from voyager.store.cores import cores

NEAR_METHOD: Final = "near 2"
"""What a decision records; raised whenever a distance would change ("phash 1" came before)."""

NEAR_DISTANCE: Final = 36
"""The distance, 0 to 100, up to which images are near-duplicates (docs/decisions/0021)."""

CANDIDATE_BITS: Final = 86
"""Sketches of candidates differ in so many bits of 256 at most."""

MOST_CANDIDATES: Final = 64
"""An image is compared with so many that its sketch is nearest to, as it is and mirrored."""

LEAST_QUALITY: Final = 12
"""Images whose sketch has less are near nothing: there is too little to see."""

TURNS: Final = ("none", "mirror")

_PAIRS_AT_ONCE: Final = 8192
_AT_ONCE: Final = 256
"""Queries that a thread looks up, or pairs that it compares, in one go."""
_MOST_THREADS: Final = 8

Likenesses: TypeAlias = Callable[[Sequence[bytes]], Values]
"""The likenesses of some images, by id."""


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two images that look alike: `known`, turned, is at that distance from `query`."""

    query: bytes
    known: bytes
    distance: int
    turn: str


class NearFound(NamedTuple):
    """Pairs, by query as given, then by distance, then by known as given.

    `unseen` are images that could not be compared: candidates without a likeness.
    """

    pairs: list[NearPair]
    unseen: list[bytes]


class _Candidates(NamedTuple):
    """Rows of two sets to be compared, ordered by query; `turn` says whether one is mirrored."""

    query: NDArray[np.int64]
    known: NDArray[np.int64]
    turn: NDArray[np.bool_]

    def at(self, rows: Any) -> _Candidates:
        return _Candidates(self.query[rows], self.known[rows], self.turn[rows])


_NOTHING: Final = _Candidates(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))


def near_pairs(
    queries: Values,
    known: Values,
    likenesses: Likenesses,
    *,
    most: float = NEAR_DISTANCE,
    progress: Progress = lambda *_: None,
) -> NearFound:
    """Pairs of images at a distance of `most` or less, mirrored or not; none with itself.

    Both are values of `sketch`. Each pair is told once, with its nearest turn, and its distance is
    a function of the two images. Calls `progress` with how many candidates are compared.
    """
    return _near(queries, known, likenesses, most, progress, once=False)


def near_within(
    images: Values,
    likenesses: Likenesses,
    *,
    most: float = NEAR_DISTANCE,
    progress: Progress = lambda *_: None,
) -> NearFound:
    """As `near_pairs` of a set with itself, each pair once: `query` is the earlier of the two."""
    return _near(images, images, likenesses, most, progress, once=True)


def _near(
    queries: Values,
    known: Values,
    likenesses: Likenesses,
    most: float,
    progress: Progress,
    *,
    once: bool,
) -> NearFound:
    found, unseen = _Found(), set[bytes]()
    with ThreadPoolExecutor(cores(_MOST_THREADS), thread_name_prefix="near") as pool:
        candidates = _candidates(queries, known, pool, progress)
        if once:
            candidates = _each_once(candidates)
        total = len(candidates.query)
        for start in range(0, total, _PAIRS_AT_ONCE):
            chunk = candidates.at(slice(start, start + _PAIRS_AT_ONCE))
            seen, distance = _compared(queries, known, chunk, likenesses, pool, unseen)
            found.take(seen, distance, most)
            progress(min(start + _PAIRS_AT_ONCE, total), total)
    ids = dict.fromkeys((*queries.ids, *known.ids))
    return NearFound(found.pairs(queries, known), [one for one in ids if one in unseen])


def _each_once(candidates: _Candidates) -> _Candidates:
    """Pairs of rows of one set, the lesser row first."""
    rows = np.sort(np.stack((candidates.query, candidates.known), axis=1), axis=1)
    kept = np.unique(np.column_stack((rows, candidates.turn)), axis=0).astype(np.int64)
    return _Candidates(kept[:, 0], kept[:, 1], kept[:, 2].astype(bool))


def _candidates(
    queries: Values, known: Values, pool: ThreadPoolExecutor, progress: Progress
) -> _Candidates:
    asked, listed = _usable(queries), _usable(known)
    own = {blob_id: row for row, blob_id in enumerate(known.ids)}
    itself = np.array([own.get(queries.ids[row], -1) for row in asked.rows.tolist()], np.int64)

    def search(turned: bool, part: slice) -> _Candidates:
        sketches = mirrored(asked.sketches[part]) if turned else asked.sketches[part]
        parts = []
        for pairs in nearest.iter_hamming(sketches, listed.sketches, CANDIDATE_BITS):
            query, row = pairs.query + part.start, listed.rows[pairs.known]
            kept = _nearest(pairs.at(row != itself[query]))
            parts.append((kept.query + part.start, kept.known))
        query, row = (np.concatenate(column) for column in zip(*parts, strict=True))
        return _Candidates(asked.rows[query], listed.rows[row], np.full(len(query), turned))

    todo = [(turned, part) for turned in (False, True) for part in _slices(len(asked.rows))]
    parts = [_NOTHING]
    for part in pool.map(search, *zip(*todo, strict=True)) if todo else ():
        parts.append(part)
        progress(len(parts) - 1, len(todo))
    query, row, turned = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Candidates(query, row, turned).at(np.lexsort((turned, row, query)))


def _nearest(pairs: nearest.Pairs) -> nearest.Pairs:
    """The nearest few of each query; those that are as near as the last come as known is given."""
    if len(pairs.query) <= MOST_CANDIDATES:
        return pairs
    order = np.lexsort((pairs.known, pairs.score, pairs.query))
    first = np.searchsorted(pairs.query[order], pairs.query[order])
    kept = order[np.arange(len(order)) - first < MOST_CANDIDATES]
    return pairs.at(kept)


def _compared(
    queries: Values,
    known: Values,
    chunk: _Candidates,
    likenesses: Likenesses,
    pool: ThreadPoolExecutor,
    unseen: set[bytes],
) -> tuple[_Candidates, NDArray[np.int64]]:
    """Those candidates that have a likeness, and their distances.

    The lesser id comes first, so that a distance does not hang on which of the two is new.
    """
    asked = [queries.ids[row] for row in chunk.query.tolist()]
    others = [known.ids[row] for row in chunk.known.tolist()]
    values = likenesses(list(dict.fromkeys((*asked, *others))))
    unseen.update((*values.missing, *values.failed))
    rows = {blob_id: row for row, blob_id in enumerate(values.ids)}
    ordered = [
        (rows.get(min(pair), -1), rows.get(max(pair), -1))
        for pair in zip(asked, others, strict=True)
    ]
    places = np.array(ordered, np.int64).reshape(-1, 2)
    here = (places >= 0).all(axis=1)
    seen, places = chunk.at(here), places[here]
    parts = [
        pool.submit(_distances, values.matrix, places[part], seen.turn[part])
        for part in _slices(len(places))
    ]
    return seen, np.concatenate([np.zeros(0, np.int64), *(part.result() for part in parts)])


def _distances(
    matrix: NDArray[np.uint8], places: NDArray[np.int64], turned: NDArray[np.bool_]
) -> NDArray[np.int64]:
    return alignment.distances(matrix[places[:, 0]], matrix[places[:, 1]], turned)


def _slices(count: int) -> Iterator[slice]:
    return (slice(at, at + _AT_ONCE) for at in range(0, count, _AT_ONCE))


class _Found:
    """Pairs of rows, each with its nearest turn."""

    def __init__(self) -> None:
        self._nearest: dict[tuple[int, int], tuple[int, str]] = {}

    def take(self, compared: _Candidates, distance: NDArray[np.int64], most: float) -> None:
        near = distance <= most
        columns: list[list[Any]] = [column[near].tolist() for column in (*compared, distance)]
        for query, known, turned, far in zip(*columns, strict=True):
            before = self._nearest.get((query, known))
            if before is None or before[0] > far:
                self._nearest[query, known] = far, TURNS[turned]

    def pairs(self, queries: Values, known: Values) -> list[NearPair]:
        ordered = sorted(
            (query, distance, other, turn)
            for (query, other), (distance, turn) in self._nearest.items()
        )
        return [
            NearPair(queries.ids[query], known.ids[other], distance, turn)
            for query, distance, other, turn in ordered
        ]


def featureless(values: Values) -> list[bytes]:
    """The images that have too little to see for a sketch."""
    plain = values.matrix[:, SKETCH_BYTES] < LEAST_QUALITY
    return [values.ids[row] for row in np.flatnonzero(plain).tolist()]


class _Usable(NamedTuple):
    rows: NDArray[np.int64]
    sketches: NDArray[np.uint8]


def _usable(values: Values) -> _Usable:
    rows = np.flatnonzero(values.matrix[:, SKETCH_BYTES] >= LEAST_QUALITY)
    return _Usable(rows, np.ascontiguousarray(values.matrix[rows, :SKETCH_BYTES]))
