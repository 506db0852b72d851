"""Taking what a file says now into a sample that is there: three-way, field by field.

`base` is what the file said when it was written or last imported. A field that the file left as
it was stays as it is here; one that only the file changed is taken; one that both changed is a
conflict. What the format cannot hold is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voyager.formats.base import NEW_ID, Holds
from voyager.formats.difference import same_geometry
from voyager.schema import Image, Label, Region, Sample

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Speaks:
    """What an import has a say in: the format's Holds, and the tasks and sources of its labels."""

    holds: Holds
    tasks: frozenset[str]
    sources: frozenset[str]
    many: frozenset[str] = frozenset()
    """Tasks of which one source may give several answers."""
    rounding: float = 0.0
    """By how many pixels a file may differ from its base without saying anything."""

    def hears(self, label: Label) -> bool:
        """Whether the import has a say in a label."""
        return label.task in self.tasks and label.source in self.sources


@dataclass(frozen=True, slots=True)
class Triple:
    """One region in the base (as the format has it), here, and in the file; None where absent."""

    base: Region | None
    ours: Region | None
    theirs: Region | None


@dataclass(slots=True)
class Merged:
    """A sample with the file's changes, and the fields that both sides changed."""

    sample: Sample
    conflicts: list[str] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    changed: int = 0


def merge_sample(
    ours: Sample, base: Sample, theirs: Sample, triples: Iterable[Triple], speaks: Speaks
) -> Merged:
    """`ours` with all that `theirs` says otherwise than `base`; regions as `triples` pair them."""
    merged = Merged(ours)
    holds = speaks.holds
    changes: dict[str, Any] = {
        "labels": _merge_labels(base.labels, ours.labels, theirs.labels, speaks, "", merged),
        "meta": _merge_maps(base.meta, ours.meta, theirs.meta, "meta", merged, all=holds.meta),
        "extra": _merge_maps(base.extra, ours.extra, theirs.extra, "extra", merged, all=False),
        "negatives": _joined_negatives(ours.negatives, theirs.negatives),
        "coverage": {**theirs.coverage, **ours.coverage},
        "regions": _merge_regions(ours.regions, triples, speaks, merged),
    }
    if theirs.split is not None:
        changes["split"] = _pick((base.split, ours.split, theirs.split), "split", merged)
    for name in ("group", "assets"):
        if getattr(theirs, name):
            changes[name] = _pick((getattr(s, name) for s in (base, ours, theirs)), name, merged)
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


# -- fields ---------------------------------------------------------------------------------------


def _pick(sides: Iterable[Any], path: str, merged: Merged) -> Any:
    """One field of (base, ours, theirs): what only one side changed, else ours and a conflict."""
    base, ours, theirs = sides
    if theirs in (base, ours):
        return ours
    if ours != base:
        merged.conflicts.append(path)
        return ours
    return theirs


def _merge_maps(
    base: Mapping[str, Any],
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    path: str,
    merged: Merged,
    *,
    all: bool,
) -> dict[str, Any]:
    """Merge by name; names that the file lacks count as removed only with `all`."""
    found = dict(ours)
    gone = base.keys() - theirs.keys()
    names = theirs.keys() | (gone if all else {n for n in gone if n.startswith("source_")})
    for name in sorted(names):
        sides = (side.get(name, _ABSENT) for side in (base, ours, theirs))
        value = _pick(sides, f"{path}.{name}", merged)
        if value is _ABSENT:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def _merge_labels(
    base: tuple[Label, ...],
    ours: tuple[Label, ...],
    theirs: tuple[Label, ...],
    speaks: Speaks,
    path: str,
    merged: Merged,
) -> tuple[Label, ...]:
    """Merge the labels that the import has a say in; the others stay, in their places."""
    if base == theirs:
        return ours
    old, mine, new = (_by_key(labels, speaks) for labels in (base, ours, theirs))
    stand_ins = _stand_ins(old, ours, mine)
    mine.update({key: old[key] for key in stand_ins})
    new.update({key: old[key] for key in _stand_ins(old, theirs, new)})
    kept: dict[Any, Label | None] = {}
    for key in dict.fromkeys((*old, *mine, *new)):
        if key in new and key in old:
            new[key] = _unspoken_of(new[key], old[key], speaks.holds)
        sides = (_said(side.get(key)) for side in (old, mine, new))
        value = _pick(sides, f"{path}labels.{key[0]}", merged)
        if value is None:
            kept[key] = None
        else:
            own = mine.get(key)
            kept[key] = own if own is not None and _said(own) == value else new[key]
    spoken_for = {id(label): key for key, label in stand_ins.items()}
    found: list[Label | None] = []
    for label in ours:
        key = spoken_for.get(id(label))
        if key is not None:
            value = kept.pop(key)
            found.append(label if _said(value) == _said(old[key]) else value)
        elif not speaks.hears(label) or _key(label, speaks) in stand_ins:
            found.append(label)
        else:
            found.append(kept.pop(_key(label, speaks), None))
    return tuple(label for label in (*found, *kept.values()) if label is not None)


