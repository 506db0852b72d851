"""Evaluations in words: measures with intervals, classes, slices, and how two runs compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from voyager.commands.run_text import measure_name, value_text
from voyager.commands.sizes import counted
from voyager.repo.keys import shown

if TYPE_CHECKING:
    from voyager.train.class_scores import ClassScore, Confused
    from voyager.train.compare import TaskComparison
    from voyager.train.intervals import Figure
    from voyager.train.slices import Slice
    from voyager.train.task_report import TaskReport

_PLAIN: Final = ("r2", "mae")
"""Measures that are no shares of 1."""
_MOST_CLASSES: Final = 30
_MOST_NAMED: Final = 3
CLASS_HEADS: Final = ("class", "answers", "said", "precision", "recall", "F1", "AP")


def figure_text(name: str, figure: Figure) -> str:
    """A measure with where it lies: `41.3 % (32.0 to 50.2)`."""
    if figure.low is None or figure.high is None:
        return value_text(name, figure.value)
    plain = name in _PLAIN
    scale, digits = (1, 3) if plain else (100, 1)
    low, high = (f"{scale * one:.{digits}f}" for one in (figure.low, figure.high))
    return f"{value_text(name, figure.value)} ({low} to {high})"


def report_lines(report: TaskReport, confused: Sequence[Confused]) -> Iterator[str]:
    """A task: its measures, classes and what they are taken for."""
    yield f"{shown(report.task)}: {counted(report.count, 'answer')}"
    names = [measure_name(name) for name in report.figures]
    wide = max(map(len, names), default=0)
    for name, (key, figure) in zip(names, report.figures.items(), strict=True):
        yield f"  {name:<{wide}}  {figure_text(key, figure)}"
    if report.calibration is not None:
        ece, brier = report.calibration.ece, report.calibration.brier
        yield f"  {'calibration':<{wide}}  error {100 * ece:.1f} %, Brier score {brier:.3f}"
    yield from map("  {}".format, _class_lines(report.classes))
    if confused:
        told = ", ".join(
            f"{shown(one.true)} for {shown(one.said)} {one.count}×" for one in confused
        )
        yield f"  taken for another: {told}"
    if report.unknown:
        told = ", ".join(f"{shown(name)} {count}×" for name, count in report.unknown.items())
        yield f"  answers that the network has no class for: {told}"


def _class_lines(classes: Sequence[ClassScore]) -> list[str]:
    """The classes as a table, the worst first where there are many."""
    kept = [one for one in classes if one.count or one.said]
    left = len(kept) - _MOST_CLASSES
    if left > 0:
        kept = sorted(kept, key=lambda one: one.f1 or 0)[:_MOST_CLASSES]
    if not kept:
        return []
    rows = [CLASS_HEADS, *(class_cells(one) for one in kept)]
    lines = table_lines(rows)
    return [*lines, f"… and {left} better classes"] if left > 0 else lines


def class_cells(one: ClassScore) -> tuple[str, ...]:
    """A class as the cells of a row under `CLASS_HEADS`."""
    shares = (one.precision, one.recall, one.f1, one.ap)
    return (
        shown(one.name),
        f"{one.count:,}",
        f"{one.said:,}",
        *("·" if share is None else f"{100 * share:.1f} %" for share in shares),
    )


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned text, the first column to the left and all others to the right."""
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, wide, strict=True))
        ).rstrip()
        for row in rows
    ]


def slice_lines(slices: Sequence[Slice]) -> Iterator[str]:
    """Slices as a table for each task, under the name of its measure."""
    groups: dict[tuple[str, str], list[Slice]] = {}
    for one in slices:
        groups.setdefault((one.task, one.measure), []).append(one)
    for (task, measure), some in groups.items():
        yield f"{shown(task)}, {measure_name(measure)}"
        rows = [
            (f"{shown(one.axis)} = {shown(one.part)}", f"{one.count:,}", *_parted(measure, one))
            for one in some
        ]
        yield from map("  {}".format, table_lines(rows))


def _parted(measure: str, one: Slice) -> tuple[str, str]:
    value, _, between = figure_text(measure, one.figure).partition(" (")
    return value, between and f"({between}"


def comparison_lines(
    compared: TaskComparison, names: tuple[str, str], rows: Mapping[int, str]
) -> Iterator[str]:
    """Two runs on a task; `rows` names the rows that one of them gets right."""
    yield f"{shown(compared.task)}: {counted(compared.count, 'answer')} that both runs know"
    if compared.left_out:
        for name, only in zip(names, (compared.only_first, compared.only_other), strict=True):
            if only:
                yield f"  only {name} knows {', '.join(map(shown, only))}"
        yield f"  {counted(compared.left_out, 'answer')} of these classes left out"
    heads = ("", names[0], names[1], "difference", "p")
    cells = [
        (
            measure_name(one.measure),
            value_text(one.measure, one.first),
            value_text(one.measure, one.other),
            difference_text(one.measure, one.difference),
            p_text(one.p),
        )
        for one in compared.differences
    ]
    yield from map("  {}".format, table_lines([heads, *cells]))
    for name, found in ((names[1], compared.gained), (names[0], compared.lost)):
        if len(found):
            told = ", ".join(shown(rows[row]) for row in found[:_MOST_NAMED].tolist())
            more = f" and {len(found) - _MOST_NAMED:,} more" if len(found) > _MOST_NAMED else ""
            yield f"  only {name} is right about {len(found):,}: {told}{more}"


def p_text(p: float) -> str:
    """How likely a difference is by chance."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def difference_text(name: str, figure: Figure) -> str:
    """A difference with its sign, in points of a hundred where it is one of shares."""
    plain = name in _PLAIN
    scale, digits = (1, 3) if plain else (100, 1)
    value = f"{scale * figure.value:+.{digits}f}"
    if figure.low is None or figure.high is None:
        return value
    return f"{value} ({scale * figure.low:+.{digits}f} to {scale * figure.high:+.{digits}f})"
