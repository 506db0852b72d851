"""How alike two geometries are: 0 nothing in common, 1 the same; distance is 1 − similarity.

Two of one structure whose edges or vertices all lie within 1.5 pixels are the same: 1. Else:

- shapes with an area: intersection over union. Box and box, and convex shape and convex shape
  (rotated boxes, cuboids, convex polygons of one ring), are exact; masks are compared by their
  runs, a mask and another shape on the mask's pixels; the rest along vertical lines (`overlap`):
  polygons with holes, dents and parts exactly, ellipses and tangled rings to about 1e-4.
- box and any other type: intersection over union of the bounds, for all that a box says of a thing
  is its bounds. So also points and lines with another type.
- keypoints: object keypoint similarity over the points labeled in either; a point labeled in only
  one of them counts as 0.
- points: the best pairing, each pair exp(−d² / 2 reach²), one without partner 0.
- polylines: exp(−d² / 2 reach²) of the mean distance from one line to the other, both ways.

The reach is a tenth of the root of the object's area: 10 pixels for points and lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voyager.errors import UsageError
from voyager.schema import rle
from voyager.schema.assignment import assign
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
)
from voyager.schema.measures import AREA_SHAPES, bounds, points_of
from voyager.schema.outline import clip_convex, convex_ring, signed_area
from voyager.schema.overlap import common_area
from voyager.schema.raster import FARTHEST
from voyager.schema.rle import Bounds, Load

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_EDGES = 1.5
"""Edges and vertices no farther apart, in pixels, are the same."""

DEFAULT_SIGMA = 0.05
"""Of keypoints whose task has no sigmas, in parts of the root of the area."""

USUAL_AREA = 100.0 * 100.0
"""Square pixels of an object of points or lines."""

_SAMPLES = 64
_FAR = 6.0
"""In reaches: points as far apart have nothing in common."""


def similarity(
    a: Geometry,
    b: Geometry,
    *,
    sigmas: Sequence[float] | None = None,
    area: float | None = None,
    load: Load | None = None,
) -> float:
    """The likeness of two geometries in one image, from 0 to 1, the same both ways to rounding.

    `sigmas` are those of the skeleton, one a point; `area` is that of the object, for keypoints
    (else that of their bounds), points and lines. `load` fetches counts of masks from blobs.
    """
    if type(a) is Box and type(b) is Box:
        return _box_similarity(a, b)
    if a == b:
        return 1.0
    apart = edge_difference(a, b)
    if apart is not None and apart <= SAME_EDGES:
        return 1.0
    if type(a) is type(b):
        match a, b:
            case Keypoints(), Keypoints():
                if len(a.points) == len(b.points):
                    return keypoint_similarity(a, b, sigmas=sigmas, area=area)
            case Points(), Points():
                return _point_similarity(a.points, b.points, _reach(area))
            case Polyline(), Polyline():
                return _line_similarity(a.points, b.points, _reach(area))
    both_areas = isinstance(a, AREA_SHAPES) and isinstance(b, AREA_SHAPES)
    if type(a) is Box or type(b) is Box or not both_areas:
        return _bounds_iou(a, b, load)
    return _area_iou(a, b, load)


def edge_difference(a: Geometry, b: Geometry) -> float | None:
    """The largest distance, along x or y, between an edge or vertex of a and its partner in b.

    None for geometries of different structure: types (boxes of both kinds are one), rings, number
    of points, points labeled. Masks have no vertices.
    """
    if type(a) is Box and type(b) is Box:
        return _box_difference(a, b)
    if not _same_structure(a, b):
        return None
    one, other = points_of(a), points_of(b)
    if len(one) != len(other) or not one:
        return None
    if not isinstance(a, (Box, RotatedBox, Ellipse)):
        return _largest_gap(one, other)
    # Turned by a quarter, or over, with its sides exchanged, it is the same shape.
    turns = [other[start:] + other[:start] for start in range(0, 8, 2)]
    over = [tuple(n for at in (6, 4, 2, 0) for n in turn[at : at + 2]) for turn in turns]
    return min(_largest_gap(one, turn) for turn in turns + over)


def _same_structure(a: Geometry, b: Geometry) -> bool:
    match a, b:
        case (Box() | RotatedBox(), Box() | RotatedBox()) | (Ellipse(), Ellipse()):
            return True
        case Polygon(), Polygon():
            return _ring_sizes(a) == _ring_sizes(b)
        case Keypoints(), Keypoints():
            return [*map(bool, a.visibility)] == [*map(bool, b.visibility)]
        case (Polyline(), Polyline()) | (Points(), Points()) | (Cuboid(), Cuboid()):
            return True
    return False


def _ring_sizes(polygon: Polygon) -> list[list[int]]:
    return [[len(ring) for ring in part] for part in polygon.parts]


def _largest_gap(one: Flat, other: Flat) -> float:
    return max([abs(p - q) for p, q in zip(one, other, strict=True)])


def _box_difference(a: Box, b: Box) -> float:
    one, other = bounds(a), bounds(b)
    assert one
    assert other
    return _largest_gap(one, other)


def _box_similarity(a: Box, b: Box) -> float:
    ax0, ay0, ax1, ay1 = a.x0, a.y0, a.x1, a.y1
    bx0, by0, bx1, by1 = b.x0, b.y0, b.x1, b.y1
    if ax0 > ax1 or ay0 > ay1 or bx0 > bx1 or by0 > by1:  # inside out
        return _box_similarity(_upright(a), _upright(b))
    if (
        -SAME_EDGES <= ax0 - bx0 <= SAME_EDGES
        and -SAME_EDGES <= ay0 - by0 <= SAME_EDGES
        and -SAME_EDGES <= ax1 - bx1 <= SAME_EDGES
        and -SAME_EDGES <= ay1 - by1 <= SAME_EDGES
    ):
        return 1.0
    width = (ax1 if ax1 < bx1 else bx1) - (ax0 if ax0 > bx0 else bx0)
    height = (ay1 if ay1 < by1 else by1) - (ay0 if ay0 > by0 else by0)
    if width <= 0.0 or height <= 0.0:
        return 0.0
    both = width * height
    return _share(both, (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both)


def _upright(box: Box) -> Box:
    found = bounds(box)
    assert found
    return Box(*found)


def _share(both: float, either: float) -> float:
    # Areas beyond the range of a float leave nothing to compare.
    return min(max(both / either, 0.0), 1.0) if 0.0 < either < math.inf else 0.0


def bounds_iou(a: Bounds, b: Bounds) -> float:
    """Intersection over union of two upright boxes; 0 where they have no area."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    both = width * height
    return _share(both, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _bounds_iou(a: Geometry, b: Geometry, load: Load | None) -> float:
    one, other = bounds(a, load=_needed(a, load)), bounds(b, load=_needed(b, load))
    return bounds_iou(one, other) if one and other else 0.0


def _needed(geometry: Geometry, load: Load | None) -> Load | None:
    if load is None and isinstance(geometry, Mask):
        rle.counts_of(geometry)  # without them a likeness would be made up: say so
    return load


def _area_iou(a: Geometry, b: Geometry, load: Load | None) -> float:
    if not _bounds_iou(a, b, load):
        return 0.0
    if isinstance(a, Mask) or isinstance(b, Mask):
        return _mask_iou(a, b, load)
    one, other = convex_ring(a), convex_ring(b)
    if one and other:
        both = signed_area(clip_convex(one, other))
        return _share(both, signed_area(one) + signed_area(other) - both)
    of_a, of_b, both = common_area(a, b)
    return _share(both, of_a + of_b - both)


def _mask_iou(a: Geometry, b: Geometry, load: Load | None) -> float:
    masks = [shape for shape in (a, b) if isinstance(shape, Mask)]
    height, width = max(mask.height for mask in masks), max(mask.width for mask in masks)
    one, other = (rle.mask_of(shape, height, width, load=load) for shape in (a, b))
    return rle.iou(one, other, load) if one and other else 0.0


def keypoint_similarity(
    a: Keypoints,
    b: Keypoints,
    *,
    sigmas: Sequence[float] | None = None,
    area: float | None = None,
) -> float:
    """Object keypoint similarity (COCO's formula) of two sets of the same skeleton."""
    count = len(a.visibility)
    spread = [DEFAULT_SIGMA] * count if sigmas is None else sigmas
    if len(spread) != count:
        raise UsageError(f"there are {len(spread)} sigmas for {count} keypoints")
    square = area if area is not None else _keypoint_area(a, b)
    total, labeled = 0.0, 0
    for place in range(count):
        seen_a, seen_b = a.visibility[place], b.visibility[place]
        labeled += bool(seen_a or seen_b)
        if seen_a and seen_b:
            dx = a.points[2 * place] - b.points[2 * place]
            dy = a.points[2 * place + 1] - b.points[2 * place + 1]
            total += _bell(dx, dy, 2 * spread[place] * math.sqrt(square))
    return total / labeled if labeled else 1.0


def _keypoint_area(a: Keypoints, b: Keypoints) -> float:
    """The mean area of their bounds; of an object of points where they lie in a line."""
    found = [box for box in (bounds(a), bounds(b)) if box]
    square = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in found) / max(len(found), 1)
    return min(square, FARTHEST) or USUAL_AREA


