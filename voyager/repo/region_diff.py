"""Regions of two versions of a sample: which became which, and what is different about each."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec import structs

from voyager.errors import VoyagerError
from voyager.repo.label_facts import Fact, RegionDiff, Terms
from voyager.repo.said_diff import label_facts
from voyager.repo.shape_diff import (
    UNCHANGED,
    Likeness,
    ShapeChanges,
    ShapePair,
    changed_shapes,
    manner,
)
from voyager.schema.codec import RowKind, encode_as
from voyager.schema.geometry import Geometry, Keypoints
from voyager.schema.sample import Region
from voyager.schema.thin_rows import Placed

TURNED: Final = 0.8
"""The part of the changed regions that one turn of the image must map exactly."""

_NOBODY = bytes(16)
_REGION: RowKind[Region] = RowKind(Region, "a region")


class Match(NamedTuple):
    """A region on both sides, or on one, and how its geometries differ."""

    before: Placed | None
    after: Placed | None
    shapes: ShapeChanges = UNCHANGED


@dataclass(slots=True)
class Matches:
    """All regions that may differ; `turn` is what was done to the image as a whole.

    `parts` are old regions and the new ones that they were divided into, `unions` new ones and the
    old ones that were joined.
    """

    matches: list[Match] = field(default_factory=list)
    parts: list[tuple[Placed, list[Placed]]] = field(default_factory=list)
    unions: list[tuple[Placed, list[Placed]]] = field(default_factory=list)
    turn: str | None = None


def match_regions(
    old: Sequence[Placed],
    new: Sequence[Placed],
    terms: Terms,
    *,
    size: tuple[int, int] | None,
    by_place: bool = True,
) -> Matches:
    """Pair regions by id; then, `by_place`, what is left by content, by place and by parts.

    `size` is the width and height of the image before.
    """
    found = Matches()
    by_id: dict[bytes, list[Placed]] = {}
    for placed in reversed(old):
        by_id.setdefault(placed[1].id, []).append(placed)  # one each, but in a broken row
    come: list[Placed] = []
    pairs: list[tuple[Placed, Placed]] = []
    for placed in new:
        was = by_id.get(placed[1].id)
        if was:
            pairs.append((was.pop(), placed))
        else:
            come.append(placed)
    gone = sorted((placed for left in by_id.values() for placed in left), key=_place)
    if by_place and gone and come:
        pairs += _same_content(gone, come)
        pairs += _same_place(gone, come, found, terms, size)
    found.matches = [Match(a, b, _shapes(a[1], b[1], terms)) for a, b in pairs]
    if size is not None:
        _take_turn(found, size, terms)
    found.matches += [Match(placed, None) for placed in gone]
    found.matches += [Match(None, placed) for placed in come]
    return found


def _place(placed: Placed) -> int:
    return placed[0]


def _shapes(old: Region, new: Region, terms: Terms) -> ShapeChanges:
    changes = changed_shapes(old, new)
    if not any(type(pair.after) is Keypoints for pair in changes.pairs):
        return changes
    sigmas = terms.sigmas(new)
    return changes._replace(pairs=tuple(pair._replace(sigmas=sigmas) for pair in changes.pairs))


def _same_content(gone: list[Placed], come: list[Placed]) -> Iterator[tuple[Placed, Placed]]:
    """Take out pairs of which only the id, and where they came from, differ."""
    places: dict[bytes, list[Placed]] = {}
    for placed in reversed(come):
        places.setdefault(_content(placed[1]), []).append(placed)
    for placed in gone[:]:
        same = places.get(_content(placed[1]))
        if same:
            other = same.pop()
            gone.remove(placed)
            come.remove(other)
            yield placed, other


def _content(region: Region) -> bytes:
    return encode_as(structs.replace(region, id=_NOBODY, origin=None), _REGION)


def _same_place(
    gone: list[Placed],
    come: list[Placed],
    found: Matches,
    terms: Terms,
    size: tuple[int, int] | None,
) -> list[tuple[Placed, Placed]]:
    """Take out pairs of one class in one place, and what was divided or joined."""
    if not gone or not come:
        return []
    from voyager.schema.pairing import pair_regions

    old, new = gone[:], come[:]
    try:
        there = pair_regions(
            [region for _, region in old],
            [region for _, region in new],
            class_of=_class_of,
            size=size,
            load=terms.load,
        )
    except VoyagerError:
        return []  # masks whose pixels are not here
    pairs = [(old[pair.old], new[pair.new]) for pair in there.pairs]
    for place, places in there.divided.items():
        found.parts.append((old[place], [new[other] for other in places]))
    _drop(gone, [a for a, _ in pairs] + [a for a, _ in found.parts])
    _drop(come, [b for _, b in pairs] + [b for _, parts in found.parts for b in parts])
    if gone and come:
        old, new = gone[:], come[:]
        back = pair_regions(
            [region for _, region in new],
            [region for _, region in old],
            class_of=_class_of,
            load=terms.load,
        )
        for place, places in back.divided.items():
            found.unions.append((new[place], [old[other] for other in places]))
        _drop(come, [b for b, _ in found.unions])
        _drop(gone, [a for _, parts in found.unions for a in parts])
    return pairs


def _drop(placed: list[Placed], taken: list[Placed]) -> None:
    ids = {region.id for _, region in taken}
    placed[:] = [one for one in placed if one[1].id not in ids]


def _class_of(region: Region) -> Hashable:
    return frozenset((label.task, label.node) for label in region.labels if label.node is not None)


# -- turns of the whole image ---------------------------------------------------------------------


def _take_turn(found: Matches, size: tuple[int, int], terms: Terms) -> None:
    """Where one turn of the image explains most changed geometries, they did not change."""
    changed = [match for match in found.matches if match.shapes.pairs]
    if len(changed) < 2:
        return  # one box that fits a turned one is no evidence
    from voyager.schema.transform import TURNS

    for turn in TURNS:
        if turn == "none":
            continue
        left = _unexplained(changed, turn, size, terms)
        if left is not None:
            found.turn = turn
            found.matches = [left.get(id(match), match) for match in found.matches]
            return


def _unexplained(
    changed: list[Match], turn: str, size: tuple[int, int], terms: Terms
) -> dict[int, Match] | None:
    """The matches with what the turn does not explain, None where that is too much."""
    most = (1 - TURNED) * len(changed)
    missed, left = 0, {}
    for match in changed:
        pairs = []
        for pair in match.shapes.pairs:
            moved = _turned(pair.before, turn, size, terms)
            if moved is None or not _same(moved, pair.after):
                pairs.append(pair if moved is None else pair._replace(turned=moved))
        missed += any(pair.role is None for pair in pairs)
        if missed > most + 1e-9:
            return None
        left[id(match)] = match._replace(shapes=match.shapes._replace(pairs=tuple(pairs)))
    return left


def _turned(shape: Geometry, turn: str, size: tuple[int, int], terms: Terms) -> Geometry | None:
    from voyager.schema.transform import turned

    try:
        return turned(shape, turn, *size, load=terms.load)  # type: ignore[arg-type]
    except VoyagerError:
        return None


def _same(a: Geometry, b: Geometry) -> bool:
    from voyager.schema.similarity import SAME_EDGES, edge_difference

    gap = edge_difference(a, b)
    return a == b or (gap is not None and gap <= SAME_EDGES)


# -- facts ----------------------------------------------------------------------------------------


def region_diffs(
    found: Matches, scores: Iterator[Likeness], terms: Terms, about: Fact
) -> Iterator[RegionDiff]:
    """What differs, region by region in their order; `scores` are those of all shape pairs."""
    diffs = [_diff_of(match, scores, terms, about) for match in found.matches]
    for placed, parts in found.parts:
        diffs.append(_whole_fact("divided", about, placed, parts))
    for placed, parts in found.unions:
        diffs.append(_whole_fact("joined", about, placed, parts))
    yield from sorted((one for one in diffs if one.facts), key=_order)


def _order(one: RegionDiff) -> tuple[int, bool]:
    place = one.place if one.place is not None else one.old_place
    return place or 0, one.place is None


def _whole_fact(kind: str, about: Fact, placed: Placed, parts: list[Placed]) -> RegionDiff:
    """A region that was divided into some, or some that were joined into one."""
    place, region = placed
    regions = tuple(part for _, part in parts)
    fact = about._replace(scope="region", kind=kind, region=region.id, source=region.source)
    if kind == "divided":
        fact = fact._replace(before=region, after=regions)
        return RegionDiff(region, None, place, None, (fact,))
    fact = fact._replace(before=regions, after=region)
    return RegionDiff(None, region, None, place, (fact,))


def _diff_of(match: Match, scores: Iterator[Likeness], terms: Terms, about: Fact) -> RegionDiff:
    old_place, before = match.before or (None, None)
    place, after = match.after or (None, None)
    region = after or before
    assert region is not None
    about = about._replace(scope="region", region=region.id, source=region.source)
    if before is None or after is None:
        kind = "added" if before is None else "removed"
        facts: tuple[Fact, ...] = (about._replace(kind=kind, before=before, after=after),)
    else:
        if before.id != after.id:
            about = about._replace(old_region=before.id)
        facts = tuple(_facts(before, after, match.shapes, scores, terms, about))
    return RegionDiff(before, after, old_place, place, facts)


def _facts(
    old: Region,
    new: Region,
    shapes: ShapeChanges,
    scores: Iterator[Likeness],
    terms: Terms,
    about: Fact,
) -> Iterator[Fact]:
    for pair in shapes.pairs:
        yield _shape_fact(pair, next(scores), terms, about)
    for role in shapes.gained:
        yield about._replace(kind="gained", name=role, after=new.geometries[role])
    for role in shapes.lost:
        yield about._replace(kind="lost", name=role, before=old.geometries[role])
    if old.labels != new.labels:
        yield from label_facts(old.labels, new.labels, terms, about)
    for kind, name in _VOICE_PARTS if terms.voices else ():
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield about._replace(kind=kind or now, before=was, after=now)
    for kind, name in _PLAIN_PARTS:
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield about._replace(kind=kind, before=was, after=now)
    if terms.voices and (old.extra != new.extra or old.unknown != new.unknown):
        yield about._replace(kind="details")  # what only one of two voices knows is no difference


_PLAIN_PARTS = (
    ("flags", "flags"),
    ("attrs", "attrs"),
    ("track", "track"),
    ("frame", "frame_state"),
    ("links", "links"),
)
_VOICE_PARTS = (("", "state"), ("rescored", "score"), ("source", "source"))  # a state is its kind


def _shape_fact(pair: ShapePair, score: Likeness, terms: Terms, about: Fact) -> Fact:
    return about._replace(
        kind=manner(pair, score, terms.load),
        similarity=score.score,
        before=pair.before,
        after=pair.after,
        name=pair.role,
    )
