"""Statistics of an image: how bright, contrasty, sharp, colourful and busy it is, and its shape.

All but sharpness and aspect are of the image squeezed to 64×64 mean colours. Sums are of whole
numbers, so that a value is the same in any batch and on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.picture import Picture
from voyager.derived.square import LUMA_WEIGHTS, SIDE, Luma, luma_of, square_of

Integers: TypeAlias = NDArray[np.int64]

FIELDS: Final = np.dtype(
    [
        ("brightness", "<f4"),
        ("contrast", "<f4"),
        ("sharpness", "<f4"),
        ("colourfulness", "<f4"),
        ("entropy", "<f4"),
        ("aspect", "<f4"),
    ]
)
"""A value, with Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) of levels 0 to 255:

- brightness: mean of Y / 255, 0 to 1
- contrast: standard deviation of Y / 255 (RMS contrast; Peli 1990), 0 to 0.5
- sharpness: variance of the Laplacian (4 neighbours) of the green levels, at full resolution, along
  32 rows that lie evenly over the image (Pech-Pacheco et al. 2000); a blurred photograph has some
  tens, a sharp one many hundreds
- colourfulness: √(σ²rg + σ²yb) + 0.3 √(μ²rg + μ²yb) with rg = R - G and yb = (R + G) / 2 - B
  (Hasler and Süsstrunk 2003); 0 of greys, 109 means "extremely colourful"
- entropy: of the histogram of Y in 256 steps, in bits (Shannon 1948), 0 to 8
- aspect: width / height, upright
"""

BYTES: Final = FIELDS.itemsize

_PIXELS: Final = SIDE * SIDE
_ROWS: Final = 32
_BESIDE: Final = np.array([[-1], [0], [1]])
"""A row with the one above and the one below, as a column to add rows to."""

Whole: TypeAlias = NDArray[np.float64]
"""Whole numbers below 2**53, so that their sums are exact in any order."""


class Measured(NamedTuple):
    """What statistics are made of."""

    sums: Whole
    """(3): levels of R, G and B added up over the square."""
    products: Whole
    """(3, 3): products of two of them added up; with the sums they give the variance of any mix."""
    entropy: float
    sharpness: float
    aspect: float


def measured(picture: Picture) -> Measured:
    """What is measured of one image."""
    width, height = picture.size
    colours = picture.once(square_of).reshape(_PIXELS, 3).T.astype(np.float64, order="C")
    return Measured(
        colours.sum(axis=1),
        np.einsum("ij,kj->ik", colours, colours),
        _entropy(picture.once(luma_of)),
        _sharpness(picture.levels),
        width / height,
    )


def _sharpness(levels: NDArray[np.uint8]) -> float:
    height, width = levels.shape[:2]
    if height < 3 or width < 3:
        return 0.0
    count = min(_ROWS, height - 2)
    rows = 1 + ((2 * np.arange(count) + 1) * (height - 2)) // (2 * count)
    above, middle, below = levels[rows + _BESIDE][..., 1].astype(np.int16)
    around = above[:, 1:-1] + below[:, 1:-1]
    around += middle[:, :-2]
    around += middle[:, 2:]
    edges = (4 * middle[:, 1:-1] - around).astype(np.float64).ravel()
    mean, squares = float(edges.mean()), float((edges * edges).mean())
    return squares - mean * mean


def _entropy(luma: Luma) -> float:
    levels = (luma.ravel().astype(np.int32) + 500) // 1000
    counts = np.bincount(levels, minlength=256)
    shares = counts[counts > 0] / _PIXELS
    return float(abs(-(shares * np.log2(shares)).sum()))


_LUMA: Final = LUMA_WEIGHTS.astype(np.int64)
_RED_GREEN: Final = np.array([2, -2, 0])
_YELLOW_BLUE: Final = np.array([1, 1, -2])
"""Both twice as large as they should be."""


def statistics_of(found: Sequence[Measured]) -> list[bytes]:
    """The value of each image."""
    rows = np.zeros(len(found), FIELDS)
    sums = np.array([one.sums for one in found]).astype(np.int64)
    products = np.array([one.products for one in found]).astype(np.int64)
    rows["brightness"] = sums @ _LUMA / (_PIXELS * 255_000)
    rows["contrast"] = np.sqrt(_variances(sums, products, _LUMA)) / 255_000
    rows["sharpness"] = [one.sharpness for one in found]
    rows["colourfulness"] = _colourfulness(sums, products)
    rows["entropy"] = [one.entropy for one in found]
    rows["aspect"] = [one.aspect for one in found]
    return [row.tobytes() for row in rows]


def _colourfulness(sums: Integers, products: Integers) -> Whole:
    variances = [_variances(sums, products, mix) for mix in (_RED_GREEN, _YELLOW_BLUE)]
    means = np.hypot(sums @ _RED_GREEN / _PIXELS, sums @ _YELLOW_BLUE / _PIXELS)
    found: Whole = (np.sqrt(variances[0] + variances[1]) + 0.3 * means) / 2
    return found


def _variances(sums: Integers, products: Integers, mix: Integers) -> Whole:
    """The variance of a mix of the three colours over each image."""
    total, squares = sums @ mix, products @ mix @ mix
    found: Whole = (squares * _PIXELS - total * total) / (_PIXELS * _PIXELS)
    return found


def table(matrix: NDArray[np.uint8]) -> NDArray[np.void]:
    """Values (n, 24) as rows with the fields of FIELDS."""
    return np.ascontiguousarray(matrix).view(FIELDS)[:, 0]
