"""Outlines of shapes as flat rings: corners, axes, hulls, signed area.

A ring runs x0, y0, x1, y1, … and closes by itself; y runs down, so a positive area means clockwise
on the screen.
"""

from __future__ import annotations

import math
from itertools import pairwise
from operator import mul

from voyager.schema.geometry import Box, Cuboid, Ellipse, Flat, Geometry, Polygon, RotatedBox

ELLIPSE_TOLERANCE = 0.05
"""How far, in pixels, the ring of an ellipse may lie within it."""

_ROUND = 1e-15
_FEWEST, _MOST = 16, 4096


def cos_sin(angle: float) -> tuple[float, float]:
    """Cosine and sine, exact at the quarter turns that a float can only come near."""
    cos, sin = math.cos(angle), math.sin(angle)
    if abs(cos) < _ROUND:
        return 0.0, math.copysign(1.0, sin)
    if abs(sin) < _ROUND:
        return math.copysign(1.0, cos), 0.0
    return cos, sin


def box_ring(box: Box) -> Flat:
    """The corners from (x0, y0), by (x1, y0)."""
    x0, y0, x1, y1 = box.x0, box.y0, box.x1, box.y1
    return x0, y0, x1, y0, x1, y1, x0, y1


def rotated_ring(box: RotatedBox) -> Flat:
    """The corners: top left of the unturned box first, then along its width."""
    cos, sin = cos_sin(box.angle)
    ux, uy = cos * box.width / 2, sin * box.width / 2
    vx, vy = -sin * box.height / 2, cos * box.height / 2
    cx, cy = box.cx, box.cy
    return (
        *(cx - ux - vx, cy - uy - vy, cx + ux - vx, cy + uy - vy),
        *(cx + ux + vx, cy + uy + vy, cx - ux + vx, cy - uy + vy),
    )


def ellipse_axes(ellipse: Ellipse) -> Flat:
    """The four ends of the axes, from (rx, 0) of the unturned ellipse, clockwise."""
    cos, sin = cos_sin(ellipse.angle)
    ux, uy, vx, vy = cos * ellipse.rx, sin * ellipse.rx, -sin * ellipse.ry, cos * ellipse.ry
    cx, cy = ellipse.cx, ellipse.cy
    return cx + ux, cy + uy, cx + vx, cy + vy, cx - ux, cy - uy, cx - vx, cy - vy


def ellipse_ring(ellipse: Ellipse, tolerance: float = ELLIPSE_TOLERANCE) -> Flat:
    """Points of the ellipse, a multiple of four, whose ring keeps within `tolerance` of it."""
    radius = max(abs(ellipse.rx), abs(ellipse.ry))
    bend = math.acos(max(1 - tolerance / radius, 0.0)) if radius else math.pi
    count = math.ceil(min(max(math.pi / max(bend, 1e-9), _FEWEST), _MOST) / 4) * 4
    cos, sin = cos_sin(ellipse.angle)
    ring: list[float] = []
    for step in range(count):
        along, across = cos_sin(math.tau * step / count)
        dx, dy = along * ellipse.rx, across * ellipse.ry
        ring += (ellipse.cx + cos * dx - sin * dy, ellipse.cy + sin * dx + cos * dy)
    return tuple(ring)


def rings_of(geometry: Geometry) -> tuple[tuple[Flat, ...], ...] | None:
    """The parts of a shape with straight sides (a cuboid's is its silhouette), None for others."""
    match geometry:
        case Box():
            return ((box_ring(geometry),),)
        case RotatedBox():
            return ((rotated_ring(geometry),),)
        case Polygon():
            return geometry.parts
        case Cuboid():
            return ((hull(geometry.corners),),)
        case _:
            return None


def signed_area(ring: Flat) -> float:
    """The shoelace sum, positive for a ring that runs clockwise on the screen."""
    xs, ys = ring[0::2], ring[1::2]
    twice: float = sum(map(mul, xs, ys[1:] + ys[:1])) - sum(map(mul, ys, xs[1:] + xs[:1]))
    return twice / 2


def hull(points: Flat) -> Flat:
    """The convex hull, clockwise on the screen from its leftmost point, without points in line."""
    ordered = sorted(set(zip(points[0::2], points[1::2], strict=True)))
    if len(ordered) < 3:
        return tuple(number for point in ordered for number in point)
    ring = _chain(ordered)[:-1] + _chain(ordered[::-1])[:-1]
    return tuple(number for point in ring for number in point)


def _chain(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    chain: list[tuple[float, float]] = []
    for x, y in points:
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2:]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain


def convex_ring(geometry: Geometry) -> Flat | None:
    """The ring, clockwise, of a shape that is one convex ring, None for all others."""
    parts = rings_of(geometry)
    if parts is None or len(parts) != 1 or len(parts[0]) != 1 or len(parts[0][0]) < 6:
        return None
    ring = parts[0][0]
    area = signed_area(ring)
    if type(geometry) is Polygon:  # its hull: sides of the ring may run back over each other
        around = hull(ring)
        size = signed_area(around)
        return around if abs(abs(area) - size) <= 1e-9 * size else None
    return ring if area >= 0 else _reversed(ring)


def _reversed(ring: Flat) -> Flat:
    return tuple(number for x, y in zip(ring[-2::-2], ring[::-2], strict=True) for number in (x, y))


def clip_convex(ring: Flat, window: Flat) -> Flat:
    """What a clockwise convex window leaves of a ring (Sutherland–Hodgman).

    A ring that is not convex keeps its area, and may keep edges that run back along the window.
    """
    points = list(zip(ring[0::2], ring[1::2], strict=True))
    corners = list(zip(window[0::2], window[1::2], strict=True))
    for (ax, ay), (bx, by) in pairwise([*corners, corners[0]]):
        if not points:
            break
        ex, ey = bx - ax, by - ay
        sides = [ex * (y - ay) - ey * (x - ax) for x, y in points]  # ≥ 0 is within
        kept: list[tuple[float, float]] = []
        (px, py), before = points[-1], sides[-1]
        for (x, y), side in zip(points, sides, strict=True):
            if (side >= 0) != (before >= 0):
                share = before / (before - side)
                kept.append((px + share * (x - px), py + share * (y - py)))
            if side >= 0:
                kept.append((x, y))
            (px, py), before = (x, y), side
        points = kept
    return tuple(number for point in points for number in point)
