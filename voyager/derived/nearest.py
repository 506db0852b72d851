"""Exact search for what is near: all pairs of two sets of hashes within a distance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK_PAIRS: Final = 1 << 16
"""Pairs of hashes that are looked at in one go; few enough for a processor's cache."""
_QUERIES: Final = 8
"""Queries at a time, more where there are few to compare them with."""


class Pairs(NamedTuple):
    """Rows of two sets that are near, and how near; sorted by query, then by known."""

    query: NDArray[np.int64]
    known: NDArray[np.int64]
    score: NDArray[np.float32]

    def at(self, rows: Any) -> Pairs:
        """Some of them, as a column is indexed."""
        return Pairs(self.query[rows], self.known[rows], self.score[rows])


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
    at_once = max(_QUERIES, _BLOCK_PAIRS // max(words.shape[1], 1))
    for first in range(0, len(asked), at_once):
        block = asked[first : first + at_once]
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
