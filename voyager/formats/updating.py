"""Taking what a file says now into a sample that is there: three-way, field by field.

`base` is what the file said when it was written or last imported, `was` the sample that it was
written from. A field that the file left as it was stays as it is here; one that only the file
changed is taken; one that both changed is a conflict. What the format cannot hold is never looked
at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import eq
from typing import Any, Final, NamedTuple, TypeAlias

from voyager.formats.base import NEW_ID, Holds
from voyager.formats.difference import same_geometry
from voyager.formats.projection import choose
from voyager.schema import Image, Label, Region, Sample
from voyager.schema.conflict import join_field
from voyager.schema.fields import label_slot, write_field

Path: TypeAlias = tuple[str, ...]
"""The parts of the path of a field."""

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Speaks:
    """What an import has a say in: the format's Holds, and the tasks and sources of its labels."""

    holds: Holds
    tasks: frozenset[str]
    sources: frozenset[str]
    many: frozenset[str] = frozenset()
    """Tasks of which one source may give several answers."""
    answers: Callable[[str, tuple[Label, ...]], tuple[Label, ...]] | None = None
    """The labels that answer a task: an export has said these, whosever they were."""

    @property
    def rounding(self) -> float:
        """By how many pixels a file may differ from its base without saying anything."""
        return self.holds.quantum if self.answers is not None else 0.0

    def hears(self, label: Label) -> bool:
        """Whether the import has a say in a label."""
        return label.task in self.tasks and label.source in self.sources


@dataclass(frozen=True, slots=True)
class Triple:
    """One region in the base (as the format has it), here, and in the file; None where absent.

    `was` is what the base was made from, where that is not the base itself.
    """

    base: Region | None
    ours: Region | None
    theirs: Region | None
    was: Region | None = None


class Sides(NamedTuple):
    """One thing in the base, in what the base was made from, here, and in the file."""

    base: Any
    was: Any
    ours: Any
    theirs: Any

    def of(self, name: str) -> Sides:
        """The same for one of its fields."""
        return Sides(*(getattr(side, name) for side in self))

    def at(self, name: str) -> Sides:
        """The same for one name of a mapping."""
        return Sides(*(side.get(name, _ABSENT) for side in self))


class Both(NamedTuple):
    """A field that both sides changed: what it was, and what the file says; None: not there."""

    was: Any
    theirs: Any


@dataclass(slots=True)
class Merged:
    """A sample with the file's changes, and by path (`schema.fields`) what both sides changed.

    It holds our values of those. One that is no field of its own is there without its values.
    """

    sample: Sample
    conflicts: dict[str, Both | None] = field(default_factory=dict)
    added: int = 0
    removed: int = 0
    changed: int = 0

    def disagree(self, path: Path, was: Any, theirs: Any) -> None:
        """Note what both sides changed."""
        gone = (None if value is _ABSENT else value for value in (was, theirs))
        self.conflicts[join_field(path)] = Both(*gone)

    def versions(self, ours: Sample) -> tuple[Sample, Sample] | None:
        """Ours with what was in place of what both changed, and the merged one with theirs.

        None where something that both changed is no field of its own.
        """
        base, theirs = ours, self.sample
        for path, both in self.conflicts.items():
            if both is None:
                return None
            base = write_field(base, path, both.was)
            theirs = write_field(theirs, path, both.theirs)
        return base, theirs


def merge_sample(
    ours: Sample,
    base: Sample,
    theirs: Sample,
    triples: Iterable[Triple],
    speaks: Speaks,
    was: Sample | None = None,
) -> Merged:
    """`ours` with all that `theirs` says otherwise than `base`; regions as `triples` pair them."""
    merged = Merged(ours)
    was = was or base
    sides = Sides(base, was, ours, theirs)
    changes: dict[str, Any] = {
        "labels": _merge_labels(sides.of("labels"), speaks, (), merged),
        "meta": _merge_maps(sides.of("meta"), ("meta",), merged, all=speaks.holds.meta),
        "extra": _merge_maps(sides.of("extra"), ("extra",), merged, all=False),
        "negatives": _merge_negatives(base.negatives, ours.negatives, theirs.negatives),
        "coverage": _merge_coverage(base.coverage, ours.coverage, theirs.coverage),
        "regions": _merge_regions(ours.regions, triples, speaks, merged),
    }
    for name in ("split", "group", "assets"):
        if getattr(theirs, name):
            changes[name] = _pick(sides.of(name), (name,), merged)
    if "assets" in merged.conflicts:  # a field of their own is only each of them
        merged.conflicts["assets"] = None
    changed = {name: new for name, new in changes.items() if new != getattr(ours, name)}
    if changed:
        merged.sample = ours.replace(**changed)
    return merged


