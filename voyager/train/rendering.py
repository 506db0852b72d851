"""From the bytes of an image to the pixels of a row of a batch; runs in threads."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ImageEnhance, ImageFilter
from PIL.Image import Image, Resampling, Transpose

from voyager.derived.decode import UNDECODABLE, decode, sound_header
from voyager.train.augment import Floats, Mix, Plan

Pixels = NDArray[np.uint8]

_GREY: Final = (124, 116, 104)
"""What shows where nothing of the picture does: the mean colour of ImageNet."""
_CONTEXT: Final = 0.1
"""How much of its surroundings the crop of a region shows, of its longer side."""

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


def render(data: bytes, plan: Plan, place: int, frame: Floats, out: Pixels) -> bool:
    """Draw the picture at a place of a plan into `out` (size, size, 3); False for no picture.

    `frame` is the width and height that the plan's boxes count in: those of the upright image.
    """
    info = sound_header(data)
    if info is None:
        return False
    try:
        image = decode(data, info)
    except UNDECODABLE:
        return False
    side = out.shape[0]
    scale = image.width / frame[0], image.height / frame[1]
    shown = image.resize(
        (side, side), Resampling.BILINEAR, _inside(plan.boxes[place], scale, image)
    )
    out[:] = np.asarray(_changed(shown, plan, place))
    _erase(out, plan.erase[place])
    return True


def _inside(
    box: Floats, scale: tuple[float, float], image: Image
) -> tuple[float, float, float, float]:
    """A box in the pixels of an image, which may be a smaller rendition, of a pixel at least."""
    x0, y0, x1, y1 = (box * (*scale, *scale)).tolist()
    left, top = min(max(x0, 0), image.width - 1), min(max(y0, 0), image.height - 1)
    right, bottom = min(max(x1, left + 1), image.width), min(max(y1, top + 1), image.height)
    return left, top, right, bottom


def _changed(image: Image, plan: Plan, place: int) -> Image:
    if plan.turn[place]:
        image = image.rotate(float(plan.turn[place]), Resampling.BILINEAR, fillcolor=_GREY)
    if plan.flip[place]:
        image = image.transpose(Transpose.FLIP_LEFT_RIGHT)
    if plan.flip_down[place]:
        image = image.transpose(Transpose.FLIP_TOP_BOTTOM)
    brightness, contrast, saturation = plan.colour[place].tolist()
    for enhance, factor in (
        (ImageEnhance.Brightness, brightness),
        (ImageEnhance.Contrast, contrast),
        (ImageEnhance.Color, saturation),
    ):
        if factor != 1:
            image = enhance(image).enhance(factor)
    if plan.blur[place]:
        image = image.filter(ImageFilter.GaussianBlur(float(plan.blur[place])))
    return image


def _erase(out: Pixels, box: Floats) -> None:
    left, top, right, bottom = np.rint(box * out.shape[0]).astype(int).tolist()
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
