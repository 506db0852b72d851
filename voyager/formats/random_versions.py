"""Small random versions, as far as a format can hold them, for hypothesis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from voyager.formats.base import Holds
from voyager.formats.torture import HEIGHT, POINTS, WIDTH, Builder, Limits
from voyager.repo.dataset import Dataset
from voyager.schema import (
    Box,
    Cuboid,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Points,
    Polygon,
    Polyline,
    Region,
    RotatedBox,
    Sample,
)
from voyager.schema.rle import mask_of_array


def versions(holds: Holds, limits: Limits | None = None) -> st.SearchStrategy[Dataset]:
    """Versions of a few random samples that the format can hold."""
    bounds = limits or Limits()
    keys = st.lists(st.sampled_from(list(bounds.keys)), min_size=1, max_size=4, unique=True)

    @st.composite
    def build(draw: st.DrawFn) -> Dataset:
        builder = Builder(holds, bounds)
        drawn = sorted(draw(keys))
        return builder.version({key: _sample(draw, builder, key) for key in drawn})

    return build()


def _sample(draw: st.DrawFn, builder: Builder, key: str) -> Sample:
    holds, limits = builder.holds, builder.limits
    fields: dict[str, Any] = {}
    if holds.geometries:
        count = draw(st.integers(0 if holds.empty else 1, 4 if limits.overlap else 1))
        fields["regions"] = [_region(draw, builder) for _ in range(count)]
    if holds.image_labels != "none" and draw(st.booleans() if holds.empty else st.just(True)):
        most = 3 if holds.image_labels == "many" else 1
        numbers = draw(st.lists(_class_numbers(builder), min_size=1, max_size=most, unique=True))
        fields["labels"] = tuple(builder.label(number) for number in numbers)
    if holds.split:
        fields["split"] = draw(st.sampled_from(list(limits.splits)))
    if holds.meta:
        fields["meta"] = draw(st.dictionaries(_names, _values(limits), max_size=2))
    return builder.sample(key, **fields)


_names = st.sampled_from(["weather", "time of day", "größe", "n"])


def _class_numbers(builder: Builder) -> st.SearchStrategy[int]:
    return st.integers(0, len(builder.classes) - 1)


def _values(limits: Limits) -> st.SearchStrategy[Any]:
    values: st.SearchStrategy[Any] = st.sampled_from(list(limits.words))
    if limits.typed:
        values |= st.booleans() | st.integers(-1000, 1000) | st.floats(-1e6, 1e6)
    return values


def _region(draw: st.DrawFn, builder: Builder) -> Region:
    holds = builder.holds
    shape = draw(shapes(holds, builder.limits))
    fields: dict[str, Any] = {}
    if holds.unlabeled and draw(st.integers(0, 5)) == 0:
        fields["labels"] = ()
    if holds.flags and not isinstance(shape, Keypoints):
        fields["flags"] = draw(st.lists(st.sampled_from(sorted(holds.flags)), max_size=2))
        if "crowd" in fields["flags"] and not isinstance(shape, Mask):
            fields["flags"] = [flag for flag in fields["flags"] if flag != "crowd"]
    if holds.attrs:
        fields["attrs"] = draw(st.dictionaries(_names, _values(builder.limits), max_size=2))
    if holds.scores:
        fields["score"] = draw(st.none() | st.floats(0, 1))
    if holds.states:
        fields["state"] = draw(st.sampled_from(["accepted", "verified", "proposed"]))
    return builder.region(shape, draw(_class_numbers(builder)), **fields)


def shapes(holds: Holds, limits: Limits) -> st.SearchStrategy[Geometry]:
    """Geometries of the kinds that a format holds."""
    margin = 6 if limits.outside else 0
    xs, ys = _coordinates(-margin, WIDTH + margin), _coordinates(-margin, HEIGHT + margin)
    found = [_strategy(name, holds, limits, xs, ys) for name in sorted(holds.geometries)]
    return st.one_of(found)


def _coordinates(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high) | st.integers(math.ceil(low), math.floor(high)).map(float)


def _strategy(
    name: str,
    holds: Holds,
    limits: Limits,
    xs: st.SearchStrategy[float],
    ys: st.SearchStrategy[float],
) -> st.SearchStrategy[Any]:
    point = st.tuples(xs, ys)
    sides = st.floats(0.5, 20)
    angles = st.floats(-3, 3)
    inner = st.tuples(_coordinates(24, 40), _coordinates(22, 26))
    match name:
        case "box":
            return st.tuples(xs, ys, xs, ys).map(lambda c: _box(c, limits))
        case "rotated-box":
            return st.builds(_rotated(RotatedBox), inner, sides, sides, angles)
        case "ellipse":
            return st.builds(_rotated(Ellipse), inner, sides, sides, angles)
        case "polygon":
            return _polygons(point, holds)
        case "polyline":
            return _lists(point, 2).map(Polyline)
        case "points":
            return _lists(point, 1).map(Points)
        case "keypoints":
            return (
                st.lists(
                    st.tuples(xs, ys, st.sampled_from([0, 1, 2])),
                    min_size=len(POINTS),
                    max_size=len(POINTS),
                )
                .filter(lambda drawn: any(seen for _, _, seen in drawn))
                .map(_keypoints)
            )
        case "mask":
            return st.tuples(
                st.integers(0, WIDTH - 9), st.integers(0, HEIGHT - 9), st.integers(1, 2**63)
            ).map(_mask)
        case _:
            return st.lists(point, min_size=8, max_size=8).map(lambda drawn: Cuboid(_flat(drawn)))


def _box(corners: tuple[float, float, float, float], limits: Limits) -> Box:
    x0, y0, x1, y1 = corners
    if not limits.inverted:
        x0, x1 = sorted((x0, x1))
        y0, y1 = sorted((y0, y1))
    if not limits.flat:
        x0, x1 = (x0, x1) if abs(x1 - x0) >= 0.5 else (0.0, 1.0)
        y0, y1 = (y0, y1) if abs(y1 - y0) >= 0.5 else (0.0, 1.0)
    return Box(x0, y0, x1, y1)


def _rotated(shape: Any) -> Callable[..., Any]:
    return lambda center, a, b, angle: shape(*center, a, b, angle)


def _flat(points: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    return tuple(number for point in points for number in point)


def _lists(point: st.SearchStrategy[Any], least: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.lists(point, min_size=least, max_size=6, unique=True).map(_flat)


def _polygons(point: st.SearchStrategy[Any], holds: Holds) -> st.SearchStrategy[Polygon]:
    rings = _lists(point, 3)
    parts = st.lists(rings, min_size=1, max_size=2 if holds.holes else 1).map(tuple)
    most = 3 if holds.parts else 1
    return st.lists(parts, min_size=1, max_size=most).map(lambda drawn: Polygon(tuple(drawn)))


def _keypoints(drawn: list[tuple[float, float, Any]]) -> Keypoints:
    points = [(x, y) if seen else (0.0, 0.0) for x, y, seen in drawn]
    return Keypoints(_flat(points), tuple(seen for _, _, seen in drawn))


def _mask(drawn: tuple[int, int, int]) -> Mask:
    import numpy as np

    left, top, bits = drawn
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    cells = [bool(bits >> n & 1) for n in range(63)]
    pixels[top : top + 7, left : left + 9] = np.array(cells).reshape(7, 9)
    return mask_of_array(pixels)
