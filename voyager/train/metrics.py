"""How good answers are: the usual measures, over the rows that have an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.train.graded import Graded, grade_all
from voyager.train.said import Said
from voyager.train.view import View

Measures: TypeAlias = dict[str, dict[str, float]]
"""Task → name of a measure → its value; NaN is left out."""

MAIN: Final[Mapping[str, str]] = {
    "one": "balanced_accuracy",
    "bool": "balanced_accuracy",
    "many": "map",
    "number": "r2",
}
"""The measure of each kind of task that says which of two networks is better; more is better."""


def measure(view: View, said: Said) -> Measures:
    """The measures of every task."""
    return {task: measure_task(graded) for task, graded in grade_all(view, said).items()}


def score(view: View, measures: Measures) -> float:
    """One number for all tasks: the mean of their main measures."""
    values = [
        measures[task][MAIN[target.kind]]
        for task, target in view.targets.items()
        if MAIN[target.kind] in measures[task]
    ]
    return float(np.mean(values)) if values else float("nan")


def measure_task(graded: Graded) -> dict[str, float]:
    """The measures of some rows of a task, first how many rows.

    `unknown` counts answers that are none of the network's classes: all of them are wrong.
    """
    found = {"count": float(len(graded)), **_MEASURES[graded.kind](graded)}
    if graded.kind == "one" and (strangers := int((graded.values < 0).sum())):
        found["unknown"] = float(strangers)
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _one(graded: Graded) -> dict[str, float]:
    right, in_top = graded.right, graded.in_top
    found = {
        "accuracy": _mean(right),
        "balanced_accuracy": balanced_accuracy(graded.values, right),
    }
    return found if in_top is None else {**found, "top5": _mean(in_top)}


def _bool(graded: Graded) -> dict[str, float]:
    return {
        "accuracy": _mean(graded.right),
        "balanced_accuracy": balanced_accuracy(graded.values, graded.right),
        "ap": _mean_precision(graded),
    }


def _many(graded: Graded) -> dict[str, float]:
    return {"map": _mean_precision(graded), "exact": _mean(graded.right)}


def _number(graded: Graded) -> dict[str, float]:
    values = graded.values.astype(np.float64)
    error = graded.logits[:, 0] - values
    spread = ((values - values.mean()) ** 2).sum() if len(values) else 0
    return {
        "mae": _mean(np.abs(error)),
        "r2": 1 - float((error**2).sum() / spread) if spread else float("nan"),
    }


def _mean_precision(graded: Graded) -> float:
    each = [average_precision(yes, scores) for _, yes, scores, _ in graded.scored()]
    return _mean([one for one in each if np.isfinite(one)])


_MEASURES: Final[Mapping[str, Callable[[Graded], dict[str, float]]]] = {
    "one": _one,
    "bool": _bool,
    "many": _many,
    "number": _number,
}


def balanced_accuracy(values: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """The mean over the classes of how many of theirs are right; NaN without any."""
    each = [right[values == one].mean() for one in np.unique(values)]
    return _mean(each)


def average_precision(positive: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> float:
    """The mean precision at each positive, by descending score; NaN without positives.

    Equal scores count as one step, so that the order of rows does not matter.
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = positive[order].cumsum()
    last = np.append(np.diff(scores[order]) != 0, True)
    hits, ranks = hits[last], np.flatnonzero(last) + 1
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / ranks).sum() / positive.sum())


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
