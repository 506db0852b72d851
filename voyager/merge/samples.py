"""Merging one sample: every field by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from voyager.merge.fields import UNDECIDED, decide, is_same, merge_origin, merge_set
from voyager.merge.labels import merge_labels
from voyager.merge.regions import Notes, merge_map, merge_regions
from voyager.merge.rules import Rules
from voyager.schema import Held, Image, Label, Region, Sample, parse_coverage_key
from voyager.schema.codec import bytes_of
from voyager.schema.conflict import join_field
from voyager.schema.values import EMPTY


def merge_sample(
    base: Sample | None, sides: Sequence[Sample], rules: Rules
) -> tuple[Sample, Notes]:
    """The sample that the sides, which all have it, make of the base (None: all added it).

    A field that they changed to different values holds the base's, and is a conflict in the notes.
    Pure: nothing but the arguments decides, and the order of the sides does not matter.
    """
    notes = Notes()
    report = partial(_report_label, notes)
    if base is not None and _differ_in_labels(base, sides):
        labels = merge_labels(base.labels, [side.labels for side in sides], rules, report)
        return base.replace(labels=labels), notes
    old = base or _blank(sides)
    changes: dict[str, Any] = {}
    for name in ("split", "group", "unknown"):
        changes[name] = _scalar(name, old, sides, notes)
    changes["image"] = _image(base, sides, notes)
    changes["held"] = _held(old.held, [side.held for side in sides])
    changes["origin"] = merge_origin(old.origin, [side.origin for side in sides])
    for name in ("assets", "extra", "meta"):
        maps = [getattr(side, name) for side in sides]
        changes[name] = merge_map(name, getattr(old, name), maps, _path, notes)
    changes["negatives"] = _negatives(old.negatives, [side.negatives for side in sides])
    changes["labels"] = merge_labels(old.labels, [side.labels for side in sides], rules, report)
    changes["regions"] = merge_regions(old.regions, [side.regions for side in sides], rules, notes)
    changes["coverage"] = _coverage(old, sides, rules, notes)
    merged = old.replace(
        uid=min(side.uid for side in sides) if base is None else old.uid, **changes
    )
    return merged, notes


_all_but_labels = attrgetter(
    *("assets", "coverage", "extra", "group", "held", "image", "meta", "negatives", "origin"),
    *("regions", "split", "unknown"),
)


def _differ_in_labels(base: Sample, sides: Sequence[Sample]) -> bool:
    """Whether nothing but labels was changed, as where many people label many images."""
    rest = _all_but_labels(base)
    return all(is_same(_all_but_labels(side), rest) for side in sides)


def _path(*parts: str) -> str:
    return join_field(parts)


def _report_label(
    notes: Notes, slot: tuple[str, ...], base: Label | None, sides: Sequence[Label | None]
) -> None:
    notes.disagree(_path("labels", *slot), base, sides)


def _blank(sides: Sequence[Sample]) -> Sample:
    """What a sample that all sides added was before: nothing but a promise."""
    return Sample(uid=min(side.uid for side in sides), image=Image())


def _scalar(name: str, base: Sample, sides: Sequence[Sample], notes: Notes) -> Any:
    before, values = getattr(base, name), [getattr(side, name) for side in sides]
    value = decide(before, values)
    return notes.disagree(name, before, values) if value is UNDECIDED else value


def _image(base: Sample | None, sides: Sequence[Sample], notes: Notes) -> Image:
    """The image; a sample cannot be without one, so one of the new ones is held if need be."""
    before, images = None if base is None else base.image, [side.image for side in sides]
    image: Image | None = decide(before, images)
    if image is UNDECIDED:
        notes.disagree("image", before, images)
        image = before or min(images, key=bytes_of)
    return image or images[0]


def _held(base: Held | None, sides: Sequence[Held | None]) -> Held | None:
    """Who is held by one side is held: letting a test image through is the worse mistake."""
    held: Held | None = decide(base, sides)
    if held is UNDECIDED:
        return min((side for side in sides if side), key=lambda side: (side.distance, side.uid))
    return held


def _negatives(
    base: Mapping[str, Iterable[bytes]], sides: Sequence[Mapping[str, Iterable[bytes]]]
) -> dict[str, tuple[bytes, ...]]:
    found = {}
    for task in sorted({*base, *(task for side in sides for task in side)}):
        nodes = merge_set(base.get(task, ()), [side.get(task, ()) for side in sides])
        if nodes:
            found[task] = tuple(sorted(nodes))
    return found or EMPTY


# -- coverage -------------------------------------------------------------------------------------


def _coverage(base: Sample, sides: Sequence[Sample], rules: Rules, notes: Notes) -> dict[str, Any]:
    """Three-way, the weaker where both changed; less where another side knew of other regions."""
    old, news = base.coverage, [side.coverage for side in sides]
    found = {}
    for key in sorted({*old, *(key for new in news for key in new)}):
        values = [new.get(key) for new in news]
        level = decide(old.get(key), values)
        if level is UNDECIDED:
            level = "partial" if all(value is not None for value in values) else None
        if level == "exhaustive" and _claimed_unseen(key, base, sides, rules, notes):
            level = "partial"
            notes.lowered.append(key)
        if level is not None:
            found[key] = level
    return found or EMPTY


def _claimed_unseen(
    key: str, base: Sample, sides: Sequence[Sample], rules: Rules, notes: Notes
) -> bool:
    """Whether a side called it exhaustive without knowing regions that another one drew."""
    if base.coverage.get(key) == "exhaustive":
        return False
    task, node = parse_coverage_key(key)
    before = {region.id: region for region in base.regions}
    ids = [{notes.joined.get(each.id, each.id) for each in side.regions} for side in sides]
    for at, side in enumerate(sides):
        if side.coverage.get(key) != "exhaustive":
            continue
        for other, drawn in enumerate(sides):
            if other != at:
                mapped = ((notes.joined.get(r.id, r.id), r) for r in drawn.regions)
                new = [r for own, r in mapped if own not in before and own not in ids[at]]
                gone = [before[own] for own in before if own not in ids[other] and own in ids[at]]
                if any(_is_covered(task, node, region, rules) for region in (*new, *gone)):
                    return True
    return False


def _is_covered(task: str, node: bytes | None, region: Region, rules: Rules) -> bool:
    return any(rules.covers(task, node, label) for label in region.labels)
