"""Geometries in another frame: the eight turns of an image, affine maps.

A turn is named by what is done to the image: `rot90` turns it clockwise by a quarter, `mirror`
changes left and right, `flip` up and down, `transpose` x and y, `transverse` both of these and x
and y. Widths and heights are those of the image before.

Boxes stay boxes under turns, keypoints keep their names (an upright image shows the same left eye)
unless `flip_pairs` says which to exchange, and the corners of a cuboid stay as the object sees
them. A geometry of a newer version can only be left where it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

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
from voyager.schema.outline import box_ring, cos_sin, rotated_ring
from voyager.schema.rle import Load
from voyager.schema.values import BadValueError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Turn: TypeAlias = Literal[
    "none", "rot90", "rot180", "rot270", "mirror", "flip", "transpose", "transverse"
]
FlipPairs: TypeAlias = Sequence[tuple[int, int]]
Matrix: TypeAlias = Sequence[Sequence[float]]
"""Two rows of three: x' = a x + b y + c, y' = d x + e y + f."""


class _Steps(NamedTuple):
    """A turn in steps: exchange x and y, then mirror x, then y."""

    swap: bool
    mirror: bool
    flip: bool


TURNS: dict[Turn, _Steps] = {
    "none": _Steps(False, False, False),
    "rot90": _Steps(True, True, False),
    "rot180": _Steps(False, True, True),
    "rot270": _Steps(True, False, True),
    "mirror": _Steps(False, True, False),
    "flip": _Steps(False, False, True),
    "transpose": _Steps(True, False, False),
    "transverse": _Steps(True, True, True),
}

ORIENTATIONS: dict[int, Turn] = {
    1: "none",
    2: "mirror",
    3: "rot180",
    4: "flip",
    5: "transpose",
    6: "rot90",
    7: "transverse",
    8: "rot270",
}
"""EXIF orientation → the turn that sets the stored image upright."""

_MIRRORED_FACE = (1, 0, 3, 2)
_SQUARE = 1e-9
_ROUND = 1e-15
_SMALL_MASK = 1 << 20


def inverse(turn: Turn) -> Turn:
    """The turn that undoes a turn."""
    return {"rot90": "rot270", "rot270": "rot90"}.get(turn, turn)  # type: ignore[return-value]


def turned_size(turn: Turn, width: int, height: int) -> tuple[int, int]:
    """(width, height) of the image after a turn."""
    return (height, width) if TURNS[turn].swap else (width, height)


def upright(
    geometry: Geometry,
    orientation: int,
    width: int,
    height: int,
    *,
    flip_pairs: FlipPairs = (),
    load: Load | None = None,
) -> Geometry:
    """A geometry of the stored image (width × height) in the image as it is looked at."""
    turn = ORIENTATIONS[orientation]
    return turned(geometry, turn, width, height, flip_pairs=flip_pairs, load=load)


def stored(
    geometry: Geometry,
    orientation: int,
    width: int,
    height: int,
    *,
    flip_pairs: FlipPairs = (),
    load: Load | None = None,
) -> Geometry:
    """A geometry of the upright image in the image as it is stored (width × height)."""
    turn = ORIENTATIONS[orientation]
    size = turned_size(turn, width, height)
    return turned(geometry, inverse(turn), *size, flip_pairs=flip_pairs, load=load)


def turned(
    geometry: Geometry,
    turn: Turn,
    width: float,
    height: float,
    *,
    flip_pairs: FlipPairs = (),
    load: Load | None = None,
) -> Geometry:
    """A geometry of a width × height image in that image turned.

    `flip_pairs` are the places of keypoints that change sides in a mirrored image.
    """
    steps = TURNS[turn]
    if turn == "none":
        return geometry
    swap, mirror, flip = steps
    across, down = (height, width) if swap else (width, height)

    def moved(flat: Flat) -> Flat:
        return _turned_points(flat, steps, across, down)

    match geometry:
        case Box(x0, y0, x1, y1):
            xs, ys = ((y0, y1), (x0, x1)) if swap else ((x0, x1), (y0, y1))
            left, right = (across - xs[1], across - xs[0]) if mirror else xs
            top, foot = (down - ys[1], down - ys[0]) if flip else ys
            return Box(left, top, right, foot)
        case RotatedBox(cx, cy, w, h, angle):
            cx, cy = moved((cx, cy))
            return RotatedBox(cx, cy, w, h, _turned_angle(angle, steps))
        case Ellipse(cx, cy, rx, ry, angle):
            cx, cy = moved((cx, cy))
            return Ellipse(cx, cy, rx, ry, _turned_angle(angle, steps))
        case Mask():
            return _turned_mask(geometry, steps, load)
        case Cuboid() if swap ^ mirror ^ flip:
            return _mirrored_cuboid(moved(geometry.corners))
        case Keypoints() if swap ^ mirror ^ flip:
            return _exchanged(_moved_keypoints(geometry, moved), flip_pairs)
        case _:
            return _mapped(geometry, moved)


def _mapped(geometry: Geometry, moved: Callable[[Flat], Flat]) -> Geometry:
    """The same shape with its points moved: for shapes that are their points."""
    match geometry:
        case Polygon(parts):
            return Polygon(tuple(tuple(moved(ring) for ring in part) for part in parts))
        case Polyline(points):
            return Polyline(moved(points))
        case Points(points):
            return Points(moved(points))
        case Cuboid(corners):
            return Cuboid(moved(corners))
        case Keypoints():
            return _moved_keypoints(geometry, moved)
        case UnknownGeometry():
            raise BadValueError(
                f"a geometry of tag {geometry.tag}, of a newer version, cannot be transformed"
            )
        case _:
            raise AssertionError(geometry)


def _moved_keypoints(keypoints: Keypoints, moved: Callable[[Flat], Flat]) -> Keypoints:
    """With the points that are labeled moved; the others stay at 0, 0."""
    seen = keypoints.visibility
    pairs = enumerate(zip(moved(keypoints.points), keypoints.points, strict=True))
    return keypoints.replace(
        points=tuple(new if seen[at >> 1] else old for at, (new, old) in pairs)
    )


def _turned_points(flat: Flat, steps: _Steps, across: float, down: float) -> Flat:
    xs, ys = flat[0::2], flat[1::2]
    if steps.swap:
        xs, ys = ys, xs
    if steps.mirror:
        xs = tuple([across - x for x in xs])
    if steps.flip:
        ys = tuple([down - y for y in ys])
    return tuple(chain.from_iterable(zip(xs, ys, strict=True)))


def _turned_angle(angle: float, steps: _Steps) -> float:
    """Where the axis of an angle points after a turn, from −π to π."""
    if steps.swap:
        angle = math.pi / 2 - angle
    if steps.mirror:
        angle = math.pi - angle
    if steps.flip:
        angle = -angle
    return math.remainder(angle, math.tau)


def _mirrored_cuboid(corners: Flat) -> Cuboid:
    order = [at + face for face in (0, 4) for at in _MIRRORED_FACE]
    return Cuboid(tuple(number for at in order for number in corners[2 * at : 2 * at + 2]))


def _exchanged(keypoints: Keypoints, pairs: FlipPairs) -> Keypoints:
    order = list(range(len(keypoints.visibility)))
    for one, other in pairs:
        order[one], order[other] = other, one
    points = tuple(n for at in order for n in keypoints.points[2 * at : 2 * at + 2])
    return Keypoints(points, tuple(keypoints.visibility[at] for at in order))


def _turned_mask(mask: Mask, steps: _Steps, load: Load | None) -> Mask:
    swap, mirror, flip = steps
    width, height = (mask.height, mask.width) if swap else (mask.width, mask.height)
    x0, y0, x1, y1 = 0, 0, mask.width, mask.height
    if x1 * y1 > _SMALL_MASK:  # then only the part that holds something is spread out
        around = rle.bounds(rle.runs_of(mask, load), mask.height)
        if around is None:
            return rle.mask_of_runs([height * width], height, width)
        x0, y0, x1, y1 = map(int, around)
    array = rle.array_of(rle.window(mask, x0, y0, x1 - x0, y1 - y0, load=load), load)
    if swap:
        array, x0, y0, x1, y1 = array.T, y0, x0, y1, x1
    if mirror:
        array, x0 = array[:, ::-1], width - x1
    if flip:
        array, y0 = array[::-1], height - y1
    return rle.window(rle.mask_of_array(array), -x0, -y0, width, height)


def transformed(
    geometry: Geometry,
    matrix: Matrix,
    *,
    size: tuple[int, int] | None = None,
    load: Load | None = None,
) -> Geometry:
    """A geometry under an affine map.

    A box stays a box while its sides stay upright, else it becomes a rotated box, and a polygon
    where its corners are no right angles any more; an ellipse stays one. The pixels of a mask are
    looked up where their centres come from, in an image of `size` (width, height; else its own).
    """
    (a, b, c), (d, e, f) = matrix

    def moved(flat: Flat) -> Flat:
        points = zip(flat[0::2], flat[1::2], strict=True)
        return tuple([n for x, y in points for n in (a * x + b * y + c, d * x + e * y + f)])

    match geometry:
        case Box() if _keeps_upright(matrix):
            return _upright_box(geometry, moved, matrix)
        case Box(x0, y0, x1, y1):
            around = RotatedBox((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0.0)
            found = _affine_frame(0.0, matrix)
            return _framed_box(around, found, moved, box_ring(geometry))
        case RotatedBox():
            found = _affine_frame(geometry.angle, matrix)
            return _framed_box(geometry, found, moved, rotated_ring(geometry))
        case Ellipse():
            return _affine_ellipse(geometry, matrix, moved)
        case Mask():
            return _affine_mask(geometry, matrix, size or (geometry.width, geometry.height), load)
        case _:
            return _mapped(geometry, moved)


def _keeps_upright(matrix: Matrix) -> bool:
    (a, b, _), (d, e, _) = matrix
    straight, crossed = abs(a) + abs(e), abs(b) + abs(d)
    return min(straight, crossed) <= _ROUND * max(straight, crossed)


def _upright_box(box: Box, moved: Callable[[Flat], Flat], matrix: Matrix) -> Box:
    x0, y0, x1, y1 = moved((box.x0, box.y0, box.x1, box.y1))
    (a, b, _), (d, e, _) = matrix
    if a + b < 0:  # a box that was the right way round stays so
        x0, x1 = x1, x0
    if d + e < 0:
        y0, y1 = y1, y0
    return Box(x0, y0, x1, y1)


class _Frame(NamedTuple):
    """Where a shape's axes go: angle of the first, stretch of both, whether they stay square."""

    angle: float
    along: float
    across: float
    square: bool


