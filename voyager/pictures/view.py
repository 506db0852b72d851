"""Where a point of the stored image lies in a picture of it: turned upright, cut out, scaled."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]

_FARTHEST: Final = 1e9


@dataclass(frozen=True, slots=True)
class Bounds:
    """An upright rectangle of a picture."""

    left: float
    top: float
    right: float
    bottom: float

    @staticmethod
    def around(parts: Iterable[Bounds]) -> Bounds | None:
        """The smallest that holds all parts, None where there are none."""
        sides = [(part.left, part.top, part.right, part.bottom) for part in parts]
        if not sides:
            return None
        left, top, right, bottom = zip(*sides, strict=True)
        return Bounds(min(left), min(top), max(right), max(bottom))

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From top to bottom."""
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """Width by height."""
        return self.width * self.height

    def grown(self, by: float) -> Bounds:
        """The same, larger on each side."""
        return Bounds(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def moved(self, dx: float, dy: float) -> Bounds:
        """The same elsewhere."""
        return Bounds(self.left + dx, self.top + dy, self.right + dx, self.bottom + dy)

    def scaled(self, x: float, y: float) -> Bounds:
        """The same with both axes scaled."""
        return Bounds(self.left * x, self.top * y, self.right * x, self.bottom * y)

    def common(self, other: Bounds) -> Bounds:
        """What it shares with another; of no width or height where that is nothing."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Bounds(left, top, max(left, right), max(top, bottom))

    def touches(self, other: Bounds) -> bool:
        """Whether the two share any place, be it on their edges."""
        across = self.left <= other.right and other.left <= self.right
        return across and self.top <= other.bottom and other.top <= self.bottom

    def overlaps(self, other: Bounds) -> bool:
        """Whether the two share more than edges."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The pixels of a picture of that size that it touches; an empty box where it has none."""
        left, top = (int(max(0.0, side)) for side in (self.left, self.top))
        right, bottom = math.ceil(min(self.right, size[0])), math.ceil(min(self.bottom, size[1]))
        return left, top, max(left, right), max(top, bottom)


@dataclass(frozen=True, slots=True)
class View:
    """An affine map: (x, y) goes to (xx·x + xy·y + dx, yx·x + yy·y + dy)."""

    xx: float = 1.0
    xy: float = 0.0
    dx: float = 0.0
    yx: float = 0.0
    yy: float = 1.0
    dy: float = 0.0

    @staticmethod
    def upright(orientation: int, width: float, height: float) -> View:
        """The map from a stored image of that size and EXIF orientation to the upright one."""
        corner = width, height
        (xx, xy), (yx, yy) = _TURNS[orientation]
        dx = max(0.0, -(xx * corner[0] + xy * corner[1]))
        dy = max(0.0, -(yx * corner[0] + yy * corner[1]))
        return View(xx, xy, dx, yx, yy, dy)

    def moved(self, dx: float, dy: float) -> View:
        """The same, moved then."""
        return View(self.xx, self.xy, self.dx + dx, self.yx, self.yy, self.dy + dy)

    def scaled(self, x: float, y: float) -> View:
        """The same, scaled then."""
        return View(self.xx * x, self.xy * x, self.dx * x, self.yx * y, self.yy * y, self.dy * y)

    def of(self, points: Array) -> Array:
        """Map points, an array of (x, y)."""
        turn = np.array([[self.xx, self.yx], [self.xy, self.yy]])
        mapped: Array = near(points) @ turn + (self.dx, self.dy)
        return mapped

    def inverse(self) -> tuple[float, float, float, float, float, float]:
        """The six numbers that lead back, as `PIL.Image.transform` takes them."""
        area = self.xx * self.yy - self.xy * self.yx
        a, b, c, d = self.yy / area, -self.xy / area, -self.yx / area, self.xx / area
        return a, b, -(a * self.dx + b * self.dy), c, d, -(c * self.dx + d * self.dy)


def near(points: ArrayLike) -> Array:
    """The same points, but none so far away that numbers overflow; no image reaches there."""
    close: Array = np.clip(np.nan_to_num(np.asarray(points, float)), -_FARTHEST, _FARTHEST)
    return close


_TURNS: Final[dict[int, tuple[tuple[int, int], tuple[int, int]]]] = {
    1: ((1, 0), (0, 1)),
    2: ((-1, 0), (0, 1)),
    3: ((-1, 0), (0, -1)),
    4: ((1, 0), (0, -1)),
    5: ((0, 1), (1, 0)),
    6: ((0, -1), (1, 0)),
    7: ((0, -1), (-1, 0)),
    8: ((0, 1), (-1, 0)),
}
"""EXIF orientation → the rows of the matrix that turns a stored image upright."""
