"""An image as a square of 64×64 colours: what hashes and sketches are made of."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Resampling

from voyager.derived.picture import Picture

SIDE: Final = 64
_DETAIL: Final = 128
"""A JPEG is decoded with no more pixels than this a side ask for."""

Square: TypeAlias = NDArray[np.uint8]
"""(64, 64, 3): rows, columns, RGB."""
Luma: TypeAlias = NDArray[np.float32]
"""(64, 64): rows, columns; 1000 × (0.299 R + 0.587 G + 0.114 B), whole numbers up to 255,000."""
LUMA_WEIGHTS: Final = np.array([299, 587, 114], np.float32)


def square_of(picture: Picture) -> Square:
    """The whole image, upright, squeezed or stretched to 64×64.

    The filter is a triangle over the pixels that a cell covers: unlike Pillow's box it gives the
    mirrored square for a mirrored image, to the last bit.
    """
    image = picture.detail(_DETAIL)
    return np.asarray(image.resize((SIDE, SIDE), Resampling.BILINEAR))


def luma_of(picture: Picture) -> Luma:
    """The square in grey; exact, since 24 bits hold every sum."""
    colours = picture.once(square_of).astype(np.float32)
    return colours @ LUMA_WEIGHTS