def _bell(dx: float, dy: float, reach: float) -> float:
    far = math.hypot(dx, dy)
    if far >= _FAR * reach:
        return 0.0 if far else 1.0
    return math.exp(-far * far / (2 * reach * reach))


def _reach(area: float | None) -> float:
    return math.sqrt(USUAL_AREA if area is None else area) / 10


def _point_similarity(one: Flat, other: Flat, reach: float) -> float:
    if not one or not other:
        return 0.0
    if len(one) == len(other) == 2:
        return _bell(one[0] - other[0], one[1] - other[1], reach)
    import numpy as np

    a, b = _xy(one), _xy(other)
    apart = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    reaches = np.minimum(apart / max(reach, 1e-9), _FAR)
    scores = np.where(reaches < _FAR, np.exp(-reaches * reaches / 2), 0.0)
    paired = assign(scores, 0.0)
    total = sum([float(scores[pair]) for pair in paired])
    return total / max(len(a), len(b))


def _line_similarity(one: Flat, other: Flat, reach: float) -> float:
    if not one or not other:
        return 0.0
    a, b = _xy(one), _xy(other)
    apart = (_mean_distance(a, b) + _mean_distance(b, a)) / 2
    return _bell(apart, 0.0, reach)


def _xy(points: Flat) -> NDArray[Any]:
    import numpy as np

    near: NDArray[Any] = np.clip(np.array(points, float), -FARTHEST, FARTHEST)
    return near.reshape(-1, 2)


