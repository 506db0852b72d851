"""Exact search for what is near: all pairs of two sets within a distance or above a likeness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK_PAIRS: Final = 1 << 16
"""Pairs of hashes that are looked at in one go; few enough for a processor's cache."""
_QUERIES: Final = 8

_BLOCK_VECTORS: Final = 2048


class Pairs(NamedTuple):
    """Rows of two sets that are near, and how near; sorted by query, then by known."""

    query: NDArray[np.int64]
    known: NDArray[np.int64]
    score: NDArray[np.float32]


def hamming(queries: NDArray[np.uint8], known: NDArray[np.uint8], most: int) -> Pairs:
    """All pairs of hashes (n, 32) and (m, 32) that differ in `most` bits or fewer."""
    return _joined(iter_hamming(queries, known, most))


def iter_hamming(
    queries: NDArray[np.uint8], known: NDArray[np.uint8], most: int
) -> Iterator[Pairs]:
    """As `hamming`, a few queries at a time.

    The first words of a hash already tell almost all pairs apart, so the rest is only counted for
    those that they leave. (Two threads are hardly faster, an index of parts is slower.)
    """
    asked = np.ascontiguousarray(queries).view(np.uint64)
    words = np.ascontiguousarray(np.ascontiguousarray(known).view(np.uint64).T)
    step = _BLOCK_PAIRS // _QUERIES
    for first in range(0, len(asked), _QUERIES):
        block = asked[first : first + _QUERIES]
        parts = [
            _near_in_block(block, words[:, start : start + step], most, start)
            for start in range(0, words.shape[1], step)
        ]
        yield _sorted(_joined(parts), first)


def _near_in_block(
    queries: NDArray[np.uint64], words: NDArray[np.uint64], most: int, start: int
) -> Pairs:
    bits = np.bitwise_count(queries[:, 0, None] ^ words[0])
    for word in range(1, _words_that_tell(most)):
        bits += np.bitwise_count(queries[:, word, None] ^ words[word])
    query, known = np.divmod(np.flatnonzero(bits <= most), words.shape[1])
    differ = queries[query] ^ words[:, known].T
    distance = np.bitwise_count(differ).sum(axis=1, dtype=np.int64)
    near = distance <= most
    return Pairs(query[near], known[near] + start, distance[near].astype(np.float32))


def _words_that_tell(most: int) -> int:
    """How many of the four words tell nearly all pairs apart; by chance half of the bits differ."""
    return 2 if most <= 48 else 3 if most <= 72 else 4


def cosine(queries: NDArray[np.float32], known: NDArray[np.float32], least: float) -> Pairs:
    """All pairs of unit vectors (n, d) and (m, d) whose inner product is `least` or more."""
    parts = []
    for first in range(0, len(queries), _BLOCK_VECTORS):
        block = queries[first : first + _BLOCK_VECTORS]
        found = [
            _like_in_block(block, known[start : start + _BLOCK_VECTORS], least, start)
            for start in range(0, len(known), _BLOCK_VECTORS)
        ]
        parts.append(_sorted(_joined(found), first))
    return _joined(parts)


def _like_in_block(
    queries: NDArray[np.float32], known: NDArray[np.float32], least: float, start: int
) -> Pairs:
    likeness = queries @ known.T
    query, row = np.divmod(np.flatnonzero(likeness >= least), len(known))
    return Pairs(query, row + start, likeness[query, row])


def _joined(parts: Iterable[Pairs]) -> Pairs:
    columns = list(zip(*parts, strict=True))
    if not columns:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    query, known, score = columns
    return Pairs(np.concatenate(query), np.concatenate(known), np.concatenate(score))


def _sorted(pairs: Pairs, first: int) -> Pairs:
    """In order, with the numbers of queries counted from `first`."""
    order = np.lexsort((pairs.known, pairs.query))
    return Pairs(pairs.query[order] + first, pairs.known[order], pairs.score[order])
