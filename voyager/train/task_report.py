"""All that is measured of a task: figures with how sure they are, classes, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.train.calibration import Calibration, calibrate
from voyager.train.class_scores import ClassScore, class_scores, confusion
from voyager.train.graded import Graded
from voyager.train.intervals import Figure, draw_measures, figure, generator_of
from voyager.train.metrics import MAIN, measure_task
from voyager.train.retrieval import code_retrieval, retrieval

_MOST_CONFUSED: Final = 200
"""Classes up to which the confusion matrix is part of a report."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskReport:
    """What was measured of a task over the rows that have an answer."""

    task: str
    kind: str
    count: int
    figures: Mapping[str, Figure]
    classes: tuple[ClassScore, ...]
    confusion: NDArray[np.int64] | None
    """(classes + 1, classes): what is true down, what is said across; the last row is of answers
    that are none of the classes."""
    calibration: Calibration | None
    unknown: Mapping[str, int]
    """Answers that are none of the network's classes, by class, and of how many rows."""

    @property
    def main(self) -> str:
        """The measure that says which of two networks is better."""
        return MAIN[self.kind]

    def measures(self) -> dict[str, float]:
        """The values alone, as a record keeps them."""
        found = {name: one.value for name, one in self.figures.items()}
        if self.calibration is not None:
            found |= {"ece": self.calibration.ece, "brier": self.calibration.brier}
        found |= {"unknown": float(sum(self.unknown.values()))} if self.unknown else {}
        return {"count": float(self.count), **found}

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        names = [one.name for one in self.classes]
        table = None if self.confusion is None else self.confusion.tolist()
        return {
            "task": self.task,
            "kind": self.kind,
            "count": self.count,
            "measures": {name: one._asdict() for name, one in self.figures.items()},
            "classes": [one.as_dict() for one in self.classes],
            "confusion": None if table is None else {"classes": names, "counts": table},
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
            "unknown": dict(self.unknown),
        }


def report(
    graded: Graded,
    *,
    vectors: NDArray[np.float32] | None = None,
    coded: bool = False,
    unknown: Mapping[str, int] | None = None,
) -> TaskReport:
    """Measure a task; with vectors of the rows of the view also how well they find each other.

    `coded` vectors are looked for by their signs too (`derived.binary_codes.sign_codes`).
    """
    figures = figures_of(graded, "all")
    if vectors is not None and graded.kind == "one":
        found = retrieval(vectors[graded.rows], graded.values)
        if coded:
            found |= code_retrieval(vectors[graded.rows], graded.values)
        figures |= {name: Figure(value) for name, value in found.items()}
    return TaskReport(
        graded.task,
        graded.kind,
        len(graded),
        figures,
        class_scores(graded),
        confusion(graded) if _is_confusable(graded) else None,
        calibrate(graded),
        unknown or {},
    )


def _is_confusable(graded: Graded) -> bool:
    return graded.kind in ("one", "bool") and len(graded.classes) <= _MOST_CONFUSED


def figures_of(graded: Graded, *key: str) -> dict[str, Figure]:
    """The measures of some rows; `key` names them, so that the same draws are made each time."""
    drawn = draw_measures(graded, generator_of(graded.task, *key))
    return {
        name: figure(value, drawn[name], rows=_alike(graded, name))
        if name in drawn
        else Figure(value)
        for name, value in measure_task(graded).items()
        if name not in ("count", "unknown")
    }


def _alike(graded: Graded, name: str) -> int | None:
    """How many rows a share is of; where classes count alike, so many of each as of the rarest."""
    if name not in ("accuracy", "balanced_accuracy", "top5", "exact"):
        return None
    if name != "balanced_accuracy":
        return len(graded)
    _, counts = np.unique(graded.values, return_counts=True)
    return int(len(counts) * counts.min())
