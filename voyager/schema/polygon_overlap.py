"""Likeness of many pairs of rings, computed together.

A ring holds the sum of what lies between each of its sides and a line above it, with a sign; so
what two rings share is a sum over pairs of sides, of which each is a formula, and no pair of rings
has to be looked at alone. Exact for rings that do not cross themselves; where one does and its
sums do not fit each other, it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from voyager.schema.geometry import Flat

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_PRODUCTS = 1 << 18
"""Pairs of sides looked at together, in some 30 MB."""
_LOOSE = 1e-6


def ring_ious(pairs: Sequence[tuple[Flat, Flat]]) -> NDArray[Any]:
    """Intersection over union of each pair of rings.

    0 where there is no area, NaN where sums do not fit since a ring crosses itself.
    """
    import numpy as np

    found = np.zeros(len(pairs))
    products = np.cumsum([len(a) * len(b) for a, b in pairs]) / 4
    start = 0
    while start < len(pairs):
        done = products[start - 1] if start else 0.0
        stop = int(np.searchsorted(products, done + _MOST_PRODUCTS, side="right"))
        stop = max(stop, start + 1)
        found[start:stop] = _ious(pairs[start:stop])
        start = stop
    return found


def _ious(pairs: Sequence[tuple[Flat, Flat]]) -> NDArray[Any]:
    import numpy as np

    one, other = _sides([pair[0] for pair in pairs]), _sides([pair[1] for pair in pairs])
    top = np.minimum(one.tops, other.tops)
    first, second = _areas(one, top), _areas(other, top)
    both = _shared(one, other, top)
    least = np.minimum(first, second)
    either = first + second - both
    misfit = (both > least * (1 + _LOOSE) + _LOOSE) | (both < -_LOOSE * (1 + least))
    found = np.divide(both, either, out=np.zeros(len(pairs)), where=either > 0)
    return np.where(misfit, np.nan, np.clip(found, 0.0, 1.0))


class _Sides(NamedTuple):
    """The sides of many rings from left to right, with a sign; upright ones hold no area.

    `owner` is the place of the ring, `counts` how many sides each has, `tops` its least y.
    """

    x0: NDArray[Any]
    y0: NDArray[Any]
    x1: NDArray[Any]
    y1: NDArray[Any]
    sign: NDArray[Any]
    owner: NDArray[Any]
    counts: NDArray[Any]
    tops: NDArray[Any]


def _sides(rings: Sequence[Flat]) -> _Sides:
    import numpy as np

    x0, y0 = np.fromiter(chain.from_iterable(rings), float).reshape(-1, 2).T
    sizes = np.array([len(ring) // 2 for ring in rings], int)
    ends = np.cumsum(sizes)
    following = np.arange(1, len(x0) + 1)
    following[ends[sizes > 0] - 1] = (ends - sizes)[sizes > 0]
    owner = np.repeat(np.arange(len(rings)), sizes)
    tops = np.full(len(rings), np.inf)
    np.minimum.at(tops, owner, y0)
    tops[sizes == 0] = 0.0
    x1, y1 = x0[following], y0[following]
    doubled = np.bincount(owner, (x1 - x0) * (y0 + y1 - 2 * tops[owner]), minlength=len(rings))
    kept, back = x0 != x1, x1 < x0
    sign = np.where(back, -1.0, 1.0) * np.where(doubled < 0, -1.0, 1.0)[owner]
    owner = owner[kept]
    counts = np.bincount(owner, minlength=len(rings))
    return _Sides(
        np.where(back, x1, x0)[kept],
        np.where(back, y1, y0)[kept],
        np.where(back, x0, x1)[kept],
        np.where(back, y0, y1)[kept],
        sign[kept],
        owner,
        counts,
        tops,
    )


def _areas(sides: _Sides, top: NDArray[Any]) -> NDArray[Any]:
    """The area of each ring, from a line above each."""
    import numpy as np

    height = (sides.y0 + sides.y1) / 2 - top[sides.owner]
    held = sides.sign * (sides.x1 - sides.x0) * height
    return np.bincount(sides.owner, held, minlength=len(sides.counts))


def _shared(one: _Sides, other: _Sides, top: NDArray[Any]) -> NDArray[Any]:
    """The area that the rings of each pair share."""
    import numpy as np

    a, b = _products(one, other)
    left = np.maximum(one.x0[a], other.x0[b])
    width = np.minimum(one.x1[a], other.x1[b]) - left
    meet = np.flatnonzero(width > 0)
    a, b, left, width = a[meet], b[meet], left[meet], width[meet]
    slope_a, height_a = _line(one, top)
    slope_b, height_b = _line(other, top)
    slope_a, slope_b = slope_a[a], slope_b[b]
    a_left = height_a[a] + slope_a * left
    b_left = height_b[b] + slope_b * left
    apart_left = a_left - b_left
    apart_right = apart_left + (slope_a - slope_b) * width
    far_left, far_right = np.abs(apart_left), np.abs(apart_right)
    gap = far_left + far_right
    crossed = np.flatnonzero(apart_left * apart_right < 0)
    near, far = far_left[crossed], far_right[crossed]
    gap[crossed] = (near * near + far * far) / gap[crossed]
    # The lesser of two heights is half of what their difference leaves of their sum.
    both = 2 * (a_left + b_left) + (slope_a + slope_b) * width
    held = one.sign[a] * other.sign[b] * width * (both - gap) / 4
    return np.bincount(one.owner[a], held, minlength=len(one.counts))


def _line(sides: _Sides, top: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Slope of each side, and its height below the top of its pair where x is 0."""
    slope = (sides.y1 - sides.y0) / (sides.x1 - sides.x0)
    return slope, sides.y0 - top[sides.owner] - slope * sides.x0


def _products(one: _Sides, other: _Sides) -> tuple[NDArray[Any], NDArray[Any]]:
    """Every side of the first ring with every side of the second, of all pairs."""
    import numpy as np

    repeats = other.counts[one.owner]
    a = np.repeat(np.arange(len(one.owner)), repeats)
    first = np.cumsum(other.counts) - other.counts
    begins = np.cumsum(repeats) - repeats
    b = np.arange(len(a)) - begins[a] + first[one.owner[a]]
    return a, b
