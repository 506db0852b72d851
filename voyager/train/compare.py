"""Two runs on the same samples: which is better, how surely, and where they differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.errors import UsageError
from voyager.train.evaluate import Evaluation
from voyager.train.graded import Graded, Mask
from voyager.train.intervals import (
    BY_ROW,
    Draws,
    Figure,
    balanced,
    draw_rows,
    draw_sorts,
    figure,
    generator_of,
    share,
    sorts_of,
)
from voyager.train.metrics import measure_task
from voyager.train.view import View

_LEAST_CLASSES: Final = {"one": 2, "many": 1}


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure of both runs, and of the other less the first one.

    `p` is the chance of a difference at least as large where there is none: by McNemar's exact test
    for what is right or wrong, by the bootstrap over the same rows for all else.
    """

    task: str
    measure: str
    first: float
    other: float
    difference: Figure
    p: float

    def as_dict(self) -> dict[str, Any]:
        """The difference as JSON has it."""
        return {
            "task": self.task,
            "measure": self.measure,
            "a": self.first,
            "b": self.other,
            "difference": self.difference._asdict(),
            "p": self.p,
        }


@dataclass(frozen=True, slots=True, eq=False)
class TaskComparison:
    """Two runs on the rows of a task that both can answer."""

    task: str
    count: int
    left_out: int
    """Rows whose answer one of them has no class for."""
    classes: tuple[str, ...]
    only_first: tuple[str, ...]
    """Classes that the other does not know."""
    only_other: tuple[str, ...]
    differences: tuple[Difference, ...]
    gained: NDArray[np.int64]
    """Rows of the first one's view that the other gets right and the first does not."""
    lost: NDArray[np.int64]

    def as_dict(self, view: View) -> dict[str, Any]:
        """The comparison as JSON has it."""
        return {
            "task": self.task,
            "count": self.count,
            "left_out": self.left_out,
            "only_a": list(self.only_first),
            "only_b": list(self.only_other),
            "measures": [one.as_dict() for one in self.differences],
            "gained": [view.name(row) for row in self.gained.tolist()],
            "lost": [view.name(row) for row in self.lost.tolist()],
        }


def compare(first: Evaluation, other: Evaluation) -> list[TaskComparison]:
    """Compare two runs over the rows and classes that both know, task by task.

    UsageError where they have no task in common, or one of which they know too few classes alike.
    """
    tasks = [task for task in first.graded if task in other.graded]
    if not tasks:
        own, theirs = (", ".join(one.graded) for one in (first, other))
        raise UsageError(f"the runs have no task in common: {own} and {theirs}")
    if first.view.scope != other.view.scope:
        raise UsageError(f"one run looks at {first.view.scope}s, the other at {other.view.scope}s")
    return [_compare_task(task, first, other) for task in tasks]


def _compare_task(task: str, first: Evaluation, other: Evaluation) -> TaskComparison:
    one, two = first.graded[task], other.graded[task]
    if one.kind != two.kind:
        raise UsageError(f"task '{task}' wants {one.kind} in one run and {two.kind} in the other")
    places, names = _shared_classes(task, first, other)
    one, two = _same_rows(one, two, first.view, other.view)
    count = len(one)
    if one.kind == "many":
        one, two = _narrowed(one, places[0]), _narrowed(two, places[1])
    elif one.kind == "one":
        both = np.asarray((one.values >= 0) & (two.values >= 0), np.bool_)
        one, two = one.only(both), two.only(both)
    if not len(one):
        raise UsageError(f"no row has an answer to task '{task}' that both runs know")
    right = _rights(one, two)
    gained = one.rows[~right[0] & right[1]]
    lost = one.rows[right[0] & ~right[1]]
    differences = tuple(_differences(one, two, right))
    return TaskComparison(
        task, len(one), count - len(one), one.classes, *names, differences, gained, lost
    )


def _shared_classes(
    task: str, first: Evaluation, other: Evaluation
) -> tuple[tuple[list[int], list[int]], tuple[tuple[str, ...], tuple[str, ...]]]:
    """The places of the classes that both know, and the names of those that one of them knows."""
    one, two = first.view.targets[task], other.view.targets[task]
    if one.kind not in _LEAST_CLASSES:
        return ([], []), ((), ())
    shared = [node for node in one.nodes if node in two.nodes]
    if len(shared) < _LEAST_CLASSES[one.kind]:
        raise UsageError(
            f"the runs cannot be compared: of task '{task}' they know {len(shared)} classes alike",
            hint="vgr runs diff shows what they were trained on",
        )
    places = [one.nodes.index(node) for node in shared], [two.nodes.index(node) for node in shared]
    only = tuple(
        tuple(
            name
            for node, name in zip(mine.nodes, mine.classes, strict=True)
            if node not in theirs.nodes
        )
        for mine, theirs in ((one, two), (two, one))
    )
    return places, (only[0], only[1])


