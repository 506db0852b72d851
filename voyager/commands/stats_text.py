"""Statistics as text: tables with bars, a line for each measure, and what deserves a look."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from voyager.commands.bars import bar, heights
from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.repo.keys import shown

if TYPE_CHECKING:
    from voyager.curate.comparison import Difference
    from voyager.curate.figures import ClassCount, Measure, Note, Stats, TaskCount

_WIDEST_NAME: Final = 36
_MOST_BAR: Final = 24
_LEAST_BAR: Final = 6
_MOST_WORDS: Final = 6
_MOST_SPLITS: Final = 4
"""Splits that have a column of their own in the table of classes."""

_ONE: Final = {
    "boxes": "box",
    "classes": "class",
    "images": "image",
    "regions": "region",
    "samples": "sample",
}
_IN_FULL: Final = ("regions per image", "area")
"""Measures whose histogram has a line for each range."""


def stats_lines(ctx: Context, stats: Stats, limit: int) -> Iterator[str]:
    """All of it, for people."""
    yield ctx.style(headline(stats), "bold")
    if not stats.samples:
        return
    yield from _split_lines(stats)
    yield ""
    yield from _word_lines(stats)
    if stats.tasks:
        yield ""
        yield from _task_lines(stats)
    for task in dict.fromkeys(one.task for one in stats.classes):
        yield ""
        yield from _class_lines(stats, task, limit)
    yield ""
    yield from _measure_lines(stats)
    yield from _pixel_hint(ctx, stats)
    if stats.notes:
        yield ""
        yield ctx.style("worth a look", "bold")
        for note in stats.notes:
            yield f"  {note_text(note)}"
            if note.look is not None:
                yield ctx.style(f"    {note.look}", "dim")


def headline(stats: Stats) -> str:
    """`100 samples (1.90 MB), 45 regions, 130 labels`."""
    size = f" ({size_text(stats.bytes)})" if stats.bytes else ""
    samples = counted(stats.samples, "sample") + size
    return ", ".join([samples, counted(stats.regions, "region"), counted(stats.labels, "label")])


def note_text(note: Note) -> str:
    """`12 classes of category with fewer than 10 examples: hat, shoes, …`."""
    examples = ", ".join(map(shown, note.examples))
    more = ", …" if len(note.examples) < note.count and examples else ""
    noun, _, rest = note.text.partition(" ")
    noun = _ONE.get(noun, noun) if note.count == 1 else noun
    return f"{note.count:,} {noun} {rest}{f': {examples}{more}' if examples else ''}"


# -- tables ---------------------------------------------------------------------------------------


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], values: Sequence[float] = ()
) -> Iterator[str]:
    """A line for each row, the first column to the left, with a bar of its value at the end."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    room = shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths)
    width, most = min(max(room, _LEAST_BAR), _MOST_BAR), max(values, default=0)
    for at, row in enumerate([heads, *rows]):
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        drawn = bar(values[at - 1], most, width) if at and values else ""
        yield "  ".join([f"{row[0]:<{widths[0]}}", *cells, drawn]).rstrip()


def _split_lines(stats: Stats) -> Iterator[str]:
    rows = [
        (
            shown(one.told),
            f"{one.samples:,}",
            percent(one.samples, stats.samples),
            f"{one.regions:,}",
        )
        for one in stats.splits
    ]
    yield ""
    yield from _table(
        ("split", "samples", "", "regions"), rows, [one.samples for one in stats.splits]
    )


def _word_lines(stats: Stats) -> Iterator[str]:
    """A line for each kind of word: `type  jpeg 98, png 2`."""
    kinds = {
        "state": stats.states,
        "type": stats.types,
        "size": stats.sizes,
        "geometry": stats.geometries,
        "flags": stats.flags,
        "regions by": stats.region_sources,
        "labels by": stats.label_sources,
        "labels are": stats.label_states,
        "regions are": stats.region_states,
    }
    for name, counts in kinds.items():
        if counts:
            yield f"{name:<12}{_words(counts)}"
    for one in stats.coverage:
        name = one.task if one.path is None else f"{one.task}:{one.path}"
        said = {"exhaustive": one.exhaustive, "partial": one.partial, "unknown": one.unknown}
        negatives = f"; {counted(one.negatives, 'negative')}" if one.negatives else ""
        yield f"{'coverage':<12}{shown(name)}: {_words(said)}{negatives}"


def _words(counts: Mapping[str, int]) -> str:
    said = [f"{shown(word)} {count:,}" for word, count in counts.items() if count]
    more = [f"{len(said) - _MOST_WORDS:,} more"] if len(said) > _MOST_WORDS else []
    return ", ".join([*said[:_MOST_WORDS], *more])


def _task_lines(stats: Stats) -> Iterator[str]:
    rows, values = [], []
    for task in stats.tasks:
        asked, answered = sum(task.asked), sum(task.answered)
        name = f"{shown(task.task)} of {task.of}s"
        counts = (asked, answered, sum(task.unanswered), sum(task.disagree))
        rows.append((name, *(f"{count:,}" for count in counts), percent(answered, asked)))
        values.append(answered / asked if asked else 0)
    heads = ("task", "asked", "answered", "open", "disagree", "")
    yield from _table(heads, rows)
    if len(stats.splits) > 1:
        for task in stats.tasks:
            if sum(task.unanswered) + sum(task.disagree):
                yield f"  {shown(task.task)} of {task.of}s answered: {_by_split(stats, task)}"


