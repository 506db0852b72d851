"""One geometry as another: boxes, polygons, masks, rotated boxes.

Each returns None where there is nothing to convert: no area, no points, a geometry of a newer
version. What is lost is the caller's to report.
"""

from __future__ import annotations

import math
from itertools import pairwise

from voyager.schema import rle
from voyager.schema.contours import contours
from voyager.schema.geometry import (
    Box,
    Cuboid,
    Ellipse,
    Flat,
    Geometry,
    Mask,
    Polygon,
    RotatedBox,
)
from voyager.schema.measures import bounds, points_of
from voyager.schema.outline import ELLIPSE_TOLERANCE, box_ring, ellipse_ring, hull, rotated_ring
from voyager.schema.rle import Load

RECTANGLE_TOLERANCE = 1e-3
"""How far, in pixels, the corners of a ring may lie from those of a rectangle to be one."""


def as_box(geometry: Geometry, *, load: Load | None = None) -> Box | None:
    """The bounds of any geometry as a box; a box is itself."""
    if isinstance(geometry, Box):
        return geometry
    if isinstance(geometry, Mask):
        rle.counts_of(geometry, load)  # one that cannot be looked at is not one without pixels
    found = bounds(geometry, load=load)
    return Box(*found) if found else None


def as_polygon(
    geometry: Geometry, *, tolerance: float = ELLIPSE_TOLERANCE, load: Load | None = None
) -> Polygon | None:
    """The outline of a shape with an area.

    That of a mask runs along the borders of its pixels, with its holes, so that rasterising it
    gives the mask again. That of an ellipse keeps within `tolerance` pixels of it; that of a cuboid
    is its silhouette.
    """
    match geometry:
        case Polygon():
            return geometry
        case Box():
            return Polygon(((box_ring(geometry),),))
        case RotatedBox():
            return Polygon(((rotated_ring(geometry),),))
        case Ellipse():
            return Polygon(((ellipse_ring(geometry, tolerance),),))
        case Cuboid():
            return Polygon(((hull(geometry.corners),),))
        case Mask():
            return _mask_outline(geometry, load)
    return None


def _mask_outline(mask: Mask, load: Load | None) -> Polygon | None:
    around = rle.bounds(rle.runs_of(mask, load), mask.height)
    if around is None:
        return None
    left, top, right, foot = map(int, around)
    array = rle.array_of(rle.window(mask, left, top, right - left, foot - top, load=load), load)
    parts = contours(array)
    return Polygon(tuple(tuple(_moved(ring, left, top) for ring in part) for part in parts))


def _moved(ring: Flat, dx: float, dy: float) -> Flat:
    return tuple([number + (dy if at % 2 else dx) for at, number in enumerate(ring)])


def as_rotated_box(geometry: Geometry, *, load: Load | None = None) -> RotatedBox | None:
    """The rotated box of least area around a geometry.

    A ring of four corners that are a rectangle's within RECTANGLE_TOLERANCE is that rectangle, its
    width along its first side.
    """
    match geometry:
        case RotatedBox():
            return geometry
        case Box(x0, y0, x1, y1):
            return RotatedBox((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0.0)
        case Ellipse(cx, cy, rx, ry, angle):
            return RotatedBox(cx, cy, 2 * rx, 2 * ry, angle)
        case Polygon(parts) if len(parts) == 1 and parts[0]:
            found = rectangle_of(parts[0][0])
            if found is not None:
                return found
        case Mask():
            outline = _mask_outline(geometry, load)
            return least_rectangle(points_of(outline)) if outline else None
    return least_rectangle(points_of(geometry))


def rectangle_of(ring: Flat, tolerance: float = RECTANGLE_TOLERANCE) -> RotatedBox | None:
    """The rotated box whose corners are this ring, None if it is no rectangle."""
    if len(ring) == 10 and ring[:2] == ring[8:]:
        ring = ring[:8]
    if len(ring) != 8:
        return None
    ax, ay, bx, by, cx, cy, dx, dy = ring
    # Each side is the mean of the two across from each other, so that corners may be off a little.
    ux, uy = (bx - ax + cx - dx) / 2, (by - ay + cy - dy) / 2
    vx, vy = (dx - ax + cx - bx) / 2, (dy - ay + cy - by) / 2
    width, height = math.hypot(ux, uy), math.hypot(vx, vy)
    if not width or not height:
        return None
    centre = sum(ring[0::2]) / 4, sum(ring[1::2]) / 4
    box = RotatedBox(centre[0], centre[1], width, height, math.atan2(uy, ux))
    corners = rotated_ring(box)
    if ux * vy - uy * vx < 0:  # it runs the other way: its height is behind its first side
        corners = corners[6:] + corners[4:6] + corners[2:4] + corners[:2]
    apart = max(abs(p - q) for p, q in zip(ring, corners, strict=True))
    return box if apart <= tolerance else None


def least_rectangle(points: Flat) -> RotatedBox | None:
    """The rectangle of least area around points: one of its sides lies along their hull."""
    ring = hull(points)
    if len(ring) < 6:
        return _thin_rectangle(ring)
    corners = list(zip(ring[0::2], ring[1::2], strict=True))
    best: tuple[float, RotatedBox] | None = None
    for (ax, ay), (bx, by) in pairwise([*corners, corners[0]]):
        length = math.hypot(bx - ax, by - ay)
        cos, sin = (bx - ax) / length, (by - ay) / length
        along = [x * cos + y * sin for x, y in corners]
        across = [y * cos - x * sin for x, y in corners]
        low, high, near, far = min(along), max(along), min(across), max(across)
        size = (high - low) * (far - near)
        if best is None or size < best[0] * (1 - 1e-12):  # the first of equals
            middle, depth = (low + high) / 2, (near + far) / 2
            cx, cy = middle * cos - depth * sin, middle * sin + depth * cos
            box = RotatedBox(cx, cy, high - low, far - near, math.atan2(sin, cos))
            best = size, box
    return best[1] if best else None


def _thin_rectangle(ring: Flat) -> RotatedBox | None:
    if not ring:
        return None
    ax, ay, bx, by = ring if len(ring) == 4 else ring + ring
    angle = math.atan2(by - ay, bx - ax)
    return RotatedBox((ax + bx) / 2, (ay + by) / 2, math.hypot(bx - ax, by - ay), 0.0, angle)
