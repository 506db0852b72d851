"""Lines of a YOLO label file: a class and 4 numbers, points, or the corners of a rotated box."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import json

from voyager.errors import InvalidDataError
from voyager.schema import Box, Keypoints, Polygon
from voyager.schema.geometry import Flat

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+")
_CLASS = re.compile(r"\d{1,9}(?:\.0*)?")
_CORNERS: Final = 8


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was taken apart; `name` and `difficult` stand in lines of DOTA, in pixels."""

    number: int
    category: int
    values: Flat
    name: str = ""
    difficult: bool = False

    @property
    def is_finite(self) -> bool:
        """Whether all numbers are finite."""
        return all(map(math.isfinite, self.values))


def parse_lines(text: str, path: str) -> Iterator[Line]:
    """The lines of a label file; InvalidDataError with the line for what is none."""
    for number, text_line in enumerate(text.splitlines(), 1):
        words = text_line.split()
        if not words or (":" in words[0] and len(words) == 1):  # the head of a file of DOTA
            continue
        if len(words) == 10 and not _NUMBER.fullmatch(words[8]):
            corners = tuple(_number(word, path, number) for word in words[:8])
            yield Line(number, -1, corners, words[8], words[9] not in ("0", "False"))
            continue
        if not _CLASS.fullmatch(words[0]):
            raise _bad(f"expected the number of a class, got '{words[0][:40]}'", path, number)
        yield Line(number, int(float(words[0])), _numbers(words[1:], text_line, path, number))


def _numbers(words: list[str], text: str, path: str, line: int) -> Flat:
    if "_" not in text and text.isascii():  # Python's own numbers are these, but for 1_000
        try:
            return tuple(map(float, words))
        except ValueError:
            pass
    return tuple(_number(word, path, line) for word in words)


def _number(word: str, path: str, line: int) -> float:
    if _NUMBER.fullmatch(word) or _NOT_FINITE.fullmatch(word):
        return float(word)
    hint = "the numbers of this file have decimal commas" if _COMMA.fullmatch(word) else None
    raise InvalidDataError(f"expected a number, got '{word[:40]}'", path=path, line=line, hint=hint)


def _bad(message: str, path: str, line: int) -> InvalidDataError:
    return InvalidDataError(message, path=path, line=line)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the numbers of a line mean: its kind, its numbers without the score, and the score."""

    kind: str
    values: Flat
    score: float | None = None


def shape_of(line: Line, path: str, *, pose: int, oriented: bool) -> Shape:
    """The kind of a line by how many numbers it has.

    `pose` is how many a line with keypoints has (0: there are none), `oriented` whether 8 numbers
    are the corners of a rotated box.
    """
    values, count = line.values, len(line.values)
    if line.name:
        return Shape("corners", values)
    if pose and count in (pose, pose + 1):
        return Shape("pose", values[:pose], values[pose] if count > pose else None)
    if count in (4, 5):
        return Shape("box", values[:4], values[4] if count == 5 else None)
    if count in (_CORNERS, _CORNERS + 1) and oriented:
        return Shape("corners", values[:8], values[8] if count == 9 else None)
    if count >= 6:
        even = count // 2 * 2
        return Shape("polygon", values[:even], values[even] if count % 2 else None)
    raise _bad(f"{count} numbers after the class: expected 4, or at least 6", path, line.number)


# -- numbers to pixels and back ------------------------------------------------------------------


def box_of(values: Flat, width: float, height: float) -> tuple[float, float, float, float]:
    """Corners in pixels of centre and size in parts of the image."""
    cx, cy, w, h = values
    return (
        (cx - w / 2) * width,
        (cy - h / 2) * height,
        (cx + w / 2) * width,
        (cy + h / 2) * height,
    )


def ring_of(values: Flat, width: float, height: float) -> Flat:
    """Points in pixels; a ring that ends where it begins does so once."""
    points = list(values)
    points[0::2] = [x * width for x in values[0::2]]
    points[1::2] = [y * height for y in values[1::2]]
    while len(points) > 2 and points[-2:] == points[:2]:
        del points[-2:]
    return tuple(points)


def keypoints_of(
    values: Flat, dimensions: int, width: float, height: float
) -> tuple[Flat, tuple[int, ...], bool]:
    """(points in pixels, visibility, whether visibility was other than 0, 1 and 2)."""
    points: list[float] = []
    seen: list[int] = []
    odd = False
    for at in range(0, len(values), dimensions):
        x, y = values[at : at + 2]
        given = values[at + 2] if dimensions == 3 else 2.0 if (x, y) != (0.0, 0.0) else 0.0
        visible = int(given) if given in (0, 1, 2) else 2 if given >= 0.5 else 1
        odd |= given not in (0, 1, 2)
        points += (x * width, y * height) if visible else (0.0, 0.0)
        seen.append(visible)
    return tuple(points), tuple(seen), odd


def box_numbers(box: Box, width: float, height: float) -> list[float]:
    """A box as centre and size."""
    x0, y0, x1, y1 = box.x0, box.y0, box.x1, box.y1
    center = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height
    return [*center, (x1 - x0) / width, (y1 - y0) / height]


def ring_numbers(
    ring: Flat, width: float, height: float, taken: frozenset[int] = frozenset()
) -> list[float]:
    """A ring, with its first point once more where its count of numbers would mean another kind."""
    numbers = list(ring)
    numbers[0::2] = [x / width for x in ring[0::2]]
    numbers[1::2] = [y / height for y in ring[1::2]]
    while numbers and (len(numbers) < 6 or len(numbers) in taken):
        numbers += numbers[:2]
    return numbers


def keypoint_numbers(shape: Keypoints, width: float, height: float) -> list[float]:
    """Points with their visibility."""
    numbers: list[float] = []
    for at, visible in enumerate(shape.visibility):
        x, y = shape.points[2 * at : 2 * at + 2]
        numbers += (x / width, y / height, visible)
    return numbers


_encode_lines = json.Encoder().encode_lines
_SPACED = bytes.maketrans(b",", b" ")


def encode_lines(lines: Sequence[Sequence[float]]) -> bytes:
    """Lines of numbers to their last digit: as JSON, whose encoder is faster than repr."""
    return _encode_lines(lines).translate(_SPACED, b"[]")


def outer_ring(polygon: Polygon) -> Flat:
    """The outer ring of the only part of a polygon."""
    return polygon.parts[0][0] if polygon.parts and polygon.parts[0] else ()