def joined(first: Sample, second: Sample) -> Sample:
    """Two descriptions of one image as one: a file may speak of an image in several places."""
    known = {region.id for region in first.regions if region.id != NEW_ID}
    regions = first.regions + tuple(r for r in second.regions if r.id not in known)
    labels = first.labels + tuple(label for label in second.labels if label not in first.labels)
    return first.replace(
        image=_fuller_image(first, second),
        labels=labels,
        regions=regions,
        split=first.split or second.split,
        meta={**second.meta, **first.meta},
        negatives=_joined_negatives(first.negatives, second.negatives),
        coverage={**second.coverage, **first.coverage},
        group=first.group or second.group,
        assets={**second.assets, **first.assets},
        extra={**second.extra, **first.extra},
    )


def _fuller_image(first: Sample, second: Sample) -> Any:
    return second.image if first.image.blob is None and second.image.blob else first.image


def _joined_negatives(
    first: Mapping[str, tuple[bytes, ...]], second: Mapping[str, tuple[bytes, ...]]
) -> dict[str, tuple[bytes, ...]]:
    tasks = {**first, **second}
    return {
        task: tuple(sorted({*first.get(task, ()), *second.get(task, ())})) for task in sorted(tasks)
    }


def _merge_negatives(
    base: Mapping[str, tuple[bytes, ...]],
    ours: Mapping[str, tuple[bytes, ...]],
    theirs: Mapping[str, tuple[bytes, ...]],
) -> dict[str, tuple[bytes, ...]]:
    """What is here, and what the file says newly."""
    new = {
        task: tuple(node for node in nodes if node not in base.get(task, ()))
        for task, nodes in theirs.items()
    }
    return _joined_negatives(ours, {task: nodes for task, nodes in new.items() if nodes})


def _merge_coverage(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, Any]:
    """What is here, and what only the file changed."""
    new = {
        key: level
        for key, level in theirs.items()
        if base.get(key) != level and ours.get(key) == base.get(key)
    }
    return {**ours, **new}


# -- fields ---------------------------------------------------------------------------------------


def _pick(
    sides: Sides,
    path: Path,
    merged: Merged,
    *,
    same: Callable[[Any, Any], bool] = eq,
) -> Any:
    """One field: what only one side changed, else ours and a conflict."""
    base, was, ours, theirs = sides
    if same(base, theirs) or same(ours, theirs):
        return ours
    if not same(was, ours):
        merged.disagree(path, was, theirs)
        return ours
    return theirs


def _merge_maps(sides: Sides, path: Path, merged: Merged, *, all: bool) -> dict[str, Any]:
    """Merge by name; names that the file lacks count as removed only with `all`."""
    found = dict(sides.ours)
    gone = sides.base.keys() - sides.theirs.keys()
    names = sides.theirs.keys() | (gone if all else {n for n in gone if n.startswith("source_")})
    for name in sorted(names):
        value = _pick(sides.at(name), (*path, name), merged)
        if value is _ABSENT:
            found.pop(name, None)
        else:
            found[name] = value
    return found


# -- labels ---------------------------------------------------------------------------------------


def _merge_labels(sides: Sides, speaks: Speaks, path: Path, merged: Merged) -> tuple[Label, ...]:
    base, was, theirs = sides.base, sides.was, sides.theirs
    ours: tuple[Label, ...] = sides.ours
    if base == theirs:
        return ours
    if speaks.answers is None or speaks.holds.sources:
        return _merge_voices(base, ours, theirs, speaks, path, merged)
    found = list(ours)
    for task in dict.fromkeys(label.task for label in (*base, *theirs)):
        answers = partial(speaks.answers, task)
        old, new = ([x for x in side if x.task == task] for side in (base, theirs))
        here = answers(tuple(found))
        if _values(old) == _values(new) or _values(here) == _values(new):
            continue
        if task not in speaks.many and _values(answers(was)) != _values(here):
            merged.conflicts[join_field((*path, "labels", task))] = None
            continue
        found = _answered_anew(task, found, old, new)
    return tuple(found)


