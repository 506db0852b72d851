"""Parts of images: how a region's derived values are named and where its pixels lie."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from struct import Struct
from typing import Final

from blake3 import blake3

from voyager.derived.picture import Box, Picture
from voyager.schema.rle import Bounds

_PLACE: Final = Struct("<4i")


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image: `box` is left, top, right, bottom in stored pixels, right and bottom out.

    Its `id` names its derived values in the cache, as a blob id names those of a whole image.
    """

    blob: bytes
    box: Box

    @property
    def id(self) -> bytes:
        """32 bytes that depend on the image and the box alone."""
        return crop_id(self.blob, self.box)

    def picture(self, whole: Picture) -> Picture:
        """The pixels of the crop; crops of one picture share its decode."""
        return whole.crop(self.box)


def crop_id(blob: bytes, box: Box) -> bytes:
    """The id under which derived values of a part of a blob are kept."""
    return blake3(b"region\0" + blob + _PLACE.pack(*box)).digest()


def crop_of(blob: bytes, bounds: Bounds, width: int, height: int) -> Crop:
    """The crop of a region: its bounds rounded outwards, within the image, of a pixel at least."""
    left, right = _span(bounds[0], bounds[2], width)
    top, bottom = _span(bounds[1], bounds[3], height)
    return Crop(blob, (left, top, right, bottom))


def _span(start: float, end: float, size: int) -> tuple[int, int]:
    first = min(max(floor(start), 0), size - 1)
    return first, min(max(ceil(end), first + 1), size)
