"""What is done to a picture before a network sees it, and by how much: pure functions of a place.

All random numbers of a row come from (seed, epoch, position) alone, so that a batch is the same for
any number of threads, workers and ranks, and after any resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.errors import UsageError
from voyager.train.order import Rows, draw

Floats = NDArray[np.float64]

CENTRE: Final = 224 / 256
"""The share of the short side that an evaluation looks at, as is usual since AlexNet."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strongly pictures are changed; zeros change nothing.

    `area` is the least share of the picture that a crop keeps, `aspect` the most that its sides
    change against each other. `flip`, `mixup`, `cutmix`, `blur` and `erase` are chances, `colour`
    the most that brightness, contrast and saturation change by, `turn` degrees.
    """

    area: float = 1.0
    aspect: float = 1.0
    flip: float = 0.0
    flip_down: float = 0.0
    colour: float = 0.0
    turn: float = 0.0
    blur: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """The settings by name."""
        return asdict(self)


NONE: Final = Augmentation()

AUGMENTATIONS: Final[Mapping[str, Augmentation]] = {
    "none": NONE,
    "light": Augmentation(area=0.7, aspect=1.2, flip=0.5),
    "standard": Augmentation(area=0.35, aspect=4 / 3, flip=0.5, colour=0.2),
    "strong": Augmentation(
        area=0.2,
        aspect=4 / 3,
        flip=0.5,
        colour=0.4,
        turn=10,
        blur=0.1,
        erase=0.25,
        mixup=0.5,
        cutmix=0.5,
    ),
}


def parse_augmentation(text: str) -> Augmentation:
    """`standard`, or one changed: `standard,turn=15,flip=0`; UsageError for what is none."""
    name, *changes = text.split(",")
    if name not in AUGMENTATIONS:
        near = get_close_matches(name, AUGMENTATIONS, 1)
        hint = f"did you mean '{near[0]}'?" if near else None
        raise UsageError(
            f"no augmentation '{name}'; there are {', '.join(AUGMENTATIONS)}", hint=hint
        )
    known = {one.name for one in fields(Augmentation)}
    changed: dict[str, float] = {}
    for change in changes:
        setting, equals, number = change.partition("=")
        try:
            changed[setting] = float(number)
        except ValueError:
            equals = ""
        if not equals or setting not in known:
            raise UsageError(f"'{change}' is not SETTING=NUMBER of {', '.join(sorted(known))}")
    return replace(AUGMENTATIONS[name], **changed)


Sides: TypeAlias = tuple[float, float, float, float]


class Change(NamedTuple):
    """What is done to one picture: a row of a plan."""

    box: Sides
    flip: bool
    flip_down: bool
    colour: tuple[float, float, float]
    turn: float
    blur: float
    erase: Sides

    @property
    def is_plain(self) -> bool:
        """Whether the pixels in the box stay as they are, but for what is erased."""
        moved = self.flip or self.flip_down or self.turn or self.blur
        return not moved and self.colour == (1, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is done to the pictures of a batch, an array for each thing."""

    boxes: Floats
    """(b, 4), x0 y0 x1 y1 in pixels of the upright picture: what is looked at."""
    flip: NDArray[np.bool_]
    flip_down: NDArray[np.bool_]
    colour: Floats
    """(b, 3), factors of brightness, contrast and saturation."""
    turn: Floats
    """(b,), degrees counter-clockwise."""
    blur: Floats
    """(b,), the radius in pixels of the result."""
    erase: Floats
    """(b, 4), a box as shares of the result; empty for none."""

    def changes(self) -> list[Change]:
        """The rows of the plan; all at once, since numbers are slow to take out one by one."""
        boxes, colour, erase = (
            map(tuple, one.tolist()) for one in (self.boxes, self.colour, self.erase)
        )
        flip, down, turn, blur = (
            one.tolist() for one in (self.flip, self.flip_down, self.turn, self.blur)
        )
        return list(map(Change, boxes, flip, down, colour, turn, blur, erase))


