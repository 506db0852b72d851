"""Colours of classes: the same class has the same colour in every picture."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, TypeAlias

Colour: TypeAlias = tuple[int, int, int]

BLACK: Final[Colour] = (0, 0, 0)
WHITE: Final[Colour] = (255, 255, 255)

PALETTE: Final[tuple[Colour, ...]] = (
    # Okabe and Ito's seven, then five that keep apart from them and from each other (CIELAB
    # distance of 16 and more) as people with protan, deutan and tritan vision see them too.
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (102, 17, 0),
    (200, 255, 234),
    (75, 0, 146),
    (122, 79, 224),
    (170, 51, 119),
)


def colour_of(name: str) -> Colour:
    """The colour of a class by its name alone."""
    return PALETTE[_slot(name)]


def colours_of(names: Iterable[str]) -> dict[str, Colour]:
    """Colours of all classes of a dataset, which share one only when there are more than colours.

    A class has the colour of its name, or the next that is free.
    """
    chosen: dict[str, Colour] = {}
    free: set[int] = set()
    for name in sorted(set(names)):
        free = free or set(range(len(PALETTE)))
        around = (number % len(PALETTE) for number in range(_slot(name), 2 * len(PALETTE)))
        slot = next(number for number in around if number in free)
        free.discard(slot)
        chosen[name] = PALETTE[slot]
    return chosen


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is easier to read on a colour."""
    light = luminance(colour)
    return BLACK if (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) else WHITE


def luminance(colour: Colour) -> float:
    """The relative luminance of an sRGB colour, 0 to 1 (WCAG 2)."""
    red, green, blue = (_linear(part / 255) for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def css(colour: Colour) -> str:
    """The colour as a style sheet has it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _slot(name: str) -> int:
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) % len(PALETTE)