def _mean_distance(line: NDArray[Any], other: NDArray[Any]) -> float:
    """The mean distance of points spread evenly over a line to the other line."""
    import numpy as np

    places = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    spread = (np.arange(_SAMPLES) + 0.5) / _SAMPLES * places[-1]
    points = np.stack([np.interp(spread, places, line[:, axis]) for axis in (0, 1)], axis=1)
    starts = other[:-1] if len(other) > 1 else other
    steps = np.diff(other, axis=0) if len(other) > 1 else np.zeros((1, 2))
    offset = points[:, None] - starts[None]
    squares = np.maximum((steps**2).sum(axis=1), 1e-300)
    share = np.clip((offset * steps).sum(axis=2) / squares, 0.0, 1.0)
    gaps = offset - share[..., None] * steps
    return float(np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1).mean())


def box_iou_matrix(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of every box (x0, y0, x1, y1) of a (n, 4) with every one of b."""
    import numpy as np

    ax0, ay0, ax1, ay1 = a.T[:, :, None]
    bx0, by0, bx1, by1 = b.T[:, None, :]
    with np.errstate(over="ignore", invalid="ignore"):  # areas beyond the range of a float
        width = np.minimum(ax1, bx1) - np.maximum(ax0, bx0)
        height = np.minimum(ay1, by1) - np.maximum(ay0, by0)
        both = np.maximum(width, 0.0) * np.maximum(height, 0.0)
        either = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both
    fits = (either > 0) & (either < np.inf)
    shares: NDArray[Any] = np.divide(both, either, out=np.zeros_like(both), where=fits)
    return shares


def similarity_matrix(
    a: Sequence[Geometry],
    b: Sequence[Geometry],
    *,
    sigmas: Sequence[float] | None = None,
    area: float | None = None,
    load: Load | None = None,
) -> NDArray[Any]:
    """`similarity` of every geometry of a with every one of b, (n, m).

    Only pairs whose bounds come near each other are compared, and boxes all at once.
    """
    import numpy as np

    if not a or not b:
        return np.zeros((len(a), len(b)))
    one, other = (_bounds_array(shapes, load) for shapes in (a, b))
    if all(type(shape) is Box for shape in (*a, *b)):
        scores = box_iou_matrix(one, other)
        same = np.ones(scores.shape, bool)
        with np.errstate(over="ignore"):
            for side in range(4):
                same &= np.abs(one[:, None, side] - other[None, :, side]) <= SAME_EDGES
        scores[same] = 1.0
        return scores
    margin = max(SAME_EDGES, _FAR * _reach(area))
    with np.errstate(over="ignore"):
        apart = (one[:, None, :2] - other[None, :, 2:] > margin) | (
            other[None, :, :2] - one[:, None, 2:] > margin
        )
    scores = np.zeros((len(a), len(b)))
    for row, column in np.argwhere(~apart.any(axis=2)).tolist():
        scores[row, column] = similarity(a[row], b[column], sigmas=sigmas, area=area, load=load)
    return scores


def _bounds_array(shapes: Sequence[Geometry], load: Load | None) -> NDArray[Any]:
    """The bounds, or all of the plane for what is to be looked at pair by pair.

    That is what has no bounds, and keypoints: their reach grows with them.
    """
    import numpy as np

    everywhere = (-np.inf, -np.inf, np.inf, np.inf)
    found = [
        (None if type(shape) is Keypoints else bounds(shape, load=load)) or everywhere
        for shape in shapes
    ]
    return np.array(found, float)