def _answered_anew(
    task: str, labels: list[Label], old: list[Label], new: list[Label]
) -> list[Label]:
    """Labels with those that gave an old answer replaced by a new one, or taken away.

    Whoever said it is corrected; what a model said stays, and is overruled.
    """
    gone = _values(old) - _values(new)
    known = _values(old) | _values(label for label in labels if label.task == task)
    fresh = [label for label in new if _value(label) not in known]
    found: list[Label] = []
    for label in labels:
        is_gone = label.task == task and _value(label) in gone
        if not is_gone or (fresh and label.source.startswith("model")):
            found.append(label)
        elif fresh:
            found.append(fresh.pop(0).replace(source=label.source))
    return found + fresh


def _value(label: Label) -> tuple[Any, ...]:
    return (label.node, label.value, label.language)


def _values(labels: Iterable[Label]) -> set[tuple[Any, ...]]:
    return set(map(_value, labels))


def _merge_voices(
    base: tuple[Label, ...],
    ours: tuple[Label, ...],
    theirs: tuple[Label, ...],
    speaks: Speaks,
    path: Path,
    merged: Merged,
) -> tuple[Label, ...]:
    """Merge the labels that the import has a say in; the others stay, in their places."""
    exported = speaks.answers is not None
    voices = {(label.task, label.source) for label in (*base, *theirs)} if exported else set()

    def heard(labels: Iterable[Label]) -> dict[Any, Label]:
        return {
            _key(label, speaks): label
            for label in labels
            if speaks.hears(label) or (label.task, label.source) in voices
        }

    old, mine, new = map(heard, (base, ours, theirs))
    kept: dict[Any, Label | None] = {}
    for key in dict.fromkeys((*old, *mine, *new)):
        if key in new and key in old:
            new[key] = _unspoken_of(new[key], old[key], speaks.holds)
        then, own, now = (_said(side.get(key)) for side in (old, mine, new))
        label = next(x for x in (own, then, now) if x is not None)
        slot = label_slot(label, many=label.task in speaks.many)
        value = _pick(Sides(then, then, own, now), (*path, "labels", *slot), merged)
        kept[key] = None if value is None else mine[key] if value == own else new[key]
    found = [kept.pop(key, None) if (key := _key(x, speaks)) in mine else x for x in ours]
    return tuple(label for label in (*found, *kept.values()) if label is not None)


def _key(label: Label, speaks: Speaks) -> tuple[Any, ...]:
    value = label.node or label.value if label.task in speaks.many else None
    return (label.task, label.source, value, label.ordinal, label.language)


def _said(label: Label | None) -> Label | None:
    """A label without what is no part of what it says."""
    return label if label is None or label.origin is None else label.replace(origin=None)


def _unspoken_of(new: Any, old: Any, holds: Holds) -> Any:
    """`new` with the score and state of `old` where the format cannot hold them."""
    changes: dict[str, Any] = {}
    if not holds.scores and new.score != old.score:
        changes["score"] = old.score
    if not holds.states and new.state != old.state:
        changes["state"] = old.state
    return new.replace(**changes) if changes else new


# -- regions --------------------------------------------------------------------------------------


def _merge_regions(
    regions: tuple[Region, ...], triples: Iterable[Triple], speaks: Speaks, merged: Merged
) -> tuple[Region, ...]:
    changed: dict[bytes, Region | None] = {}
    added: list[Region] = []
    known = {region.id for region in regions}
    for triple in triples:
        base, ours, theirs = triple.base, triple.ours, triple.theirs
        was = triple.was or base
        if theirs is None:
            if ours is None or was is None:
                continue
            if not same_region(was, ours, speaks):
                merged.disagree(("regions", ours.id.hex()), was.replace(id=ours.id), None)
                continue
            changed[ours.id] = None
            merged.removed += 1
        elif ours is None:
            if base is None and theirs.id not in known:
                added.append(theirs)
                known.add(theirs.id)
            elif base is not None and not same_region(base, theirs, speaks):
                own = (was or base).id
                old, new = (region.replace(id=own) for region in (was or base, theirs))
                merged.disagree(("regions", own.hex()), old, new)
        else:
            found = _merge_region(base or ours, was or ours, ours, theirs, speaks, merged)
            if found != ours:
                changed[ours.id] = found
                merged.changed += 1
    merged.added += len(added)
    if not changed and not added:
        return regions
    kept = (changed.get(region.id, region) for region in regions)
    return (*(region for region in kept if region is not None), *added)


