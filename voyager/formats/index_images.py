"""Images whose pixels are numbers of classes or objects: reading, writing, palettes, label maps."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from voyager.errors import InvalidDataError
from voyager.images import probe
from voyager.schema.rle import MOST_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour: TypeAlias = tuple[int, int, int]

_COLOUR = re.compile(r"\s*\d+\s*(?:,\s*\d+\s*){2}")
_COLOURED = {"RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"}


def voc_colour(index: int) -> Colour:
    """The colour of a number from 0 to 255 in the palette of Pascal VOC.

    The bits of the number go in threes to red, green and blue, the lowest to the highest place.
    """
    red = green = blue = 0
    for place in range(7, -1, -1):
        red |= (index & 1) << place
        green |= (index >> 1 & 1) << place
        blue |= (index >> 2 & 1) << place
        index >>= 3
    return red, green, blue


VOC_PALETTE: Final[tuple[Colour, ...]] = tuple(voc_colour(index) for index in range(256))
"""Colour by number; 255 (void) is (224, 224, 192)."""


@dataclass(frozen=True, slots=True)
class IndexImage:
    """Pixels as numbers, height × width; `palette` where the file has one.

    Of an image in colours (`coloured`) the numbers are 0xRRGGBB.
    """

    values: NDArray[Any]
    palette: tuple[Colour, ...] | None = None
    coloured: bool = False

    def present(self) -> list[int]:
        """The numbers that occur, in order."""
        import numpy as np

        return [int(value) for value in np.unique(self.values)]

    def colour(self, value: int) -> Colour | None:
        """The colour in which the file shows a number, None where it has none for it."""
        if self.coloured:
            return value >> 16, value >> 8 & 255, value & 255
        if self.palette is None or value >= len(self.palette):
            return None
        return self.palette[value]


def read_index_image(data: bytes, path: str) -> IndexImage:
    """The numbers of an image file; InvalidDataError for one that cannot be decoded.

    Grey values and palette places are the numbers themselves; alpha is ignored.
    """
    import numpy as np
    from PIL import Image

    _check_size(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                palette = _palette(image.getpalette("RGB")) if image.mode == "P" else None
                if image.mode in _COLOURED:
                    pixels = np.asarray(image.convert("RGB")).astype(np.uint32)
                    numbers = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
                    return IndexImage(numbers, coloured=True)
                values = np.asarray(image.getchannel(0) if len(image.getbands()) > 1 else image)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        raise InvalidDataError(f"not an image: {error}", path=path) from None
    except (TypeError, IndexError, KeyError, OverflowError, Image.DecompressionBombError) as error:
        raise InvalidDataError(f"a damaged image: {error}", path=path) from None
    if values.dtype.kind == "f" or values.ndim != 2 or not values.size:
        raise InvalidDataError("pixels are no whole numbers", path=path)
    return IndexImage(values, palette)


def _check_size(data: bytes, path: str) -> None:
    info = probe(data, path)
    if info is not None and (info.width or 0) * (info.height or 0) > MOST_PIXELS:
        raise InvalidDataError(f"{info.width} × {info.height} pixels are too many", path=path)


def _palette(flat: list[int] | None) -> tuple[Colour, ...] | None:
    if not flat:
        return None
    return tuple(zip(flat[0::3], flat[1::3], flat[2::3], strict=False))


def write_index_png(
    file: IO[bytes], values: NDArray[Any], palette: Sequence[Colour] | None = None
) -> None:
    """Write numbers as a PNG: with a palette as 8 bits, else as grey of 8 or 16 bits."""
    import numpy as np
    from PIL import Image

    if palette is None and values.size and int(values.max()) > 255:
        image = Image.fromarray(np.ascontiguousarray(values, np.uint16))
    else:
        image = Image.fromarray(np.ascontiguousarray(values, np.uint8))
    if palette is not None:
        image = image.convert("L")
        image.putpalette([part for colour in palette for part in colour])
    image.save(file, "PNG")


# -- label maps --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClassColour:
    """A line of a label map: a class, its colour, and what VOC adds to it."""

    name: str
    colour: Colour | None = None
    parts: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


def read_labelmap(text: str, path: str) -> list[ClassColour]:
    """The classes of a `labelmap.txt` (`name:red,green,blue:parts:actions`), in order."""
    return list(_labelmap_lines(text, path))


def _labelmap_lines(text: str, path: str) -> Iterator[ClassColour]:
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.rsplit(":", 3)
        comment = line.startswith("#") and (len(fields) != 4 or not _COLOUR.fullmatch(fields[1]))
        if not line.strip() or comment:
            continue
        if len(fields) != 4:
            raise InvalidDataError("expected name:r,g,b:parts:actions", path=path, line=number)
        name, colour, parts, actions = fields
        yield ClassColour(
            name.strip(), parse_colour(colour, path, number), _words(parts), _words(actions)
        )


def parse_colour(text: str, path: str, line: int | None = None) -> Colour | None:
    """Three numbers from 0 to 255 with commas between them; None for an empty text."""
    if not text.strip():
        return None
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) != 3 or not all(part.isdecimal() and int(part) < 256 for part in numbers):
        raise InvalidDataError(f"'{text}' is no colour r,g,b", path=path, line=line)
    red, green, blue = map(int, numbers)
    return red, green, blue


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def labelmap_text(classes: Sequence[ClassColour]) -> str:
    """The text of a `labelmap.txt`."""
    lines = ["# label:color_rgb:parts:actions\n"]
    for found in classes:
        colour = "" if found.colour is None else ",".join(map(str, found.colour))
        parts, actions = ",".join(found.parts), ",".join(found.actions)
        lines.append(f"{found.name}:{colour}:{parts}:{actions}\n")
    return "".join(lines)
