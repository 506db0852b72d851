"""Whether rings cross themselves or lie within each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voyager.schema.geometry import Flat
from voyager.schema.raster import FARTHEST, sides_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from voyager.schema.rle import Bounds

_CHUNK = 1 << 20
_ON_EDGE = 1e-6


def crossing(ring: Flat) -> tuple[float, float] | None:
    """A point where a ring crosses itself, None if it nowhere does.

    Only pairs of sides whose reaches along x overlap are looked at, O(n²) at worst. Sides that
    touch, or run along each other, do not cross.
    """
    import numpy as np

    sides = sides_of([ring])
    low, high = np.minimum(sides[0], sides[2]), np.maximum(sides[0], sides[2])
    order = np.argsort(low, kind="stable")
    sides, low, high = sides[:, order], low[order], high[order]
    counts = np.searchsorted(low, high, side="right") - np.arange(len(low)) - 1
    for first, second in _pairs(counts):
        place = _meeting(sides[:, first], sides[:, second])
        if place is not None:
            return place
    return None


def _pairs(counts: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Each place with the `counts` places after it, some at a time."""
    import numpy as np

    totals = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = totals[start - 1] if start else 0
        stop = max(int(np.searchsorted(totals, done + _CHUNK, side="right")), start + 1)
        some = counts[start:stop]
        first = np.repeat(np.arange(start, stop), some)
        offset = np.arange(len(first)) - np.repeat(np.cumsum(some) - some, some)
        yield first, first + 1 + offset
        start = stop


def _meeting(one: NDArray[Any], other: NDArray[Any]) -> tuple[float, float] | None:
    """The first point where a side of one and the side of other in the same place cross."""
    import numpy as np

    ax, ay, bx, by = one
    cx, cy, dx, dy = other
    ux, uy, vx, vy = bx - ax, by - ay, dx - cx, dy - cy
    to_c, to_d = ux * (cy - ay) - uy * (cx - ax), ux * (dy - ay) - uy * (dx - ax)
    to_a, to_b = vx * (ay - cy) - vy * (ax - cx), vx * (by - cy) - vy * (bx - cx)
    cross = (np.sign(to_c) * np.sign(to_d) < 0) & (np.sign(to_a) * np.sign(to_b) < 0)
    found = np.flatnonzero(cross)
    if not len(found):
        return None
    at = found[0]
    share = float(to_a[at] / (to_a[at] - to_b[at]))
    return float(ax[at] + share * ux[at]), float(ay[at] + share * uy[at])


def is_within(ring: Flat, outer: Flat) -> bool:
    """Whether all of a ring lies within another; it may lie on its edge."""
    import numpy as np

    if not ring or not outer:
        return not ring
    if not _holds(_extent(outer), _extent(ring)):
        return False
    points = np.clip(np.array(ring, float), -FARTHEST, FARTHEST).reshape(-1, 2)
    around, sides = sides_of([outer]), sides_of([ring])
    inner, outer_at = np.indices((sides.shape[1], around.shape[1])).reshape(2, -1)
    if _meeting(sides[:, inner], around[:, outer_at]) is not None:
        return False
    return bool((_inside(points, around) | _near(points, around)).all())


def _extent(ring: Flat) -> Bounds:
    return min(ring[0::2]), min(ring[1::2]), max(ring[0::2]), max(ring[1::2])


def _holds(outer: Bounds, inner: Bounds) -> bool:
    return all(
        (a <= b + _ON_EDGE, a >= b - _ON_EDGE)[at > 1]
        for at, (a, b) in enumerate(zip(outer, inner, strict=True))
    )


def _inside(points: NDArray[Any], sides: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    x, y = points.T[:, :, None]
    ax, ay, bx, by = sides[:, None]
    spans = (np.minimum(ax, bx) <= x) & (x < np.maximum(ax, bx))
    width = np.where(spans, bx - ax, 1.0)
    above = spans & (ay + (x - ax) / width * (by - ay) <= y)
    odd: NDArray[Any] = above.sum(axis=1) % 2 == 1
    return odd


def _near(points: NDArray[Any], sides: NDArray[Any]) -> NDArray[Any]:
    """Which points lie on a side."""
    import numpy as np

    x, y = points.T[:, :, None]
    ax, ay, bx, by = sides[:, None]
    ux, uy = bx - ax, by - ay
    share = np.clip(((x - ax) * ux + (y - ay) * uy) / np.maximum(ux * ux + uy * uy, 1e-300), 0, 1)
    near: NDArray[Any] = np.hypot(x - ax - share * ux, y - ay - share * uy).min(axis=1) <= _ON_EDGE
    return near
