"""Which images are near-duplicates, by their perceptual hashes or their colour layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voyager.derived import nearest
from voyager.derived.cache import Values
from voyager.derived.layout import mirrored, vectors
from voyager.derived.perceptual_hash import HASH_BYTES, Hashes, turned

NEAR_DISTANCE: Final = 40
"""Bits of 256 in which near-duplicates differ at most (docs/decisions/0015)."""

LEAST_QUALITY: Final = 10
"""Images whose hash has less are near nothing: noise of an eighth of this turns its bits."""

LEAST_LIKENESS: Final = 0.95
"""The cosine of colour layouts from which images count as alike."""

_LAYOUTS_AT_ONCE: Final = 8192

MIRRORED: Final = ("none", "mirror")


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two images that look alike: `known`, turned, is at that distance from `query`.

    The distance is in bits for `phash`, and for `layout` what the likeness lacks of 1, in
    thousandths.
    """

    query: bytes
    known: bytes
    distance: int
    turn: str
    method: str


def near_pairs(
    queries: Values,
    known: Values,
    *,
    most: int = NEAR_DISTANCE,
    turns: Sequence[str] = MIRRORED,
) -> list[NearPair]:
    """Pairs of images whose hashes differ in `most` bits or fewer under one of some turns.

    Both are values of `phash`. Each pair is told once, with its nearest turn; an image is not its
    own pair. Ordered by query as given, then by distance, then by known as given.
    """
    asked, listed = _usable(queries), _usable(known)
    found = _Found()
    for turn in turns:
        pairs = nearest.hamming(turned(asked.hashes, turn), listed.hashes, most)
        found.take(asked.rows[pairs.query], listed.rows[pairs.known], pairs.score, turn)
    return found.pairs(queries, known)


def alike_pairs(queries: Values, known: Values, *, least: float = LEAST_LIKENESS) -> list[NearPair]:
    """As `near_pairs` for values of `layout` whose cosine is `least` or more, mirrored or not."""
    found = _Found()
    for turn, layouts in (("none", queries.matrix), ("mirror", mirrored(queries.matrix))):
        asked = vectors(layouts)
        for first in range(0, len(known), _LAYOUTS_AT_ONCE):
            block = vectors(known.matrix[first : first + _LAYOUTS_AT_ONCE])
            pairs = nearest.cosine(asked, block, least)
            found.take(pairs.query, pairs.known + first, 1000 * (1 - pairs.score), turn)
    return found.pairs(queries, known)


class _Found:
    """Pairs of rows, each with its nearest turn."""

    def __init__(self) -> None:
        self._nearest: dict[tuple[int, int], tuple[int, str]] = {}

    def take(
        self,
        query: NDArray[np.int64],
        known: NDArray[np.int64],
        distance: NDArray[np.float32],
        turn: str,
    ) -> None:
        rounded = np.rint(distance).astype(np.int64).tolist()
        for pair in zip(query.tolist(), known.tolist(), rounded, strict=True):
            before = self._nearest.get(pair[:2])
            if before is None or before[0] > pair[2]:
                self._nearest[pair[:2]] = pair[2], turn

    def pairs(self, queries: Values, known: Values) -> list[NearPair]:
        ordered = sorted(
            (query, distance, other, turn)
            for (query, other), (distance, turn) in self._nearest.items()
        )
        method = str(queries.method)
        return [
            NearPair(queries.ids[query], known.ids[other], distance, turn, method)
            for query, distance, other, turn in ordered
            if queries.ids[query] != known.ids[other]
        ]


def featureless(values: Values) -> list[bytes]:
    """The images that have too little to see for a perceptual hash."""
    plain = values.matrix[:, HASH_BYTES] < LEAST_QUALITY
    return [values.ids[row] for row in np.flatnonzero(plain).tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class _Usable:
    rows: NDArray[np.int64]
    hashes: Hashes


def _usable(values: Values) -> _Usable:
    rows = np.flatnonzero(values.matrix[:, HASH_BYTES] >= LEAST_QUALITY)
    return _Usable(rows, np.ascontiguousarray(values.matrix[rows, :HASH_BYTES]))
