"""CVAT's shapes and our geometries, both ways.

Angles are degrees clockwise there. A mask is runs of zeros and ones in turn, row by row, of the
box that it lies in. The points of a cuboid run round it: the back face begins at its right edge.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from voyager.formats.cvat.elements import Part
from voyager.schema import rle
from voyager.schema.geometry import (
    Box,
    Cuboid,
    Ellipse,
    Flat,
    Geometry,
    Mask,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from voyager.schema.values import BadValueError

_CORNERS = ("tl1", "tr1", "br1", "bl1", "tr2", "tl2", "bl2", "br2")
"""CVAT's names of the corners in our order; its left of the back face is our right."""

_FILE_ORDER = ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")
_LIST = re.compile(r"\s*\d{1,10}\s*(?:,\s*\d{1,10}\s*)*")
_MOST_PIXELS = 1 << 28


@dataclass(frozen=True, slots=True)
class Size:
    """The size of the image, where the file gives it."""

    width: int | None
    height: int | None


def read_shape(part: Part, element: Element, size: Size) -> Geometry | None:
    """The geometry of a shape; None when a number of it is not finite."""
    try:
        return READERS[element.tag](part, element, size)
    except BadValueError:
        return None


def source_text(element: Element) -> str:
    """The numbers of a shape as the file writes them."""
    names = sorted(GEOMETRY_FIELDS & element.attrib.keys())
    return " ".join(f"{name}={element.attrib[name]}" for name in names)


