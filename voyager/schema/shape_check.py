"""What is odd about a geometry: a report, never a refusal; such shapes are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

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
from voyager.schema.measures import area, bounds
from voyager.schema.outline import signed_area
from voyager.schema.ring_check import crossing, is_within
from voyager.schema.rle import Load
from voyager.schema.values import BadValueError

ProblemKind: TypeAlias = Literal[
    "inside-out",  # a box with x1 < x0 or y1 < y0
    "negative-size",  # a width, height or half axis below 0
    "no-area",  # of a shape that should have one
    "no-points",
    "few-points",  # a ring of less than 3 points, a line of less than 2
    "closed-ring",  # the last point repeats the first
    "repeated-point",  # the same point twice in turn
    "crosses-itself",
    "hole-outside",  # a hole, or some of it, is not within its outer ring
    "outside",  # wholly outside of the image
    "beyond",  # partly outside of the image
    "keypoint-outside",  # labeled, but outside of the image
    "keypoint-unlabeled",  # not labeled, but not at 0, 0
    "mask-size",  # not that of the image
    "mask-counts",  # cannot be read
    "mask-form",  # can be read, but is not in its one form
]

BEYOND = 0.5
"""How far, in pixels, a shape may reach beyond the image before it is said: writers round."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One odd thing about a geometry, in words."""

    kind: ProblemKind
    message: str


def problems(
    geometry: Geometry, width: int | None, height: int | None, *, load: Load | None = None
) -> list[Problem]:
    """All that is odd about a geometry of an image; width and height are None where not known.

    The counts of a mask in a blob are looked at only with `load`. A geometry of a newer version is
    not judged.
    """
    found = list(_CHECKS[type(geometry)](geometry))
    if isinstance(geometry, Mask):
        found += _mask_problems(geometry, load)
    if width is None or height is None:
        return found
    if isinstance(geometry, Mask):
        found += _mask_size(geometry, width, height)
    elif isinstance(geometry, Keypoints):
        found += _keypoints_outside(geometry, width, height)
    else:
        found += _outside(geometry, width, height)
    return found


def _box_problems(box: Box) -> Iterator[Problem]:
    if box.x1 < box.x0:
        yield Problem("inside-out", f"the box is inside out: x0 {box.x0:g}, x1 {box.x1:g}")
    if box.y1 < box.y0:
        yield Problem("inside-out", f"the box is inside out: y0 {box.y0:g}, y1 {box.y1:g}")
    if box.x0 == box.x1 or box.y0 == box.y1:
        yield Problem("no-area", "the box has no area")


def _sized(first: str, second: str) -> Callable[[Any], Iterator[Problem]]:
    def check(shape: Any) -> Iterator[Problem]:
        for name in (first, second):
            size = getattr(shape, name)
            if size < 0:
                yield Problem("negative-size", f"the {name} of the {shape.name} is {size:g}")
            elif not size:
                yield Problem("no-area", f"the {name} of the {shape.name} is 0")

    return check


def _polygon_problems(polygon: Polygon) -> Iterator[Problem]:
    parts = polygon.parts
    if not any(ring for part in parts for ring in part):
        yield Problem("no-points", "the polygon has no points")
        return
    for place, part in enumerate(parts):
        suffix = f" of part {place + 1}" if len(parts) > 1 else ""
        if not part:
            yield Problem("no-points", f"there is no ring{suffix}")
        for number, ring in enumerate(part):
            name = f"hole {number}{suffix}" if number else f"outer ring{suffix}"
            yield from _ring_problems(ring, name)
            if number and not is_within(ring, part[0]):
                yield Problem("hole-outside", f"the {name} is not within its outer ring")


def _ring_problems(ring: Flat, name: str) -> Iterator[Problem]:
    if len(ring) > 2 and ring[:2] == ring[-2:]:
        yield Problem("closed-ring", f"the last point of the {name} repeats the first")
        ring = ring[:-2]
    yield from _repeated(ring, name)
    if len(ring) < 6:
        yield Problem("few-points", f"the {name} has {len(ring) // 2} points, needs 3")
        return
    place = crossing(ring) if len(ring) > 6 else None
    if place is not None:
        yield Problem("crosses-itself", f"the {name} crosses itself near {_text(*place)}")
    elif not signed_area(ring):
        yield Problem("no-area", f"the {name} has no area")