def _stand_ins(
    old: Mapping[Any, Label], labels: tuple[Label, ...], heard: Mapping[Any, Label]
) -> dict[Any, Label]:
    """Labels by which somebody else says what the file said, where its own source does not.

    An export writes answers, whoever gave them, and the file that was edited speaks of those.
    """
    found: dict[Any, Label] = {}
    for key, said in old.items():
        own = heard.get(key)
        if own is None or not _same_answer(own, said):
            other = next((label for label in labels if _same_answer(label, said)), None)
            if other is not None:
                found[key] = other
    return found


def _same_answer(a: Label, b: Label) -> bool:
    return (a.task, a.node, a.value, a.ordinal, a.language) == (
        b.task,
        b.node,
        b.value,
        b.ordinal,
        b.language,
    )


def _by_key(labels: Iterable[Label], speaks: Speaks) -> dict[Any, Label]:
    return {_key(label, speaks): label for label in labels if speaks.hears(label)}


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
        if theirs is None:
            if ours is None:
                continue
            if base is not None and not same_region(base, ours, speaks):
                merged.conflicts.append(f"regions/{ours.id.hex()[:8]}")
                continue
            changed[ours.id] = None
            merged.removed += 1
        elif ours is None:
            if base is None and theirs.id not in known:
                added.append(theirs)
                known.add(theirs.id)
            elif base is not None and not same_region(base, theirs, speaks):
                merged.conflicts.append(f"regions/{base.id.hex()[:8]}")
        else:
            found = _merge_region(base or ours, ours, theirs, speaks, merged)
            if found != ours:
                changed[ours.id] = found
                merged.changed += 1
    merged.added += len(added)
    if not changed and not added:
        return regions
    kept = (changed.get(region.id, region) for region in regions)
    return (*(region for region in kept if region is not None), *added)


def _merge_region(
    base: Region, ours: Region, theirs: Region, speaks: Speaks, merged: Merged
) -> Region:
    holds = speaks.holds
    path = f"regions/{ours.id.hex()[:8]}/"
    theirs = _unspoken_of(theirs, base, holds)
    shapes, primary = _merge_geometries(base, ours, theirs, speaks, path, merged)
    changes: dict[str, Any] = {
        "geometries": shapes,
        "primary": primary,
        "labels": _merge_labels(base.labels, ours.labels, theirs.labels, speaks, path, merged),
        "attrs": _merge_maps(
            base.attrs, ours.attrs, theirs.attrs, f"{path}attrs", merged, all=holds.attrs
        ),
        "extra": _merge_maps(
            base.extra, ours.extra, theirs.extra, f"{path}extra", merged, all=False
        ),
        "flags": _merge_flags(base, ours, theirs, holds),
    }
    names = ["score"] if holds.scores else []
    names += ["state"] if holds.states else []
    names += ["track", "frame_state"] if holds.tracks else []
    for name in names:
        sides = (getattr(side, name) for side in (base, ours, theirs))
        changes[name] = _pick(sides, path + name, merged)
    changed = {name: new for name, new in changes.items() if new != getattr(ours, name)}
    return ours.replace(**changed) if changed else ours


def _merge_geometries(
    base: Region, ours: Region, theirs: Region, speaks: Speaks, path: str, merged: Merged
) -> tuple[dict[str, Any], str | None]:
    shapes, holds = dict(ours.geometries), speaks.holds
    spoken = {
        role for role, shape in base.geometries.items() if shape.name in holds.geometries
    } | theirs.geometries.keys()
    for role in sorted(spoken):
        old, mine, new = (side.geometries.get(role) for side in (base, ours, theirs))
        for known, slack in ((old, speaks.rounding), (mine, holds.quantum)):
            if known is not None and new is not None and same_geometry(known, new, slack):
                new = known
        value = _pick((old, mine, new), f"{path}geometries.{role}", merged)
        if value is None:
            shapes.pop(role, None)
        else:
            shapes[role] = value
    wanted = (theirs.primary_role, ours.primary_role, *shapes)
    primary = next((role for role in wanted if role in shapes), None)
    if theirs.primary_role == base.primary_role and ours.primary_role in shapes:
        primary = ours.primary_role
    return shapes, primary if len(shapes) > 1 else None


def _merge_flags(base: Region, ours: Region, theirs: Region, holds: Holds) -> tuple[str, ...]:
    """Flags are set and taken away one by one, so that two sides never conflict."""
    old, mine, new = set(base.flags), set(ours.flags), set(theirs.flags)
    gone = (old - new) & holds.flags
    return tuple(sorted((mine - gone) | (new - old)))


def same_region(a: Region, b: Region, speaks: Speaks) -> bool:
    """Whether two regions say the same, as far as the import has a say."""
    probe = Merged(Sample(uid=NEW_ID, image=Image()))
    return _merge_region(a, a, b.replace(id=a.id), speaks, probe) == a