def _affine_frame(angle: float, matrix: Matrix) -> _Frame:
    (a, b, _), (d, e, _) = matrix
    cos, sin = cos_sin(angle)
    ux, uy = a * cos + b * sin, d * cos + e * sin
    vx, vy = b * cos - a * sin, e * cos - d * sin
    along, across = math.hypot(ux, uy), math.hypot(vx, vy)
    square = abs(ux * vx + uy * vy) <= _SQUARE * along * across and along * across > 0
    return _Frame(math.atan2(uy, ux), along, across, square)


def _framed_box(
    box: RotatedBox, frame: _Frame, moved: Callable[[Flat], Flat], ring: Flat
) -> RotatedBox | Polygon:
    if not frame.square:
        return Polygon(((moved(ring),),))
    cx, cy = moved((box.cx, box.cy))
    return RotatedBox(cx, cy, box.width * frame.along, box.height * frame.across, frame.angle)


def _affine_ellipse(ellipse: Ellipse, matrix: Matrix, moved: Callable[[Flat], Flat]) -> Ellipse:
    cx, cy = moved((ellipse.cx, ellipse.cy))
    frame = _affine_frame(ellipse.angle, matrix)
    if frame.square:
        rx, ry = ellipse.rx * frame.along, ellipse.ry * frame.across
        return Ellipse(cx, cy, rx, ry, frame.angle)
    (a, b, _), (d, e, _) = matrix
    cos, sin = cos_sin(ellipse.angle)
    px, py = (a * cos + b * sin) * ellipse.rx, (d * cos + e * sin) * ellipse.rx
    qx, qy = (b * cos - a * sin) * ellipse.ry, (e * cos - d * sin) * ellipse.ry
    # The conjugate half diameters p and q: the axes are those of p pᵀ + q qᵀ.
    xx, xy, yy = px * px + qx * qx, px * py + qx * qy, py * py + qy * qy
    middle, spread = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    long, short = math.sqrt(middle + spread), math.sqrt(max(middle - spread, 0.0))
    return Ellipse(cx, cy, long, short, math.atan2(2 * xy, xx - yy) / 2)


