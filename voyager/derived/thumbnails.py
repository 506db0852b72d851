"""Thumbnails: the upright image in small, as a JPEG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from PIL.Image import Resampling

from voyager.derived.picture import Picture

SIDE: Final = 128
"""Pixels of the longer side; a smaller image keeps its size."""
QUALITY: Final = 80


def thumbnail_of(picture: Picture) -> bytes:
    """The whole image within 128×128 pixels, RGB, JPEG of quality 80."""
    image = picture.detail(SIDE)
    longer = max(image.size)
    if longer > SIDE:
        size = tuple(max(1, round(side * SIDE / longer)) for side in image.size)
        image = image.resize((size[0], size[1]), Resampling.BILINEAR)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def as_made(found: Sequence[bytes]) -> Sequence[bytes]:
    """Values that are made image by image; nothing is left to do for a batch of them."""
    return found
