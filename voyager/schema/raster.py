"""Where vertical lines run within a shape: the ground of rasterising and of areas in common.

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

_FARTHEST = 1e12
"""Coordinates beyond are drawn in to it, far outside of any image: no sum overflows."""

_EPS = 1e-300

Chords: TypeAlias = "tuple[NDArray[Any], NDArray[Any], NDArray[Any]]"
"""(line, from y, to y) of each stretch of a vertical line within a shape."""


def pixel_edges(geometry: Geometry, height: int, width: int) -> Edges | None:
    """The pixels of a height × width image, column by column, that a shape covers.

    None for what has no area by its kind (points, lines), and for masks.
    """
    import numpy as np

    extent = _x_extent(geometry)
    if extent is None:
        return None
    first = max(0, math.floor(max(extent[0], -1.0)))
    last = min(width, math.ceil(min(extent[1], width + 1.0)))
    columns = np.arange(first, max(first, last))
    pieces = []
    for line, top, bottom in _chords(geometry, columns + 0.5):
        start = np.clip(np.ceil(top - 0.5), 0, height).astype(np.int64)
        end = np.clip(np.ceil(bottom - 0.5), 0, height).astype(np.int64)
        offset = columns[line] * height
        some = end > start
        pieces.append(((offset + start)[some], (offset + end)[some]))
    return spans.overlay(pieces) if pieces else np.empty(0, np.int64)


def common_area(a: Geometry, b: Geometry, slices: int) -> tuple[float, float, float] | None:
    """(area of a, area of b, area of both) of two shapes that are no masks; None without areas.

    Measured along vertical lines, one in the middle of each slice between neighbouring vertices
    and `slices` even steps: exact for straight sides but in slices where two edges cross.
    """
    import numpy as np

    extents = [_x_extent(shape) for shape in (a, b)]
    if extents[0] is None or extents[1] is None:
        return None
    low, high = min(extents[0][0], extents[1][0]), max(extents[0][1], extents[1][1])
    cuts = np.unique(np.concatenate([np.linspace(low, high, slices + 1), _xs(a), _xs(b)]))
    middles, widths = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
    chords = [_chords(shape, middles) for shape in (a, b)]
    bottom = min((top.min() for _, top, _ in chords[0] + chords[1] if len(top)), default=0.0)
    top = max((low.max() for _, _, low in chords[0] + chords[1] if len(low)), default=0.0)
    pitch = (top - bottom) * 1.5 + 1.0  # lines laid end to end, none touches the next
    one, other = (_laid(pieces, bottom, pitch) for pieces in chords)
    return tuple(  # type: ignore[return-value]
        float(((edges[1::2] - edges[0::2]) * widths[(edges[0::2] // pitch).astype(int)]).sum())
        for edges in (one, other, spans.intersection([one, other]))
    )


def _laid(pieces: list[Chords], bottom: float, pitch: float) -> Edges:
    import numpy as np

    if not pieces:
        return np.empty(0)
    bottom -= 0.5  # away from the border between two lines, where rounding decides
    laid = [(line * pitch + (a - bottom), line * pitch + (b - bottom)) for line, a, b in pieces]
    return spans.overlay(laid)


def _xs(geometry: Geometry) -> NDArray[Any]:
    import numpy as np

    parts = rings_of(geometry)
    if parts is None:
        return np.empty(0)
    xs = [min(max(x, -_FARTHEST), _FARTHEST) for part in parts for ring in part for x in ring[::2]]
    return np.array(xs, float)


def _x_extent(geometry: Geometry) -> tuple[float, float] | None:
    if isinstance(geometry, Ellipse):
        axes = ellipse_axes(geometry)
        half = math.hypot(axes[0] - geometry.cx, axes[2] - geometry.cx)
        return geometry.cx - half, geometry.cx + half
    parts = rings_of(geometry)
    if parts is None:
        return None
    xs = [x for part in parts for ring in part for x in ring[0::2]]
    low, high = min(xs, default=0.0), max(xs, default=0.0)
    return max(low, -_FARTHEST), min(high, _FARTHEST)


def _chords(geometry: Geometry, lines: NDArray[Any]) -> list[Chords]:
    if isinstance(geometry, Ellipse):
        return [_ellipse_chords(geometry, lines)]
    return [_ring_chords(part, lines) for part in rings_of(geometry) or ()]


def _ring_chords(rings: Sequence[Flat], lines: NDArray[Any]) -> Chords:
    """The stretches of vertical lines (their x rising) within a part, by the even-odd rule."""
    import numpy as np

    empty = np.empty(0)
    starts = np.concatenate([empty, *(np.asarray(ring) for ring in rings)]).reshape(-1, 2)
    ends = np.concatenate(
        [empty, *(np.asarray(ring[2:] + ring[:2]) for ring in rings)],
    ).reshape(-1, 2)
    xa, ya = np.clip(starts, -_FARTHEST, _FARTHEST).T
    xb, yb = np.clip(ends, -_FARTHEST, _FARTHEST).T
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
    flat, tall = (min(max(r * r, _EPS), _FARTHEST**2) for r in (ellipse.rx, ellipse.ry))
    wide = cos**2 * flat + sin**2 * tall  # the square of half its width
    middle = cos * sin * (flat - tall) / wide  # how fast the middle of the chord moves down
    dx = np.clip(lines - ellipse.cx, -_FARTHEST, _FARTHEST)
    room = wide - dx**2
    line = np.flatnonzero(room > 0)
    half = np.sqrt(room[line] * flat * tall) / wide
    y = ellipse.cy + middle * dx[line]
    return line, y - half, y + half
