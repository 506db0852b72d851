"""The pixels of a JPEG by simplejpeg, where it is installed: the same as Pillow's, with less work.

Both call libjpeg-turbo, whose plain decoding is exact, so the pixels are the same to the bit; what
is not plain, or makes the library warn, is left to Pillow.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.images import ImageInfo

_PLAIN: Final = {
    ("YCbCr", "444"),
    ("YCbCr", "422"),
    ("YCbCr", "420"),
    ("Gray", "Gray"),
}
"""(colours, subsampling) that every libjpeg-turbo decodes alike."""


def plain_pixels(data: bytes, info: ImageInfo, scale: int) -> NDArray[np.uint8] | None:
    """Pixels as (rows, columns, RGB), not turned upright; None where Pillow has to say.

    Both sides of the image are divided by `scale` (1, 2, 4 or 8) while it is decoded.
    """
    library = _library()
    if library is None or info.type != "jpeg":
        return None
    width, height = -(-info.width // scale), -(-info.height // scale)
    try:
        rows, columns, colours, subsampling = library.decode_jpeg_header(data)
        if (columns, rows) != (info.width, info.height) or (colours, subsampling) not in _PLAIN:
            return None
        pixels: NDArray[np.uint8] = library.decode_jpeg(
            data, min_width=width, min_height=height, min_factor=scale
        )
    except ValueError:
        return None
    return pixels if pixels.shape == (height, width, 3) else None


@cache
def _library() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
