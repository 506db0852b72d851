"""The area that two shapes of any form share.

Measured along vertical lines, one in the middle of each slice between neighbouring vertices and
crossings: there all that changes, changes linearly, so that the middle stands for the slice. Exact
for rings that do not cross themselves; even steps between keep ellipses, tangled rings and those
of too many sides to cross them all within about 1e-4 of their area.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voyager.schema import raster, spans
from voyager.schema.geometry import Ellipse, Geometry
from voyager.schema.outline import rings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voyager.schema.raster import Chords
    from voyager.schema.spans import Edges

_MOST_CROSSINGS = 1 << 18
_FEW_STEPS, _MANY_STEPS = 32, 512


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
    steps = _MANY_STEPS
    if one.size and other.size and one.shape[1] * other.shape[1] <= _MOST_CROSSINGS:
        found.append(_crossings(one, other))
        steps = _FEW_STEPS
    extents = [raster.x_extent(shape) or (0.0, 0.0) for shape in (a, b)]
    low, high = max(extents[0][0], extents[1][0]), min(extents[0][1], extents[1][1])
    if low < high:
        found.append(np.linspace(low, high, steps))
    for shape, (first, last) in zip((a, b), extents, strict=True):
        if isinstance(shape, Ellipse):  # closer together where it turns back
            swing = np.cos(np.linspace(0.0, np.pi, _MANY_STEPS))
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
