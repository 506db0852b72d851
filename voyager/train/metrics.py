"""How good answers are: the usual measures, over the rows that have an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.train.predict import Said
from voyager.train.view import Target, View

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
    return {
        task: _measure_task(target, said.logits[task], said.valid)
        for task, target in view.targets.items()
    }


def score(view: View, measures: Measures) -> float:
    """One number for all tasks: the mean of their main measures."""
    values = [
        measures[task][MAIN[target.kind]]
        for task, target in view.targets.items()
        if MAIN[target.kind] in measures[task]
    ]
    return float(np.mean(values)) if values else float("nan")


def _measure_task(
    target: Target, logits: NDArray[np.float32], valid: NDArray[np.bool_]
) -> dict[str, float]:
    here = target.answered() & valid
    known = None if target.known is None else target.known[here]
    found = _MEASURES[target.kind](target.values[here], known, logits[here])
    kept = {name: float(value) for name, value in found.items() if np.isfinite(value)}
    return {"count": float(here.sum()), **kept}


def _one(values: NDArray[Any], known: object, logits: NDArray[np.float32]) -> dict[str, float]:
    guess = logits.argmax(axis=1)
    right = guess == values
    top = min(5, logits.shape[1])
    best = np.argpartition(-logits, top - 1, axis=1)[:, :top]
    return {
        "accuracy": _mean(right),
        "balanced_accuracy": balanced_accuracy(values, right),
        **({"top5": _mean((best == values[:, None]).any(axis=1))} if logits.shape[1] > 5 else {}),
    }


def _bool(values: NDArray[Any], known: object, logits: NDArray[np.float32]) -> dict[str, float]:
    right = (logits[:, 0] > 0) == (values == 1)
    return {
        "accuracy": _mean(right),
        "balanced_accuracy": balanced_accuracy(values, right),
        "ap": average_precision(values == 1, logits[:, 0]),
    }


def _many(
    values: NDArray[Any], known: NDArray[Any] | None, logits: NDArray[np.float32]
) -> dict[str, float]:
    assert known is not None
    each = []
    for place in range(values.shape[1]):
        rows = known[:, place] > 0
        each.append(average_precision(values[rows, place] > 0, logits[rows, place]))
    right = ((logits > 0) == (values > 0)) | (known == 0)
    return {"map": _mean([one for one in each if np.isfinite(one)]), "exact": _mean(right.all(1))}


def _number(values: NDArray[Any], known: object, logits: NDArray[np.float32]) -> dict[str, float]:
    error = logits[:, 0] - values
    spread = ((values - values.mean()) ** 2).sum() if len(values) else 0
    return {
        "mae": _mean(np.abs(error)),
        "r2": 1 - float((error**2).sum() / spread) if spread else float("nan"),
    }


_MEASURES: Final[Mapping[str, Callable[..., dict[str, float]]]] = {
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
