"""The likeness of an image: its light at 64×64 and its colours at 16×16, what `alignment` compares.

It is made of candidates alone, so that a million images do not cost 4.6 GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voyager.derived.square import SIDE, Square

GRID: Final = 16
LIGHT_BYTES: Final = SIDE * SIDE
BYTES: Final = LIGHT_BYTES + 2 * GRID * GRID
"""A value: light row by row, then the planes of blue and of red, a byte each."""

_CELL: Final = SIDE // GRID
_LIGHT: Final = np.array([299, 587, 114], np.uint32)
_COLOURS: Final = np.array([[-169, -331, 500], [500, -419, -81]], np.int32)


def likeness_squares(squares: Sequence[Square]) -> list[bytes]:
    """The value of each square: whole numbers, rounded down; colours are counted from 128."""
    stacked = np.stack(squares)
    light = (stacked @ _LIGHT // 1000).astype(np.uint8).reshape(len(squares), -1)
    rows = stacked.reshape(-1, _CELL, SIDE * 3).sum(axis=1, dtype=np.uint16)
    cells = rows.reshape(-1, _CELL, 3).sum(axis=1, dtype=np.int32) @ _COLOURS.T
    shades = (cells // (1000 * _CELL * _CELL) + 128).astype(np.uint8)
    planes = shades.reshape(len(squares), -1, 2).transpose(0, 2, 1).reshape(len(squares), -1)
    return [row.tobytes() for row in np.concatenate([light, planes], axis=1)]


def lights(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The light (n, 64, 64) of likenesses (n, 4608)."""
    return values[:, :LIGHT_BYTES].reshape(-1, SIDE, SIDE).astype(np.float32)


def colours(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Their colours (n, 2, 16, 16)."""
    return values[:, LIGHT_BYTES:].reshape(-1, 2, GRID, GRID).astype(np.float32)
