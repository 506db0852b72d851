"""Label Studio's shapes and our geometries, both ways: percent of the image, degrees clockwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from voyager.formats.label_studio.brush import decode_brush, encode_brush
from voyager.formats.reading import finite
from voyager.schema.geometry import (
    Box,
    Ellipse,
    Geometry,
    Mask,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from voyager.schema.outline import cos_sin

Value = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """The size of an image in pixels."""

    width: int
    height: int


class NotFiniteError(Exception):
    """A shape has NaN or an infinity among its numbers."""


class BadShapeError(Exception):
    """A shape lacks a number, or has none where one should be."""


def read_shape(kind: str, value: Value, size: Size) -> tuple[Geometry, bool]:
    """The geometry of a value, and whether a brush had soft edges.

    Raises BadShapeError, NotFiniteError, and BadValueError for a brush that cannot be read.
    """
    if kind == "brush":
        codes = value.get("rle")
        if not isinstance(codes, list):
            raise BadShapeError("rle: expected a list of numbers")
        return decode_brush(codes, size.height, size.width)
    return READERS[kind](value, size), False


def _number(value: Value, name: str, default: float | None = None) -> float:
    number = value.get(name, default)
    if type(number) not in (int, float):
        raise BadShapeError(f"{name}: expected a number")
    assert isinstance(number, (int, float))
    if not finite(number) or abs(number) > 1e300:
        raise NotFiniteError
    return float(number)


def _point(value: Value, size: Size) -> tuple[float, float]:
    return _number(value, "x") * size.width / 100, _number(value, "y") * size.height / 100


def _rectangle(value: Value, size: Size) -> Geometry:
    x, y = _point(value, size)
    width = _number(value, "width") * size.width / 100
    height = _number(value, "height") * size.height / 100
    turn = _number(value, "rotation", 0.0)
    if not turn:
        return Box(x, y, x + width, y + height)
    angle = math.radians(turn)
    cos, sin = cos_sin(angle)
    cx = x + (cos * width - sin * height) / 2  # it turns about its first corner
    cy = y + (sin * width + cos * height) / 2
    return RotatedBox(cx, cy, width, height, angle)


def _polygon(value: Value, size: Size) -> Geometry:
    points = value.get("points")
    if not isinstance(points, list):
        raise BadShapeError("points: expected a list of points")
    flat: list[float] = []
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise BadShapeError("points: expected x and y of each")
        flat += _point(dict(zip("xy", point, strict=True)), size)
    return Polyline(tuple(flat)) if value.get("closed") is False else Polygon(((tuple(flat),),))


def _ellipse(value: Value, size: Size) -> Geometry:
    x, y = _point(value, size)
    rx = _number(value, "radiusX") * size.width / 100
    ry = _number(value, "radiusY") * size.height / 100
    return Ellipse(x, y, rx, ry, math.radians(_number(value, "rotation", 0.0)))


def _keypoint(value: Value, size: Size) -> Geometry:
    return Points(_point(value, size))


READERS: dict[str, Callable[[Value, Size], Geometry]] = {
    "rectangle": _rectangle,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "keypoint": _keypoint,
}

SHAPES = frozenset({*READERS, "brush"})
"""The kinds of shapes that are read."""

GEOMETRY_FIELDS = frozenset(
    {
        "x",
        "y",
        "width",
        "height",
        "rotation",
        "points",
        "closed",
        "radiusX",
        "radiusY",
        "rle",
        "format",
    }
)


# -- writing -------------------------------------------------------------------------------------


def write_shape(
    geometry: Geometry, size: Size, runs: Callable[[Mask], list[int]]
) -> tuple[str, dict[str, Any]] | None:
    """Kind and value of a geometry that is one shape; None for others."""
    if isinstance(geometry, Box):
        corner = _percent(geometry.x0, geometry.y0, size)
        width = (geometry.x1 - geometry.x0) / size.width * 100
        height = (geometry.y1 - geometry.y0) / size.height * 100
        return "rectangle", {**corner, "width": width, "height": height, "rotation": 0}
    if isinstance(geometry, RotatedBox):
        return "rectangle", _rotated_value(geometry, size)
    if isinstance(geometry, Ellipse):
        radii = {
            "radiusX": geometry.rx / size.width * 100,
            "radiusY": geometry.ry / size.height * 100,
        }
        turn = math.degrees(geometry.angle)
        return "ellipse", {**_percent(geometry.cx, geometry.cy, size), **radii, "rotation": turn}
    if isinstance(geometry, Polygon):
        ring = geometry.parts[0][0] if geometry.parts and geometry.parts[0] else ()
        return "polygon", {"points": points_value(ring, size), "closed": True}
    if isinstance(geometry, Polyline):
        return "polygon", {"points": points_value(geometry.points, size), "closed": False}
    if isinstance(geometry, Mask):
        codes = encode_brush(runs(geometry), geometry.height, geometry.width)
        return "brush", {"format": "rle", "rle": codes}
    return None


def point_value(point: tuple[float, ...], size: Size, width: float = 0.5) -> dict[str, float]:
    """The value of a keypoint; `width` is how large it is shown, in percent."""
    return {**_percent(point[0], point[1], size), "width": width}


def points_value(flat: tuple[float, ...], size: Size) -> list[list[float]]:
    """Points in percent."""
    pairs = zip(flat[0::2], flat[1::2], strict=True)
    return [[x / size.width * 100, y / size.height * 100] for x, y in pairs]


def _percent(x: float, y: float, size: Size) -> dict[str, float]:
    return {"x": x / size.width * 100, "y": y / size.height * 100}


def _rotated_value(box: RotatedBox, size: Size) -> dict[str, Any]:
    cos, sin = cos_sin(box.angle)
    x = box.cx - (cos * box.width - sin * box.height) / 2
    y = box.cy - (sin * box.width + cos * box.height) / 2
    return {
        **_percent(x, y, size),
        "width": box.width / size.width * 100,
        "height": box.height / size.height * 100,
        "rotation": math.degrees(box.angle) % 360 or 360.0,  # 0 is a box that does not turn
    }
