"""Bounds, area, centroid and vertices of every geometry of the table.

A shape turned inside out (a box with x1 < x0, a negative width) measures as the same shape the
right way round. A mask with its counts in a blob measures as None unless `load` fetches them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

from voyager.schema import rle
from voyager.schema.geometry import (
    Box,
    Cuboid,
    Ellipse,
    Flat,
    Geometry,
    Keypoints,
    Mask,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
    UnknownGeometry,
)
from voyager.schema.outline import box_ring, ellipse_axes, hull, rotated_ring, signed_area
from voyager.schema.rle import Bounds, Load

Point: TypeAlias = tuple[float, float]

AREA_SHAPES = (Box, RotatedBox, Polygon, Mask, Ellipse, Cuboid)
"""What covers pixels; the rest of the table are points and lines."""


def bounds(geometry: Geometry, *, load: Load | None = None) -> Bounds | None:
    """(x0, y0, x1, y1) of the upright box around a geometry.

    Keypoints count where they are labeled. None where there is nothing to bound: no points, an
    empty mask, a geometry of a newer version.
    """
    if type(geometry) is Box:
        x0, y0, x1, y1 = geometry.x0, geometry.y0, geometry.x1, geometry.y1
        if x0 <= x1 and y0 <= y1:
            return x0, y0, x1, y1
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
    if type(geometry) is Mask:
        return None if _is_away(geometry, load) else _mask_bounds(geometry, load)
    if type(geometry) is Ellipse:
        return _ellipse_bounds(geometry)
    points = points_of(geometry)
    if not points:
        return None
    xs, ys = points[0::2], points[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def area(geometry: Geometry, *, load: Load | None = None) -> float | None:
    """Square pixels within a geometry; 0.0 for points and lines, None where it cannot be known.

    A polygon is its outer rings less its holes (parts that overlap count twice), a cuboid its
    silhouette.
    """
    found = _AREAS[type(geometry)](geometry, load)
    return found if found is None or found < math.inf else None


def centroid(geometry: Geometry, *, load: Load | None = None) -> Point | None:
    """The centre of mass: of the area, of a line's length, or of points; None if there is none."""
    match geometry:
        case Box(x0, y0, x1, y1):
            return (x0 + x1) / 2, (y0 + y1) / 2
        case RotatedBox(cx, cy) | Ellipse(cx, cy):
            return cx, cy
        case Polygon(parts):
            return _rings_centroid(parts) or _mean(points_of(geometry))
        case Cuboid(corners):
            return _rings_centroid(((hull(corners),),)) or _mean(corners)
        case Polyline(points):
            return _line_centroid(points) or _mean(points)
        case Mask():
            return None if _is_away(geometry, load) else _mask_centroid(geometry, load)
        case _:
            return _mean(points_of(geometry))


def points_of(geometry: Geometry) -> Flat:
    """The vertices, flat: corners, ends of axes, the points that are labeled; none of a mask."""
    return _POINTS[type(geometry)](geometry)


def labeled_points(keypoints: Keypoints) -> Flat:
    """The points of visibility 1 and 2."""
    points, seen = keypoints.points, keypoints.visibility
    if 0 not in seen:
        return points
    return tuple(number for at, number in enumerate(points) if seen[at >> 1])


def _polygon_points(polygon: Polygon) -> Flat:
    parts = polygon.parts
    if len(parts) == 1 and len(parts[0]) == 1:
        return parts[0][0]
    return tuple(number for part in parts for ring in part for number in ring)


_POINTS: dict[type, Callable[[Any], Flat]] = {
    Box: box_ring,
    RotatedBox: rotated_ring,
    Polygon: _polygon_points,
    Polyline: lambda line: line.points,
    Points: lambda points: points.points,
    Keypoints: labeled_points,
    Mask: lambda _: (),
    Ellipse: ellipse_axes,
    Cuboid: lambda cuboid: cuboid.corners,
    UnknownGeometry: lambda _: (),
}


def _box_area(box: Box, _: Load | None) -> float:
    return abs((box.x1 - box.x0) * (box.y1 - box.y0))


