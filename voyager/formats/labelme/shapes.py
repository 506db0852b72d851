"""LabelMe's shapes and our geometries, both ways."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from voyager.formats.reading import finite
from voyager.images import probe
from voyager.schema import rle
from voyager.schema.geometry import (
    Box,
    Ellipse,
    Flat,
    Geometry,
    Mask,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Json = dict[str, Any]
Size = tuple[int | None, int | None]
"""Width and height of the image."""

_MOST_PIXELS = 1 << 26


class BadShapeError(Exception):
    """A shape is not as LabelMe writes it."""


class NotFiniteError(Exception):
    """A shape has NaN or an infinity among its numbers."""


def read_shape(shape: Mapping[str, Any], size: Size) -> Geometry:
    """The geometry of a shape; one without a type is a polygon, as in old files."""
    kind = shape.get("shape_type") or "polygon"
    reader = READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise BadShapeError(f"shape_type: '{kind}' is none of {', '.join(READERS)}")
    return reader(_points(shape.get("points")), shape, size)


def _points(value: Any) -> Flat:
    if not isinstance(value, list):
        raise BadShapeError("points: expected a list")
    flat: list[float] = []
    for point in value:
        numbers: list[Any] = point if isinstance(point, list) and len(point) == 2 else [None]
        if any(type(number) not in (int, float) for number in numbers):
            raise BadShapeError("points: expected x and y of each")
        flat += numbers
    if not finite(*flat):
        raise NotFiniteError
    return tuple(map(float, flat))


def _need(flat: Flat, count: int) -> Flat:
    if len(flat) != 2 * count:
        raise BadShapeError(f"points: expected {count}, got {len(flat) // 2}")
    return flat


def _rectangle(flat: Flat, *_: Any) -> Geometry:
    if len(flat) == 8:  # all four corners, as some successors of LabelMe write it
        return Box(min(flat[0::2]), min(flat[1::2]), max(flat[0::2]), max(flat[1::2]))
    x0, y0, x1, y1 = _need(flat, 2)
    return Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def _circle(flat: Flat, *_: Any) -> Geometry:
    cx, cy, x, y = _need(flat, 2)
    radius = math.hypot(x - cx, y - cy)
    return Ellipse(cx, cy, radius, radius, 0.0)


def _rotation(flat: Flat, *_: Any) -> Geometry:
    x0, y0, x1, y1, x2, y2, x3, y3 = _need(flat, 4)
    return RotatedBox(
        (x0 + x1 + x2 + x3) / 4,
        (y0 + y1 + y2 + y3) / 4,
        math.hypot(x1 - x0, y1 - y0),
        math.hypot(x2 - x1, y2 - y1),
        math.atan2(y1 - y0, x1 - x0),
    )


def _mask(flat: Flat, shape: Mapping[str, Any], size: Size) -> Geometry:
    width, height = size
    if not width or not height:
        raise BadShapeError("mask: the size of the image is not known")
    left, top, _, _ = _need(flat, 2)
    if max(abs(left), abs(top)) > _MOST_PIXELS or width * height > _MOST_PIXELS * 4:
        raise BadShapeError("mask: lies far outside, or the image is too large")
    pixels = _decoded(shape.get("mask"))
    return rle.window(rle.mask_of_array(pixels), -int(left), -int(top), width, height)


def _decoded(text: Any) -> NDArray[Any]:
    """The pixels of a PNG in base64 that are not zero."""
    import numpy as np
    from PIL import Image as Picture

    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise BadShapeError("mask: not base64") from None
    info = probe(data, "mask.png")
    sides = (0, 0) if info is None else (info.width or 0, info.height or 0)
    if not 0 < sides[0] * sides[1] <= _MOST_PIXELS:
        raise BadShapeError("mask: no image")
    try:
        with Picture.open(io.BytesIO(data)) as picture:
            pixels = np.asarray(picture.convert("L") if picture.mode == "P" else picture)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise BadShapeError(f"mask: {error}") from None
    seen: NDArray[Any] = pixels != 0
    return np.any(seen, axis=2, keepdims=False) if seen.ndim == 3 else seen


READERS: dict[str, Callable[..., Geometry]] = {
    "polygon": lambda flat, *_: Polygon(((flat,),)),
    "rectangle": _rectangle,
    "circle": _circle,
    "line": lambda flat, *_: Polyline(_need(flat, 2)),
    "linestrip": lambda flat, *_: Polyline(flat),
    "point": lambda flat, *_: Points(_need(flat, 1)),
    "points": lambda flat, *_: Points(flat),
    "mask": _mask,
    "rotation": _rotation,
}
"""By `shape_type`; the last is of LabelMe's successors."""


# -- writing -------------------------------------------------------------------------------------


def write_shape(geometry: Geometry, runs: Callable[[Mask], list[int]]) -> Json | None:
    """Type and points of a geometry that is one shape; None for others."""
    if isinstance(geometry, Box):
        corners = (geometry.x0, geometry.y0, geometry.x1, geometry.y1)
        return _shape("rectangle", corners)
    if isinstance(geometry, Polyline):
        return _shape("line" if len(geometry.points) == 4 else "linestrip", geometry.points)
    if isinstance(geometry, Points):
        return _shape("point" if len(geometry.points) == 2 else "points", geometry.points)
    if isinstance(geometry, Ellipse) and geometry.rx == geometry.ry >= 0:
        edge = (geometry.cx, geometry.cy, geometry.cx + geometry.rx, geometry.cy)
        return _shape("circle", edge)
    return _mask_shape(geometry, runs(geometry)) if isinstance(geometry, Mask) else None


def polygon_shape(ring: Flat) -> Json:
    """A ring as a polygon."""
    return _shape("polygon", ring)


def _shape(kind: str, flat: Flat) -> Json:
    pairs = zip(flat[0::2], flat[1::2], strict=True)
    return {"shape_type": kind, "points": [[x, y] for x, y in pairs]}


def _mask_shape(mask: Mask, runs: list[int]) -> Json:
    import numpy as np
    from PIL import Image as Picture

    bounds = rle.bounds(runs, mask.height)
    left, top, right, foot = (0, 0, 1, 1) if bounds is None else (int(edge) for edge in bounds)
    whole = rle.mask_of_runs(runs, mask.height, mask.width)
    inside = rle.array_of(rle.window(whole, left, top, right - left, foot - top))
    file = io.BytesIO()
    Picture.fromarray(np.ascontiguousarray(inside).astype(np.uint8) * 255).save(file, "PNG")
    corners = (float(left), float(top), float(right - 1), float(foot - 1))
    return {**_shape("mask", corners), "mask": base64.b64encode(file.getvalue()).decode()}
