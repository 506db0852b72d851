"""From the bytes of an image to the pixels of a row of a batch; runs in threads."""

from __future__ import annotations

from typing import Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageFilter
from PIL.Image import Image, Resampling, Transpose

from voyager.derived.decode import UNDECODABLE, sound_header
from voyager.derived.jpeg import plain_pixels
from voyager.derived.picture import NoPicture, Picture
from voyager.images import ImageInfo
from voyager.train.augment import Change, Floats, Mix, Sides
from voyager.train.resizing import Pixels, Resize, by_pillow, resized

_GREY: Final = (124, 116, 104)
"""What shows where nothing of the picture does: the mean colour of ImageNet."""
_CONTEXT: Final = 0.5
"""How much of its surroundings the crop of a region shows, of its longer side."""

_LUMA: Final = (0.299, 0.587, 0.114)
"""How much red, green and blue count in a grey."""
_SCALES: Final = (8, 4, 2)
"""What the sides of a JPEG can be divided by while it is decoded."""
_SPARE: Final = 4
"""A JPEG is decoded in small where so many times the pixels of a side of the result are left: that
moves levels by 0.2 of 255 on average, and a photograph of a telephone comes in half the time."""

_LARGER: Final = 0.75
_BESIDE: Final = 0.3
"""By how many pixels a box may be larger or smaller than the result, and lie beside whole pixels,
to be cut out as it is and not resized."""

_SIDEWAYS: Final = (5, 6, 7, 8)
"""Orientations in which width and height change places."""


def upright_sizes(sizes: NDArray[np.int32], orientations: NDArray[np.uint8]) -> Floats:
    """Width and height of pictures as they are looked at, (n, 2)."""
    sideways = np.isin(orientations, _SIDEWAYS)[:, None]
    return np.where(sideways, sizes[:, ::-1], sizes).astype(np.float64)


def upright_boxes(
    boxes: NDArray[np.float32], sizes: NDArray[np.int32], orientations: NDArray[np.uint8]
) -> Floats:
    """Boxes of stored images where they lie in the upright ones, (n, 4)."""
    x0, y0, x1, y1 = boxes.T.astype(np.float64)
    width, height = sizes.T.astype(np.float64)
    mirrored, downward = (width - x1, width - x0), (height - y1, height - y0)
    across = {1: (x0, x1), 2: mirrored, 3: mirrored, 4: (x0, x1)}
    down = {1: (y0, y1), 2: (y0, y1), 3: downward, 4: downward}
    across |= {5: (y0, y1), 6: downward, 7: downward, 8: (y0, y1)}
    down |= {5: (x0, x1), 6: (x0, x1), 7: mirrored, 8: mirrored}
    found = np.empty(boxes.shape, np.float64)
    for turned in np.unique(orientations).tolist():
        here = orientations == turned
        left, right = across[turned]
        top, bottom = down[turned]
        found[here] = np.stack((left, top, right, bottom), axis=1)[here]
    return found


def squares(boxes: Floats, sizes: Floats) -> Floats:
    """The squares around regions with some of their surroundings, within the pictures.

    A square that would reach out is moved inside; one larger than the picture is cut to it.
    """
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) * (1 + _CONTEXT)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    room = np.minimum(side, sizes)
    start = np.clip(middle - room / 2, 0, sizes - room)
    return np.concatenate((start, start + room), axis=1)


def render(
    data: bytes,
    change: Change,
    frame: tuple[float, float],
    out: Pixels,
    resize: Resize = by_pillow,
) -> bool:
    """Draw a picture, changed, into `out` (size, size, 3); False for bytes that are no picture.

    `frame` is the width and height that the change's box counts in: those of the upright image.
    """
    info = sound_header(data)
    if info is None:
        return False
    try:
        _draw(_decoded(data, info, change.box, frame, out.shape[0]), change, frame, out, resize)
    except (NoPicture, *UNDECODABLE):
        return False
    if change.erase[2] > change.erase[0]:
        _erase(out, change.erase)
    return True