def _polygon_area(polygon: Polygon, _: Load | None) -> float:
    total = 0.0
    for part in polygon.parts:
        sizes = [abs(signed_area(ring)) for ring in part]
        total += max(sizes[0] - sum(sizes[1:]), 0.0) if sizes else 0.0
    return total


def _mask_area(mask: Mask, load: Load | None) -> float | None:
    return None if _is_away(mask, load) else float(rle.area(rle.runs_of(mask, load)))


def _no_area(*_: object) -> float:
    return 0.0


_AREAS: dict[type, Callable[[Any, Load | None], float | None]] = {
    Box: _box_area,
    RotatedBox: lambda box, _: abs(box.width * box.height),
    Polygon: _polygon_area,
    Polyline: _no_area,
    Points: _no_area,
    Keypoints: _no_area,
    Mask: _mask_area,
    Ellipse: lambda ellipse, _: math.pi * abs(ellipse.rx * ellipse.ry),
    Cuboid: lambda cuboid, _: signed_area(hull(cuboid.corners)),
    UnknownGeometry: lambda _geometry, _load: None,
}


def _is_away(mask: Mask, load: Load | None) -> bool:
    return load is None and not isinstance(mask.counts, bytes)


def _mask_bounds(mask: Mask, load: Load | None) -> Bounds | None:
    return rle.bounds(rle.runs_of(mask, load), mask.height)


def _ellipse_bounds(ellipse: Ellipse) -> Bounds:
    ax, ay, bx, by = ellipse_axes(ellipse)[:4]
    cx, cy = ellipse.cx, ellipse.cy
    across, down = math.hypot(ax - cx, bx - cx), math.hypot(ay - cy, by - cy)
    return cx - across, cy - down, cx + across, cy + down


def _mean(points: Flat) -> Point | None:
    count = len(points) // 2
    return (sum(points[0::2]) / count, sum(points[1::2]) / count) if count else None


def _rings_centroid(parts: tuple[tuple[Flat, ...], ...]) -> Point | None:
    total = sum_x = sum_y = 0.0
    for part in parts:
        for place, ring in enumerate(part):
            size, x, y = _ring_moments(ring)
            sign = -1.0 if (size < 0) != (place > 0) else 1.0  # holes count against
            total, sum_x, sum_y = total + sign * size, sum_x + sign * x, sum_y + sign * y
    return (sum_x / total, sum_y / total) if total else None


def _ring_moments(ring: Flat) -> tuple[float, float, float]:
    if not ring:
        return 0.0, 0.0, 0.0
    ox, oy = ring[0], ring[1]  # about a vertex, or far-off rings lose their digits
    points = [(x - ox, y - oy) for x, y in zip(ring[0::2], ring[1::2], strict=True)]
    size = sum_x = sum_y = 0.0
    for (ax, ay), (bx, by) in pairwise([*points, points[0]]):
        cross = ax * by - bx * ay
        size += cross / 2
        sum_x += (ax + bx) * cross / 6
        sum_y += (ay + by) * cross / 6
    return size, sum_x + ox * size, sum_y + oy * size


def _line_centroid(points: Flat) -> Point | None:
    total = sum_x = sum_y = 0.0
    for (ax, ay), (bx, by) in pairwise(zip(points[0::2], points[1::2], strict=True)):
        length = math.hypot(bx - ax, by - ay)
        total += length
        sum_x += length * (ax + bx) / 2
        sum_y += length * (ay + by) / 2
    return (sum_x / total, sum_y / total) if total else None


def _mask_centroid(mask: Mask, load: Load | None) -> Point | None:
    import numpy as np

    edges = rle.edges_of(mask, load)
    if not len(edges):
        return None
    cells = rle.column_spans(edges, mask.height)
    sizes = cells.end - cells.start
    x = float((sizes * (cells.column + 0.5)).sum() / sizes.sum())
    y = float((sizes * (cells.start + cells.end) / 2).sum() / np.sum(sizes))
    return x, y
