"""Geometries cut to an image or to a window of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Literal

from voyager.schema import rle
from voyager.schema.geometry import (
    Box,
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
from voyager.schema.measures import bounds
from voyager.schema.outline import clip_convex, ellipse_ring, hull, rotated_ring, signed_area
from voyager.schema.rle import Bounds, Load
from voyager.schema.transform import transformed
from voyager.schema.values import BadValueError


def cropped(
    geometry: Geometry, left: int, top: int, width: int, height: int, *, load: Load | None = None
) -> Geometry | None:
    """What of a geometry is in a window of the image, in the frame of the window."""
    if isinstance(geometry, Mask):
        found = rle.window(geometry, left, top, width, height, load=load)
        return found if len(rle.runs_of(found, load)) > 1 else None
    moved = transformed(geometry, ((1.0, 0.0, -float(left)), (0.0, 1.0, -float(top))))
    return clipped(moved, width, height)


def clipped(
    geometry: Geometry, width: int, height: int, *, load: Load | None = None
) -> Geometry | None:
    """What of a geometry lies in a width × height image, None when nothing does.

    Rotated boxes and ellipses that are cut become polygons; of a line that leaves and comes back
    the longest piece stays; keypoints outside are no longer labeled; a cuboid is kept whole, for
    its corners are often outside.
    """
    if isinstance(geometry, UnknownGeometry):
        raise BadValueError(f"a geometry of tag {geometry.tag}, of a newer version, cannot be cut")
    if isinstance(geometry, Mask):
        return cropped(geometry, 0, 0, width, height, load=load)
    around = bounds(geometry)
    if around is None or not _meets(around, width, height):
        return None
    x0, y0, x1, y1 = around
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return geometry
    return _cut(geometry, around, width, height)


def _meets(around: Bounds, width: int, height: int) -> bool:
    x0, y0, x1, y1 = around
    wide, high = min(x1, width) - max(x0, 0), min(y1, height) - max(y0, 0)
    # What has no width of its own may lie on the edge; what has some has to have some inside.
    return (wide > 0 or wide == x1 - x0) and (high > 0 or high == y1 - y0)


def _cut(geometry: Geometry, around: Bounds, width: int, height: int) -> Geometry | None:
    window = 0.0, 0.0, float(width), 0.0, float(width), float(height), 0.0, float(height)
    match geometry:
        case Box():
            x0, y0, x1, y1 = around
            return Box(max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height))
        case RotatedBox():
            return _cut_rings(((rotated_ring(geometry),),), window)
        case Ellipse():
            return _cut_rings(((ellipse_ring(geometry),),), window)
        case Polygon(parts):
            return _cut_rings(parts, window)
        case Polyline(points):
            return _longest_piece(points, width, height)
        case Points(points):
            kept = [
                p for p in zip(points[0::2], points[1::2], strict=True) if _in(p, width, height)
            ]
            return Points(tuple(chain.from_iterable(kept))) if kept else None
        case Keypoints():
            return _cut_keypoints(geometry, width, height)
        case _:
            return geometry


def _in(point: tuple[float, float], width: int, height: int) -> bool:
    return 0 <= point[0] <= width and 0 <= point[1] <= height


def _cut_rings(parts: Sequence[Sequence[Flat]], window: Flat) -> Polygon | None:
    kept = []
    for part in parts:
        rings = [clip_convex(ring, window) for ring in part]
        wide = tuple(ring for ring in rings if signed_area(hull(ring)))
        if wide:
            kept.append(wide)
    return Polygon(tuple(kept)) if kept else None


def _cut_keypoints(keypoints: Keypoints, width: int, height: int) -> Keypoints | None:
    points: list[float] = []
    seen: list[Literal[0, 1, 2]] = []
    flat = keypoints.points
    for x, y, mark in zip(flat[0::2], flat[1::2], keypoints.visibility, strict=True):
        stays = mark and _in((x, y), width, height)
        points += (x, y) if stays else (0.0, 0.0)
        seen.append(mark if stays else 0)
    return Keypoints(tuple(points), tuple(seen)) if any(seen) else None


def _longest_piece(points: Flat, width: int, height: int) -> Polyline | None:
    pieces: list[list[tuple[float, float]]] = [[]]
    for start, end in pairwise(zip(points[0::2], points[1::2], strict=True)):
        inside = _segment_inside(start, end, width, height)
        if inside is None:
            pieces.append([])
            continue
        if not pieces[-1] or pieces[-1][-1] != inside[0]:
            pieces.append([inside[0]])
        pieces[-1].append(inside[1])
    best = max(pieces, key=lambda piece: sum(math.dist(p, q) for p, q in pairwise(piece)))
    return Polyline(tuple(chain.from_iterable(best))) if len(best) > 1 else None


def _segment_inside(
    start: tuple[float, float], end: tuple[float, float], width: int, height: int
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The part of a segment within the image (Liang–Barsky)."""
    first, last = 0.0, 1.0
    for at, limit in ((0, width), (1, height)):
        step = end[at] - start[at]
        if not step:
            if not 0 <= start[at] <= limit:
                return None
            continue
        enter, leave = sorted(((0 - start[at]) / step, (limit - start[at]) / step))
        first, last = max(first, enter), min(last, leave)
    if first > last:
        return None
    return _along(start, end, first), _along(start, end, last)


def _along(
    start: tuple[float, float], end: tuple[float, float], share: float
) -> tuple[float, float]:
    if share in (0.0, 1.0):
        return end if share else start
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
