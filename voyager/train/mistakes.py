"""What a network is wrong about, what it was surest of first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from voyager.train.graded import Graded

OTHER: Final = "none of its classes"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row of the view that a network is wrong about."""

    task: str
    row: int
    said: str
    true: str
    sure: float | None = None
    """How sure it was, of 1; None for numbers."""


def mistakes(graded: Graded, *, most: int) -> list[Mistake]:
    """The worst mistakes of a task: the surest, or of numbers the farthest off."""
    return _OF_KIND[graded.kind](graded, most) if len(graded) else []


def _one(graded: Graded, most: int) -> list[Mistake]:
    wrong = np.flatnonzero(~graded.right)
    sure, guesses = graded.chances.max(axis=1), graded.guesses
    names = [*graded.classes, OTHER]
    return [
        Mistake(
            graded.task,
            int(graded.rows[at]),
            names[guesses[at]],
            names[max(int(graded.values[at]), -1)],
            float(sure[at]),
        )
        for at in wrong[np.argsort(-sure[wrong], kind="stable")][:most].tolist()
    ]


def _many(graded: Graded, most: int) -> list[Mistake]:
    """Each about the class of a row that it was surest of."""
    assert graded.known is not None
    chances, true = graded.chances, graded.values > 0
    wrong = ((chances >= 0.5) != true) & (graded.known > 0)
    sure = np.where(wrong, np.maximum(chances, 1 - chances), 0)
    best = sure.argmax(axis=1)
    top = sure[np.arange(len(sure)), best]
    order = np.argsort(-top, kind="stable")[:most]
    found = []
    for at in order[top[order] > 0].tolist():
        name = graded.classes[best[at]]
        said, is_true = (f"no {name}", name) if true[at, best[at]] else (name, f"no {name}")
        found.append(Mistake(graded.task, int(graded.rows[at]), said, is_true, float(top[at])))
    return found


def _number(graded: Graded, most: int) -> list[Mistake]:
    said = graded.logits[:, 0]
    order = np.argsort(-np.abs(said - graded.values), kind="stable")[:most]
    return [
        Mistake(graded.task, int(graded.rows[at]), f"{said[at]:g}", f"{graded.values[at]:g}")
        for at in order.tolist()
    ]


_OF_KIND: Final[dict[str, Callable[[Graded, int], list[Mistake]]]] = {
    "one": _one,
    "bool": _one,
    "many": _many,
    "number": _number,
}
