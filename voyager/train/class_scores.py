"""How good the answers are class by class, and which classes are taken for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.train.graded import Graded
from voyager.train.metrics import average_precision

_WORK: Final = 100_000_000
"""Scores (rows times classes) that are put in order for average precisions."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A class: how many rows have it, of how many it is said, and how good that is.

    Nothing stands for what is not defined: the recall of a class that no row has, the precision of
    one that is said of none.
    """

    name: str
    count: int
    said: int
    hits: int
    ap: float | None = None

    @property
    def precision(self) -> float | None:
        """The share of what is said that is true."""
        return self.hits / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        """The share of what is true that is said."""
        return self.hits / self.count if self.count else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; 0 where there are no hits."""
        both = self.count + self.said
        return 2 * self.hits / both if both else None

    def as_dict(self) -> dict[str, Any]:
        """The class as JSON has it."""
        return {
            "class": self.name,
            "count": self.count,
            "predicted": self.said,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "ap": self.ap,
        }


@dataclass(frozen=True, slots=True)
class Confused:
    """A class that is taken for another, and how often."""

    true: str
    said: str
    count: int


def class_scores(graded: Graded) -> tuple[ClassScore, ...]:
    """All classes of a task in their order; none for numbers."""
    if graded.kind == "number":
        return ()
    if graded.kind == "many":
        assert graded.known is not None
        there, said = (graded.values > 0) & (graded.known > 0), (graded.logits > 0)
        said &= graded.known > 0
        counts, claims, hits = (each.sum(axis=0) for each in (there, said, there & said))
    else:
        table = confusion(graded)
        counts, claims, hits = table[:-1].sum(axis=1), table.sum(axis=0), table[:-1].diagonal()
    precisions = _precisions(graded)
    return tuple(
        ClassScore(name, int(count), int(claim), int(hit), precisions.get(name))
        for name, count, claim, hit in zip(graded.classes, counts, claims, hits, strict=True)
    )


def _precisions(graded: Graded) -> dict[str, float]:
    """Average precisions by class, where there is any row of it; none where that is too much."""
    if len(graded) * max(len(graded.classes), 1) > _WORK:
        return {}
    found = {name: average_precision(yes, scores) for name, yes, scores, _ in graded.scored()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def confusion(graded: Graded) -> NDArray[np.int64]:
    """How many rows of each class (down) are said to be of each (across), (classes + 1, classes).

    The last row is of answers that are none of the classes.
    """
    classes = len(graded.classes)
    true = np.where(graded.values < 0, classes, graded.values).astype(np.int64)
    flat = np.bincount(true * classes + graded.guesses, minlength=(classes + 1) * classes)
    return flat.reshape(classes + 1, classes)


def confused(graded: Graded, *, most: int = 5) -> list[Confused]:
    """The pairs that are most often taken for each other, of a task with one answer."""
    if graded.kind not in ("one", "bool"):
        return []
    table = confusion(graded)[:-1].copy()
    np.fill_diagonal(table, 0)
    order = np.argsort(-table, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(order, table.shape), strict=True)
    names = graded.classes
    return [
        Confused(names[true], names[said], int(table[true, said]))
        for true, said in pairs
        if table[true, said]
    ]