def _by_split(stats: Stats, task: TaskCount) -> str:
    parts = zip(stats.splits, task.answered, task.asked, strict=True)
    return ", ".join(
        f"{shown(split.told)} {percent(answered, asked)}"
        for split, answered, asked in parts
        if asked
    )


def _class_lines(stats: Stats, task: str, limit: int) -> Iterator[str]:
    classes = [one for one in stats.classes if one.task == task]
    used = [one for one in classes if one.is_used]
    kept = most_frequent(used, limit)
    what = "regions" if classes[0].of == "region" else "samples"
    several = 1 < len(stats.splits) <= _MOST_SPLITS
    splits = [shown(split.told) for split in stats.splits] if several else []
    whole = sum(sum(one.own) for one in classes)
    heads = [f"class of {shown(task)}", what, "", *splits]
    heads += ["samples"] if what == "regions" else ["regions"]
    rows = []
    for one in kept:
        name = "  " * (one.depth - 1) + shown(one.path.rpartition("/")[2] or one.path)
        other = one.samples_below if what == "regions" else one.regions_below
        rows.append(
            [
                name if len(name) <= _WIDEST_NAME else f"{name[: _WIDEST_NAME - 1]}…",
                f"{sum(one.below):,}",
                percent(sum(one.below), whole),
                *(f"{count:,}" for count in one.below if several),
                f"{sum(other):,}",
            ]
        )
    yield from _table(heads, rows, [sum(one.below) for one in kept])
    if len(kept) < len(used):
        yield f"… and {len(used) - len(kept):,} more (-n N or --json shows them)"
    if len(used) < len(classes):
        yield f"… and {counted(len(classes) - len(used), 'class')} that nothing has"
    apart = [one for one in stats.balance if one.task == task and len(stats.splits) > 1]
    names = {split.name: split.told for split in stats.splits}
    if len(apart) > 1:
        told = ", ".join(f"{shown(names[one.split])} {one.distance:.1%}" for one in apart)
        yield f"  apart from the mix of all splits: {told}".replace("%", " %")


def most_frequent(classes: Sequence[ClassCount], limit: int) -> list[ClassCount]:
    """At most so many classes, the most frequent, in the order of the tree."""
    order = sorted(range(len(classes)), key=lambda at: (-sum(classes[at].below), at))
    return [classes[at] for at in sorted(order[:limit])]


# -- measures -------------------------------------------------------------------------------------


def _measure_lines(stats: Stats) -> Iterator[str]:
    known = [one for one in stats.measures if one.known]
    rows = [
        (
            one.told,
            *(value_text(one, value) for value in (one.low, one.median, one.high)),
            f"{one.known:,}",
            heights([each.count for each in one.bins]),
        )
        for one in known
    ]
    if rows:
        widths = [max(len(row[at]) for row in rows) for at in range(6)]
        heads = ("measure", "least", "median", "most", "known", "spread")
        widths = [max(width, len(head)) for width, head in zip(widths, heads, strict=True)]
        for row in (heads, *rows):
            cells = [f"{row[at]:>{widths[at]}}" for at in range(1, 5)]
            yield "  ".join([f"{row[0]:<{widths[0]}}", *cells, row[5]]).rstrip()
    for one in known:
        if one.name in _IN_FULL:
            yield ""
            bins = [
                (each.label, f"{each.count:,}", percent(each.count, one.known)) for each in one.bins
            ]
            counts = [each.count for each in one.bins]
            last = max((at for at, count in enumerate(counts) if count), default=-1) + 1
            yield from _table((one.told, "", ""), bins[:last], counts[:last])


def value_text(measure: Measure, value: float) -> str:
    """A value as people read it."""
    if measure.name == "bytes":
        return size_text(round(value))
    if measure.name == "share of image":
        return f"{100 * value:.3g} %"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(part: int, whole: int) -> str:
    """`12.5 %`, a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _pixel_hint(ctx: Context, stats: Stats) -> Iterator[str]:
    if stats.pixels is not None and stats.pixels < stats.images:
        text = f"pixels of {stats.pixels:,} of {counted(stats.images, 'image')} are measured"
        yield ctx.style(f"{text} (vgr derive statistics)", "dim")


# -- comparing ------------------------------------------------------------------------------------


def difference_lines(
    ctx: Context, names: tuple[str, str], differences: Sequence[Difference]
) -> Iterator[str]:
    """A table of what differs between two versions, a block for each section."""
    apart = [one for one in differences if one.is_apart]
    if not apart:
        yield f"{names[0]} and {names[1]} have the same statistics"
        return
    rows = [("", *map(shown, names), "change", "shift")]
    starts = []
    for section in dict.fromkeys(one.section for one in apart):
        starts.append((len(rows), section))
        rows += [_difference_row(one) for one in apart if one.section == section]
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    heads = dict(starts)
    for at, row in enumerate(rows):
        if at in heads and heads[at] != "all":
            yield ctx.style(shown(heads[at]), "bold")
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([f"{row[0]:<{widths[0]}}", *cells]).rstrip()


def _difference_row(one: Difference) -> tuple[str, ...]:
    named = f"  {shown(one.name)}" if one.section != "all" else one.name
    name = named if len(named) <= _WIDEST_NAME else f"{named[: _WIDEST_NAME - 1]}…"
    shift = "" if one.shift is None else f"{100 * one.shift:+.1f} %"
    return name, f"{one.before:,}", f"{one.after:,}", f"{one.change:+,}", shift
