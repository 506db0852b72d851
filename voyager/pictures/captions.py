"""Words on a picture, on chips of colour that keep out of each other's way."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from voyager.pictures.palette import Colour, ink_on
from voyager.pictures.view import Bounds

_MOST_LETTERS: Final = 40
_SYSTEM_FONTS: Final = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "Arial.ttf",
    "msyh.ttc",
)
"""Tried in turn for letters that the built-in font lacks: it has little more than ASCII."""

_VISIBLE: Final = {"Cc": "?", "Cs": "?", "Cf": ""}
"""What stands for control characters, halves of surrogate pairs, and marks that turn text about."""

_DARK: Final[Colour] = (40, 44, 50)
_NOWHERE: Final = "\uffff"
Font = ImageFont.FreeTypeFont


@dataclass(frozen=True, slots=True)
class Chip:
    """A caption and what it belongs to."""

    text: str
    colour: Colour
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Words:
    """A text as it will be drawn."""

    text: str
    font: Font
    width: float
    height: float
    up: float
    """From the top of the line to its base."""


def set_words(text: str, size: float, *, room: float) -> Words:
    """A text in one line and in a font that has its letters, cut to the room there is."""
    size = max(8.0, size)
    text = plain(text)
    font = _font_for(text, size)
    text = "".join(letter if _has(font, letter) else _bare(font, letter) for letter in text)
    fits = _cut(text, font, room)
    up, down = font.getmetrics()
    return Words(fits, font, font.getlength(fits), up + down, up)


def plain(text: str) -> str:
    """The text in one short line: with nothing in it that cannot be seen."""
    shown = " ".join(text[: 8 * _MOST_LETTERS].split())
    shown = "".join(_VISIBLE.get(unicodedata.category(letter), letter) for letter in shown)
    return shown if len(shown) <= _MOST_LETTERS else shown[: _MOST_LETTERS - 1] + "…"


def write_chips(picture: Image.Image, chips: Sequence[Chip], *, size: float, gap: float) -> None:
    """Write captions beside what they belong to, in the first of several places that is free.

    One that finds none is left out if the same words in the same colour stand elsewhere.
    """
    draw = ImageDraw.Draw(picture)
    taken: list[Bounds] = []
    written: set[tuple[str, Colour]] = set()
    for chip in reversed(chips):  # the smallest things have the first choice
        words = set_words(chip.text, size, room=picture.width * 0.9)
        places = list(_places(chip.bounds, _chip_size(words), picture.size, gap))
        free = [place for place in places if not any(map(place.overlaps, taken))]
        if not places or (not free and (words.text, chip.colour) in written):
            continue
        place = (free or places)[0]
        taken.append(place)
        written.add((words.text, chip.colour))
        _write_chip(draw, place, words, chip.colour)


def write_notes(picture: Image.Image, notes: Iterable[tuple[str, Colour]], *, size: float) -> None:
    """Write what is said of the whole picture in its lower left corner, one chip above another."""
    draw = ImageDraw.Draw(picture)
    margin = size / 2
    bottom = picture.height - margin
    for text, colour in notes:
        words = set_words(text, size, room=picture.width - 4 * margin)
        width, height = _chip_size(words)
        if bottom - height < 0:
            break
        _write_chip(draw, Bounds(margin, bottom - height, margin + width, bottom), words, colour)
        bottom -= height + margin / 2


def write_middle(picture: Image.Image, text: str, *, size: float) -> None:
    """Write a text in the middle of a picture, on a dark chip."""
    words = set_words(text, size, room=picture.width * 0.9)
    width, height = _chip_size(words)
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    place = Bounds(left, top, left + width, top + height)
    _write_chip(ImageDraw.Draw(picture), place, words, _DARK)


def _chip_size(words: Words) -> tuple[float, float]:
    return words.width + words.font.size * 0.7, words.height + words.font.size * 0.1


def _write_chip(draw: ImageDraw.ImageDraw, at: Bounds, words: Words, colour: Colour) -> None:
    box = (round(at.left), round(at.top), round(at.right) - 1, round(at.bottom) - 1)
    draw.rounded_rectangle(box, words.font.size * 0.25, colour)
    base = box[1] + words.font.size * 0.05 + words.up
    draw.text((box[0] + words.font.size * 0.35, base), words.text, ink_on(colour), words.font, "ls")


def _places(
    bounds: Bounds, size: tuple[float, float], picture: tuple[int, int], gap: float
) -> Iterator[Bounds]:
    """Where a chip may go, best first: above its thing, below, inside, each left and right."""
    width, height = size
    if bounds.right < 0 or bounds.bottom < 0 or bounds.left > picture[0] or bounds.top > picture[1]:
        return
    lefts = bounds.left - gap, bounds.right + gap - width
    above, below = bounds.top - gap - height, bounds.bottom + gap
    if above >= 0:
        yield from (_inside(left, above, size, picture) for left in lefts)
    if below + height <= picture[1]:
        yield from (_inside(left, below, size, picture) for left in lefts)
    for top in (bounds.top + gap, bounds.bottom - gap - height):
        for left in (bounds.left + gap, bounds.right - gap - width):
            yield _inside(left, top, size, picture)


def _inside(left: float, top: float, size: tuple[float, float], picture: tuple[int, int]) -> Bounds:
    left = max(0.0, min(left, picture[0] - size[0]))
    top = max(0.0, min(top, picture[1] - size[1]))
    return Bounds(left, top, left + size[0], top + size[1])


def _cut(text: str, font: Font, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"


def _font_for(text: str, size: float) -> Font:
    """The font that has most letters of a text: the built-in one, or one of the system."""
    letters = set(text)
    best = _built_in(size)
    most = sum(_has(best, letter) for letter in letters)
    for name in _SYSTEM_FONTS:
        if most == len(letters):
            break
        font = _system_font(name, size)
        known = 0 if font is None else sum(_has(font, letter) for letter in letters)
        if font is not None and known > most:
            best, most = font, known
    return best


@lru_cache(maxsize=32)
def _built_in(size: float) -> Font:
    font = ImageFont.load_default(size)
    assert isinstance(font, Font)  # the bitmap font comes only without a size
    return font


@lru_cache(maxsize=64)
def _system_font(name: str, size: float) -> Font | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _has(font: Font, letter: str) -> bool:
    """Whether a font draws a letter as anything else than what it cannot draw."""
    return letter.isspace() or _drawn(font, letter) != _drawn(font, _NOWHERE)


def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


def _bare(font: Font, letter: str) -> str:
    """A letter without its accents where that can be drawn, else a question mark."""
    bare = unicodedata.normalize("NFKD", letter)[0]
    return bare if _has(font, bare) else "?"
