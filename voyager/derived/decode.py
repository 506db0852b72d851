"""The pixels of an image as it is looked at: decoded, upright, in colours; or none."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import PIL.Image
from PIL.Image import Transpose

from voyager.images import ImageInfo, probe

MOST_PIXELS: Final = 1 << 27
"""Images and masks that claim more pixels than this are not decoded."""

_WHITE: Final = (255, 255, 255)

_TURNS: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

UNDECODABLE: Final = (
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
"""What Pillow's decoders raise for bytes that are no image after all."""


@contextmanager
def quietly() -> Iterator[None]:
    """No warnings inside: of damaged metadata, and of sizes that are checked here.

    Filters of warnings belong to the process, so one thread enters this around the work of all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def sound_header(data: bytes) -> ImageInfo | None:
    """What the header says, None for bytes that are no image or claim too many pixels."""
    info = probe(data)
    return info if info is not None and 0 < info.width * info.height <= MOST_PIXELS else None


def decode(data: bytes, info: ImageInfo, *, most: int | None = None) -> PIL.Image.Image:
    """The upright RGB image; raises one of UNDECODABLE where there is none.

    With `most` a JPEG is decoded with no more detail than that many pixels of its longer side ask
    for (it comes out at most twice as large), in a fraction of the time.
    """
    with PIL.Image.open(io.BytesIO(data)) as image:
        if image.width * image.height > MOST_PIXELS:
            raise PIL.Image.DecompressionBombError
        if most is not None:
            scale = most / max(image.size)
            image.draft("RGB", (int(image.width * scale), int(image.height * scale)))
        image.load()
        return turned_upright(as_rgb(image), info, image.format)


def turned_upright(
    pixels: PIL.Image.Image, info: ImageInfo, image_format: str | None
) -> PIL.Image.Image:
    """Decoded pixels as their orientation says; Pillow turns those of a TIFF while it decodes."""
    turned = image_format == "TIFF" or info.orientation == 1
    return pixels if turned else pixels.transpose(_TURNS[info.orientation])


def is_deep(image: PIL.Image.Image) -> bool:
    """Whether the image is of greys with more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Colours as a screen shows them: deep greys from their least to their most, clear as white."""
    if is_deep(image):
        levels = np.nan_to_num(np.asarray(image, np.float32), nan=0, posinf=0, neginf=0)
        low, high = float(levels.min()), float(levels.max())
        grey = (levels - low) * (255 / (high - low) if high > low else 0)
        return PIL.Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        paper = PIL.Image.new("RGBA", clear.size, _WHITE)
        return PIL.Image.alpha_composite(paper, clear).convert("RGB")
    return image.convert("RGB")
