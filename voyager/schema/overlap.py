"""The area that two shapes of any form share.

Measured along vertical lines, one in the middle of each slice between neighbouring vertices and
crossings: there all that changes, changes linearly, so that the middle stands for the slice. Exact
but for ellipses and shapes of so many sides that even steps stand for their crossings (within about
1e-4 of the area), and for large rings that cross themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from voyager.schema import raster, rle, spans
from voyager.schema.geometry import Box, Ellipse, Geometry, Mask
from voyager.schema.measures import AREA_SHAPES, bounds
from voyager.schema.outline import rings_of
from voyager.schema.rle import Bounds, Load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voyager.schema.raster import Chords
    from voyager.schema.spans import Edges

_MOST_CROSSINGS = 1 << 16
"""Pairs of sides of two shapes that are tried; beyond, even steps do."""
_MOST_TANGLES = 1 << 13
"""Pairs of sides of one shape, to find where it crosses itself."""
_STEPS = 512

_LEAST_SHARED: Final = 1.0
_LEAST_SHARE: Final = 0.01
"""What two shapes have to share to overlap: square pixels, and a part of the smaller one."""
_MOST_MEASURED: Final = 1 << 14
"""Pairs of one image whose common area is measured; those of upright boxes alone cost nothing."""


def overlaps(
    shapes: Sequence[Geometry | None], load: Load | None = None
) -> Iterator[tuple[int, int, float]]:
    """(place, an earlier place, area of both) of each shape that overlaps an earlier one, once.

    Shapes that share a border, or a square pixel, or a hundredth of the smaller one, do not. A mask
    in a blob is left out without `load`, and so is what follows when very many pairs were measured.
    """
    reach = [(_reach(shape, load), place) for place, shape in enumerate(shapes)]
    told: set[int] = set()
    measured = 0
    open_: list[tuple[Bounds, int]] = []
    for own, place in sorted((found, place) for found, place in reach if found is not None):
        open_ = [(other, there) for other, there in open_ if other[2] > own[0]]
        for other, there in open_:
            later, earlier = max(place, there), min(place, there)
            if later not in told and _in_common(own, other) > _LEAST_SHARED:
                measured += not (isinstance(shapes[place], Box) and isinstance(shapes[there], Box))
                if measured > _MOST_MEASURED:
                    return
                sizes = areas(shapes[place], shapes[there], load)
                if sizes[2] > max(_LEAST_SHARED, _LEAST_SHARE * min(sizes[:2])):
                    told.add(later)
                    yield later, earlier, sizes[2]
        open_.append((own, place))


def _reach(shape: Geometry | None, load: Load | None) -> Bounds | None:
    return bounds(shape, load=load) if isinstance(shape, AREA_SHAPES) else None


def _in_common(a: Bounds, b: Bounds) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def areas(
    a: Geometry | None, b: Geometry | None, load: Load | None = None
) -> tuple[float, float, float]:
    """(area of a, area of b, area of both) of any shapes; zeros where they cannot be compared."""
    if not isinstance(a, AREA_SHAPES) or not isinstance(b, AREA_SHAPES):
        return (0.0, 0.0, 0.0)
    if isinstance(a, Box) and isinstance(b, Box):
        one, other = bounds(a), bounds(b)
        assert one is not None and other is not None
        return _in_common(one, one), _in_common(other, other), _in_common(one, other)
    if not isinstance(a, Mask) and not isinstance(b, Mask):
        return common_area(a, b)
    size = next((shape.height, shape.width) for shape in (a, b) if isinstance(shape, Mask))
    drawn = (rle.mask_of(shape, *size, load=load) for shape in (a, b))
    masks = [mask for mask in drawn if mask is not None]
    both = rle.intersection(masks, load)
    first, second, shared = (float(rle.area(rle.runs_of(m, load))) for m in (*masks, both))
    return first, second, shared


def common_area(a: Geometry, b: Geometry) -> tuple[float, float, float]:
    """(area of a, area of b, area of both); zeros for masks and what has no area."""
    import numpy as np

    cuts = _cuts(a, b)
    middles, widths = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
    pieces = [raster.chords(shape, middles) for shape in (a, b)]
    filled = [(start, end) for _, start, end in pieces[0] + pieces[1] if len(start)]
    top = min((start.min() for start, _ in filled), default=0.0) - 0.5
    pitch = max((end.max() for _, end in filled), default=0.0) + 0.5 - top
    one, other = (_laid(chords, top, pitch) for chords in pieces)
    sizes = [
        float(((edges[1::2] - edges[0::2]) * widths[(edges[0::2] // pitch).astype(int)]).sum())
        for edges in (one, other, spans.intersection([one, other]))
    ]
    return sizes[0], sizes[1], sizes[2]


def _laid(pieces: list[Chords], top: float, pitch: float) -> Edges:
    """Chords of many lines as spans of one: the lines laid end to end, none touching the next."""
    import numpy as np

    laid = [
        (line * pitch + (start - top), line * pitch + (end - top)) for line, start, end in pieces
    ]
    return spans.overlay(laid) if laid else np.empty(0)


def _cuts(a: Geometry, b: Geometry) -> NDArray[Any]:
    import numpy as np

    one, other = (_sides(shape) for shape in (a, b))
    found = [one[0], other[0]]
    for left, right, most in (
        (one, other, _MOST_CROSSINGS),
        (one, one, _MOST_TANGLES),
        (other, other, _MOST_TANGLES),
    ):
        if left.shape[1] * right.shape[1] <= most:
            found.append(_crossings(left, right))
    extents = [raster.x_extent(shape) or (0.0, 0.0) for shape in (a, b)]
    low, high = max(extents[0][0], extents[1][0]), min(extents[0][1], extents[1][1])
    exact = one.size and other.size and one.shape[1] * other.shape[1] <= _MOST_CROSSINGS
    if low < high and not exact:
        found.append(np.linspace(low, high, _STEPS))
    for shape, (first, last) in zip((a, b), extents, strict=True):
        if isinstance(shape, Ellipse):  # closer together where it turns back
            swing = np.cos(np.linspace(0.0, np.pi, _STEPS))
            found.append((first + last) / 2 + (last - first) / 2 * swing)
    return np.unique(np.concatenate(found))


def _sides(geometry: Geometry) -> NDArray[Any]:
    return raster.sides_of([ring for part in rings_of(geometry) or () for ring in part])


def _crossings(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """The x of each point where a side of one meets a side of the other."""
    import numpy as np

    ax, ay, bx, by = one[:, :, None]
    cx, cy, dx, dy = other[:, None, :]
    ux, uy, vx, vy = bx - ax, by - ay, dx - cx, dy - cy
    turn = ux * vy - uy * vx
    with np.errstate(divide="ignore", invalid="ignore"):
        along = ((cx - ax) * vy - (cy - ay) * vx) / turn
        across = ((cx - ax) * uy - (cy - ay) * ux) / turn
        meet = (along >= 0) & (along <= 1) & (across >= 0) & (across <= 1)
        places: NDArray[Any] = (ax + along * ux)[meet]
    return places
