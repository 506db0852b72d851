"""The colour layout of an image: its 16×16 mean colours, compared by a cosine.

It works on images of 32 pixels as well, where a perceptual hash has little to hold on to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voyager.derived.square import SIDE, Square

GRID: Final = 16
BYTES: Final = GRID * GRID * 3
"""A value: rows, columns, RGB, a byte each."""

_CELL: Final = SIDE // GRID


def layout_squares(squares: Sequence[Square]) -> list[bytes]:
    """The value of each square: means of its 4×4 cells, rounded down."""
    cells = np.stack(squares).reshape(-1, GRID, _CELL, GRID, _CELL, 3)
    means = (cells.sum(axis=(2, 4), dtype=np.uint32) // (_CELL * _CELL)).astype(np.uint8)
    return [one.tobytes() for one in means]


def vectors(layouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Layouts (n, 768) as unit vectors whose inner product is their likeness, -1 to 1.

    The mean of each channel is taken out, so that light and tint do not count; a layout of one
    colour becomes zeros and is like nothing.
    """
    cells = layouts.reshape(-1, GRID * GRID, 3).astype(np.float32)
    cells -= cells.mean(axis=1, keepdims=True)
    flat = cells.reshape(len(layouts), BYTES)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    unit: NDArray[np.float32] = flat / np.maximum(lengths, 1.0)
    return unit


def mirrored(layouts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The layouts of the images with left and right changed."""
    rows = layouts.reshape(-1, GRID, GRID, 3)[:, :, ::-1]
    return np.ascontiguousarray(rows).reshape(-1, BYTES)
