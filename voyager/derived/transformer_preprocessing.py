"""What a transformers checkpoint wants to be given: resized, cropped and scaled pixels.

Read from the folder's `preprocessor_config.json` and done with Pillow, so that torchvision is not
needed; the pixels are those of the library's own processors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.Image import Resampling

from voyager.derived.picture import Picture
from voyager.errors import InvalidDataError

Colours: TypeAlias = tuple[float, float, float]
Pixels: TypeAlias = NDArray[np.uint8]

_FILES: Final = ("preprocessor_config.json", "processor_config.json")
_LARGEST_SIDE: Final = 4096


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From an image to the input of a model.

    The image is resized to (`height`, `width`), or its shorter side to `shortest`; the middle of it
    is cut out (`crop`: height, width); values of 0 to 255 become `(value * factor - mean) / std`.
    """

    shortest: int | None
    height: int
    width: int
    crop: tuple[int, int] | None
    resample: Resampling
    factor: float
    mean: Colours
    std: Colours

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the model is given."""
        return self.crop or (self.height, self.width)

    def pixels(self, picture: Picture) -> Pixels:
        """(height, width, RGB) of the picture, not scaled yet; NoPicture where it has none."""
        image = picture.detail(self._detail(picture))
        height, width = self.size
        return np.asarray(image.resize((width, height), self.resample, box=self._box(image)))

    def _detail(self, picture: Picture) -> int:
        """Pixels of the longer side, with which the shorter one is as long as the model wants."""
        sides = _sides(picture)
        longer, shorter = max(sides), min(sides)
        return min(longer, ceil(max(self.height, self.width) * longer / shorter))

    def _box(self, image: PIL.Image.Image) -> tuple[float, float, float, float]:
        """The part of the image that is left after the crop, in its own pixels."""
        across, down = image.size
        width, height = self._resized(across, down)
        cut_height, cut_width = self.size
        left, top = (width - cut_width) // 2, (height - cut_height) // 2
        x, y = across / width, down / height
        return left * x, top * y, (left + cut_width) * x, (top + cut_height) * y

    def _resized(self, across: int, down: int) -> tuple[int, int]:
        if self.shortest is None:
            return self.width, self.height
        if across <= down:
            return self.shortest, int(self.shortest * down / across)
        return int(self.shortest * across / down), self.shortest


def _sides(picture: Picture) -> tuple[int, int]:
    if picture.box is None:
        return picture.info.width, picture.info.height
    left, top, right, bottom = picture.box
    return max(1, right - left), max(1, bottom - top)


@dataclass(frozen=True, slots=True)
class Usual:
    """What a kind of model means where its file does not say."""

    size: Mapping[str, int]
    crop: int | None
    resample: Resampling
    mean: Colours
    std: Colours


def read_preprocessing(folder: Path, usual: Usual) -> Preprocessing:
    """What the folder's file says; InvalidDataError where it says nothing that can be done."""
    for name in _FILES:
        path = folder / name
        if path.is_file():
            told = read_json(path)
            return _Reader(told.get("image_processor", told), usual, path).preprocessing()
    raise InvalidDataError(f"no {_FILES[0]}, so nobody knows what the model is given", path=folder)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; InvalidDataError where there is none."""
    try:
        told = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"not JSON: {error}", path=path) from error
    if not isinstance(told, dict):
        raise InvalidDataError("not a JSON object", path=path)
    return told


class _Reader:
    """The fields of a `preprocessor_config.json`, checked."""

    def __init__(self, told: Any, usual: Usual, path: Path) -> None:
        if not isinstance(told, dict):
            raise InvalidDataError("image_processor is not an object", path=path)
        self._told, self._usual, self._path = told, usual, path

    def preprocessing(self) -> Preprocessing:
        """All of it."""
        if not self._flag("do_resize", True):
            raise self._bad("do_resize", "a model that takes images of any size is not supported")
        shortest, height, width = self._size()
        crop = self._crop() or ((height, width) if shortest else None)
        if crop is not None and (crop[0] > height or crop[1] > width):
            raise self._bad("crop_size", f"{crop[0]}x{crop[1]} of {height}x{width} pixels")
        normal = self._flag("do_normalize", True)
        return Preprocessing(
            shortest,
            height,
            width,
            crop,
            self._resample(),
            self._number("rescale_factor", 1 / 255) if self._flag("do_rescale", True) else 1.0,
            self._colours("image_mean", self._usual.mean) if normal else (0.0, 0.0, 0.0),
            self._colours("image_std", self._usual.std, least=1e-6) if normal else (1.0, 1.0, 1.0),
        )

    def _size(self) -> tuple[int | None, int, int]:
        """Shortest side or None, height, width."""
        size = self._told.get("size", self._usual.size)
        if isinstance(size, int):
            size = dict.fromkeys(self._usual.size, size)
        if not isinstance(size, dict):
            raise self._bad("size", repr(size))
        if size.get("shortest_edge") and not size.get("longest_edge"):
            side = self._side("size", size["shortest_edge"])
            return side, side, side
        return None, self._side("size", size.get("height")), self._side("size", size.get("width"))

    def _crop(self) -> tuple[int, int] | None:
        usual = self._usual.crop
        if not self._flag("do_center_crop", usual is not None):
            return None
        crop = self._told.get("crop_size", usual)
        if isinstance(crop, dict):
            height, width = crop.get("height"), crop.get("width")
            return self._side("crop_size", height), self._side("crop_size", width)
        side = self._side("crop_size", crop)
        return side, side

    def _resample(self) -> Resampling:
        value = self._told.get("resample", self._usual.resample)
        try:
            return Resampling(value)
        except ValueError:
            raise self._bad("resample", repr(value)) from None

    def _flag(self, field: str, usual: bool) -> bool:
        value = self._told.get(field)
        if value is not None and not isinstance(value, bool):
            raise self._bad(field, repr(value))
        return usual if value is None else value

    def _side(self, field: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST_SIDE:
            raise self._bad(field, repr(value))
        return value

    def _number(self, field: str, usual: float) -> float:
        value = self._told.get(field, usual)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise self._bad(field, repr(value))
        return float(value)

    def _colours(self, field: str, usual: Colours, least: float = -1e6) -> Colours:
        value = self._told.get(field, usual)
        if (
            not isinstance(value, list | tuple)
            or len(value) != 3
            or not all(isinstance(one, int | float) and least <= one <= 1e6 for one in value)
        ):
            raise self._bad(field, repr(value))
        red, green, blue = map(float, value)
        return red, green, blue

    def _bad(self, field: str, what: str) -> InvalidDataError:
        return InvalidDataError(f"{field}: {what}", path=self._path)
