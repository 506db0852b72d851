"""Where vertical lines run within a shape, and the pixels that it covers.

Rings count by the even-odd rule within a part (so holes are holes whichever way they run), and
parts are joined. A pixel belongs to a shape when its centre does; a centre on the left or upper
edge is in, on the right or lower edge out, so that shapes that share an edge share no pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from voyager.schema import spans
from voyager.schema.geometry import Ellipse, Flat, Geometry
from voyager.schema.outline import cos_sin, ellipse_axes, rings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voyager.schema.spans import Edges

FARTHEST = 1e12
"""Coordinates beyond are drawn in to it, far outside of any image: no sum overflows."""

_EPS = 1e-300

Chords: TypeAlias = "tuple[NDArray[Any], NDArray[Any], NDArray[Any]]"
"""(line, from y, to y) of each stretch of a vertical line within a shape."""


def pixel_edges(geometry: Geometry, height: int, width: int) -> Edges | None:
    """The pixels of a height × width image, column by column, that a shape covers.

    None for what has no area by its kind (points, lines), and for masks.
    """
    import numpy as np

    extent = x_extent(geometry)
    if extent is None:
        return None
    first = max(0, math.floor(max(extent[0], -1.0)))
    last = min(width, math.ceil(min(extent[1], width + 1.0)))
    columns = np.arange(first, max(first, last))
    pieces = []
    for line, top, bottom in chords(geometry, columns + 0.5):
        start = np.clip(np.ceil(top - 0.5), 0, height).astype(np.int64)
        end = np.clip(np.ceil(bottom - 0.5), 0, height).astype(np.int64)
        offset = columns[line] * height
        some = end > start
        pieces.append(((offset + start)[some], (offset + end)[some]))
    return spans.overlay(pieces) if pieces else np.empty(0, np.int64)


def x_extent(geometry: Geometry) -> tuple[float, float] | None:
    """From where to where along x a shape with an area reaches, None for all else and masks."""
    if isinstance(geometry, Ellipse):
        axes = ellipse_axes(geometry)
        half = math.hypot(axes[0] - geometry.cx, axes[2] - geometry.cx)
        return geometry.cx - half, geometry.cx + half
    parts = rings_of(geometry)
    if parts is None:
        return None
    xs = [x for part in parts for ring in part for x in ring[0::2]]
    low, high = min(xs, default=0.0), max(xs, default=0.0)
    return max(low, -FARTHEST), min(high, FARTHEST)


def chords(geometry: Geometry, lines: NDArray[Any]) -> list[Chords]:
    """The stretches of vertical lines, their x rising, within each part of a shape."""
    if isinstance(geometry, Ellipse):
        return [_ellipse_chords(geometry, lines)]
    return [_ring_chords(part, lines) for part in rings_of(geometry) or ()]


def sides_of(rings: Sequence[Flat]) -> NDArray[Any]:
    """The sides of rings, as four rows: x and y of where each begins, x and y of where it ends."""
    import numpy as np

    begin = [number for ring in rings for number in ring]
    end = [number for ring in rings for number in (*ring[2:], *ring[:2])]
    sides = np.array(begin + end, float).reshape(2, -1, 2)
    near: NDArray[Any] = np.minimum(np.maximum(sides, -FARTHEST), FARTHEST)
    return near.swapaxes(1, 2).reshape(4, -1)


def _ring_chords(rings: Sequence[Flat], lines: NDArray[Any]) -> Chords:
    import numpy as np

    xa, ya, xb, yb = sides_of(rings)
    first = np.searchsorted(lines, np.minimum(xa, xb))
    counts = np.searchsorted(lines, np.maximum(xa, xb)) - first
    edge = np.repeat(np.arange(len(xa)), counts)
    line = np.arange(len(edge)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    share = (lines[line] - xa[edge]) / (xb - xa)[edge]
    y = ya[edge] + share * (yb - ya)[edge]
    order = np.lexsort((y, line))
    line, y = line[order], y[order]
    return line[0::2], y[0::2], y[1::2]


def _ellipse_chords(ellipse: Ellipse, lines: NDArray[Any]) -> Chords:
    import numpy as np

    cos, sin = cos_sin(ellipse.angle)
    flat, tall = (min(max(r * r, _EPS), FARTHEST**2) for r in (ellipse.rx, ellipse.ry))
    wide = cos**2 * flat + sin**2 * tall  # the square of half its width
    middle = cos * sin * (flat - tall) / wide  # how fast the middle of the chord moves down
    dx = np.clip(lines - ellipse.cx, -FARTHEST, FARTHEST)
    room = wide - dx**2
    line = np.flatnonzero(room > 0)
    half = np.sqrt(room[line] * flat * tall) / wide
    y = ellipse.cy + middle * dx[line]
    return line, y - half, y + half
