"""The pixels of an image, upright, and how its stored pixels map to them; or why there are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import PIL.Image

from voyager import schema
from voyager.derived.decode import MOST_PIXELS, UNDECODABLE, decode, quietly
from voyager.errors import VoyagerError
from voyager.images import probe
from voyager.pictures.captions import write_middle
from voyager.pictures.palette import Colour
from voyager.pictures.view import Bounds, View

ReadBlob: TypeAlias = Callable[[bytes], bytes]
"""The bytes of a blob by its id; a VoyagerError where they cannot be had."""

GREY: Final[Colour] = (118, 122, 128)
_UNKNOWN_SIZE: Final = (640, 480)
_UNPROMISED: Final = {"pending": "image is not here yet", "purged": "image was purged"}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image as it is looked at: `width` by `height` pixels, upright.

    `view` leads from stored pixels to these. `pixels` may be fewer than `width` by `height` where
    less detail was asked for; there are none where `missing` says why.
    """

    width: int
    height: int
    view: View
    pixels: PIL.Image.Image | None = None
    missing: str = ""

    @property
    def bounds(self) -> Bounds:
        """The whole image."""
        return Bounds(0, 0, self.width, self.height)

    def cut(self, window: Bounds, size: tuple[int, int]) -> PIL.Image.Image:
        """What a window shows, at a size; grey where there is no image."""
        picture = PIL.Image.new("RGB", size, GREY)
        if self.pixels is None:
            return picture
        across, down = size[0] / window.width, size[1] / window.height
        shown = window.common(self.bounds)
        place = shown.moved(-window.left, -window.top).scaled(across, down)
        left, top = round(place.left), round(place.top)
        wide, high = round(place.right) - left, round(place.bottom) - top
        if wide > 0 and high > 0:
            detail = self.pixels.width / self.width, self.pixels.height / self.height
            box = shown.scaled(*detail).common(Bounds(0, 0, *self.pixels.size))
            picture.paste(self._resized(box, (wide, high)), (left, top))
        return picture

    def explain(self, picture: PIL.Image.Image) -> PIL.Image.Image:
        """Write on a picture of this frame why there are no pixels, where there are none."""
        if self.missing:
            write_middle(picture, self.missing, size=max(12.0, min(picture.size) / 28))
        return picture

    def _resized(self, box: Bounds, size: tuple[int, int]) -> PIL.Image.Image:
        assert self.pixels is not None
        corners = (box.left, box.top, box.right, box.bottom)
        if corners == (0, 0, *self.pixels.size) and size == self.pixels.size:
            return self.pixels
        return self.pixels.resize(size, PIL.Image.Resampling.LANCZOS, corners, 3.0)


def frame_of(image: schema.Image, read: ReadBlob, *, most: int | None = None) -> Frame:
    """The frame of a sample's image, with no more detail than `most` pixels a side ask for."""
    blob = image.blob_id
    if blob is None:
        return blank(_UNPROMISED[image.state], image)
    try:
        data = read(blob)
    except VoyagerError as error:
        return blank(error.message, image)
    return read_frame(data, image, most=most)


def read_frame(data: bytes, image: schema.Image | None = None, *, most: int | None = None) -> Frame:
    """Decode an image; a blank frame for one that cannot be, or that claims too many pixels.

    `image` says how large the frame is where the bytes do not.
    """
    info = probe(data)
    if info is None:
        return blank("image cannot be read: unknown type", image)
    width, height = info.width, info.height
    if width * height > MOST_PIXELS:
        return blank(f"image of {width:,} × {height:,} pixels is too large to show", image)
    if width * height == 0:
        return blank(f"{info.type} image cannot be read: {info.problem}", image)
    try:
        with quietly():
            pixels = decode(data, info, most=most)
    except UNDECODABLE:
        return blank(f"{info.type} image cannot be read: {info.problem or 'damaged'}", image)
    view = View.upright(info.orientation, width, height)
    if info.orientation > 4:
        width, height = height, width
    return Frame(width, height, view, pixels)


def blank(words: str, image: schema.Image | None = None) -> Frame:
    """A frame without pixels, as large as its row says."""
    if image is None or image.width is None or image.height is None:
        return Frame(*_UNKNOWN_SIZE, View(), missing=words)
    width, height = image.width, image.height
    view = View.upright(image.orientation, width, height)
    if image.orientation > 4:
        width, height = height, width
    return Frame(width, height, view, missing=words)
