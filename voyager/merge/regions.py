"""Merging the regions of one sample: by id, then those that several sides added, by likeness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Any, Final

from voyager import wire
from voyager.merge.fields import (
    UNDECIDED,
    decide,
    is_same,
    merge_order,
    merge_origin,
    merge_set,
    rank,
)
from voyager.merge.labels import merge_labels
from voyager.merge.likeness import SAME, find_alike
from voyager.merge.rules import Rules
from voyager.schema import Label, Link, Region
from voyager.schema.codec import bytes_of, encode_geometry
from voyager.schema.conflict import Terms, combine
from voyager.schema.fields import (
    decode_field,
    encode_field,
    pair_path,
    primary_of,
    region_path,
)
from voyager.schema.geometry import Geometry
from voyager.schema.values import EMPTY

AGREED: Final = 0.25
"""Two corrections agree when they are apart at most this part of what each moved."""

Regions = tuple[Region, ...]

_MISSING: Final[Any] = object()


@dataclass(slots=True)
class Notes:
    """What merging a sample came upon besides its fields.

    `conflicts` are by path; `joined` maps a region to the one it became one with; `lowered` are
    keys of coverage that say less now.
    """

    conflicts: dict[str, Terms] = field(default_factory=dict)
    joined: dict[bytes, bytes] = field(default_factory=dict)
    lowered: list[str] = field(default_factory=list)

    def disagree(self, path: str, base: Any, sides: Sequence[Any]) -> Any:
        """Note a conflict; what the field holds meanwhile."""
        terms = (Terms((encode_field(path, side),)) for side in sides)
        self.conflicts[path] = combine(Terms((encode_field(path, base),)), list(terms))
        return base


def merge_map(
    name: str,
    base: Mapping[str, Any],
    sides: Sequence[Mapping[str, Any]],
    path_of: Callable[..., str],
    notes: Notes,
) -> dict[str, Any]:
    """Merge values by name; a null is there."""
    whole = decide(base, sides)
    if whole is not UNDECIDED:
        return dict(whole) or EMPTY
    found = {}
    for word in sorted({*base, *(word for side in sides for word in side)}):
        before, values = base.get(word, _MISSING), [side.get(word, _MISSING) for side in sides]
        value = decide(before, values)
        if value is UNDECIDED:
            value = _disputed_word(path_of(name, word), before, values, notes)
        if value is not _MISSING:
            found[word] = value
    return found or EMPTY


def _disputed_word(path: str, base: Any, sides: Sequence[Any], notes: Notes) -> Any:
    """Note a conflict; a null that one side took out, which terms cannot tell, stays."""
    plain = [None if value is _MISSING else value for value in (base, *sides)]
    notes.disagree(path, plain[0], plain[1:])
    settled = notes.conflicts[path].settled
    if settled is None:
        return base
    del notes.conflicts[path]
    return decode_field(path, settled)


def merge_regions(base: Regions, sides: Sequence[Regions], rules: Rules, notes: Notes) -> Regions:
    """What the sides make of the regions of the base; one in conflict stays as in the base."""
    whole = decide(base, sides)
    if whole is not UNDECIDED:
        return tuple(whole)
    old = {region.id: region for region in base}
    news = [{region.id: region for region in side} for side in sides]
    found: dict[bytes, Region] = {}
    for own, before in old.items():
        region = _merge_known(before, [new.get(own) for new in news], rules, notes)
        if region is not None:
            found[own] = region
    found.update(_merge_added(old, news, rules, notes))
    return tuple(found[own] for own in merge_order(old, news, found))


def _merge_known(
    base: Region, sides: Sequence[Region | None], rules: Rules, notes: Notes
) -> Region | None:
    choice: Region | None = decide(base, sides)
    if choice is not UNDECIDED:
        return choice
    there = [side for side in sides if side is not None]
    if len(there) < len(sides):  # taken out by one side, changed by another
        notes.disagree(region_path(base.id), base, sides)
        return base
    return merge_region(base, there, rules, notes)


def merge_region(base: Region, sides: Sequence[Region], rules: Rules, notes: Notes) -> Region:
    """What the sides, which all have the region, make of it."""
    path_of = partial(region_path, base.id)

    def scalar(name: str) -> Any:
        before, values = getattr(base, name), [getattr(side, name) for side in sides]
        value = decide(before, values)
        return notes.disagree(path_of(name), before, values) if value is UNDECIDED else value

    def on_label(slot: tuple[str, ...], before: Label | None, values: Sequence[Any]) -> None:
        notes.disagree(path_of("labels", *slot), before, values)

    names = ("track", "frame_state", "score", "state", "source", "unknown")
    changes: dict[str, Any] = {name: scalar(name) for name in names}
    for name in ("attrs", "extra"):
        maps = [getattr(side, name) for side in sides]
        changes[name] = merge_map(name, getattr(base, name), maps, path_of, notes)
    geometries = _merge_geometries(base, sides, rules, notes)
    role = decide(base.primary_role, [side.primary_role for side in sides])
    if role is UNDECIDED:
        role = min(sides, key=_voice).primary_role
    return Region(
        id=base.id,
        geometries=geometries,
        primary=primary_of(geometries, role),
        flags=tuple(sorted(merge_set(base.flags, [side.flags for side in sides]))),
        links=merge_links(base.links, [side.links for side in sides]),
        labels=merge_labels(base.labels, [side.labels for side in sides], rules, on_label),
        origin=merge_origin(base.origin, [side.origin for side in sides]),
        **changes,
    )


def merge_links(base: Sequence[Link], sides: Sequence[Sequence[Link]]) -> tuple[Link, ...]:
    """Links are a set; they keep their order."""
    kept = {bytes_of(link): link for links in (base, *sides) for link in links}
    wanted = merge_set(map(bytes_of, base), [map(bytes_of, side) for side in sides])
    names = {name: None for name in kept if name in wanted}
    order = merge_order(map(bytes_of, base), [map(bytes_of, s) for s in sides], names)
    return tuple(kept[name] for name in order)


def _merge_geometries(
    base: Region, sides: Sequence[Region], rules: Rules, notes: Notes
) -> dict[str, Geometry]:
    found: dict[str, Geometry] = {}
    for role in sorted({role for side in (base, *sides) for role in side.geometries}):
        before = base.geometries.get(role)
        values = [side.geometries.get(role) for side in sides]
        shape = decide(before, values)
        if shape is UNDECIDED:
            shape = _agreed(before, values, sides, rules)
        if shape is UNDECIDED:
            shape = notes.disagree(region_path(base.id, "geometries", role), before, values)
        if shape is not None:
            found[role] = shape
    return found


def _agreed(
    base: Geometry | None,
    values: Sequence[Geometry | None],
    sides: Sequence[Region],
    rules: Rules,
) -> Any:
    """The shape of the best voice, where the changes are alike next to what they changed."""
    changed = [(shape, side) for shape, side in zip(values, sides, strict=True) if shape != base]
    shapes = [shape for shape, _ in changed if shape is not None]
    if base is None or len(shapes) < len(changed):
        return UNDECIDED
    moved = [distance(base, shape, rules) for shape in shapes]
    for at, one in enumerate(shapes):
        for other in range(at):
            apart = distance(one, shapes[other], rules)
            if apart > AGREED * min(moved[at], moved[other]):
                return UNDECIDED
    return min(changed, key=lambda pair: (rank(pair[1]), bytes_of(pair[0])))[0]


def distance(one: Geometry | None, other: Geometry | None, rules: Rules) -> float:
    """One less the similarity of two shapes; the same both ways, to the last bit."""
    from voyager.schema.similarity import similarity

    if one == other:
        return 0.0
    if one is None or other is None or rules.is_broken(one) or rules.is_broken(other):
        return 1.0
    first, second = sorted((one, other), key=encode_geometry)
    return 1.0 - similarity(first, second, load=rules.load)


# -- added by several sides -----------------------------------------------------------------------


def _merge_added(
    old: Mapping[bytes, Region],
    news: Sequence[Mapping[bytes, Region]],
    rules: Rules,
    notes: Notes,
) -> dict[bytes, Region]:
    """The new regions: equal ids are one region, and so are those in one place."""
    added: dict[bytes, dict[int, Region]] = {}
    for side, new in enumerate(news):
        for own, region in new.items():
            if own not in old:
                added.setdefault(own, {})[side] = region
    drawn: dict[bytes, list[Region]] = {}
    for own, by_side in added.items():
        if _are_near([region.geometry for region in by_side.values()], rules):
            drawn[own] = list(by_side.values())
        else:
            notes.disagree(region_path(own), None, list(by_side.values()))
    heads = {own: join_regions(own, drawn[own], rules, Notes()) for own in drawn}
    alike = find_alike({own: (heads[own], {*added[own]}) for own in heads}, rules)
    for one, other in alike.maybe:
        notes.conflicts[pair_path(one, other)] = Terms((wire.encode(one), wire.encode(other)))
    for group in alike.same:
        lowest, *others = sorted(group)
        notes.joined.update(dict.fromkeys(others, lowest))
        for own in others:
            drawn[lowest] += drawn.pop(own)
    return {own: join_regions(own, regions, rules, notes) for own, regions in drawn.items()}


def _are_near(shapes: Sequence[Geometry | None], rules: Rules) -> bool:
    """Whether every two shapes could be of one thing."""
    return all(distance(a, b, rules) <= 1.0 - SAME for a, b in combinations(shapes, 2))


def join_regions(own: bytes, regions: Sequence[Region], rules: Rules, notes: Notes) -> Region:
    """One region of several that are one thing: the best voice's shapes, everybody's labels."""
    if all(is_same(region, regions[0]) for region in regions) and regions[0].id == own:
        return regions[0]
    best, *others = sorted(regions, key=_voice)
    roles = {
        role: shape
        for region in (*reversed(others), best)
        for role, shape in region.geometries.items()
    }
    primary = primary_of(roles, best.primary_role)
    for role in sorted(roles):
        shapes = [region.geometries[role] for region in regions if role in region.geometries]
        if role != best.primary_role and not _are_near(shapes, rules):
            notes.disagree(region_path(own, "geometries", role), None, shapes)
            del roles[role]
    blank = Region(
        id=own,
        geometries=roles,
        primary=primary_of(roles, primary),
        source=best.source,
        score=best.score,
        state=best.state,
    )
    same_voice = [
        region.replace(
            id=own,
            geometries=blank.geometries,
            primary=blank.primary,
            source=best.source,
            score=best.score,
            state=best.state,
        )
        for region in regions
    ]
    return merge_region(blank, same_voice, rules, notes)


def _voice(region: Region) -> tuple[Any, ...]:
    """Sorts the best voice first, smaller bytes among equals."""
    return rank(region), bytes_of(region.geometries), region.id, bytes_of(region)