def _box(part: Part, element: Element, _: Size) -> Geometry:
    x0, y0, x1, y1 = (part.number(element, name) for name in ("xtl", "ytl", "xbr", "ybr"))
    if "rotation" not in element.attrib:
        return Box(x0, y0, x1, y1)
    turn = part.number(element, "rotation")
    return RotatedBox((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, math.radians(turn))


def _ellipse(part: Part, element: Element, _: Size) -> Geometry:
    cx, cy, rx, ry = (part.number(element, name) for name in ("cx", "cy", "rx", "ry"))
    return Ellipse(cx, cy, rx, ry, math.radians(part.number(element, "rotation", 0.0)))


def _polygon(part: Part, element: Element, _: Size) -> Geometry:
    return Polygon(((read_points(part, element),),))


def _polyline(part: Part, element: Element, _: Size) -> Geometry:
    return Polyline(read_points(part, element))


def _points(part: Part, element: Element, _: Size) -> Geometry:
    return Points(read_points(part, element))


def read_points(part: Part, element: Element) -> Flat:
    """The attribute `points`: x,y;x,y;…"""
    text = part.text(element, "points")
    try:
        pairs = [tuple(map(float, pair.split(","))) for pair in text.split(";") if pair.strip()]
    except ValueError:
        raise part.bad(element, f"points: expected x,y;x,y;…, got '{text[:60]}'") from None
    if any(len(pair) != 2 for pair in pairs):
        raise part.bad(element, f"points: expected x,y;x,y;…, got '{text[:60]}'")
    return tuple(number for pair in pairs for number in pair)


def _cuboid(part: Part, element: Element, _: Size) -> Geometry:
    numbers = [part.number(element, axis + corner) for corner in _CORNERS for axis in ("x", "y")]
    return Cuboid(tuple(numbers))


def _mask(part: Part, element: Element, size: Size) -> Geometry:
    if not size.width or not size.height:
        raise part.bad(element, "in an image whose width and height are not given")
    left, top, width, height = (
        part.integer(element, name) for name in ("left", "top", "width", "height")
    )
    if width < 1 or height < 1 or max(width * height, size.width * size.height) > _MOST_PIXELS:
        raise part.bad(element, f"{width} × {height} is no size of a mask")
    text = part.text(element, "rle")
    runs = [int(run) for run in text.split(",")] if _LIST.fullmatch(text) else [-1]
    if sum(runs) != width * height or min(runs) < 0:
        raise part.bad(element, f"rle: expected runs that fill {width} × {height} pixels")
    by_rows = rle.array_of_runs(runs, width, height).T
    inside = rle.mask_of_array(by_rows)
    return rle.window(inside, -left, -top, size.width, size.height)


READERS: dict[str, Callable[[Part, Element, Size], Geometry]] = {
    "box": _box,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "polyline": _polyline,
    "points": _points,
    "cuboid": _cuboid,
    "mask": _mask,
}
"""Shapes by their element; a skeleton has points of its own."""

GEOMETRY_FIELDS = frozenset(
    {"xtl", "ytl", "xbr", "ybr", "rotation", "cx", "cy", "rx", "ry", "points"}
    | {"rle", "left", "top", "width", "height"}
    | {axis + corner for axis in "xy" for corner in _CORNERS}
)
"""The attributes that make up a shape."""


# -- writing -------------------------------------------------------------------------------------


def shape_fields(geometry: Geometry, mask_runs: Callable[[Mask], list[int]]) -> Fields | None:
    """Element and attributes of a geometry that has no points with names; None for others.

    `mask_runs` gives the runs of a mask, from its blob where they are long.
    """
    if isinstance(geometry, Box):
        box = (geometry.x0, geometry.y0, geometry.x1, geometry.y1)
        return "box", dict(zip(("xtl", "ytl", "xbr", "ybr"), map(number_text, box), strict=True))
    if isinstance(geometry, RotatedBox):
        return "box", _rotated_fields(geometry)
    if isinstance(geometry, Ellipse):
        return "ellipse", _ellipse_fields(geometry)
    if isinstance(geometry, Polygon):
        return "polygon", {"points": points_text(geometry.parts[0][0] if geometry.parts else ())}
    if isinstance(geometry, (Polyline, Points)):
        return geometry.name, {"points": points_text(geometry.points)}
    if isinstance(geometry, Cuboid):
        return "cuboid", _cuboid_fields(geometry)
    if isinstance(geometry, Mask):
        return "mask", _mask_fields(geometry, mask_runs(geometry))
    return None


Fields = tuple[str, dict[str, str]]


def number_text(number: float) -> str:
    """A number, exact."""
    return repr(float(number))


def points_text(points: Flat) -> str:
    """Points as x,y;x,y;…"""
    pairs = zip(points[0::2], points[1::2], strict=True)
    return ";".join(f"{number_text(x)},{number_text(y)}" for x, y in pairs)


def _rotated_fields(box: RotatedBox) -> dict[str, str]:
    half_width, half_height = box.width / 2, box.height / 2
    return {
        "xtl": number_text(box.cx - half_width),
        "ytl": number_text(box.cy - half_height),
        "xbr": number_text(box.cx + half_width),
        "ybr": number_text(box.cy + half_height),
        "rotation": number_text(math.degrees(box.angle)),
    }


def _ellipse_fields(ellipse: Ellipse) -> dict[str, str]:
    fields = {name: number_text(getattr(ellipse, name)) for name in ("cx", "cy", "rx", "ry")}
    if ellipse.angle:
        fields["rotation"] = number_text(math.degrees(ellipse.angle))
    return fields


def _cuboid_fields(cuboid: Cuboid) -> dict[str, str]:
    found = {}
    for corner in _FILE_ORDER:
        at = 2 * _CORNERS.index(corner)
        found["x" + corner] = number_text(cuboid.corners[at])
        found["y" + corner] = number_text(cuboid.corners[at + 1])
    return found


def _mask_fields(mask: Mask, runs: list[int]) -> dict[str, str]:
    bounds = rle.bounds(runs, mask.height)
    left, top, right, foot = (0, 0, 1, 1) if bounds is None else (int(edge) for edge in bounds)
    width, height = right - left, foot - top
    whole = rle.mask_of_runs(runs, mask.height, mask.width)
    inside = rle.array_of(rle.window(whole, left, top, width, height))
    by_rows = rle.runs_of(rle.mask_of_array(inside.T))
    return {
        "rle": ", ".join(map(str, by_rows)),
        "left": str(left),
        "top": str(top),
        "width": str(width),
        "height": str(height),
    }
