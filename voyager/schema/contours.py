"""The borders of the pixels of a mask as rings along the edges of pixels.

Pixels that only touch at a corner are apart; holes that do are one ring that meets itself there.
Rings begin at their first corner in reading order; outer rings run clockwise on the screen, holes
the other way. Only corners are kept.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voyager.schema.geometry import Flat

_Corner: TypeAlias = tuple[int, int]
"""(y, x), so that corners sort in reading order."""


class _Corners(NamedTuple):
    """Corners in reading order, and the place of each one's partner along its row and column."""

    points: list[_Corner]
    along_row: list[int]
    along_column: list[int]


def contours(array: NDArray[Any]) -> list[tuple[Flat, ...]]:
    """The parts of a bool array (height, width): an outer ring each, then its holes."""
    import numpy as np

    padded = np.pad(np.asarray(array, bool), 1)
    corners = _corners(padded)
    rings, ring_at = _rings(corners)
    parts: list[list[list[_Corner]]] = []
    part_of: list[int] = []  # ring → part
    for ring in rings:
        y, x = ring[0]
        if padded[y + 1, x + 1]:
            part_of.append(len(parts))
            parts.append([ring])
        else:
            # Up from the hole, the first side met is of the outer ring, or of a hole before it.
            top = int(np.flatnonzero(~padded[: y + 1, x + 1])[-1])
            met = ring_at[bisect_right(corners.points, (top, x)) - 1]
            part_of.append(part_of[met])
            parts[part_of[met]].append([ring[0], *ring[:0:-1]])
    return [tuple(_flat(ring) for ring in part) for part in parts]


def _flat(ring: list[_Corner]) -> Flat:
    return tuple(number for y, x in ring for number in (float(x), float(y)))


def _corners(padded: NDArray[Any]) -> _Corners:
    """All corners; a point where two pixels touch across is two, one of each pixel."""
    import numpy as np

    a, b = padded[:-1, :-1], padded[:-1, 1:]  # the four pixels around each point
    c, d = padded[1:, :-1], padded[1:, 1:]
    falling, rising = a & d & ~b & ~c, b & c & ~a & ~d
    y, x = np.nonzero((a ^ b ^ c ^ d) | falling | rising)
    twice = np.where((falling | rising)[y, x], 2, 1)
    lifted = np.repeat(rising[y, x], twice)
    second = np.arange(len(lifted)) != np.repeat(np.cumsum(twice) - twice, twice)
    y, x = np.repeat(y, twice), np.repeat(x, twice)
    # Along a row the first of two at a point ends what lies to the left, along a column what lies
    # above; where the pixels touch from lower left to upper right that is the other pixel's.
    by_row, by_column = np.arange(len(x)), np.lexsort((second ^ lifted, y, x))
    points = list(zip(y.tolist(), x.tolist(), strict=True))
    return _Corners(points, _partners(by_row), _partners(by_column))


def _partners(order: NDArray[Any]) -> list[int]:
    """Neighbours in an order, two by two, are the ends of a side."""
    import numpy as np

    partner = np.empty(len(order), int)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    found: list[int] = partner.tolist()
    return found


def _rings(corners: _Corners) -> tuple[list[list[_Corner]], list[int]]:
    """The rings by their first corners, and which ring each corner is of."""
    points, along_row, along_column = corners
    ring_at = [-1] * len(points)
    rings: list[list[_Corner]] = []
    for start in range(len(points)):
        ring: list[_Corner] = []
        at = start
        while ring_at[at] < 0:
            after = along_row[at]  # from a first corner that is to the right
            ring_at[at] = ring_at[after] = len(rings)
            ring += (points[at], points[after])
            at = along_column[after]
        if ring:
            rings.append(ring)
    return rings, ring_at
