"""Which neighbouring segments are merged, so that few are left and little is written again.

Segments are ranked by size, a rank eight times the one below. Eight neighbours of a rank or lower
become one segment: there are a few of each rank at most, and a vector is written once for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from typing import Final

FAN: Final = 8
_SMALLEST: Final = 1024


def run_to_merge(counts: Sequence[int], most: int | None = None) -> slice | None:
    """Neighbours that are to become one, of `most` rows together; None where all is well."""
    ranks = [_rank(count) for count in counts]
    for rank in sorted(set(ranks)):
        for run in _runs(ranks, rank):
            if run.stop - run.start >= FAN and (most is None or sum(counts[run]) <= most):
                return run
    return None


def _rank(count: int) -> int:
    return max(0, int(log(max(count, 1) / _SMALLEST, FAN)) + 1) if count >= _SMALLEST else 0


def _runs(ranks: Sequence[int], most: int) -> Iterator[slice]:
    start = 0
    for at, rank in enumerate([*ranks, most + 1]):
        if rank > most:
            yield slice(start, at)
            start = at + 1
