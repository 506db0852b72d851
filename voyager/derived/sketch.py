"""The sketch of an image: 256 signs of its low frequencies, in light and colour.

It finds what may be a near-duplicate, cropped and covered in parts too; `alignment` then tells.
All sums are of whole numbers, so a sketch does not depend on the batch, nor on the machine, and
that of the mirrored image is a fixed change of its bits (docs/decisions/0021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voyager.derived.square import SIDE, Square

SKETCH_BYTES: Final = 32
BYTES: Final = SKETCH_BYTES + 1
"""A value: the bits of light, then of blue and of red, from low frequencies to high; quality."""

GRID: Final = 16
_CELL: Final = SIDE // GRID
_BITS: Final = (156, 50, 50)
"""How many frequencies of light, blue and red count: those that a crop of 5 % mostly keeps."""

_COLOURS: Final = np.array([[299, 587, 114], [-169, -331, 500], [500, -419, -81]], np.float64)
_EIGHTH: Final = 2 * _CELL * _CELL * 1000 // 8
_SCALE: Final = 1 << 10
_COSINES: Final = np.rint(
    _SCALE * np.cos(np.pi / (2 * GRID) * np.outer(np.arange(GRID), 2 * np.arange(GRID) + 1))
)


def sketch_squares(squares: Sequence[Square]) -> list[bytes]:
    """The value of each square.

    The quality is how far light is from its median on average, in eighths of a level, 255 at most.
    Levels are counted from the median of their channel and cut off at their mean distance from it,
    so that what covers a part of the image weighs no more than its area.
    """
    rows = np.stack(squares).reshape(-1, _CELL, SIDE * 3).sum(axis=1, dtype=np.uint16)
    cells = rows.reshape(-1, _CELL, 3).sum(axis=1, dtype=np.uint16).astype(np.float64)
    levels = (cells @ _COLOURS.T).reshape(len(squares), -1, 3).transpose(0, 2, 1).copy()
    above = 2 * levels - 2 * np.median(levels, axis=2, keepdims=True)
    limit = np.abs(above).sum(axis=2, keepdims=True) // above.shape[2]
    cut = np.clip(above, -limit, limit).reshape(-1, 3, GRID, GRID)
    waves = (_COSINES @ cut @ _COSINES.T).reshape(len(squares), 3, -1)
    signs = np.concatenate([waves[:, at, _LOWEST[:n]] > 0 for at, n in enumerate(_BITS)], axis=1)
    quality = np.minimum(limit[:, 0] // _EIGHTH, 255).astype(np.uint8)
    return [row.tobytes() for row in np.column_stack((np.packbits(signs, axis=1), quality))]


def _lowest() -> NDArray[np.int64]:
    """Places of frequencies in a 16×16 block from the lowest, without that of a plain image."""
    down, across = np.divmod(np.arange(GRID * GRID), GRID)
    return np.lexsort((down, down**2 + across**2))[1:]


_LOWEST: Final = _lowest()
_ODD: Final = np.packbits(np.concatenate([_LOWEST[:n] % 2 == 1 for n in _BITS]))
"""The bits of waves that change sign when left and right change places."""


def mirrored(sketches: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The sketches (n, 32) of the images with left and right changed."""
    changed: NDArray[np.uint8] = sketches ^ _ODD
    return changed
