"""Measures of parts of what was evaluated: where a network is worse than elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, no_progress
from voyager.train.axes import Axes, Parts
from voyager.train.evaluate import Evaluation
from voyager.train.intervals import Figure
from voyager.train.metrics import MAIN
from voyager.train.task_report import figures_of

_LEAST: Final = 8
"""Rows below which nothing is said of a part that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The main measure of a task over a part of the rows."""

    axis: str
    part: str
    task: str
    measure: str
    count: int
    figure: Figure

    def as_dict(self) -> dict[str, Any]:
        """The slice as JSON has it."""
        return {
            "axis": self.axis,
            "part": self.part,
            "task": self.task,
            "measure": self.measure,
            "count": self.count,
            **self.figure._asdict(),
        }


def slices(
    version: Dataset,
    found: Evaluation,
    axes: Sequence[str],
    *,
    progress: Progress = no_progress,
) -> list[Slice]:
    """Each task over each part of some axes; UsageError for an axis that there is none of."""
    known = Axes(version, found.view, progress)
    return [
        one for axis in dict.fromkeys(axes) for one in _of_axis(found, axis, known.parts(axis), 1)
    ]


def worst_slices(
    version: Dataset, found: Evaluation, *, most: int = 5, progress: Progress = no_progress
) -> list[Slice]:
    """The parts, of axes with few values, in which a task is surely worse than in all rows.

    That is where the interval of the part lies below the measure of all; the worst come first.
    """
    whole = {
        task: figures_of(graded, "all").get(MAIN[graded.kind])
        for task, graded in found.graded.items()
    }
    known = Axes(version, found.view, progress)
    worse = []
    for axis in known.usual:
        for one in _of_axis(found, axis, known.parts(axis), _LEAST):
            all_rows, high = whole[one.task], one.figure.high
            if all_rows is not None and high is not None and high < all_rows.value:
                worse.append((high - all_rows.value, one))
    return [one for _, one in sorted(worse, key=lambda pair: pair[0])[:most]]


def _of_axis(found: Evaluation, axis: str, parts: Parts, least: int) -> Iterator[Slice]:
    for part, mask in parts:
        for task, graded in found.graded.items():
            some = graded.only(mask[graded.rows])
            measure = MAIN[graded.kind]
            figure = figures_of(some, axis, part).get(measure) if len(some) >= least else None
            if figure is not None:
                yield Slice(axis, part, task, measure, len(some), figure)
