"""How sure a measure is: 95 % of what the bootstrap gives, drawn by a key so that it repeats.

Rows are drawn again with replacement. What a measure of classes depends on is only how many rows
there are of each sort (which class, right or wrong), so the sorts are drawn instead: the same
distribution at a cost that does not grow with the rows. Measures of order are drawn row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.train.graded import Graded

Draws = NDArray[np.float64]
"""(draws, rows or sorts): how often each was drawn."""

_DRAWS: Final = 1000
_LEAST_DRAWS: Final = 60
_WORK: Final = 200_000_000
"""Numbers (draws times rows times classes) that drawing row by row is worth."""
_AT_ONCE: Final = 1_000_000
_PERCENT: Final = (2.5, 97.5)
_ONE_SIDE: Final = 0.025


class Figure(NamedTuple):
    """The value of a measure, and where it lies with 95 % (nothing where that is not known)."""

    value: float
    low: float | None = None
    high: float | None = None


class Sorts(NamedTuple):
    """The sorts of rows that there are: what they are, and how many rows of each."""

    what: NDArray[np.int64]
    """(sorts, columns)."""
    counts: NDArray[np.int64]


def generator_of(*words: str) -> np.random.Generator:
    """A generator that depends on some words alone."""
    key = blake3("\0".join(words).encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def figure(value: float, drawn: Draws, *, rows: int | None = None) -> Figure:
    """A measure with the middle 95 % of what was drawn.

    Where all of so many `rows` are right, or none, every draw is the same: then the bound is the
    share at which that would still come in one case of forty. Where each class is so, nothing is
    known.
    """
    finite = drawn[np.isfinite(drawn)]
    if len(finite) < _LEAST_DRAWS // 2:
        return Figure(value)
    if rows is not None and value in (0, 1) and (finite == value).all():
        far = _ONE_SIDE ** (1 / rows)
        return Figure(value, far, 1.0) if value else Figure(value, 0.0, 1 - far)
    low, high = np.percentile(finite, _PERCENT).tolist()
    return Figure(value) if rows is not None and low == high else Figure(value, low, high)


def sorts_of(*columns: NDArray[Any]) -> Sorts:
    """The different rows of some columns, and how often each is there."""
    table = np.stack([column.astype(np.int64) for column in columns], axis=1)
    what, counts = np.unique(table, axis=0, return_counts=True)
    return Sorts(what, counts)


def draw_sorts(sorts: Sorts, generator: np.random.Generator) -> Draws:
    """How many rows of each sort come when as many are drawn as there are, (draws, sorts)."""
    count = int(sorts.counts.sum())
    return generator.multinomial(count, sorts.counts / count, size=_DRAWS).astype(np.float64)


def draw_rows(
    count: int, generator: np.random.Generator, *, classes: int = 1, most: int = _DRAWS
) -> Iterator[Draws]:
    """How often each row comes, in blocks of (draws, rows); fewer draws of very many rows."""
    draws = max(_LEAST_DRAWS, min(most, _WORK // max(count * classes, 1)))
    block = max(1, _AT_ONCE // count)
    for first in range(0, draws, block):
        size = min(block, draws - first)
        drawn = generator.integers(0, count, (size, count))
        drawn += np.arange(size)[:, None] * count
        counts = np.bincount(drawn.ravel(), minlength=size * count)
        yield counts.reshape(size, count).astype(np.float64)


# -- measures of draws ----------------------------------------------------------------------------


def share(draws: Draws, right: NDArray[Any]) -> Draws:
    """The share of what is right among all."""
    return np.asarray(draws @ right.astype(np.float64) / draws.sum(axis=1))


def balanced(draws: Draws, values: NDArray[Any], right: NDArray[Any]) -> Draws:
    """The mean over the classes that were drawn of the share of theirs that is right."""
    classes = (values[:, None] == np.unique(values)).astype(np.float64)
    there, hits = draws @ classes, draws @ (classes * right[:, None])
    each = np.divide(hits, there, out=np.zeros_like(hits), where=there > 0)
    return np.asarray(each.sum(axis=1) / (there > 0).sum(axis=1))


def precision(draws: Draws, positive: NDArray[np.bool_], scores: NDArray[Any]) -> Draws:
    """The average precision (`metrics.average_precision`); NaN where no positive was drawn."""
    if not positive.any():
        return np.full(len(draws), np.nan)
    order = np.argsort(-scores, kind="stable")
    places = np.flatnonzero(positive[order])
    # Rows of equal scores are one step: each positive counts at the end of its own.
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    steps = ends[np.searchsorted(ends, places)]
    last = np.append(np.diff(steps) != 0, True)
    ordered = draws[:, order]
    hits = ordered[:, places].cumsum(axis=1)[:, last]
    ranks = ordered.cumsum(axis=1)[:, steps[last]]
    gained = np.diff(hits, prepend=0, axis=1)
    each = np.divide(gained * hits, ranks, out=np.zeros_like(hits), where=ranks > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(each.sum(axis=1) / hits[:, -1])


def mean_precision(draws: Draws, graded: Graded) -> Draws:
    """The mean over classes of the average precision."""
    each = [precision(draws[:, here], yes, scores) for _, yes, scores, here in graded.scored()]
    return _mean_of_known(np.stack(each))


def _mean_of_known(each: Draws) -> Draws:
    known = np.isfinite(each)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, each, 0).sum(axis=0) / known.sum(axis=0))


def mean_error(draws: Draws, graded: Graded) -> Draws:
    """The mean distance of numbers from what is true."""
    return share(draws, np.abs(graded.logits[:, 0] - graded.values))


def determination(draws: Draws, graded: Graded) -> Draws:
    """R²: the share of the spread of numbers that is said."""
    values = graded.values.astype(np.float64) - float(graded.values.mean())
    error = (graded.logits[:, 0] - graded.values).astype(np.float64) ** 2
    count = draws.sum(axis=1)
    spread = draws @ values**2 - (draws @ values) ** 2 / count
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - draws @ error / np.where(spread > 0, spread, np.nan))


# -- all measures of a task ------------------------------------------------------------------------


def draw_measures(graded: Graded, generator: np.random.Generator) -> dict[str, Draws]:
    """What the measures of a task come to when rows are drawn again, by name."""
    if not len(graded):
        return {}
    return {**_draw_shares(graded, generator), **_draw_orders(graded, generator)}


def _draw_shares(graded: Graded, generator: np.random.Generator) -> dict[str, Draws]:
    """The measures of what is right or wrong."""
    if graded.kind == "number":
        return {}
    right, in_top = graded.right, graded.in_top
    values = np.zeros(len(graded), np.int64) if graded.kind == "many" else graded.values
    sorts = sorts_of(values, right, right if in_top is None else in_top)
    draws, (classes, rights, tops) = draw_sorts(sorts, generator), sorts.what.T
    if graded.kind == "many":
        return {"exact": share(draws, rights)}
    found = {
        "accuracy": share(draws, rights),
        "balanced_accuracy": balanced(draws, classes, rights),
    }
    return found if in_top is None else {**found, "top5": share(draws, tops)}


def _draw_orders(graded: Graded, generator: np.random.Generator) -> dict[str, Draws]:
    """The measures that are drawn row by row."""
    by_row = BY_ROW[graded.kind]
    if not by_row:
        return {}
    parts: dict[str, list[Draws]] = {name: [] for name in by_row}
    classes = len(graded.classes) if graded.kind == "many" else 1
    for draws in draw_rows(len(graded), generator, classes=classes):
        for name, measure in by_row.items():
            parts[name].append(measure(draws, graded))
    return {name: np.concatenate(some) for name, some in parts.items()}


BY_ROW: Final[Mapping[str, Mapping[str, Callable[[Draws, Graded], Draws]]]] = {
    "one": {},
    "bool": {"ap": mean_precision},
    "many": {"map": mean_precision},
    "number": {"mae": mean_error, "r2": determination},
}
"""The measures, by kind of task, that are drawn row by row."""