def plan_batch(
    how: Augmentation,
    frames: Floats,
    positions: Rows,
    *,
    size: int,
    seed: int,
    epoch: int,
    whole: bool,
) -> Plan:
    """What is done to the pictures at some positions.

    `frames` (b, 4) are the parts of the upright pictures that matter: the whole picture, or the
    square of a region. Nothing outside is looked at. Without any augmentation the centre of a
    whole picture is looked at, and all of a region. The result has `size` pixels a side.
    """

    def chance(number: int) -> Floats:
        return draw(positions, seed, epoch, number).astype(np.float64) / 2.0**64

    count = len(positions)
    once = np.ones(count)
    if how.area < 1 or how.aspect > 1:
        boxes = _random_crops(how, frames, chance(0), chance(1), chance(2), chance(3))
    else:
        boxes = _centres(frames, size) if whole else frames
    colour = [1 + how.colour * (2 * chance(number) - 1) for number in (5, 6, 7)]
    radius = np.where(chance(9) < how.blur, 0.5 + chance(10), 0) if how.blur else 0 * once
    return Plan(
        boxes=boxes,
        flip=chance(4) < how.flip,
        flip_down=chance(13) < how.flip_down,
        colour=np.stack(colour, axis=1),
        turn=how.turn * (2 * chance(8) - 1),
        blur=radius,
        erase=_erased(how.erase, chance),
    )


def _random_crops(how: Augmentation, frames: Floats, *chances: Floats) -> Floats:
    """Inception's crops: a share of the area, sides within an aspect, anywhere inside."""
    area, aspect, across, down = chances
    width, height = frames[:, 2] - frames[:, 0], frames[:, 3] - frames[:, 1]
    wanted = (how.area + (1 - how.area) * area) * width * height
    ratio = np.exp((2 * aspect - 1) * np.log(how.aspect))
    wide = np.minimum(np.sqrt(wanted * ratio), width)
    high = np.minimum(np.sqrt(wanted / ratio), height)
    left = frames[:, 0] + (width - wide) * across
    top = frames[:, 1] + (height - high) * down
    return np.stack((left, top, left + wide, top + high), axis=1)


def _centres(frames: Floats, size: int) -> Floats:
    """The middle of each frame that the usual evaluation looks at, with its rounding.

    That is to resize so that the short side has 256 pixels and to crop 224 of the middle, or in
    this proportion: the same pixels, though the resize and the crop are one here.
    """
    sides = frames[:, 2:] - frames[:, :2]
    shorter = sides.min(axis=1, keepdims=True)
    resized = np.maximum(np.floor(round(size / CENTRE) * sides / shorter + 1e-9), size)
    first = np.rint((resized - size) / 2)
    scale = sides / resized
    return np.concatenate(
        (frames[:, :2] + first * scale, frames[:, :2] + (first + size) * scale), axis=1
    )


def _erased(share: float, chance: Any) -> Floats:
    """Boxes of a fiftieth to a third of the picture (Zhong et al., "Random Erasing", 2020)."""
    here = chance(11) < share
    area = 0.02 + 0.31 * chance(12)
    ratio = np.exp((2 * chance(14) - 1) * np.log(3))
    wide, high = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
    left, top = (1 - wide) * chance(15), (1 - high) * chance(16)
    boxes = np.stack((left, top, left + wide, top + high), axis=1)
    return np.where(here[:, None], boxes, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """A batch blended with itself: row i has `share` of its own answer, the rest of `partner[i]`.

    With `box` (shares of the picture) the rest is a piece of the partner's picture, else all of it.
    """

    partner: Rows
    share: float
    box: tuple[float, float, float, float] | None


def plan_mix(how: Augmentation, first: int, count: int, *, seed: int, epoch: int) -> Mix | None:
    """How a batch whose first position is `first` is blended, None for not at all.

    Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019), with even shares.
    """
    if how.mixup + how.cutmix <= 0 or count < 2:
        return None
    place = np.array([first], np.int64)
    picked, share, across, down, step = (
        float(draw(place, seed, epoch, number)[0]) / 2.0**64 for number in range(20, 25)
    )
    if picked >= how.mixup + how.cutmix:
        return None
    shift = 1 + int(step * (count - 1))
    partner = (np.arange(count) + shift) % count
    if picked < how.mixup:
        return Mix(partner, max(share, 1 - share), None)
    side = (1 - share) ** 0.5
    left, top = across * (1 - side), down * (1 - side)
    return Mix(partner, share, (left, top, left + side, top + side))
