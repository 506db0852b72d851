"""What the header of an image says, as numbers: for questions about a million images at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voyager.derived.picture import Picture
from voyager.images import ImageInfo

TYPES: Final = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heif")

FIELDS: Final = np.dtype(
    [
        ("width", "<u4"),
        ("height", "<u4"),
        ("type", "u1"),
        ("orientation", "u1"),
        ("sound", "u1"),
    ]
)
"""A value: sizes of the stored frame, 0 where unknown; the place of the type in TYPES; the EXIF
orientation; whether the header has no problem (`vgr fsck` and `images.probe` name it)."""

BYTES: Final = FIELDS.itemsize


def header_of(picture: Picture) -> ImageInfo | None:
    """The header, None for bytes that are no image."""
    return picture.header


def encoded_headers(headers: Sequence[ImageInfo]) -> list[bytes]:
    """The value of each header."""
    rows = [
        (one.width, one.height, TYPES.index(one.type), one.orientation, one.problem is None)
        for one in headers
    ]
    return [row.tobytes() for row in np.array(rows, FIELDS)]


def table(matrix: NDArray[np.uint8]) -> NDArray[np.void]:
    """Values (n, 11) as rows with the fields of FIELDS."""
    return np.ascontiguousarray(matrix).view(FIELDS)[:, 0]
