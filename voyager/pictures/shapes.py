"""What there is to draw of a geometry: areas, lines, dots or a bitmap, in stored pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.decode import MOST_PIXELS
from voyager.pictures.view import Array, Bounds, View, near
from voyager.schema import (
    Box,
    Cuboid,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from voyager.schema.outline import box_ring, ellipse_ring, rotated_ring
from voyager.schema.rle import array_of
from voyager.schema.values import BadValueError

Rings: TypeAlias = tuple[Array, ...]
Edges: TypeAlias = tuple[tuple[int, int], ...]
Bits: TypeAlias = NDArray[np.bool_]

_SMOOTH: Final = 0.02
"""How far, in stored pixels, an ellipse may be from round."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The parts of a geometry; every point array is of (x, y).

    `areas` have an outer ring and holes each, `faint` lines are drawn dashed, `hollow` dots as
    rings. The top-left pixel of `bits` is that at `corner`.
    """

    areas: tuple[Rings, ...] = ()
    lines: Rings = ()
    faint: Rings = ()
    dots: Array = field(default_factory=lambda: np.zeros((0, 2)))
    hollow: Array = field(default_factory=lambda: np.zeros((0, 2)))
    bits: Bits | None = None
    corner: tuple[int, int] = (0, 0)

    def points(self) -> Array:
        """All points, the corners of the bitmap among them."""
        rings = [ring for area in self.areas for ring in area]
        return np.concatenate(
            [*rings, *self.lines, *self.faint, self.dots, self.hollow, self._bit_corners()]
        )

    @property
    def has_dots(self) -> bool:
        """Whether any points stand alone."""
        return len(self.dots) + len(self.hollow) > 0

    def seen(self, view: View) -> Shape:
        """The same in a picture; the bitmap stays as it is."""
        return replace(
            self,
            areas=tuple(tuple(view.of(ring) for ring in area) for area in self.areas),
            lines=tuple(view.of(line) for line in self.lines),
            faint=tuple(view.of(line) for line in self.faint),
            dots=view.of(self.dots),
            hollow=view.of(self.hollow),
        )

    def bounds(self, view: View) -> Bounds | None:
        """Where it lies in a picture; None where there is nothing to draw."""
        points = view.of(self.points())
        if not len(points):
            return None
        left, top = points.min(axis=0)
        right, bottom = points.max(axis=0)
        return Bounds(float(left), float(top), float(right), float(bottom))

    def _bit_corners(self) -> Array:
        if self.bits is None or not self.bits.size:
            return np.zeros((0, 2))
        x, y = self.corner
        height, width = self.bits.shape
        return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], float)


def shape_of(geometry: Geometry, *, skeleton: Edges = ()) -> Shape:
    """What to draw of a geometry; empty for one that a newer spec has, or of no points.

    So is that of a mask whose counts are in a blob: they are put in its place before.
    """
    match geometry:
        case Box():
            return Shape(areas=((_xy(box_ring(geometry)),),))
        case RotatedBox():
            return Shape(areas=((_xy(rotated_ring(geometry)),),))
        case Polygon(parts):
            return Shape(areas=tuple(tuple(_xy(ring) for ring in part) for part in parts))
        case Polyline(points):
            return Shape(lines=(_xy(points),))
        case Points(points):
            return Shape(dots=_xy(points))
        case Keypoints():
            return _keypoints(geometry, skeleton)
        case Mask():
            return _mask(geometry)
        case Ellipse():
            return Shape(areas=((_rim(geometry),),))
        case Cuboid(corners):
            return _cuboid(_xy(corners))
    return Shape()


def _xy(flat: tuple[float, ...]) -> Array:
    return np.array(flat, float).reshape(-1, 2)


def _rim(ellipse: Ellipse) -> Array:
    numbers = (ellipse.cx, ellipse.cy, ellipse.rx, ellipse.ry)
    cx, cy, rx, ry = near(numbers).tolist()
    return _xy(ellipse_ring(Ellipse(cx, cy, rx, ry, ellipse.angle), _SMOOTH))


def _keypoints(geometry: Keypoints, skeleton: Edges) -> Shape:
    points = _xy(geometry.points)
    seen = np.array(geometry.visibility, int)
    lines: list[Array] = []
    faint: list[Array] = []
    for start, end in skeleton:
        if max(start, end) < len(seen) and seen[start] and seen[end]:
            hidden = 1 in (seen[start], seen[end])
            (faint if hidden else lines).append(points[[start, end]])
    return Shape(
        lines=tuple(lines), faint=tuple(faint), dots=points[seen == 2], hollow=points[seen == 1]
    )


def _cuboid(corners: Array) -> Shape:
    front, back = corners[:4], corners[4:]
    joins = tuple(np.stack((front[n], back[n])) for n in range(4))
    return Shape(areas=((front,),), lines=joins, faint=(back[[0, 1, 2, 3, 0]],))


def _mask(geometry: Mask) -> Shape:
    if not isinstance(geometry.counts, bytes) or geometry.height * geometry.width > MOST_PIXELS:
        return Shape()
    try:
        bits = array_of(geometry)
    except BadValueError:  # damaged counts are kept in rows, and reported elsewhere
        return Shape()
    columns, rows = np.flatnonzero(bits.any(axis=0)), np.flatnonzero(bits.any(axis=1))
    if not len(columns):
        return Shape()
    left, top = int(columns[0]), int(rows[0])
    return Shape(bits=bits[top : rows[-1] + 1, left : columns[-1] + 1], corner=(left, top))
