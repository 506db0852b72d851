"""What of a version deserves a look: rare classes, odd regions, images that are dark or twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from voyager.curate.class_counts import Splits
from voyager.curate.columns import REGIONS, Columns
from voyager.curate.figures import NO_SPLIT, ClassCount, Note, Stats
from voyager.curate.measures import Shapes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_EXAMPLES: Final = 3
_MOST_SAMPLES: Final = 12
_RARE: Final = 10
"""Examples below which a class is rare."""
_LEAST_ALONE: Final = 5
"""Examples from which it is odd that all of them are in one split."""
_HUGE: Final = 0.9
_TINY: Final = 4.0
"""Square pixels."""
_OUTSIDE: Final = 1.0
"""Pixels by which a region may lie outside of its image."""
_LONG: Final = 20.0
_DARK, _BRIGHT, _FLAT, _BLURRED = 0.1, 0.9, 0.03, 10.0
_APART: Final = 0.1
"""Share of answers by which a split may differ from the whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Statistics of pixels that are known: blob ids, and their rows (`derived.statistics`)."""

    ids: list[bytes]
    values: NDArray[np.void] | None


def iter_notes(
    stats: Stats, columns: Columns, shapes: Shapes, splits: Splits, pixels: Pixels | None
) -> Iterator[Note]:
    """The notes: of samples, of classes, of regions, of pixels."""
    yield from _of_samples(stats, columns, splits)
    yield from _of_tasks(stats)
    yield from _of_classes(stats)
    yield from _of_splits(stats)
    if columns.regions:
        yield from _of_regions(columns, shapes)
    if pixels is not None and pixels.values is not None:
        yield from _of_pixels(columns, pixels.ids, pixels.values)


# -- samples and splits ---------------------------------------------------------------------------


def _of_samples(stats: Stats, columns: Columns, splits: Splits) -> Iterator[Note]:
    for state, told, look in (
        ("conflicted", "left in conflict by a merge", "vgr conflicts"),
        ("held", "held back by the guard", "vgr guard show"),
        ("pending", "without an image yet", "vgr ls --where \"state = 'pending'\""),
    ):
        if stats.states.get(state):
            yield Note(state, f"samples {told}", stats.states[state], look=look)
    if None in splits.names and len(splits.names) > 1:
        rows = (splits.of_samples == splits.names.index(None)).nonzero()[0]
        look = 'vgr ls --where "split is null"'
        yield _sample_note("no-split", "samples in no split", len(rows), _keys(columns, rows), look)
    if stats.repeated:
        look = "vgr duplicates --kind bytes"
        yield Note("repeated", "samples with an image that others have", stats.repeated, look=look)
    across = _across(columns, splits)
    if across:
        look = "vgr duplicates --kind bytes"
        yield Note("across-splits", "images in several splits", across, look=look)


def _across(columns: Columns, splits: Splits) -> int:
    """How many images are in several splits, byte by byte the same."""
    import numpy as np

    if len(splits.names) < 2:
        return 0
    codes = columns.blobs().dictionary_encode().indices
    stored = codes.is_valid().to_numpy(zero_copy_only=False)
    places = codes.drop_null().to_numpy().astype(np.int64)
    if not len(places) or int(places.max()) + 1 == len(places):
        return 0  # no two are alike
    pairs = np.sort(places * len(splits.names) + splits.of_samples[stored])
    pairs = pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])]
    return int((np.bincount(pairs // len(splits.names)) > 1).sum())


def _of_splits(stats: Stats) -> Iterator[Note]:
    for one in stats.balance:
        # Few answers differ by chance: as much as the square root of their number.
        chance = (len(stats.classes) / max(one.answers, 1)) ** 0.5 / 2
        if one.distance > max(_APART, chance) and one.answers >= _RARE:
            name = NO_SPLIT if one.split is None else one.split
            text = (
                f"% of the answers to {one.task} in {name} would be others in the mix of all splits"
            )
            yield Note("unbalanced", text, round(100 * one.distance))


# -- tasks and classes ----------------------------------------------------------------------------


def _of_tasks(stats: Stats) -> Iterator[Note]:
    for task in stats.tasks:
        if sum(task.disagree):
            text = f"{task.of}s on which sources disagree about {task.task}"
            look = f"vgr sql \"SELECT key FROM answers WHERE disagree AND task = '{task.task}'\""
            yield Note("disagree", text, sum(task.disagree), look=look)


def _of_classes(stats: Stats) -> Iterator[Note]:
    for task in dict.fromkeys(one.task for one in stats.classes):
        classes = [one for one in stats.classes if one.task == task]
        empty = [one for one in classes if not one.is_used]
        rare = [one for one in classes if 0 < sum(one.own) < _RARE]
        if empty and len(empty) < len(classes):
            yield _class_note("unused", f"classes of {task} that nothing has", empty)
        if rare:
            rare.sort(key=lambda one: (sum(one.own), one.path))
            yield _class_note("rare", f"classes of {task} with fewer than {_RARE} examples", rare)
        alike = _alike(classes)
        if alike:
            text = f"classes of {task} called like another but for case, spaces and hyphens"
            yield _class_note("alike", text, alike)
        if len(stats.splits) > 1:
            yield from _alone(stats, task, classes)


def _alike(classes: Sequence[ClassCount]) -> list[ClassCount]:
    """Classes in one place of the tree whose names are nearly that of an earlier one."""
    seen: set[str] = set()
    found = []
    for one in classes:
        plain = "".join(letter for letter in one.path.casefold() if letter not in " -_")
        if plain in seen:
            found.append(one)
        seen.add(plain)
    return found


def _alone(stats: Stats, task: str, classes: Sequence[ClassCount]) -> Iterator[Note]:
    """Classes that one split has alone, where others have answers to the task."""
    used = [sum(counts) > 0 for counts in zip(*(one.own for one in classes), strict=True)]
    if sum(used) < 2:
        return
    for place, split in enumerate(stats.splits):
        found = [
            one
            for one in classes
            if one.own[place] == sum(one.own) and one.own[place] >= _LEAST_ALONE
        ]
        if found:
            yield _class_note("one-split", f"classes of {task} that only {split.told} has", found)


def _class_note(kind: str, text: str, classes: Sequence[ClassCount]) -> Note:
    return Note(kind, text, len(classes), tuple(one.path for one in classes[:_MOST_EXAMPLES]))


# -- regions --------------------------------------------------------------------------------------


def _of_regions(columns: Columns, shapes: Shapes) -> Iterator[Note]:
    width, height = (side[columns.owners] for side in (shapes.width, shapes.height))
    outside = (
        (shapes.x0 < -_OUTSIDE)
        | (shapes.y0 < -_OUTSIDE)
        | (shapes.x1 > width + _OUTSIDE)
        | (shapes.y1 > height + _OUTSIDE)
    )
    aspect, area = shapes.aspect, shapes.area
    empty = shapes.covering & ~(area > 0)
    for kind, text, found, condition in (
        ("empty", "regions without an area", empty, "area = 0"),
        ("tiny", f"regions of less than {_TINY:g} square pixels", (area > 0) & (area < _TINY), ""),
        ("huge", f"regions of over {_HUGE * 100:g} % of the image", shapes.share > _HUGE, ""),
        ("outside", "regions reaching out of the image", outside, ""),
        ("long", f"regions over {_LONG:g} times as long as wide", _is_long(aspect), ""),
        ("twice", "boxes drawn twice, with the same class", _twice(columns, shapes), ""),
    ):
        rows = found.nonzero()[0]
        if len(rows):
            look = f'vgr sql "SELECT key, n FROM regions WHERE {condition}"' if condition else None
            keys = _keys(columns, columns.owners[rows])
            yield _sample_note(kind, text, len(rows), keys, look)


def _is_long(aspect: Any) -> Any:
    return (aspect > _LONG) | (aspect < 1 / _LONG)


def _twice(columns: Columns, shapes: Shapes) -> Any:
    """Of each region whether an earlier one of its image has its corners and its classes."""
    import numpy as np

    classes = columns.pairs(REGIONS, "classes")
    said = np.zeros(columns.regions, np.uint64)
    np.add.at(said, classes.rows, _scrambled(classes.codes.astype(np.uint64)))
    mixed = _scrambled(columns.owners.astype(np.uint64))
    for part in (said, *(side.view(np.uint64) for side in _corners(shapes))):
        mixed = _scrambled(mixed + part)
    found = np.zeros(columns.regions, bool)
    ordered = np.sort(mixed)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        rows = np.flatnonzero(np.isin(mixed, repeated))
        later = np.ones(len(rows), bool)
        later[np.unique(mixed[rows], return_index=True)[1]] = False
        found[rows[later]] = True
    boxes = [code for code, word in enumerate(shapes.kinds.words) if word == "box"]
    return found & np.isin(shapes.kinds.codes, boxes)


def _scrambled(values: Any) -> Any:
    """Other numbers for all 64-bit numbers, near ones far apart (splitmix64, Steele 2014)."""
    import numpy as np

    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _corners(shapes: Shapes) -> Iterator[Any]:
    import numpy as np

    for side in (shapes.x0, shapes.y0, shapes.x1, shapes.y1):
        yield np.ascontiguousarray(side)


# -- pixels ---------------------------------------------------------------------------------------


def _of_pixels(columns: Columns, ids: list[bytes], values: NDArray[np.void]) -> Iterator[Note]:
    for kind, text, measure, beyond, bound in (
        ("dark", f"images darker than {_DARK:g}", "brightness", "<", _DARK),
        ("bright", f"images brighter than {_BRIGHT:g}", "brightness", ">", _BRIGHT),
        ("flat", f"images with a contrast below {_FLAT:g}", "contrast", "<", _FLAT),
        ("blurred", f"images with a sharpness below {_BLURRED:g}", "sharpness", "<", _BLURRED),
    ):
        found = values[measure] < bound if beyond == "<" else values[measure] > bound
        places = found.nonzero()[0].tolist()
        if places:
            condition = f"{measure} {beyond} {bound:g}"
            look = f'vgr sql "SELECT key FROM pixels WHERE {condition}"'
            keys = _keys_of_blobs(columns, [ids[at].hex() for at in places[:_MOST_SAMPLES]])
            yield _sample_note(kind, text, len(places), keys, look)


def _keys_of_blobs(columns: Columns, blobs: list[str]) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = pc.index_in(pa.array(blobs), value_set=columns.blobs()).to_pylist()
    return tuple(columns.keys([row for row in rows if row is not None]))


def _keys(columns: Columns, rows: Any) -> tuple[str, ...]:
    """The keys of the first samples, each once."""
    first = dict.fromkeys(rows[: 20 * _MOST_SAMPLES].tolist())
    return tuple(columns.keys(list(first)[:_MOST_SAMPLES]))


def _sample_note(kind: str, text: str, count: int, keys: tuple[str, ...], look: str | None) -> Note:
    """A note about samples, the first of which are named."""
    return Note(kind, text, count, keys[:_MOST_EXAMPLES], look, keys)