def _same_rows(one: Graded, two: Graded, first: View, other: View) -> tuple[Graded, Graded]:
    """What both say of the rows that both were asked about, in the same order."""
    ids, others = _ids(first, one.rows), _ids(other, two.rows)
    _, left, right = np.intersect1d(ids, others, assume_unique=True, return_indices=True)
    order = np.argsort(left)
    return one.only(left[order]), two.only(right[order])


def _ids(view: View, rows: NDArray[np.int64]) -> NDArray[Any]:
    parts = [view.uids[rows]] + ([] if view.regions is None else [view.regions[rows]])
    joined = np.ascontiguousarray(np.concatenate(parts, axis=1))
    # A last byte that is not zero, since texts of numpy lose zeros at their end.
    whole = np.pad(joined, ((0, 0), (0, 1)), constant_values=1)
    return np.ascontiguousarray(whole).view(f"S{whole.shape[1]}").ravel()


def _narrowed(graded: Graded, places: Sequence[int]) -> Graded:
    """A task with many answers with some of its classes alone, in an order."""
    assert graded.known is not None
    known = graded.known[:, places]
    narrowed = Graded(
        graded.task,
        graded.kind,
        tuple(graded.classes[place] for place in places),
        graded.rows,
        graded.values[:, places],
        known,
        graded.logits[:, places],
    )
    return narrowed.only(np.asarray(known.any(axis=1), np.bool_))


# -- differences -----------------------------------------------------------------------------------


def _rights(one: Graded, two: Graded) -> tuple[Mask, Mask]:
    """Which rows each gets right; none for numbers, which are never quite right."""
    if one.kind == "number":
        nothing = np.zeros(len(one), np.bool_)
        return nothing, nothing
    return one.right, two.right


def _differences(one: Graded, two: Graded, right: tuple[Mask, Mask]) -> Iterator[Difference]:
    values = measure_task(one), measure_task(two)
    drawn = _draw_both(one, two, right)
    for name, (first, other) in drawn.items():
        if name not in values[0] or name not in values[1]:
            continue
        less = other - first
        value = values[1][name] - values[0][name]
        exact = name in ("accuracy", "exact")
        p = mcnemar(*_discordant(right)) if exact else _chance(less)
        yield Difference(one.task, name, values[0][name], values[1][name], figure(value, less), p)


def _draw_both(
    one: Graded, two: Graded, right: tuple[Mask, Mask]
) -> dict[str, tuple[Draws, Draws]]:
    """What the measures of both come to when the same rows are drawn again."""
    generator = generator_of(one.task, "compare")
    found: dict[str, tuple[Draws, Draws]] = {}
    if one.kind != "number":
        values = np.zeros(len(one), np.int64) if one.kind == "many" else one.values
        sorts = sorts_of(values, *right)
        draws = draw_sorts(sorts, generator)
        columns = sorts.what.T
        name = "exact" if one.kind == "many" else "accuracy"
        found[name] = share(draws, columns[1]), share(draws, columns[2])
        if one.kind != "many":
            each = (balanced(draws, columns[0], column) for column in columns[1:])
            found["balanced_accuracy"] = next(each), next(each)
    by_row = BY_ROW[one.kind]
    parts: dict[str, list[tuple[Draws, Draws]]] = {name: [] for name in by_row}
    classes = len(one.classes) if one.kind == "many" else 1
    for draws in draw_rows(len(one), generator, classes=2 * classes) if by_row else ():
        for name, measure in by_row.items():
            parts[name].append((measure(draws, one), measure(draws, two)))
    for name, some in parts.items():
        firsts, others = zip(*some, strict=True)
        found[name] = np.concatenate(firsts), np.concatenate(others)
    return found


def _discordant(right: tuple[Mask, Mask]) -> tuple[int, int]:
    return int((~right[0] & right[1]).sum()), int((right[0] & ~right[1]).sum())


def mcnemar(gained: int, lost: int) -> float:
    """McNemar's exact test: how likely a coin falls at least as unevenly, two-sided."""
    count, least = gained + lost, min(gained, lost)
    whole = math.lgamma(count + 1) - count * math.log(2)
    logs = (whole - math.lgamma(at + 1) - math.lgamma(count - at + 1) for at in range(least + 1))
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def _chance(less: Draws) -> float:
    """How often a difference drawn again has the other sign or none, two-sided."""
    finite = less[np.isfinite(less)]
    if not len(finite):
        return 1.0
    rarest = min((finite <= 0).sum(), (finite >= 0).sum())
    return min(1.0, 2 * (float(rarest) + 1) / (len(finite) + 1))
