"""One image on its way through a pass: what several methods read of it is made once.

A JPEG can be decoded at a fraction of its size in a fraction of the time, so the methods say which
pixels they need: `full` all of them, `detail(most)` only so many. What each of these gives is a
function of the bytes alone, whatever else was asked for before.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from math import ceil
from typing import Any, Final, Self, TypeAlias, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from voyager.derived.decode import (
    MOST_PIXELS,
    UNDECODABLE,
    as_rgb,
    sound_header,
    turned_upright,
)
from voyager.derived.jpeg import plain_pixels
from voyager.images import ImageInfo, probe
from voyager.schema.geometry import Box as Shape
from voyager.schema.transform import upright

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in stored pixels; right and bottom lie outside."""

T = TypeVar("T")

_SCALES: Final = (8, 4, 2)
"""What libjpeg can divide the sides of an image by while it decodes."""


class NoPicture(Exception):
    """These bytes give no pixels."""


class Picture:
    """The bytes of an image, or of a crop of it, with what was made of them so far.

    For one thread at a time. Pickled it is its bytes and its box alone.
    """

    __slots__ = ("_made", "box", "data", "whole")

    def __init__(self, data: bytes, box: Box | None = None, whole: Self | None = None) -> None:
        self.data = data
        self.box = box
        self.whole = whole
        self._made: dict[Any, Any] = {}

    def __reduce__(self) -> tuple[type[Self], tuple[bytes, Box | None, Self | None]]:
        return type(self), (self.data, self.box, self.whole)

    def crop(self, box: Box) -> Self:
        """A part of this image as a picture of its own; crops of one image share its decode."""
        return type(self)(self.data, box, self)

    def once(self, make: Callable[[Picture], T]) -> T:
        """What a function makes of this picture, made once for all methods that ask for it.

        Where it raises NoPicture once it does so again without another try.
        """
        if make not in self._made:
            try:
                self._made[make] = make(self)
            except NoPicture as error:
                self._made[make] = error
        found = self._made[make]
        if isinstance(found, NoPicture):
            raise NoPicture
        answer: T = found
        return answer

    def forget(self) -> None:
        """Let go of everything that was made."""
        self._made.clear()

    @property
    def header(self) -> ImageInfo | None:
        """What the header of the image says, None for bytes that are no image."""
        return self.once(_header)

    @property
    def info(self) -> ImageInfo:
        """The same of an image that can be decoded; raises NoPicture for all else."""
        return self.once(_sound_header)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright image, or of the crop, as the header says."""
        info = self.info
        wide, high = info.width, info.height
        if self.box is not None:
            left, top, right, bottom = self.box
            wide, high = max(1, right - left), max(1, bottom - top)
        return (high, wide) if info.orientation > 4 else (wide, high)

    @property
    def levels(self) -> NDArray[np.uint8]:
        """The pixels of `full` as (rows, columns, RGB): not to be changed."""
        return self.once(_levels)

    @property
    def full(self) -> PIL.Image.Image:
        """All pixels of the first frame, upright, as RGB: not to be changed."""
        return self.detail(None)

    def detail(self, most: int | None) -> PIL.Image.Image:
        """Upright RGB with the detail that `most` pixels of the longer side ask for, not resized.

        A JPEG comes out less than twice as large in a fraction of the time; all else in full.
        """
        if self.box is not None:
            return self._cropped(self.box, most)
        scale = 1 if most is None else _scale(self.info, most)
        return self.once(_DECODERS[scale])

    def _cropped(self, box: Box, most: int | None) -> PIL.Image.Image:
        whole = self if self.whole is None else self.whole
        info = whole.info
        if most is not None:
            side = max(box[2] - box[0], box[3] - box[1], 1)
            most = -(-most * max(info.width, info.height) // side)
        pixels = whole.once(_DECODERS[1 if most is None else _scale(info, most)])
        return pixels.crop(_upright_box(box, info, pixels.size))


def _header(picture: Picture) -> ImageInfo | None:
    return probe(picture.data)


def _sound_header(picture: Picture) -> ImageInfo:
    info = sound_header(picture.data)
    if info is None:
        raise NoPicture
    return info


def _scale(info: ImageInfo, most: int) -> int:
    """What the sides of a JPEG are divided by: as Pillow's `draft` chooses it."""
    longer = max(info.width, info.height)
    if info.type != "jpeg" or longer < 2 * most:
        return 1
    asked = [max(1, int(side * (most / longer))) for side in (info.width, info.height)]
    ratio = min(info.width // asked[0], info.height // asked[1])
    return next((scale for scale in _SCALES if ratio >= scale), 1)


def _plain(picture: Picture) -> NDArray[np.uint8] | None:
    """All pixels of an upright, plain JPEG, by the quicker way."""
    info = picture.info
    return plain_pixels(picture.data, info, 1) if info.orientation == 1 else None


def _levels(picture: Picture) -> NDArray[np.uint8]:
    pixels = picture.once(_plain) if picture.box is None else None
    return np.asarray(picture.full) if pixels is None else pixels


def _load(picture: Picture, scale: int) -> PIL.Image.Image:
    info = picture.info
    try:
        with PIL.Image.open(io.BytesIO(picture.data)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise NoPicture
            if scale > 1:
                image.draft("RGB", (image.width // scale, image.height // scale))
            image.load()
            return turned_upright(image, info, image.format)
    except UNDECODABLE as error:
        raise NoPicture from error


def _whole_rgb(picture: Picture) -> PIL.Image.Image:
    pixels = picture.once(_plain)
    return _rgb(_load(picture, 1)) if pixels is None else PIL.Image.fromarray(pixels)


def _scaled_rgb(picture: Picture, scale: int) -> PIL.Image.Image:
    info = picture.info
    pixels = plain_pixels(picture.data, info, scale) if info.orientation == 1 else None
    return _rgb(_load(picture, scale)) if pixels is None else PIL.Image.fromarray(pixels)


def _half_rgb(picture: Picture) -> PIL.Image.Image:
    return _scaled_rgb(picture, 2)


def _quarter_rgb(picture: Picture) -> PIL.Image.Image:
    return _scaled_rgb(picture, 4)


def _eighth_rgb(picture: Picture) -> PIL.Image.Image:
    return _scaled_rgb(picture, 8)


_DECODERS: Final = {1: _whole_rgb, 2: _half_rgb, 4: _quarter_rgb, 8: _eighth_rgb}


def _rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    try:
        return as_rgb(image)
    except UNDECODABLE as error:
        raise NoPicture from error


def _upright_box(box: Box, info: ImageInfo, size: tuple[int, int]) -> Box:
    """The box as it lies in upright pixels of that size, rounded outwards."""
    shape = Shape(*map(float, box))
    turned = upright(shape, info.orientation, info.width, info.height)
    assert isinstance(turned, Shape)
    sideways = info.orientation > 4
    x = size[0] / (info.height if sideways else info.width)
    y = size[1] / (info.width if sideways else info.height)
    left, top = int(turned.x0 * x), int(turned.y0 * y)
    right, bottom = ceil(turned.x1 * x), ceil(turned.y1 * y)
    return left, top, max(right, left + 1), max(bottom, top + 1)
