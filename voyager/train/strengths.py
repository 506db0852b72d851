"""How strongly the weights of a linear head are held small: tried out on rows it has not seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.train.blas import one_blas_thread
from voyager.train.linear_head import LinearHead, fit, frame_of, mean_loss, taken
from voyager.train.view import Target

STRENGTHS: Final = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
USUAL: Final = 0.1
"""What is taken where there are too few rows to try."""

_FOLDS: Final = 5
_FOLDED: Final = 5000
"""Up to so many rows each of the folds is left out once; of more the first one alone."""
_TRIED_ON: Final = 1 << 14
"""Rows that strengths are tried on. What is good for them is good for more of their kind, since a
strength stands beside the sum of all losses."""
_BEGUN_ON: Final = 1 << 16
"""Rows that a head is trained on to the end; of more it takes a few steps over all from there."""
_LAST_STEPS: Final = 6

Rows: TypeAlias = tuple[NDArray[Any], Target]


class Chosen(NamedTuple):
    """A head, and the strength that it was made with."""

    head: LinearHead
    strength: float


def fit_best(
    rows: Rows,
    held_out: Rows | None,
    *,
    strengths: Sequence[float] = STRENGTHS,
    balance: bool = False,
) -> Chosen:
    """The head whose strength makes the least loss on rows that are held out.

    Those are the given ones, or parts of the rows themselves, which are told apart by their place.
    """
    with one_blas_thread():
        return _fit_best(_answered(rows), held_out, strengths, balance=balance)


def _fit_best(
    rows: Rows, held_out: Rows | None, strengths: Sequence[float], *, balance: bool
) -> Chosen:
    vectors, target = rows
    tried = _every(vectors, target, _TRIED_ON)
    strength, start = (strengths[0], None) if len(strengths) == 1 else (USUAL, None)
    if len(strengths) > 1 and len(vectors) >= 2 * _FOLDS:
        strength, start = _least(list(_parts(tried, held_out)), strengths, balance=balance)
    begun = _every(vectors, target, _BEGUN_ON)
    head = fit(*begun, strength, start=start, balance=balance)
    if len(begun[0]) < len(vectors):
        head = fit(vectors, target, strength, start=head, balance=balance, most=_LAST_STEPS)
    return Chosen(head, strength)


def _least(
    parts: list[tuple[Rows, Rows]], strengths: Sequence[float], *, balance: bool
) -> tuple[float, LinearHead | None]:
    """The best strength, from strong to weak until it becomes worse, and a head that has it."""
    heads: list[LinearHead | None] = [None] * len(parts)
    frames = [frame_of(known[0]) for known, _ in parts]
    least, best = float("inf"), (strengths[0], heads[0])
    for strength in sorted(strengths, reverse=True):
        heads = [
            fit(*known, strength, frame=frame, start=head, balance=balance)
            for (known, _), frame, head in zip(parts, frames, heads, strict=True)
        ]
        losses = [
            mean_loss(head, *unseen)
            for (_, unseen), head in zip(parts, heads, strict=True)
            if head is not None
        ]
        if sum(losses) >= least:
            break
        least, best = sum(losses), (strength, heads[0])
    return best


def _parts(rows: Rows, held_out: Rows | None) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of rows to learn from and rows to try on."""
    if held_out is not None:
        unseen = _answered(held_out)
        if len(unseen[0]):
            yield rows, _every(*unseen, _TRIED_ON)
            return
    fold = np.arange(len(rows[0])) % _FOLDS
    for left_out in range(_FOLDS if len(fold) <= _FOLDED else 1):
        yield _taken(rows, fold != left_out), _taken(rows, fold == left_out)


def _answered(rows: Rows) -> Rows:
    here = rows[1].answered()
    if rows[1].kind == "one":
        here &= rows[1].values >= 0
    return rows if here.all() else _taken(rows, here)


def _every(vectors: NDArray[Any], target: Target, most: int) -> Rows:
    """So many rows at most, from everywhere."""
    step = -(-len(vectors) // most)
    return (
        (vectors, target) if step <= 1 else (vectors[::step], taken(target, slice(0, None, step)))
    )


def _taken(rows: Rows, mask: NDArray[np.bool_]) -> Rows:
    places = np.flatnonzero(mask)
    return rows[0][places], taken(rows[1], places)
