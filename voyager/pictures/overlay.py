"""Marks on a picture: areas, lines and dots with a halo, and captions.

Each mark is drawn on a patch of its own, enlarged and then reduced again so that edges are smooth,
and touches nothing outside the bounds of its geometry but by the width of the pen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from voyager.pictures.captions import Chip, write_chips
from voyager.pictures.palette import BLACK, PALETTE, WHITE, Colour, luminance
from voyager.pictures.shapes import Edges, Rings, Shape, shape_of
from voyager.pictures.view import Array, Bounds, View
from voyager.schema import Box, Geometry

Style: TypeAlias = Literal["solid", "dashed"]

_HALO_OPACITY: Final = 0.6
_DARK: Final = 0.08
"""Marks of less luminance have a white halo, all others a black one."""
_FINE_PIXELS: Final = 1 << 22
"""Patches are enlarged up to about this many pixels."""
_MOST_DASHES: Final = 20_000
_MOST_JOINTS: Final = 2_000
_FARTHEST_INK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Mark:
    """A geometry to be drawn, in pixels of the stored image.

    `fill` is the opacity of the inside, None for what suits the geometry; `skeleton` joins
    keypoints by their places in the list.
    """

    geometry: Geometry
    colour: Colour = PALETTE[0]
    caption: str = ""
    style: Style = "solid"
    fill: float | None = None
    skeleton: Edges = ()


@dataclass(frozen=True, slots=True)
class Pen:
    """Sizes in pixels of the picture."""

    width: float = 2.0
    halo: float = 1.0
    dot: float = 4.0
    dash: float = 7.0
    text: float = 13.0

    @staticmethod
    def of(unit: float) -> Pen:
        """The pen for pictures of which so many pixels make one of a usual screen."""
        return Pen(2 * unit, max(1.0, 0.75 * unit), 4 * unit, 7 * unit, 13 * unit)

    @staticmethod
    def suiting(size: tuple[int, int]) -> Pen:
        """The pen for a picture of that size, to be looked at as a whole."""
        return Pen.of(min(max(min(size) / 480, 1.0), 16.0))

    @property
    def reach(self) -> float:
        """How far ink goes beyond the geometry itself."""
        return max(self.width / 2, self.dot) + self.halo


def draw(
    picture: Image.Image,
    marks: Iterable[Mark],
    *,
    view: View | None = None,
    pen: Pen | None = None,
) -> Image.Image:
    """A copy of a picture with marks on it, large ones first, and captions above them all.

    `view` says where a stored pixel lies in the picture.
    """
    view = view or View()
    pen = pen or Pen.suiting(picture.size)
    picture = picture.convert("RGB")
    placed = sorted(_placed(marks, view), key=lambda one: -one[2].area)
    for mark, shape, bounds in placed:
        _Patch(picture, shape, bounds, view=view, pen=pen).ink(mark)
    chips = [
        Chip(mark.caption, mark.colour, bounds.grown(pen.dot if shape.has_dots else pen.width / 2))
        for mark, shape, bounds in placed
        if mark.caption
    ]
    write_chips(picture, chips, size=pen.text, gap=pen.halo)
    return picture


def bounds_of(marks: Iterable[Mark], view: View) -> Bounds | None:
    """The bounds of all marks together as a view has them; None where they show nothing."""
    return Bounds.around(bounds for _, _, bounds in _placed(marks, view))


def _placed(marks: Iterable[Mark], view: View) -> Iterator[tuple[Mark, Shape, Bounds]]:
    """Marks that show something, with their outlines and where they lie in the picture."""
    for mark in marks:
        shape = shape_of(mark.geometry, skeleton=mark.skeleton)
        bounds = shape.bounds(view)
        if bounds is not None:
            yield mark, shape, bounds


class _Patch:
    """The part of a picture around one shape, and masks of that part to draw it on."""

    def __init__(
        self, picture: Image.Image, shape: Shape, bounds: Bounds, *, view: View, pen: Pen
    ) -> None:
        self._picture = picture
        self._box = bounds.grown(pen.reach + 1).pixels(picture.size)
        across, down = self._box[2] - self._box[0], self._box[3] - self._box[1]
        area = max(1, across * down)
        self._fine = fine = 4 if area * 16 <= _FINE_PIXELS else 2 if area * 4 <= _FINE_PIXELS else 1
        self._size = across * fine, down * fine
        self._view = view.moved(-self._box[0], -self._box[1]).scaled(fine, fine)
        self._shape = shape.seen(self._view)
        self._pen = pen

    def ink(self, mark: Mark) -> None:
        """Put a mark on the picture."""
        if min(self._size) <= 0:
            return
        width, halo = self._pen.width, self._pen.halo
        opacity = _fill_of(mark.geometry) if mark.fill is None else mark.fill
        bits = self._bits()
        if opacity > 0 and (self._shape.areas or bits is not None):
            self._paste(mark.colour, self._areas(bits), opacity)
        dashed = mark.style == "dashed"
        rim = WHITE if luminance(mark.colour) < _DARK else BLACK
        self._paste(rim, self._strokes(bits, width + 2 * halo, halo, dashed=dashed), _HALO_OPACITY)
        self._paste(mark.colour, self._strokes(bits, width, 0.0, dashed=dashed), 1.0)

    def _paste(self, colour: Colour, mask: Image.Image, opacity: float) -> None:
        mask = mask.reduce(self._fine) if self._fine > 1 else mask
        if opacity < 1:
            mask = mask.point([round(level * max(opacity, 0.0)) for level in range(256)])
        self._picture.paste(colour, self._box, mask)

    def _bits(self) -> Image.Image | None:
        """The bitmap of the shape as it lies in the patch."""
        if self._shape.bits is None:
            return None
        x, y = self._shape.corner
        a, b, c, d, e, f = self._view.inverse()
        back = (a, b, c - x, d, e, f - y)  # the bitmap begins at its corner
        source = Image.fromarray(self._shape.bits.astype(np.uint8) * 255)
        return source.transform(self._size, Image.Transform.AFFINE, back)

    def _areas(self, bits: Image.Image | None) -> Image.Image:
        mask = Image.new("L", self._size) if bits is None else bits
        for outer, *holes in filter(None, self._shape.areas):
            part = self._inside(outer)
            for hole in holes:
                part = ImageChops.difference(part, self._inside(hole))
            mask = ImageChops.lighter(mask, part)
        return mask

    def _inside(self, ring: Array) -> Image.Image:
        mask = Image.new("L", self._size)
        if len(ring) > 2:
            ImageDraw.Draw(mask).polygon(_ink_points(ring), fill=255)
        return mask

    def _strokes(
        self, bits: Image.Image | None, width: float, halo: float, *, dashed: bool
    ) -> Image.Image:
        """Every line and dot, drawn with a pen of a width in pixels of the picture."""
        mask = Image.new("L", self._size) if bits is None else self._rim(bits, width, dashed)
        draw = ImageDraw.Draw(mask)
        thick = max(1, round(width * self._fine))
        for line, faint in self._lines(dashed):
            for piece in self._pieces(line, halo, dashed=faint):
                joint = "curve" if len(piece) <= _MOST_JOINTS and not faint else None
                draw.line(_ink_points(piece), fill=255, width=thick, joint=joint)
        radius = (self._pen.dot + halo) * self._fine
        for x, y in self._near(self._shape.dots):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        for x, y in self._near(self._shape.hollow):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), None, 255, thick)
        return mask

    def _lines(self, dashed: bool) -> Iterator[tuple[Array, bool]]:
        for area in self._shape.areas:
            for ring in area:
                yield np.concatenate((ring, ring[:2] if len(ring) > 2 else ring[:1])), dashed
        for line in self._shape.lines:
            yield line, dashed
        for line in self._shape.faint:
            yield line, True

    def _pieces(self, line: Array, halo: float, *, dashed: bool) -> Iterable[Array]:
        """What of a line can be seen, in dashes if so asked."""
        margin = 4 * self._pen.reach * self._fine
        runs = _visible(line, (-margin, -margin, self._size[0] + margin, self._size[1] + margin))
        if not dashed:
            return runs
        step = self._pen.dash * self._fine
        return (dash for run in runs for dash in _dashes(run, step, halo * self._fine))

    def _near(self, dots: Array) -> Array:
        """The dots that reach into the patch."""
        far = self._pen.reach * self._fine
        inside = ((dots > -far) & (dots < np.array(self._size) + far)).all(axis=1)
        return dots[inside] - 0.5

    def _rim(self, bits: Image.Image, width: float, dashed: bool) -> Image.Image:
        """The edge of a bitmap: where a square as wide as the pen holds both ink and paper."""
        radius = max(1, round(width * self._fine / 2))
        rim = bits.filter(ImageFilter.BoxBlur(radius))
        rim = rim.point([255 if 0 < level < 255 else 0 for level in range(256)])
        if not dashed:
            return rim
        across, down = np.meshgrid(*(np.arange(side) for side in self._size))
        step = max(1, round(self._pen.dash * self._fine))
        stripes = ((across + down) // step % 2 * 255).astype(np.uint8)
        return ImageChops.darker(rim, Image.fromarray(stripes))


def _fill_of(geometry: Geometry) -> float:
    return 0.08 if isinstance(geometry, Box) else 0.22


def _ink_points(points: Array) -> list[tuple[float, float]]:
    """Points as Pillow takes them, which has (0, 0) in the middle of the first pixel."""
    inked = np.clip(points - 0.5, -_FARTHEST_INK, _FARTHEST_INK)
    return [(x, y) for x, y in inked.tolist()]


def _visible(line: Array, window: tuple[float, float, float, float]) -> Rings:
    """The runs of a line inside a window (Liang and Barsky's clipping, all segments at once)."""
    if len(line) < 2:
        return ()
    start, step = line[:-1], np.diff(line, axis=0)
    low, high = np.array(window[:2]), np.array(window[2:])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        sides = np.sort(((low - start) / step, (high - start) / step), axis=0)
    still = (step == 0) & (start >= low) & (start <= high)
    enter = np.where(still, 0.0, np.where(step == 0, np.inf, sides[0])).max(axis=1)
    leave = np.where(still, 1.0, np.where(step == 0, -np.inf, sides[1])).min(axis=1)
    enter, leave = np.maximum(enter, 0.0), np.minimum(leave, 1.0)
    kept = np.flatnonzero(enter <= leave)
    if not len(kept):
        return ()
    first = start[kept] + step[kept] * enter[kept, None]
    last = start[kept] + step[kept] * leave[kept, None]
    joined = (np.diff(kept) == 1) & (leave[kept][:-1] == 1) & (enter[kept][1:] == 0)
    breaks = [0, *(np.flatnonzero(~joined) + 1).tolist(), len(kept)]
    return tuple(np.concatenate((first[a : a + 1], last[a:b])) for a, b in pairwise(breaks))


def _dashes(run: Array, step: float, longer: float) -> Rings:
    """A line cut into dashes as long as the gaps; one of very many stays whole."""
    lengths = np.hypot(*np.diff(run, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(lengths)))
    count = int(along[-1] // (2 * step)) + 1
    if count > _MOST_DASHES:
        return (run,)
    dashes = []
    for middle in (np.arange(count) * 2 + 0.5) * step:
        start = max(0.0, middle - step / 2 - longer)
        end = min(along[-1], middle + step / 2 + longer)
        a, b = np.searchsorted(along, (start, end), "right")
        stops = np.concatenate(([start], along[a:b], [end]))
        dashes.append(np.column_stack([np.interp(stops, along, axis) for axis in run.T]))
    return tuple(dashes)
