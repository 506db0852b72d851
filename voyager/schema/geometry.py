"""The geometry table: tag, frozen class, encoding.

Coordinates are float64 pixels of the stored image; the origin is the top-left corner of its
top-left pixel, x runs right, y runs down, and angles are radians clockwise. Constructors take ints
and lists too, keep floats and tuples, and refuse numbers that are not finite and lists that cannot
be read as points. Whether a shape makes sense (a box turned inside out, a polygon of two points)
is not asked here: such shapes are kept and reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import Meta
from msgspec.structs import force_setattr

from voyager import wire
from voyager.schema.values import (
    BadValueError,
    Finite,
    Frozen,
    Unknown,
    as_float,
    as_floats,
    as_tuple,
    check_blob_ref,
)

MASK_INLINE_LIMIT = 4096
"""Longest mask counts, in bytes, that stand in the row; longer ones are a blob (spec 9.4)."""

RESERVED_TAG = 0
"""The tag that is never written."""

Flat: TypeAlias = tuple[Finite, ...]
"""Points one after the other: x0, y0, x1, y1, …"""

_Side = Annotated[int, Meta(ge=1)]
_Visibility = Literal[0, 1, 2]


class _Shape(Frozen, frozen=True, array_like=True):
    """Encoded as [tag, field, field, …]; a geometry never grows fields, it gets a new tag."""


class Box(_Shape, frozen=True, tag=1):
    """An upright box from (x0, y0) to (x1, y1)."""

    name: ClassVar[str] = "box"
    x0: Finite
    y0: Finite
    x1: Finite
    y1: Finite

    def _settle(self) -> None:
        x0, y0, x1, y1 = self.x0, self.y0, self.x1, self.y1
        if type(x0) is type(y0) is type(x1) is type(y1) is float:
            product = x0 * y0 * x1 * y1
            if product and product - product == 0.0:
                return  # all finite, no zero whose sign needs a look
        _settle_numbers(self)


class RotatedBox(_Shape, frozen=True, tag=2):
    """A box about (cx, cy), turned clockwise by `angle` from width along x."""

    name: ClassVar[str] = "rotated-box"
    cx: Finite
    cy: Finite
    width: Finite
    height: Finite
    angle: Finite

    def _settle(self) -> None:
        _settle_numbers(self)


class Polygon(_Shape, frozen=True, tag=3):
    """Parts, each an outer ring and its holes; a ring is flat and not closed by a repeat."""

    name: ClassVar[str] = "polygon"
    parts: tuple[tuple[Flat, ...], ...]

    def _settle(self) -> None:
        parts = tuple(
            tuple(_points(ring, "ring") for ring in as_tuple(part, "part"))
            for part in as_tuple(self.parts, "parts")
        )
        force_setattr(self, "parts", parts)


class Polyline(_Shape, frozen=True, tag=4):
    """An open line through its points, in order."""

    name: ClassVar[str] = "polyline"
    points: Flat

    def _settle(self) -> None:
        force_setattr(self, "points", _points(self.points, "points"))


class Points(_Shape, frozen=True, tag=5):
    """Points without names or order of their own."""

    name: ClassVar[str] = "points"
    points: Flat

    def _settle(self) -> None:
        force_setattr(self, "points", _points(self.points, "points"))


class Keypoints(_Shape, frozen=True, tag=6):
    """The points of the task's skeleton, in its order.

    Visibility, one for each point: 0 not labeled (and at 0, 0), 1 labeled but hidden, 2 visible.
    """

    name: ClassVar[str] = "keypoints"
    points: Flat
    visibility: tuple[_Visibility, ...]

    def _settle(self) -> None:
        force_setattr(self, "points", _points(self.points, "points"))
        force_setattr(self, "visibility", as_tuple(self.visibility, "visibility"))
        if len(self.points) != 2 * len(self.visibility):
            raise BadValueError("keypoints: expected one visibility for each point")


class Mask(_Shape, frozen=True, tag=7):
    """A binary mask of the whole image as COCO's compressed RLE counts (column-major).

    `counts` is the text of the counts, or a reference to a blob that holds it when it is longer
    than MASK_INLINE_LIMIT bytes.
    """

    name: ClassVar[str] = "mask"
    height: _Side
    width: _Side
    counts: bytes | wire.Ext

    def _settle(self) -> None:
        if type(self.counts) is not bytes:
            check_blob_ref(self.counts, "counts")
        elif not self.counts.isascii():
            raise BadValueError("counts: expected the text of compressed counts")

    @property
    def blob_id(self) -> bytes | None:
        """The blob of the counts when they are out of line."""
        return None if isinstance(self.counts, bytes) else bytes(self.counts.data)


class Ellipse(_Shape, frozen=True, tag=8):
    """An ellipse about (cx, cy) with half axes rx and ry, turned clockwise by `angle`."""

    name: ClassVar[str] = "ellipse"
    cx: Finite
    cy: Finite
    rx: Finite
    ry: Finite
    angle: Finite

    def _settle(self) -> None:
        _settle_numbers(self)


class Cuboid(_Shape, frozen=True, tag=9):
    """A 2-D cuboid: the four corners of its front face, then the same four of its back face.

    Each face runs top left, top right, bottom right, bottom left as the object sees it upright;
    16 floats in all.
    """

    name: ClassVar[str] = "cuboid"
    corners: Flat

    def _settle(self) -> None:
        corners = as_floats(self.corners, "corners")
        if len(corners) != 16:
            raise BadValueError("corners: expected 8 points")
        force_setattr(self, "corners", corners)


class UnknownGeometry(_Shape, frozen=True, tag=RESERVED_TAG):
    """A geometry whose tag a newer spec has: its whole array [tag, …], kept as it is."""

    name: ClassVar[str] = "unknown"
    kept: Unknown

    def _settle(self) -> None:
        array = self.kept.value
        tag = array[0] if isinstance(array, list) and array else None
        if type(tag) is not int or tag == RESERVED_TAG or tag in GEOMETRIES:
            raise BadValueError("geometry: expected [tag, …] with a tag that this spec lacks")

    @property
    def tag(self) -> int:
        """The tag that this version does not know."""
        return int(self.kept.value[0])


Geometry: TypeAlias = (
    Box
    | RotatedBox
    | Polygon
    | Polyline
    | Points
    | Keypoints
    | Mask
    | Ellipse
    | Cuboid
    | UnknownGeometry
)

GEOMETRIES: dict[int, type[Any]] = {  # spec 9.4
    1: Box,
    2: RotatedBox,
    3: Polygon,
    4: Polyline,
    5: Points,
    6: Keypoints,
    7: Mask,
    8: Ellipse,
    9: Cuboid,
}
"""Every tag that this spec knows."""

GEOMETRY_NAMES: dict[str, type[Any]] = {shape.name: shape for shape in GEOMETRIES.values()}
"""The same by the word that JSON, SQL and reports use."""


def _settle_numbers(shape: _Shape) -> None:
    for name in shape.__struct_fields__:
        force_setattr(shape, name, as_float(getattr(shape, name), name))


def _points(values: Sequence[float], name: str) -> Flat:
    points = as_floats(values, name)
    if len(points) % 2:
        raise BadValueError(f"{name}: expected x and y of each point, got {len(points)} numbers")
    return points
