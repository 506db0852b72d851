"""Cut-outs of a region before and after a change, small enough to stand in a page by hundreds."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from PIL import Image

from voyager.pictures.frame import Frame
from voyager.pictures.overlay import Mark, Pen, bounds_of, draw
from voyager.pictures.page import Picture
from voyager.pictures.view import Bounds

SIDE: Final = 240
"""Longest side of a crop as a page shows it."""

_DENSE: Final = 1.5
"""Pixels of a picture to one of the page, for screens that have more."""
_MARGIN: Final = 0.35
_LEAST_MARGIN: Final = 12.0
_CLOSEST: Final = 8.0
"""Things are enlarged no more than this many times."""
_FAINT: Final = 0.4
"""Opacity of the marks that stand around."""
_QUALITY: Final = 72


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a change: the image, the marks it is about, and others that stand around."""

    frame: Frame
    marks: tuple[Mark, ...] = ()
    around: tuple[Mark, ...] = ()


def before_after(
    before: Side | None,
    after: Side | None,
    *,
    names: tuple[str, str] = ("before", "after"),
    about: str = "",
    side: int = SIDE,
) -> tuple[Picture, ...]:
    """Pictures of both sides through the same window, or of the one there is.

    `about` says in the alternative text what they are of.
    """
    present = [(one, name) for one, name in zip((before, after), names, strict=True) if one]
    window = window_around([one for one, _ in present], side=side)
    return tuple(
        picture_of(crop(one, window, side=side), name, alt=f"{about}, {name}".strip(", "))
        for one, name in present
    )


def window_around(sides: list[Side], *, side: int = SIDE) -> Bounds:
    """The part of the frames to show: a square around their marks, else the whole frames."""
    whole = Bounds.around(one.frame.bounds for one in sides) or Bounds(0, 0, side, side)
    found = (bounds_of(one.marks, one.frame.view) for one in sides)
    marked = Bounds.around(bounds for bounds in found if bounds is not None)
    if marked is None or not marked.touches(whole):
        return whole
    marked = marked.common(whole)
    longest = max(marked.width, marked.height)
    room = max(longest + 2 * max(_MARGIN * longest, _LEAST_MARGIN), side / _CLOSEST)
    left, right = _stretch(marked.left, marked.right, room, whole.right)
    top, bottom = _stretch(marked.top, marked.bottom, room, whole.bottom)
    return Bounds(left, top, right, bottom)


def crop(one: Side, window: Bounds, *, side: int = SIDE) -> Image.Image:
    """What a window shows of one side, with its marks."""
    scale = side * _DENSE / max(window.width, window.height)
    size = max(1, round(window.width * scale)), max(1, round(window.height * scale))
    across, down = size[0] / window.width, size[1] / window.height
    view = one.frame.view.moved(-window.left, -window.top).scaled(across, down)
    picture = one.frame.cut(window, size)
    if one.around:
        beside = draw(picture, one.around, view=view, pen=Pen.of(_DENSE * 0.75))
        picture = Image.blend(picture, beside, _FAINT)
    return one.frame.explain(draw(picture, one.marks, view=view, pen=Pen.of(_DENSE)))


def picture_of(picture: Image.Image, caption: str, *, alt: str) -> Picture:
    """A picture as a page holds it, shown at the size of a crop."""
    width, height = (max(1, round(length / _DENSE)) for length in picture.size)
    return Picture(caption, data_uri(picture), width, height, alt)


def data_uri(picture: Image.Image) -> str:
    """The picture as a JPEG in a URI."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(out.getvalue()).decode()}"


def _stretch(low: float, high: float, room: float, end: float) -> tuple[float, float]:
    """A stretch of that length about the middle of another, moved to lie between 0 and an end."""
    length = min(room, end)
    start = max(0.0, min((low + high - length) / 2, end - length))
    return start, start + length
