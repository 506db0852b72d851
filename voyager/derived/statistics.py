"""Statistics of an image: how bright, contrasty, sharp, colourful and busy it is, and its shape.

All but sharpness and aspect are of the image squeezed to 64×64 mean colours. Sums are of whole
numbers, so that a value is the same in any batch and on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voyager.derived.picture import Picture
from voyager.derived.square import SIDE, Square, square_of

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

_LUMA: Final = np.array([299, 587, 114], np.int32)
_PIXELS: Final = SIDE * SIDE
_ROWS: Final = 32


class Measured(NamedTuple):
    """What statistics are made of: the square of the image, its sharpness and its aspect."""

    square: Square
    sharpness: float
    aspect: float


def measured(picture: Picture) -> Measured:
    """What is measured of one image."""
    width, height = picture.size
    return Measured(picture.once(square_of), _sharpness(picture.levels), width / height)


def _sharpness(levels: NDArray[np.uint8]) -> float:
    height, width = levels.shape[:2]
    if height < 3 or width < 3:
        return 0.0
    count = min(_ROWS, height - 2)
    rows = 1 + ((2 * np.arange(count) + 1) * (height - 2)) // (2 * count)
    green = levels[:, :, 1]
    middle = green[rows].astype(np.int16)
    around = green[rows - 1, 1:-1].astype(np.int16)
    around += green[rows + 1, 1:-1]
    around += middle[:, :-2]
    around += middle[:, 2:]
    edges = (4 * middle[:, 1:-1] - around).astype(np.float64)
    mean, squares = float(edges.mean()), float((edges * edges).mean())  # exact: whole numbers
    return squares - mean * mean


def statistics_of(found: Sequence[Measured]) -> list[bytes]:
    """The value of each image."""
    rows = np.zeros(len(found), FIELDS)
    pixels = np.stack([one.square for one in found]).reshape(len(found), _PIXELS, 3)
    colours = pixels.astype(np.int32)
    luma = colours @ _LUMA
    rows["brightness"] = luma.sum(axis=1) / (_PIXELS * 255_000)
    rows["contrast"] = np.sqrt(_variances(luma)) / 255_000
    rows["sharpness"] = [one.sharpness for one in found]
    rows["colourfulness"] = _colourfulness(colours)
    rows["entropy"] = [_entropy(one) for one in (luma + 500) // 1000]
    rows["aspect"] = [one.aspect for one in found]
    return [row.tobytes() for row in rows]


def _colourfulness(colours: NDArray[np.int32]) -> NDArray[np.float64]:
    red, green, blue = (colours[..., channel] for channel in range(3))
    rg, yb = 2 * (red - green), red + green - 2 * blue  # both twice as large as they should be
    spread = np.sqrt(_variances(rg) + _variances(yb))
    means = np.hypot(rg.sum(axis=1) / _PIXELS, yb.sum(axis=1) / _PIXELS)
    found: NDArray[np.float64] = (spread + 0.3 * means) / 2
    return found


def _variances(levels: NDArray[np.int32]) -> NDArray[np.float64]:
    """The variance of each row."""
    wide = levels.astype(np.int64)
    total, squares = wide.sum(axis=1), (wide * wide).sum(axis=1)
    found: NDArray[np.float64] = (squares * _PIXELS - total * total) / (_PIXELS * _PIXELS)
    return found


def _entropy(levels: NDArray[np.int32]) -> float:
    counts = np.bincount(levels, minlength=256)
    shares = counts[counts > 0] / _PIXELS
    return float(abs(-(shares * np.log2(shares)).sum()))


def table(matrix: NDArray[np.uint8]) -> NDArray[np.void]:
    """Values (n, 24) as rows with the fields of FIELDS."""
    return np.ascontiguousarray(matrix).view(FIELDS)[:, 0]
