"""Pairing the regions of one image in two descriptions of it (an old import and a newer file).

In turn: exact geometry and class, exact geometry, ids of the source where they can be trusted, one
turn of the whole image, then the best assignment by similarity within a class. A region that two
others cover by half each was divided, and is paired with neither.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from voyager.schema.codec import encode_geometry
from voyager.schema.geometry import Geometry, Mask, UnknownGeometry
from voyager.schema.sample import Region

if TYPE_CHECKING:
    from voyager.schema.rle import Load

SIMILAR: Final = 0.7
"""Least similarity of two regions that are one."""

COVERED: Final = 0.5
"""The part of a region that each of its halves covers."""

TURNED: Final = 0.8
"""The part of the regions left that one turn of the image must map exactly."""

How = Literal["exact", "geometry", "id", "turned", "similar"]
ClassOf = Callable[[Region], Hashable]


@dataclass(frozen=True, slots=True)
class Pair:
    """Places in the two lists, by what rule they were paired, and how similar they are."""

    old: int
    new: int
    how: How
    similarity: float = 1.0


@dataclass(slots=True)
class Pairing:
    """The pairs; what is left of each side; `divided` maps an old place to the new places."""

    pairs: list[Pair] = field(default_factory=list)
    old_left: list[int] = field(default_factory=list)
    new_left: list[int] = field(default_factory=list)
    divided: dict[int, list[int]] = field(default_factory=dict)
    turn: str | None = None


def pair_regions(
    old: Sequence[Region],
    new: Sequence[Region],
    *,
    class_of: ClassOf,
    trust_ids: bool = False,
    same_ids: bool = False,
    size: tuple[int, int] | None = None,
    load: Load | None = None,
) -> Pairing:
    """Pair two lists of regions; `class_of` gives what must agree, `size` is width and height.

    `trust_ids` says that ids of the source mean the same on both sides,
    `same_ids` that the regions' own ids do: these then go before all else.
    """
    found = Pairing(old_left=list(range(len(old))), new_left=list(range(len(new))))
    if not old or not new:
        return found
    if same_ids:
        _pair_equal(found, [region.id for region in old], [region.id for region in new], "id")
    classes = [class_of(region) for region in old], [class_of(region) for region in new]
    _pair_exact(found, old, new, classes)
    if trust_ids and found.old_left and found.new_left:
        _pair_equal(found, [_id(region) for region in old], [_id(region) for region in new], "id")
    _pair_shapeless(found, old, new)
    if size is not None and found.old_left and found.new_left:
        _pair_turned(found, old, new, size, load)
    if found.old_left and found.new_left:
        _pair_similar(found, old, new, classes, load)
    return found


def pair_exact(old: Sequence[Region], new: Sequence[Region], *, class_of: ClassOf) -> Pairing:
    """As `pair_regions`, but only regions of exactly equal geometry."""
    found = Pairing(old_left=list(range(len(old))), new_left=list(range(len(new))))
    if old and new:
        _pair_exact(found, old, new, (list(map(class_of, old)), list(map(class_of, new))))
    return found


def _pair_exact(
    found: Pairing,
    old: Sequence[Region],
    new: Sequence[Region],
    classes: tuple[list[Hashable], list[Hashable]],
) -> None:
    """Pair regions of equal geometry, those of one class first."""
    if not found.old_left or not found.new_left:
        return
    shapes = list(map(_shape, old)), list(map(_shape, new))
    both = [
        [None if shape is None else (shape, name) for shape, name in zip(*side, strict=True)]
        for side in zip(shapes, classes, strict=True)
    ]
    _pair_equal(found, both[0], both[1], "exact")
    if found.old_left and found.new_left:
        _pair_equal(found, *shapes, "geometry")


def _pair_shapeless(found: Pairing, old: Sequence[Region], new: Sequence[Region]) -> None:
    """Pair regions without a geometry that say the same."""
    if any(old[place].geometry is None for place in found.old_left):
        _pair_equal(found, list(map(_said, old)), list(map(_said, new)), "exact")


def _said(region: Region) -> str | None:
    """All that a region without a geometry says; None for others."""
    if region.geometry is not None:
        return None
    return repr(region.replace(id=bytes(len(region.id)), origin=None))


def _shape(region: Region) -> bytes | None:
    return None if region.geometry is None else encode_geometry(region.geometry)


def _id(region: Region) -> int | str | None:
    return None if region.origin is None else region.origin.id


def _pair_equal(found: Pairing, old: Sequence[Hashable], new: Sequence[Hashable], how: How) -> None:
    """Pair places whose values are equal (and not None), the first with the first."""
    places: dict[Hashable, list[int]] = {}
    for place in reversed(found.new_left):
        if new[place] is not None:
            places.setdefault(new[place], []).append(place)
    matched = []
    for place in found.old_left:
        candidates = places.get(old[place]) if old[place] is not None else None
        if candidates:
            matched.append(Pair(place, candidates.pop(), how))
    _take(found, matched)


def _take(found: Pairing, pairs: list[Pair]) -> None:
    if not pairs:
        return
    found.pairs += pairs
    gone_old, gone_new = {pair.old for pair in pairs}, {pair.new for pair in pairs}
    found.old_left = [place for place in found.old_left if place not in gone_old]
    found.new_left = [place for place in found.new_left if place not in gone_new]


def _pair_turned(
    found: Pairing,
    old: Sequence[Region],
    new: Sequence[Region],
    size: tuple[int, int],
    load: Load | None,
) -> None:
    """Pair by the one turn of the image that maps most of what is left exactly."""
    from voyager.schema.transform import TURNS, turned

    left = [(place, old[place].geometry) for place in found.old_left]
    if len(left) < 2:
        return  # one box that fits a turned one is no evidence
    targets = [new[place].geometry for place in found.new_left]
    best: tuple[int, str, list[Pair]] = (0, "", [])
    for turn in list(TURNS)[1:]:  # the first leaves all as it is
        pairs: list[Pair] = []
        free = set(range(len(targets)))
        for place, shape in left:
            if shape is None or not _can_turn(shape, load):
                continue
            moved = turned(shape, turn, *size, load=load)
            hit = next((n for n in sorted(free) if _same(moved, targets[n])), None)
            if hit is not None:
                free.discard(hit)
                pairs.append(Pair(place, found.new_left[hit], "turned"))
        if len(pairs) > best[0]:
            best = (len(pairs), turn, pairs)
    if best[0] >= TURNED * len(left):
        found.turn = best[1]
        _take(found, best[2])


def _can_turn(shape: Geometry, load: Load | None) -> bool:
    """Whether it is of a known tag, and a mask's counts at hand."""
    if isinstance(shape, Mask):
        return load is not None or shape.blob_id is None
    return not isinstance(shape, UnknownGeometry)