def _repeated(flat: Flat, name: str) -> Iterator[Problem]:
    points = zip(flat[0::2], flat[1::2], strict=True)
    repeats = sum(one == other for one, other in pairwise(points))
    if repeats:
        yield Problem(
            "repeated-point", f"points of the {name} that repeat the one before: {repeats}"
        )


def _text(x: float, y: float) -> str:
    return f"{x:.2f}, {y:.2f}"


def _line_problems(line: Polyline) -> Iterator[Problem]:
    if not line.points:
        yield Problem("no-points", "the polyline has no points")
    elif len(line.points) == 2:
        yield Problem("few-points", "the polyline has 1 point, needs 2")
    yield from _repeated(line.points, "polyline")


def _point_problems(points: Points) -> Iterator[Problem]:
    if not points.points:
        yield Problem("no-points", "there are no points")


def _keypoint_problems(keypoints: Keypoints) -> Iterator[Problem]:
    if not keypoints.visibility:
        yield Problem("no-points", "there are no keypoints")
    for place, x, y, seen in _keypoints(keypoints):
        if not seen and (x or y):
            yield Problem(
                "keypoint-unlabeled", f"keypoint {place} is not labeled, but at {_text(x, y)}"
            )


def _keypoints(keypoints: Keypoints) -> Iterator[tuple[int, float, float, int]]:
    """(number from 0, x, y, visibility) of each."""
    points = keypoints.points
    each = zip(points[0::2], points[1::2], keypoints.visibility, strict=True)
    for place, (x, y, seen) in enumerate(each):
        yield place, x, y, seen


def _cuboid_problems(cuboid: Cuboid) -> Iterator[Problem]:
    if not area(cuboid):
        yield Problem("no-area", "the cuboid has no area")


def _nothing(_: Any) -> Iterator[Problem]:
    return iter(())


_CHECKS: dict[type, Callable[[Any], Iterator[Problem]]] = {
    Box: _box_problems,
    RotatedBox: _sized("width", "height"),
    Polygon: _polygon_problems,
    Polyline: _line_problems,
    Points: _point_problems,
    Keypoints: _keypoint_problems,
    Mask: _nothing,  # its checks need load
    Ellipse: _sized("rx", "ry"),
    Cuboid: _cuboid_problems,
    UnknownGeometry: _nothing,
}


def _mask_problems(mask: Mask, load: Load | None) -> Iterator[Problem]:
    if load is None and mask.blob_id is not None:
        return
    counts = rle.counts_of(mask, load)
    try:
        runs = rle.runs_of(mask, load)
    except BadValueError as error:
        yield Problem("mask-counts", str(error))
        return
    if len(runs) == 1:
        yield Problem("no-area", "the mask is empty")
    if rle.encode_counts(runs) != counts:
        yield Problem("mask-form", "the counts of the mask are not in their one form")


def _mask_size(mask: Mask, width: int, height: int) -> Iterator[Problem]:
    if (mask.width, mask.height) != (width, height):
        yield Problem(
            "mask-size",
            f"the mask is {mask.width} × {mask.height}, its image {width} × {height}",
        )


def _keypoints_outside(keypoints: Keypoints, width: int, height: int) -> Iterator[Problem]:
    for place, x, y, seen in _keypoints(keypoints):
        if seen and _reach((x, y, x, y), width, height) > BEYOND:
            yield Problem(
                "keypoint-outside", f"keypoint {place} at {_text(x, y)} is outside of the image"
            )


def _outside(geometry: Geometry, width: int, height: int) -> Iterator[Problem]:
    around = bounds(geometry)
    if around is None:
        return
    x0, y0, x1, y1 = around
    reach = _reach(around, width, height)
    name = geometry.name
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        if reach > BEYOND or _has_extent(around):
            yield Problem("outside", f"{name}: wholly outside of the image")
    elif reach > BEYOND:
        yield Problem("beyond", f"{name}: reaches {reach:.2f} px beyond the image")


def _reach(around: rle.Bounds, width: int, height: int) -> float:
    """How far the bounds reach beyond the image."""
    x0, y0, x1, y1 = around
    return max(-x0, -y0, x1 - width, y1 - height, 0.0)


def _has_extent(around: rle.Bounds) -> bool:
    return around[0] < around[2] and around[1] < around[3]
