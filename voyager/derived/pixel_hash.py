"""A hash of the pixels alone: equal for images that differ in encoding or metadata only."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final, TypeAlias

import numpy as np
import PIL.Image
from blake3 import blake3
from numpy.typing import NDArray
from PIL import ImageSequence

from voyager.derived.decode import (
    MOST_PIXELS,
    UNDECODABLE,
    is_deep,
    turned_upright,
)
from voyager.derived.picture import NoPicture, Picture

BYTES: Final = 32

_HEAD: Final = Struct("<4sII").pack
_ONE_PICTURE: Final = ("jpeg",)
"""Formats of one frame of colours; what else a JPEG holds are previews or depth maps of it."""

_Frame: TypeAlias = tuple[bytes, NDArray[np.generic]]
"""What the numbers are, and the numbers."""


def hash_pixels(picture: Picture) -> bytes:
    """32 bytes over width, height and upright pixels of every frame.

    Greys of 8 bits equal the same colours; greys of more bits count as they are; what is fully
    clear has no colour, and an alpha channel that hides nothing does not count.
    """
    hasher = blake3()
    for kind, levels in _frames(picture):
        hasher.update(_HEAD(kind, levels.shape[1], levels.shape[0]))
        hasher.update(levels.data.cast("B"))
    return hasher.digest(BYTES)


def hashes_of(found: Sequence[bytes]) -> Sequence[bytes]:
    """The values are made image by image; nothing is left to do for a batch of them."""
    return found


def _frames(picture: Picture) -> Iterator[_Frame]:
    """Every frame, upright; the pixels of an image that has one alone are shared."""
    if picture.box is not None or picture.info.type in _ONE_PICTURE:
        yield b"rgb ", picture.levels
        return
    try:
        yield from map(_canonical, _every_frame(picture))
    except UNDECODABLE as error:
        raise NoPicture from error


def _every_frame(picture: Picture) -> Iterator[PIL.Image.Image]:
    pixels = 0
    with PIL.Image.open(io.BytesIO(picture.data)) as image:
        image_format = image.format
        for frame in ImageSequence.Iterator(image):
            pixels += frame.width * frame.height
            if pixels > MOST_PIXELS:
                raise NoPicture
            frame.load()
            yield turned_upright(frame, picture.info, image_format)


def _canonical(image: PIL.Image.Image) -> _Frame:
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