def _merge_region(
    base: Region, was: Region, ours: Region, theirs: Region, speaks: Speaks, merged: Merged
) -> Region:
    holds = speaks.holds
    path: Path = ("regions", ours.id.hex())
    theirs = _unspoken_of(theirs, base, holds)
    sides = Sides(base, was, ours, theirs)
    shapes, primary = _merge_geometries(sides, speaks, path, merged)
    changes: dict[str, Any] = {
        "geometries": shapes,
        "primary": primary,
        "labels": _merge_labels(sides.of("labels"), speaks, path, merged),
        "attrs": _merge_maps(sides.of("attrs"), (*path, "attrs"), merged, all=holds.attrs),
        "extra": _merge_maps(sides.of("extra"), (*path, "extra"), merged, all=False),
        "flags": _merge_flags(base, ours, theirs, holds),
    }
    names = ["score"] if holds.scores else []
    names += ["state"] if holds.states else []
    names += ["track", "frame_state"] if holds.tracks else []
    for name in names:
        changes[name] = _pick(sides.of(name), (*path, name), merged)
    changed = {name: new for name, new in changes.items() if new != getattr(ours, name)}
    return ours.replace(**changed) if changed else ours


def _merge_geometries(
    sides: Sides, speaks: Speaks, path: Path, merged: Merged
) -> tuple[dict[str, Any], str | None]:
    base, was, ours, theirs = sides
    shapes, holds = dict(ours.geometries), speaks.holds
    roles = _roles_of(was, holds)
    spoken = {
        role for role, shape in base.geometries.items() if shape.name in holds.geometries
    } | theirs.geometries.keys()
    for word in sorted(spoken):
        role = word if word in was.geometries else roles.get(word, word)
        value = _pick(
            Sides(
                base.geometries.get(word),
                was.geometries.get(role),
                ours.geometries.get(role),
                theirs.geometries.get(word),
            ),
            (*path, "geometries", role),
            merged,
            same=partial(_alike, quantum=speaks.rounding),
        )
        old = shapes.pop(role, None)
        if value is not None:  # a role that is a geometry's word follows the geometry
            shapes[value.name if old is not None and role == old.name else role] = value
    wanted = (theirs.primary_role, ours.primary_role, *shapes)
    primary = next((role for role in wanted if role in shapes), None)
    if theirs.primary_role == base.primary_role and ours.primary_role in shapes:
        primary = ours.primary_role
    return shapes, primary if len(shapes) > 1 else None


def _roles_of(was: Region, holds: Holds) -> dict[str, str]:
    """The words of a format for geometries → their roles."""
    found: dict[str, str] = {}
    for role in choose(was, holds):
        name = was.geometries[role].name
        found.setdefault(name if name in holds.geometries else holds.converts[name], role)
    return found


def _alike(a: Any, b: Any, quantum: float) -> bool:
    if a is None or b is None:
        return a is b
    return same_geometry(a, b, quantum)


def _merge_flags(base: Region, ours: Region, theirs: Region, holds: Holds) -> tuple[str, ...]:
    """Flags are set and taken away one by one, so that two sides never conflict."""
    old, mine, new = set(base.flags), set(ours.flags), set(theirs.flags)
    gone = (old - new) & holds.flags
    return tuple(sorted((mine - gone) | (new - old)))


def same_region(a: Region, b: Region, speaks: Speaks) -> bool:
    """Whether two regions say the same, as far as the import has a say."""
    probe = Merged(Sample(uid=NEW_ID, image=Image()))
    return _merge_region(a, a, a, b.replace(id=a.id), speaks, probe) == a
