"""How the geometries of a region changed, and how alike they are: many pairs at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from voyager.errors import VoyagerError
from voyager.schema.geometry import Flat, Geometry, Mask, Polygon
from voyager.schema.measures import points_of
from voyager.schema.rle import Load, edges_of
from voyager.schema.sample import Region
from voyager.schema.similarity import SAME_EDGES, edge_difference, similarity

LIKE: Final = 0.5
"""Less alike than this, a thing was drawn anew, unless it kept its size."""

Manner = Literal["moved", "redrawn", "retyped"]


class ShapePair(NamedTuple):
    """A geometry before and after, in a role (None for the primary one).

    `turned` is the one before as it lies in the image when that was turned as a whole.
    """

    role: str | None
    before: Geometry
    after: Geometry
    sigmas: tuple[float, ...] | None = None
    turned: Geometry | None = None

    @property
    def base(self) -> Geometry:
        """What the geometry after is compared with."""
        return self.turned or self.before


class Likeness(NamedTuple):
    """How alike two geometries are, and whether their vertices go by pairs.

    The score is None where a mask's pixels are not here.
    """

    score: float | None
    aligned: bool


class ShapeChanges(NamedTuple):
    """Pairs that differ, and roles that came and went."""

    pairs: tuple[ShapePair, ...] = ()
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


UNCHANGED = ShapeChanges()


def changed_shapes(old: Region, new: Region) -> ShapeChanges:
    """What is different between the geometries of a region."""
    if len(old.geometries) == len(new.geometries) == 1:  # nearly always
        ((role, a),), ((other, b),) = old.geometries.items(), new.geometries.items()
        if a != b:
            return ShapeChanges((ShapePair(None, a, b),))
        if role == other:
            return UNCHANGED
    was, now = old.primary_role, new.primary_role
    done: set[str] = set()
    pairs: list[ShapePair] = []
    if was is not None and now is not None:
        a, b = old.geometries[was], new.geometries[now]
        if a != b:
            pairs.append(ShapePair(None, a, b))
            done |= {was, now}
    pairs += [
        ShapePair(role, old.geometries[role], new.geometries[role])
        for role in sorted((old.geometries.keys() & new.geometries.keys()) - done)
        if old.geometries[role] != new.geometries[role]
    ]
    gained = sorted(new.geometries.keys() - old.geometries.keys() - done)
    lost = sorted(old.geometries.keys() - new.geometries.keys() - done)
    return ShapeChanges(tuple(pairs), tuple(gained), tuple(lost))


def likenesses(pairs: Sequence[ShapePair], load: Load | None) -> list[Likeness]:
    """How alike the two of each pair are."""
    found: list[Likeness] = []
    rings: list[int] = []
    for place, pair in enumerate(pairs):
        if _one_ring(pair.base) and _one_ring(pair.after):
            one, other = _rings(pair)
            aligned = len(one) == len(other)
            if aligned and _near(one[:2], other[:2]) and _near(one, other):
                found.append(Likeness(1.0, True))
            else:
                rings.append(place)
                found.append(Likeness(None, aligned))
        else:
            gap = edge_difference(pair.base, pair.after)
            found.append(Likeness(_similarity(pair, load), gap is not None))
    if rings:
        from voyager.schema.polygon_overlap import ring_ious

        scores = ring_ious([_rings(pairs[place]) for place in rings])
        for place, score in zip(rings, scores.tolist(), strict=True):
            known = _similarity(pairs[place], load) if math.isnan(score) else score
            found[place] = found[place]._replace(score=known)
    return found


def _near(one: Flat, other: Flat) -> bool:
    """Whether no vertex is farther from its partner than what counts as the same."""
    return max([abs(p - q) for p, q in zip(one, other, strict=True)], default=0.0) <= SAME_EDGES


def _rings(pair: ShapePair) -> tuple[Flat, Flat]:
    before, after = pair.base, pair.after
    assert isinstance(before, Polygon)
    assert isinstance(after, Polygon)
    return before.parts[0][0], after.parts[0][0]


def _one_ring(shape: Geometry) -> bool:
    return type(shape) is Polygon and len(shape.parts) == 1 and len(shape.parts[0]) == 1


def _similarity(pair: ShapePair, load: Load | None) -> float | None:
    try:
        return similarity(pair.base, pair.after, sigmas=_sigmas(pair), load=load)
    except VoyagerError:
        return None  # a mask whose counts were purged, or are not here


def _sigmas(pair: ShapePair) -> tuple[float, ...] | None:
    size = len(getattr(pair.base, "visibility", ()))
    return pair.sigmas if pair.sigmas is not None and len(pair.sigmas) == size else None


def manner(pair: ShapePair, likeness: Likeness, load: Load | None) -> Manner:
    """In which way a geometry changed.

    Moved is what kept its structure and is like itself, or was carried elsewhere as it is; a mask
    only the latter, since its pixels have no other structure.
    """
    a, b = pair.base, pair.after
    if type(a) is not type(b):
        return "retyped"
    if type(a) is Mask:
        return "moved" if _carried_mask(a, b, load) else "redrawn"
    if not likeness.aligned:
        return "redrawn"
    if likeness.score is not None and likeness.score >= LIKE:
        return "moved"
    return "moved" if _carried(a, b) else "redrawn"


def _carried(a: Geometry, b: Geometry) -> bool:
    """Whether every vertex went the same way, to what counts as the same."""
    one, other = points_of(a), points_of(b)
    if len(one) != len(other) or not one:
        return False
    for axis in (0, 1):
        steps = [q - p for p, q in zip(one[axis::2], other[axis::2], strict=True)]
        if max(steps) - min(steps) > SAME_EDGES:
            return False
    return True


def _carried_mask(a: Geometry, b: Geometry, load: Load | None) -> bool:
    assert isinstance(a, Mask)
    assert isinstance(b, Mask)
    if (a.height, a.width) != (b.height, b.width):
        return False
    try:
        one, other = edges_of(a, load), edges_of(b, load)
    except VoyagerError:
        return False
    return len(one) == len(other) > 0 and bool((other - one == other[0] - one[0]).all())