def _affine_mask(mask: Mask, matrix: Matrix, size: tuple[int, int], load: Load | None) -> Mask:
    import numpy as np

    width, height = size
    (a, b, c), (d, e, f) = matrix
    scale = a * e - b * d
    if not scale:
        return rle.mask_of_runs([height * width], height, width)
    if width * height > rle.MOST_PIXELS:
        raise BadValueError(f"mask: {height} × {width} is too large to be spread out")
    x, y = np.arange(width) + (0.5 - c), np.arange(height)[:, None] + (0.5 - f)
    column = np.floor((e * x - b * y) / scale).astype(np.int64)
    row = np.floor((a * y - d * x) / scale).astype(np.int64)
    within = (column >= 0) & (column < mask.width) & (row >= 0) & (row < mask.height)
    pixels: NDArray[Any] = np.zeros((height, width), bool)
    pixels[within] = rle.array_of(mask, load)[row[within], column[within]]
    return rle.mask_of_array(pixels)


def scaled(geometry: Geometry, x: float, y: float, *, load: Load | None = None) -> Geometry:
    """A geometry of an image that is made x times as wide and y times as high."""
    size = None
    if isinstance(geometry, Mask):
        size = max(round(geometry.width * x), 1), max(round(geometry.height * y), 1)
    return transformed(geometry, ((x, 0.0, 0.0), (0.0, y, 0.0)), size=size, load=load)
