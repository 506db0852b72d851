"""`vgr stats --html`: one page with plots of classes, regions, sizes and pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from voyager.commands.page_file import write_page_file
from voyager.commands.panels import panel, section, table, text
from voyager.commands.sizes import counted
from voyager.commands.stats_text import (
    headline,
    most_frequent,
    note_text,
    percent,
    value_text,
)
from voyager.curate.comparison import Difference
from voyager.curate.figures import ClassCount, Measure, Stats
from voyager.pictures import render_body, thumbnail
from voyager.pictures.plots import Label, Series, bars, histogram, legend, style
from voyager.repo.keys import shown

_MOST_CLASSES: Final = 200
_MOST_DIFFERENCES: Final = 200


def write_page(path: Path, name: str, stats: Stats, thumbnails: Mapping[str, bytes]) -> None:
    """Write the page of one version, with thumbnails of the samples that notes are about."""
    parts = [_notes(stats, thumbnails), _splits(stats), _tasks(stats)]
    parts += [
        _classes(task, [one for one in stats.classes if one.task == task], stats)
        for task in dict.fromkeys(one.task for one in stats.classes)
    ]
    parts.append(_measures((("", stats),)))
    _write(path, f"Statistics: {name}", headline(stats), "".join(parts))


def write_comparison(
    path: Path, names: tuple[str, str], both: tuple[Stats, Stats], differences: Sequence[Difference]
) -> None:
    """Write the page of two versions: what differs, and histograms beside each other."""
    drawn = {one.told for stats in both for one in stats.measures}
    apart = [one for one in differences if one.is_apart and one.section not in drawn]
    body = _differences(names, apart) + _measures(tuple(zip(names, both, strict=True)))
    told = "; ".join(f"{name}: {headline(stats)}" for name, stats in zip(names, both, strict=True))
    _write(path, f"Statistics: {names[0]} and {names[1]}", told, body)


def _write(path: Path, title: str, subtitle: str, body: str) -> None:
    page = render_body(shown(title), shown(subtitle), body, style())
    write_page_file(path, [page])


def _notes(stats: Stats, thumbnails: Mapping[str, bytes]) -> str:
    items = []
    for note in stats.notes:
        look = f"<br/><code>{text(note.look)}</code>" if note.look else ""
        shown_keys = [key for key in note.samples if key in thumbnails]
        drawn = "".join(thumbnail(shown(key), thumbnails[key]) for key in shown_keys)
        strip = f'<div class="thumbs">{drawn}</div>' if drawn else ""
        items.append(f"<li>{text(note_text(note))}{look}{strip}</li>")
    found = panel("Worth a look", f"<ul>{''.join(items)}</ul>") if items else ""
    return section("Overview", found)


def _splits(stats: Stats) -> str:
    labels = [
        Label(shown(one.told), 0, f"{one.samples:,} ({percent(one.samples, stats.samples)})")
        for one in stats.splits
    ]
    drawn = bars(labels, [Series("samples", [one.samples for one in stats.splits])], "splits")
    return section("Splits", panel("Samples", drawn))


def _tasks(stats: Stats) -> str:
    if not stats.tasks:
        return ""
    labels: list[Label] = []
    parts: tuple[list[float], ...] = ([], [], [])
    for task in stats.tasks:
        answered, tied, open_ = map(sum, (task.answered, task.disagree, task.unanswered))
        number = f"{percent(answered, sum(task.asked))} of {sum(task.asked):,}"
        labels.append(Label(f"{shown(task.task)} of {task.of}s", 0, number))
        for values, count in zip(parts, (answered, open_, tied), strict=True):
            values.append(count / max(sum(task.asked), 1))
    names = ("answered", "open", "disagreeing")
    series = [Series(name, values) for name, values in zip(names, parts, strict=True)]
    return section("Tasks", panel("Answers", legend(series) + bars(labels, series, "tasks")))


def _classes(task: str, classes: Sequence[ClassCount], stats: Stats) -> str:
    used = [one for one in classes if one.is_used]
    kept = most_frequent(used, _MOST_CLASSES)
    whole = sum(sum(one.own) for one in classes)
    labels = [
        Label(
            shown(one.path.rpartition("/")[2] or one.path),
            one.depth - 1,
            f"{sum(one.below):,} ({percent(sum(one.below), whole)})",
        )
        for one in kept
    ]
    series = [
        Series(shown(split.told), [one.below[at] for one in kept])
        for at, split in enumerate(stats.splits)
    ]
    about = f"{classes[0].of}s with the class or one below it"
    left, idle = len(used) - len(kept), len(classes) - len(used)
    about += f"; {left:,} rarer classes are left out" if left else ""
    about += f"; nothing has {counted(idle, 'other class')}" if idle else ""
    title = f"Classes of {task}"
    return section(title, panel("", legend(series) + bars(labels, series, title), about))


def _measures(versions: Sequence[tuple[str, Stats]]) -> str:
    """A histogram for each measure that all versions have."""
    found = []
    for at, measure in enumerate(versions[0][1].measures):
        others = [_same(measure, stats, at) for _, stats in versions]
        known = [one for one in others if one is not None and one.known]
        if len(known) == len(versions):
            found.append(_histogram([name for name, _ in versions], known))
    return section("Measures", "".join(found))


def _same(measure: Measure, stats: Stats, at: int) -> Measure | None:
    """The measure of that kind in other statistics, most likely at the same place."""
    order = [*stats.measures[at : at + 1], *stats.measures]
    wanted = (measure.name, measure.of)
    return next((one for one in order if (one.name, one.of) == wanted), None)


def _histogram(names: Sequence[str], measures: Sequence[Measure]) -> str:
    series = [
        Series(shown(name), [each.count for each in one.bins])
        for name, one in zip(names, measures, strict=True)
    ]
    told = [
        f"{f'{name}: ' if name else ''}{value_text(one, one.low)} to {value_text(one, one.high)},"
        f" median {value_text(one, one.median)}, {one.known:,} known"
        for name, one in zip(names, measures, strict=True)
    ]
    title = measures[0].told
    ranges = [each.label for each in measures[0].bins]
    drawn = legend(series) + histogram(ranges, series, title)
    return panel(title.capitalize(), drawn, "; ".join(told), wide=False)


def _differences(names: tuple[str, str], differences: Sequence[Difference]) -> str:
    found = []
    heads = ("", *names, "change", "shift")
    for kind in dict.fromkeys(one.section for one in differences):
        mine = [one for one in differences if one.section == kind]
        if len(mine) > _MOST_DIFFERENCES:
            mine.sort(key=lambda one: -abs(one.change))
        rows = [(one.name, _difference_cells(one)) for one in mine[:_MOST_DIFFERENCES]]
        left = len(mine) - _MOST_DIFFERENCES
        about = f"{left:,} smaller differences are left out" if left > 0 else ""
        title = "All" if kind == "all" else kind.capitalize()
        found.append(panel(title, table(heads, rows), about, wide=False))
    return section("Differences", "".join(found))


def _difference_cells(one: Difference) -> tuple[str, ...]:
    shift = "" if one.shift is None else f"{100 * one.shift:+.1f} %"
    return (f"{one.before:,}", f"{one.after:,}", f"{one.change:+,}", shift)
