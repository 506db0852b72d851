"""`vgr eval --html`: one page with plots of an evaluation, and the worst mistakes as pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voyager.commands.commits import short_id
from voyager.commands.drawing import blob_reader, whole_picture
from voyager.commands.eval_plots import STYLE, Curve, Range, curves, matrix, ranges, reliability
from voyager.commands.eval_text import (
    CLASS_HEADS,
    class_cells,
    difference_text,
    figure_text,
    p_text,
)
from voyager.commands.page_file import write_page_file
from voyager.commands.panels import panel, section, table
from voyager.commands.run_text import measure_name, value_text
from voyager.commands.sizes import counted
from voyager.pictures import (
    Card,
    Mark,
    Picture,
    Side,
    colour_of,
    crop,
    frame_of,
    picture_of,
    render_body,
    render_cards,
    window_around,
)
from voyager.pictures.plots import Label, Series, bars, style
from voyager.repo.keys import shown
from voyager.store.ids import Kind
from voyager.train.mistakes import Mistake, mistakes
from voyager.train.record import LOG

if TYPE_CHECKING:
    from voyager.commands.eval import Found
    from voyager.repo.dataset import Dataset
    from voyager.repo.repository import Repository
    from voyager.train.compare import TaskComparison
    from voyager.train.slices import Slice
    from voyager.train.task_report import TaskReport
    from voyager.train.view import View

_MOST_CLASSES: Final = 200
_MOST_SLICES: Final = 60
_MOST_MISTAKES: Final = 36


def write_page(repo: Repository, path: Path, found: Found) -> None:
    """Write the page."""
    commit = found.version.commit
    assert commit is not None
    view = found.evaluation.view
    title = f"{found.name} on {found.split_name}"
    rows = counted(len(view), "sample" if view.scope == "image" else "region")
    told = f"{rows} of {short_id(commit)}" + (f" where {found.where}" if found.where else "")
    parts = [_training(repo, found)]
    for report in found.reports:
        parts.append(_task(report))
        parts.append(_slices([*found.worst, *found.slices], report))
    parts += [_comparison(one, found) for one in found.compared]
    parts.append(render_cards(_cards(found)))
    page = render_body(shown(title), shown(told), "".join(parts), f"{style()}\n{STYLE}")
    write_page_file(path, [page])


# -- panels ---------------------------------------------------------------------------------------


def _training(repo: Repository, found: Found) -> str:
    """The loss over the steps of the training, and the main measures of its validations."""
    if found.run is None or LOG not in found.run.files:
        return ""
    lines = repo.store.get(found.run.files[LOG], Kind.BLOB).splitlines()
    said: list[dict[str, Any]] = [json.loads(line) for line in lines]
    losses = [(float(one["step"]), float(one["loss"])) for one in said if "lr" in one]
    drawn = curves([Curve("loss", losses)], "loss by step")
    about = f"over {counted(len(losses), 'step')}" if losses else ""
    return section("Training", panel("Loss", drawn, about, wide=False)) if drawn else ""


def _task(report: TaskReport) -> str:
    parts = [_figures(report), _reliability(report), _confusion(report), _classes(report)]
    title = f"{report.task}: {counted(report.count, 'answer')}"
    return section(title, "".join(parts))


def _figures(report: TaskReport) -> str:
    rows = [
        (measure_name(name), [figure_text(name, figure)]) for name, figure in report.figures.items()
    ]
    if report.calibration is not None:
        found = {"ece": report.calibration.ece, "brier": report.calibration.brier}
        rows += [(measure_name(name), [value_text(name, one)]) for name, one in found.items()]
    about = "in brackets where it lies with 95 %"
    if report.unknown:
        told = ", ".join(f"{name} {count}×" for name, count in report.unknown.items())
        about += f"; wrong for want of a class: {told}"
    return panel("Measures", table((), rows), about, wide=False)


def _reliability(report: TaskReport) -> str:
    if report.calibration is None:
        return ""
    bins = [(b.low, b.high, b.count, b.sure, b.right) for b in report.calibration.bins]
    drawn = reliability(bins, f"reliability of {report.task}")
    about = "how many answers are right, by how sure they are; a perfect network is on the line"
    return panel("How sure, how right", drawn, about, wide=False)


def _confusion(report: TaskReport) -> str:
    if report.confusion is None or not len(report.confusion.T):
        return ""
    names = [one.name for one in report.classes]
    drawn = matrix(names, report.confusion.tolist(), f"confusion of {report.task}")
    about = "what is true, down, and what is said, across: the deeper, the more of the row"
    return panel("What is taken for what", drawn, about)


def _classes(report: TaskReport) -> str:
    """Recall and precision of each class, the worst first."""
    used = sorted((one for one in report.classes if one.count), key=lambda one: one.f1 or 0)
    kept = used[:_MOST_CLASSES]
    if not kept:
        return ""
    labels = [
        Label(shown(one.name), 0, f"{100 * (one.f1 or 0):.0f} % of {one.count:,}") for one in kept
    ]
    series = [Series("F1", [one.f1 or 0 for one in kept])]
    left = len(used) - len(kept)
    about = "F1, the worst first"
    about += f"; {left:,} better classes are left out" if left else ""
    drawn = bars(labels, series, f"classes of {report.task}")
    heads, *rows = [CLASS_HEADS, *map(class_cells, kept)]
    numbers = table(heads, [(name, cells) for name, *cells in rows])
    return panel("Classes", drawn, about) + panel("Classes in numbers", numbers)


def _slices(slices: Sequence[Slice], report: TaskReport) -> str:
    parts = []
    whole = report.figures.get(report.main)
    mine = [one for one in dict.fromkeys(slices) if one.task == report.task]
    for axis, group in groupby(sorted(mine, key=lambda one: one.axis), lambda one: one.axis):
        some = list(group)
        drawn = [
            Range(
                f"{one.part} ({one.count:,})",
                one.figure.value,
                one.figure.low,
                one.figure.high,
                figure_text(one.measure, one.figure),
            )
            for one in some[:_MOST_SLICES]
        ]
        about = f"{measure_name(report.main)}; dotted: of all"
        if len(some) > len(drawn):
            about += f"; {len(some) - len(drawn):,} more are left out"
        value = None if whole is None else whole.value
        parts.append(panel(axis, ranges(drawn, value, f"{report.task} by {axis}"), about))
    return section(f"{report.task} in parts", "".join(parts))


def _comparison(one: TaskComparison, found: Found) -> str:
    heads = ("", found.name, found.other, "difference", "p")
    rows = [
        (
            measure_name(each.measure),
            (
                value_text(each.measure, each.first),
                value_text(each.measure, each.other),
                difference_text(each.measure, each.difference),
                p_text(each.p),
            ),
        )
        for each in one.differences
    ]
    about = (
        f"{counted(one.count, 'answer')} that both know; only {found.other} is right about"
        f" {len(one.gained):,}, only {found.name} about {len(one.lost):,}"
    )
    return section(
        f"{one.task} against {found.other}", panel("Measures", table(heads, rows), about)
    )


# -- mistakes -------------------------------------------------------------------------------------


def _cards(found: Found) -> Iterator[Card]:
    view = found.evaluation.view
    for task, graded in found.evaluation.graded.items():
        for mistake in mistakes(graded, most=_MOST_MISTAKES):
            yield _card(found.version, view, mistake, f"The worst mistakes: {task}")


def _card(version: Dataset, view: View, mistake: Mistake, section: str) -> Card:
    sure = "" if mistake.sure is None else f", {100 * mistake.sure:.0f} % sure"
    return Card(
        shown(view.name(mistake.row)),
        facts=(f"said: {shown(mistake.said)}{sure}", f"true: {shown(mistake.true)}"),
        pictures=(_picture(version, view, mistake),),
        section=section,
    )


def _picture(version: Dataset, view: View, mistake: Mistake) -> Picture:
    """The whole image, or a region with what is around it."""
    name = shown(view.name(mistake.row))
    sample = version[view.key(mistake.row)]
    frame = frame_of(sample.image, blob_reader(version))
    if view.boxes is None:
        return whole_picture(frame, (), "", alt=name)
    from voyager.schema import Box

    mark = Mark(Box(*view.boxes[mistake.row].tolist()), colour_of(mistake.said))
    side = Side(frame, (mark,))
    return picture_of(crop(side, window_around([side])), "", alt=name)
