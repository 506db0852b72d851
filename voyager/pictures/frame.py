"""The pixels of an image, upright, and how its stored pixels map to them; or why there are none."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import PIL.Image
from PIL.Image import Transpose

from voyager import schema
from voyager.errors import VoyagerError
from voyager.images import ImageInfo, probe
from voyager.pictures.captions import write_middle
from voyager.pictures.palette import WHITE, Colour
from voyager.pictures.view import MOST_PIXELS, Bounds, View

ReadBlob: TypeAlias = Callable[[bytes], bytes]
"""The bytes of a blob by its id; a VoyagerError where they cannot be had."""

GREY: Final[Colour] = (118, 122, 128)
_UNKNOWN_SIZE: Final = (640, 480)
_UNPROMISED: Final = {"pending": "image is not here yet", "purged": "image was purged"}

_TURNS: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

_UNDECODABLE: Final = (  # what Pillow's decoders raise for bytes that are no image after all
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    PIL.Image.DecompressionBombError,
)


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
        pixels = _decoded(data, info, most)
    except _UNDECODABLE:
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


def _decoded(data: bytes, info: ImageInfo, most: int | None) -> PIL.Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged metadata, and of sizes that were checked here
        with PIL.Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise PIL.Image.DecompressionBombError
            if most is not None:
                scale = most / max(image.size)
                image.draft("RGB", (int(image.width * scale), int(image.height * scale)))
            image.load()
            pixels = _as_rgb(image)
            turned = image.format == "TIFF"  # Pillow turns these while it decodes
    return pixels if turned or info.orientation == 1 else pixels.transpose(_TURNS[info.orientation])


def _as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Colours as a screen shows them: deep greys from their least to their most, clear as white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        levels = np.nan_to_num(np.asarray(image, np.float32), nan=0, posinf=0, neginf=0)
        low, high = float(levels.min()), float(levels.max())
        grey = (levels - low) * (255 / (high - low) if high > low else 0)
        return PIL.Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        paper = PIL.Image.new("RGBA", clear.size, WHITE)
        return PIL.Image.alpha_composite(paper, clear).convert("RGB")
    return image.convert("RGB")