def _same(a: Geometry, b: Geometry | None) -> bool:
    from voyager.schema.similarity import SAME_EDGES, edge_difference

    if b is None or a == b:
        return b is not None
    gap = edge_difference(a, b)
    return gap is not None and gap <= SAME_EDGES


def _pair_similar(
    found: Pairing,
    old: Sequence[Region],
    new: Sequence[Region],
    classes: tuple[list[Hashable], list[Hashable]],
    load: Load | None,
) -> None:
    """Take out divided regions, then assign the rest by similarity, class by class."""
    from voyager.schema.assignment import assign
    from voyager.schema.similarity import similarity_matrix

    matched: list[Pair] = []
    for name in dict.fromkeys(classes[0][place] for place in found.old_left):
        mine = [p for p in found.old_left if classes[0][p] == name and old[p].geometry is not None]
        theirs = [
            p for p in found.new_left if classes[1][p] == name and new[p].geometry is not None
        ]
        if not mine or not theirs:
            continue
        shapes = [old[place].geometry for place in mine], [new[place].geometry for place in theirs]
        scores = similarity_matrix(
            [shape for shape in shapes[0] if shape is not None],
            [shape for shape in shapes[1] if shape is not None],
            load=load,
        )
        parts = _divided(scores, shapes, load)
        for row, columns in parts.items():
            found.divided[mine[row]] = [theirs[column] for column in columns]
            scores[row, :] = 0.0
            scores[:, columns] = 0.0
        matched += [
            Pair(mine[row], theirs[column], "similar", float(scores[row, column]))
            for row, column in assign(scores, SIMILAR)
        ]
    _take(found, matched)


def _divided(
    scores: Any, shapes: tuple[list[Geometry | None], list[Geometry | None]], load: Load | None
) -> dict[int, list[int]]:
    """Row → the columns that cover it together: each mostly inside it, and beside the others.

    A row that is as good as one of them was not divided.
    """
    from voyager.schema.overlap import areas

    parts: dict[int, list[int]] = {}
    for row in range(len(scores)):
        touching = [int(column) for column in scores[row].nonzero()[0]]
        if len(touching) < 2 or scores[row].max() >= 0.9:
            continue
        covered = 0.0
        columns: list[int] = []
        for column in touching:
            shape = shapes[1][column]
            own, other, common = areas(shapes[0][row], shape, load)
            inside = other > 0 and common >= COVERED * other
            if inside and not any(_overlap(shapes[1][c], shape, load) for c in columns):
                covered += common / own if own else 0.0
                columns.append(column)
        if len(columns) > 1 and covered >= COVERED:
            parts[row] = columns
    return parts


def _overlap(a: Geometry | None, b: Geometry | None, load: Load | None) -> bool:
    """Whether half of the smaller one lies in the other."""
    from voyager.schema.overlap import areas

    own, other, common = areas(a, b, load)
    return common >= COVERED * min(own, other)
