"""Which images are near-duplicates, by their perceptual hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voyager.derived import nearest
from voyager.derived.cache import Values
from voyager.derived.perceptual_hash import HASH_BYTES, Hashes, turned

NEAR_DISTANCE: Final = 40
"""Bits of 256 in which near-duplicates differ at most (docs/decisions/0015)."""

LEAST_QUALITY: Final = 10
"""Images whose hash has less are near nothing: noise of an eighth of this turns its bits."""

MIRRORED: Final = ("none", "mirror")


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two images that look alike: `known`, turned, is at that distance from `query`."""

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
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for turn in turns:
        pairs = nearest.hamming(turned(asked.hashes, turn), listed.hashes, most)
        for query, other, score in zip(*(column.tolist() for column in pairs), strict=True):
            pair = int(asked.rows[query]), int(listed.rows[other])
            if pair not in found or found[pair][0] > score:
                found[pair] = int(score), turn
    ordered = sorted(
        (query, distance, other, turn) for (query, other), (distance, turn) in found.items()
    )
    return [
        NearPair(queries.ids[query], known.ids[other], distance, turn, str(queries.method))
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
