"""The pixels of a JPEG by simplejpeg, where it is installed: the same as Pillow's, with less work.

Both call libjpeg-turbo, whose plain decoding is exact, so the pixels are the same to the bit; what
is not plain, or makes the library warn, is left to Pillow.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_PLAIN: Final = {
    ("YCbCr", "444"),
    ("YCbCr", "422"),
    ("YCbCr", "420"),
    ("Gray", "Gray"),
}
"""(colours, subsampling) that every libjpeg-turbo decodes alike."""


def plain_pixels(data: bytes, width: int, height: int) -> NDArray[np.uint8] | None:
    """All pixels as (rows, columns, RGB), not turned upright; None where Pillow has to say."""
    library = _library()
    if library is None:
        return None
    try:
        rows, columns, colours, subsampling = library.decode_jpeg_header(data)
        if (columns, rows) != (width, height) or (colours, subsampling) not in _PLAIN:
            return None
        pixels: NDArray[np.uint8] = library.decode_jpeg(data)
        return pixels
    except ValueError:
        return None


@cache
def _library() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