def _decoded(
    data: bytes, info: ImageInfo, box: Sides, frame: tuple[float, float], side: int
) -> Image | Pixels:
    """The upright image in colours, in small where the box leaves enough of it."""
    wide, high = (info.height, info.width) if info.orientation > 4 else (info.width, info.height)
    seen = min((box[2] - box[0]) * wide / frame[0], (box[3] - box[1]) * high / frame[1])
    scale = next((one for one in _SCALES if seen >= _SPARE * side * one), 1)
    pixels = plain_pixels(data, info, scale) if info.orientation == 1 else None
    if pixels is not None:
        return pixels
    return Picture(data).detail(None if scale == 1 else max(info.width, info.height) // scale)


def _draw(
    whole: Image | Pixels,
    change: Change,
    frame: tuple[float, float],
    out: Pixels,
    resize: Resize,
) -> None:
    """Draw what the box of a change shows of an image, changed."""
    side = out.shape[0]
    if not isinstance(whole, np.ndarray):
        box = _inside(change.box, frame, whole.width, whole.height)
        out[:] = np.asarray(_changed(resized(whole, box, side), change))
        return
    box = _inside(change.box, frame, whole.shape[1], whole.shape[0])
    part = _same_size(whole, box, side)
    if part is None:
        part = resize(whole, box, side)
    if change.is_plain:
        out[:] = part
    else:
        out[:] = np.asarray(_changed(PIL.Image.fromarray(part), change))


def _same_size(pixels: Pixels, box: Sides, side: int) -> Pixels | None:
    """The pixels of a box that is as large as the result and begins at a pixel, about; else None.

    About, since the sides of a rendition are rounded.
    """
    left, top = round(box[0]), round(box[1])
    larger = max(abs(box[2] - box[0] - side), abs(box[3] - box[1] - side))
    beside = max(abs(box[0] - left), abs(box[1] - top))
    high, wide = pixels.shape[:2]
    if larger >= _LARGER or beside >= _BESIDE or left + side > wide or top + side > high:
        return None
    return pixels[top : top + side, left : left + side]


def _inside(box: Sides, frame: tuple[float, float], wide: int, high: int) -> Sides:
    """A box in the pixels of an image, which may be a smaller rendition, of a pixel at least."""
    x, y = wide / frame[0], high / frame[1]
    left, top = min(max(box[0] * x, 0), wide - 1), min(max(box[1] * y, 0), high - 1)
    right, bottom = min(max(box[2] * x, left + 1), wide), min(max(box[3] * y, top + 1), high)
    return left, top, right, bottom


def _changed(image: Image, change: Change) -> Image:
    if change.turn:
        image = image.rotate(change.turn, Resampling.BILINEAR, fillcolor=_GREY)
    if change.flip:
        image = image.transpose(Transpose.FLIP_LEFT_RIGHT)
    if change.flip_down:
        image = image.transpose(Transpose.FLIP_TOP_BOTTOM)
    if change.colour != (1, 1, 1):
        image = _recoloured(image, *change.colour)
    if change.blur:
        image = image.filter(ImageFilter.GaussianBlur(change.blur))
    return image


def _recoloured(image: Image, brightness: float, contrast: float, saturation: float) -> Image:
    """Brightness, contrast around the mean grey, then saturation: one linear map of colours."""
    mean = image.resize((1, 1), Resampling.BOX).getpixel((0, 0))
    assert isinstance(mean, tuple)
    grey = sum(level * luma for level, luma in zip(mean, _LUMA, strict=True))
    offset = (1 - contrast) * brightness * grey
    scale = brightness * contrast
    matrix: list[float] = []
    for row in range(3):
        shares = [scale * (1 - saturation) * luma for luma in _LUMA]
        shares[row] += scale * saturation
        matrix += (*shares, offset)
    return image.convert("RGB", tuple(matrix))


def _erase(out: Pixels, box: Sides) -> None:
    left, top, right, bottom = (round(side * out.shape[0]) for side in box)
    if right > left and bottom > top:
        out[top:bottom, left:right] = _GREY


def blend(images: Pixels, mix: Mix) -> float:
    """Blend a batch with itself, in place; the share of its own answer that each row keeps."""
    others = images[mix.partner]
    if mix.box is None:
        weight = round(mix.share * 256)
        kept = images.astype(np.uint16) * weight + others.astype(np.uint16) * (256 - weight)
        images[:] = (kept >> 8).astype(np.uint8)
        return weight / 256
    side = images.shape[1]
    left, top, right, bottom = np.rint(np.array(mix.box) * side).astype(int).tolist()
    images[:, top:bottom, left:right] = others[:, top:bottom, left:right]
    covered = int((right - left) * (bottom - top))
    return 1 - covered / int(side) ** 2
