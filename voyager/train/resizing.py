"""A box of a picture at the size of the result: by Pillow, or by torch with a third of the work.

Both filter with a triangle as wide as a pixel of the result covers, so that nothing aliases. By
Pillow the result shows the box exactly. Torch has vector code for the same filter, but starts at
whole pixels alone; so a few more columns and rows are made, from the whole pixel at which one of
them begins, and left out again.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from voyager.train.augment import Sides

Pixels: TypeAlias = NDArray[np.uint8]
"""(rows, columns, RGB)."""

Resize: TypeAlias = Callable[[Pixels, Sides, int], Pixels]
"""From pixels, a box in them (x0, y0, x1, y1) and a side to the box as (side, side, RGB)."""

_SPARE: Final = 16
"""So many columns or rows more are made at most."""
_NEAR: Final = 1 / 16
_BEST: Final = 1 / 64
"""By how many pixels of the result it may be moved; where no start is so near, Pillow resizes."""


def by_pillow(pixels: Pixels, box: Sides, side: int) -> Pixels:
    """Resize by Pillow: no more than the box and what the filter sees around it is made its own."""
    high, wide = pixels.shape[:2]
    across, down = (max((box[at + 2] - box[at]) / side, 1) for at in (0, 1))
    left, top = max(floor(box[0] - across) - 1, 0), max(floor(box[1] - down) - 1, 0)
    right, bottom = min(ceil(box[2] + across) + 1, wide), min(ceil(box[3] + down) + 1, high)
    flat = pixels.reshape(-1)[(top * wide + left) * 3 :]
    size = right - left, bottom - top
    part = PIL.Image.frombuffer("RGB", size, flat, "raw", "RGB", wide * 3, 1)
    moved = box[0] - left, box[1] - top, box[2] - left, box[3] - top
    return np.asarray(resized(part, moved, side))


def resized(image: Image, box: Sides, side: int) -> Image:
    """The box of an image of Pillow's."""
    return image.resize((side, side), Resampling.BILINEAR, box)


def by_torch(pixels: Pixels, box: Sides, side: int) -> Pixels:
    """Resize by torch; levels differ from Pillow's by less than 0.2 on average."""
    import torch

    high, wide = pixels.shape[:2]
    across, down = _line(box[0], box[2], side, wide), _line(box[1], box[3], side, high)
    if across is None or down is None:
        return by_pillow(pixels, box, side)
    # Not a view: of one that is no whole block torch makes its own copy, with all its threads.
    part = np.ascontiguousarray(pixels[down.start : down.end, across.start : across.end])
    made = torch.ops.aten._upsample_bilinear2d_aa(
        torch.from_numpy(part)[None].permute(0, 3, 1, 2),
        (side + down.spare, side + across.spare),
        False,
        1 / down.step,
        1 / across.step,
    )
    found: Pixels = made[0, :, down.spare :, across.spare :].permute(1, 2, 0).numpy()
    return found


class _Line(NamedTuple):
    """How one side is resized."""

    step: float
    """Pixels that one of the result covers."""
    spare: int
    """Pixels of the result that are made before the first one that is kept."""
    start: int
    end: int
    """The pixels that are given."""


def _line(start: float, end: float, side: int, length: int) -> _Line | None:
    """How a stretch of a line of pixels is resized; None where no whole pixel is a good start."""
    step = (end - start) / side
    best, away = None, _NEAR * step
    for spare in range(_SPARE + 1):
        begin = start - spare * step
        whole = round(begin)
        if whole < 0:
            break
        if abs(begin - whole) < away:
            best, away = (spare, whole), abs(begin - whole)
            if away < _BEST * step:
                break
    if best is None:
        return None
    return _Line(step, *best, min(ceil(end + max(step, 1)), length))
