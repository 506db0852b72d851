"""Merging the regions of one sample: by id, then those that several sides added, by likeness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from voyager import wire
from voyager.merge.fields import (
    UNDECIDED,
    decide,
    decide_plain,
    merge_order,
    merge_origin,
    merge_set,
    rank,
)
from voyager.merge.labels import merge_labels
from voyager.merge.rules import Rules
from voyager.schema import Label, Link, Region
from voyager.schema.codec import encode_geometry
from voyager.schema.conflict import Terms, combine
from voyager.schema.fields import encode_field, primary_of, region_path
from voyager.schema.geometry import Geometry
from voyager.schema.values import EMPTY

AGREED: Final = 0.25
"""Two corrections agree when they are apart at most this part of what each moved."""

Regions = tuple[Region, ...]


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

    def disagree_plain(self, path: str, base: Any, sides: Sequence[Any]) -> Any:
        """As `disagree`, of plain values."""
        terms = [Terms((wire.encode(side),)) for side in sides]
        self.conflicts[path] = combine(Terms((wire.encode(base),)), terms)
        return base


def merge_map(
    name: str,
    base: Mapping[str, Any],
    sides: Sequence[Mapping[str, Any]],
    path_of: Any,
    notes: Notes,
    *,
    plain: bool,
) -> dict[str, Any]:
    """Merge values by name; `plain` ones are told apart by their encoding."""
    choose = decide_plain if plain else decide
    whole = choose(base, sides)
    if whole is not UNDECIDED:
        return dict(whole) or EMPTY
    found = {}
    for word in sorted({*base, *(word for side in sides for word in side)}):
        before, values = base.get(word), [side.get(word) for side in sides]
        value = choose(before, values)
        if value is UNDECIDED:
            report = notes.disagree_plain if plain else notes.disagree
            value = report(path_of(name, word), before, values)
        if value is not None:
            found[word] = value
    return found or EMPTY


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
        changes[name] = merge_map(name, getattr(base, name), maps, path_of, notes, plain=True)
    geometries = _merge_geometries(base, sides, rules, notes)
    role = decide(base.primary_role, [side.primary_role for side in sides])
    if role is UNDECIDED:
        role = _survivor(sides).primary_role
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
    kept = {_link_bytes(link): link for links in (base, *sides) for link in links}
    wanted = merge_set(map(_link_bytes, base), [map(_link_bytes, side) for side in sides])
    names = {name: None for name in kept if name in wanted}
    order = merge_order(map(_link_bytes, base), [map(_link_bytes, s) for s in sides], names)
    return tuple(kept[name] for name in order)


def _link_bytes(link: Link) -> bytes:
    return encode_plain(link)


encode_plain = wire.encoder.encode


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
    return min(changed, key=lambda pair: (rank(pair[1]), encode_plain(pair[0])))[0]


def distance(one: Geometry | None, other: Geometry | None, rules: Rules) -> float:
    """One less the similarity of two shapes; the same both ways, to the last bit."""
    from voyager.schema.similarity import similarity

    if one == other:
        return 0.0
    if one is None or other is None or rules.is_broken(one) or rules.is_broken(other):
        return 1.0
    first, second = sorted((one, other), key=encode_geometry)
    return 1.0 - similarity(first, second, load=rules.load)


def _survivor(sides: Sequence[Region]) -> Region:
    """The region of the best voice, the smaller bytes among equals."""
    return min(sides, key=lambda side: (rank(side), encode_plain(side.geometries), side.id))


# -- added by several sides -----------------------------------------------------------------------


def _merge_added(
    old: Mapping[bytes, Region],
    news: Sequence[Mapping[bytes, Region]],
    rules: Rules,
    notes: Notes,
) -> dict[bytes, Region]:
    """The new regions: equal ids are one region, and so are those in one place."""
    from voyager.merge.likeness import find_alike

    added: dict[bytes, dict[int, Region]] = {}
    for side, new in enumerate(news):
        for own, drawn_here in new.items():
            if own not in old:
                added.setdefault(own, {})[side] = drawn_here
    found: dict[bytes, Region] = {}
    for own, drawn in added.items():
        region = _as_one(own, list(drawn.values()), rules, notes)
        if region is not None:
            found[own] = region
    alike = find_alike({own: (found[own], {*added[own]}) for own in found}, rules)
    for one, other in alike.maybe:
        notes.conflicts[f"regions/{one.hex()}+{other.hex()}"] = Terms(
            (wire.encode(one), wire.encode(other))
        )
    for group in alike.same:
        lowest = min(group)
        regions = [found.pop(own) for own in sorted(group)]
        notes.joined.update((own, lowest) for own in group if own != lowest)
        found[lowest] = join_regions(lowest, regions, rules, notes)
    return found


def _as_one(own: bytes, drawn: Sequence[Region], rules: Rules, notes: Notes) -> Region | None:
    """A region that several sides added under one id; None where its shapes do not agree."""
    if all(region == drawn[0] for region in drawn):
        return drawn[0]
    if any(distance(drawn[0].geometry, region.geometry, rules) > 0.1 for region in drawn[1:]):
        notes.disagree(region_path(own), None, drawn)
        return None
    return join_regions(own, drawn, rules, notes)


def join_regions(own: bytes, regions: Sequence[Region], rules: Rules, notes: Notes) -> Region:
    """One region of several that are one thing: the best voice's shapes, everybody's labels."""
    best = _survivor(regions)
    roles = {role: shape for region in regions for role, shape in region.geometries.items()}
    blank = Region(
        id=own,
        geometries={**roles, **best.geometries},
        primary=primary_of({**roles, **best.geometries}, best.primary_role),
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
