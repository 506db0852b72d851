"""An image as a square of 64×64 colours: what perceptual hash and layout are made of."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Resampling

from voyager.derived.decode import UNDECODABLE, decode, sound_header

SIDE: Final = 64
_DETAIL: Final = 256
"""A JPEG is decoded with no more pixels than this a side ask for."""

Square: TypeAlias = NDArray[np.uint8]
"""(64, 64, 3): rows, columns, RGB."""


def square_of(data: bytes) -> Square | None:
    """The whole image, upright, squeezed or stretched to 64×64; None where it cannot be decoded.

    The filter is a triangle over the pixels that a cell covers: unlike Pillow's box it gives the
    mirrored square for a mirrored image, to the last bit.
    """
    info = sound_header(data)
    if info is None:
        return None
    try:
        image = decode(data, info, most=_DETAIL)
        return np.asarray(image.resize((SIDE, SIDE), Resampling.BILINEAR))
    except UNDECODABLE:
        return None
