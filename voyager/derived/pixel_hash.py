"""A hash of the pixels alone: equal for images that differ in encoding or metadata only."""

from __future__ import annotations

import io
from collections.abc import Sequence
from struct import Struct
from typing import Final

import numpy as np
import PIL.Image
from blake3 import blake3
from PIL import ImageSequence

from voyager.derived.decode import (
    MOST_PIXELS,
    UNDECODABLE,
    is_deep,
    sound_header,
    turned_upright,
)
from voyager.images import ImageInfo

BYTES: Final = 32

_HEAD: Final = Struct("<4sII").pack
_ONE_PICTURE: Final = ("JPEG", "MPO")
"""Formats whose further frames are previews, depth or gain maps of the first."""


def hash_pixels(data: bytes) -> bytes | None:
    """32 bytes over width, height and upright pixels of every frame; None where there are none.

    Greys of 8 bits equal the same colours; greys of more bits count as they are; what is fully
    clear has no colour, and an alpha channel that hides nothing does not count.
    """
    info = sound_header(data)
    if info is None:
        return None
    try:
        return _hash(data, info)
    except UNDECODABLE:
        return None


def hashes_of(found: Sequence[bytes]) -> Sequence[bytes]:
    """The values are made image by image; nothing is left to do for a batch of them."""
    return found


def _hash(data: bytes, info: ImageInfo) -> bytes:
    hasher, pixels = blake3(), 0
    with PIL.Image.open(io.BytesIO(data)) as image:
        image_format = image.format
        for frame in ImageSequence.Iterator(image):
            pixels += frame.width * frame.height
            if pixels > MOST_PIXELS:
                raise PIL.Image.DecompressionBombError
            frame.load()
            kind, levels = _canonical(turned_upright(frame, info, image_format))
            hasher.update(_HEAD(kind, levels.shape[1], levels.shape[0]))
            hasher.update(levels.data.cast("B"))
            if image_format in _ONE_PICTURE:
                break
    return hasher.digest(BYTES)


def _canonical(image: PIL.Image.Image) -> tuple[bytes, np.ndarray]:
    """(what the numbers are, the numbers) in a form that does not depend on the file format."""
    if is_deep(image):
        return b"deep", np.ascontiguousarray(image, "<f8")
    if image.has_transparency_data:
        levels = np.array(image.convert("RGBA"))
        clearness = levels[..., 3]
        if (clearness < 255).any():
            levels[clearness == 0] = 0
            return b"rgba", levels
        return b"rgb ", np.ascontiguousarray(levels[..., :3])
    return b"rgb ", np.ascontiguousarray(image.convert("RGB"))
