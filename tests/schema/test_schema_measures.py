"""Bounds, area, centroid, vertices: known shapes, and laws over the whole table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from schema_strategies import geometries
from shape_samples import annotations, area_shapes, blobbed, nuclei, polygon_of, shapes

from voyager.schema import (
    GEOMETRIES,
    BadValueError,
    Box,
    Cuboid,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
    Unknown,
    UnknownGeometry,
    rle,
)
from voyager.schema.measures import area, bounds, centroid, points_of
from voyager.schema.outline import cos_sin, ellipse_ring, hull, signed_area

SQUARE_WITH_HOLE = Polygon([[[0, 0, 4, 0, 4, 4, 0, 4], [1, 1, 1, 3, 3, 3, 3, 1]]])
TWO_PARTS = Polygon([[[0, 0, 0, 2, 2, 2, 2, 0]], [[4, 0, 6, 0, 6, 2]]])
CUBE = Cuboid([1, 1, 4, 1, 4, 4, 1, 4, 2, 0, 5, 0, 5, 3, 2, 3])
NEWER = UnknownGeometry(Unknown([77, 1.0]))

KNOWN: list[tuple[Geometry, Any, float | None, Any]] = [
    (Box(1, 2, 4, 6), (1, 2, 4, 6), 12.0, (2.5, 4)),
    (Box(4, 6, 1, 2), (1, 2, 4, 6), 12.0, (2.5, 4)),
    (RotatedBox(5, 5, 4, 2, math.pi / 2), (4, 3, 6, 7), 8.0, (5, 5)),
    (RotatedBox(5, 5, -4, 2, math.pi), (3, 4, 7, 6), 8.0, (5, 5)),
    (SQUARE_WITH_HOLE, (0, 0, 4, 4), 12.0, (2, 2)),
    (
        Polygon([[[0, 0, 0, 2, 2, 2, 2, 0]], [[4, 0, 6, 0, 6, 2]]]),
        (0, 0, 6, 2),
        6.0,
        (22 / 9, 8 / 9),
    ),
    (Polygon([[[3, 3, 5, 5]]]), (3, 3, 5, 5), 0.0, (4, 4)),
    (Polygon([]), None, 0.0, None),
    (Polygon([[], [[]]]), None, 0.0, None),
    (Polyline([0, 0, 4, 0, 4, 2]), (0, 0, 4, 2), 0.0, (16 / 6, 2 / 6)),
    (Polyline([2, 3]), (2, 3, 2, 3), 0.0, (2, 3)),
    (Points([0, 0, 4, 2]), (0, 0, 4, 2), 0.0, (2, 1)),
    (Points([]), None, 0.0, None),
    (Keypoints([0, 0, 4, 2, 6, 8], [0, 1, 2]), (4, 2, 6, 8), 0.0, (5, 5)),
    (Keypoints([0, 0], [0]), None, 0.0, None),
    (Mask(3, 4, b"12301"), (0, 0, 3, 3), 4.0, (1.5, 1.5)),
    (Mask(3, 4, b"<"), None, 0.0, None),
    (Ellipse(5, 5, 2, 1, math.pi / 2), (4, 3, 6, 7), 2 * math.pi, (5, 5)),
    (CUBE, (1, 0, 5, 4), 15.0, (3, 2)),
    (NEWER, None, None, None),
]


@pytest.mark.parametrize(("geometry", "box", "size", "centre"), KNOWN)
def test_known_shapes(geometry: Geometry, box: Any, size: float | None, centre: Any) -> None:
    assert bounds(geometry) == (None if box is None else pytest.approx(box))
    assert area(geometry) == (None if size is None else pytest.approx(size))
    assert centroid(geometry) == (None if centre is None else pytest.approx(centre))


def test_the_table_is_covered() -> None:
    assert {type(case[0]) for case in KNOWN} == {*GEOMETRIES.values(), UnknownGeometry}


@given(geometries)
def test_any_geometry_measures_or_its_counts_are_bad(geometry: Geometry) -> None:
    try:
        box, size, centre = bounds(geometry), area(geometry), centroid(geometry)
    except BadValueError as error:
        assert isinstance(geometry, Mask)
        assert "counts" in str(error)
        return
    assert size is None or (0 <= size < math.inf)
    assert box is None or (box[0] <= box[2] and box[1] <= box[3])
    assert (box is None) == (centre is None)
    points_of(geometry)


@given(shapes)
def test_measures_agree_with_each_other(geometry: Geometry) -> None:
    box = bounds(geometry)
    points, size, centre = points_of(geometry), area(geometry), centroid(geometry)
    assert size is not None
    if box is None:
        assert not points
        assert not size
        return
    x0, y0, x1, y1 = box
    assert all(x0 - 1e-9 <= x <= x1 + 1e-9 for x in points[0::2])
    assert all(y0 - 1e-9 <= y <= y1 + 1e-9 for y in points[1::2])
    if not isinstance(geometry, Polygon):  # parts may overlap, rings may wind twice
        assert size <= (x1 - x0) * (y1 - y0) + 1e-6
        assert centre is not None
        assert x0 - 1e-6 <= centre[0] <= x1 + 1e-6
        assert y0 - 1e-6 <= centre[1] <= y1 + 1e-6


@given(area_shapes.filter(lambda shape: not isinstance(shape, (Polygon, Mask))))
def test_area_and_centre_are_those_of_many_pixels(geometry: Geometry) -> None:
    fine = 8
    grown = _scaled(geometry, fine)
    mask = rle.mask_of(grown, 120 * fine, 120 * fine)
    assert mask is not None
    covered = rle.area(rle.runs_of(mask)) / fine**2
    perimeter = 2 * sum(abs(b - a) for a, b in zip(*_pairs(bounds(geometry)), strict=True))
    assert area(geometry) == pytest.approx(covered, abs=perimeter / fine + 0.1)


def _pairs(box: Any) -> tuple[Any, Any]:
    return box[:2], box[2:]


def _scaled(geometry: Geometry, factor: int) -> Geometry:
    """The same shape, moved by 45 so that none of it lies outside, and made larger."""
    match geometry:
        case Box(x0, y0, x1, y1):
            return Box(*[(side + 45) * factor for side in (x0, y0, x1, y1)])
        case RotatedBox(cx, cy, width, height, angle):
            sides = [(cx + 45) * factor, (cy + 45) * factor, width * factor, height * factor]
            return RotatedBox(*sides, angle)
        case Ellipse(cx, cy, rx, ry, angle):
            return Ellipse((cx + 45) * factor, (cy + 45) * factor, rx * factor, ry * factor, angle)
        case Cuboid(corners):
            return Cuboid([(number + 45) * factor for number in corners])
    raise AssertionError(geometry)


def test_real_annotations_have_the_area_and_box_of_their_file() -> None:
    for annotation in annotations():
        polygon = polygon_of(annotation)
        x, y, width, height = annotation["bbox"]
        assert area(polygon) == pytest.approx(annotation["area"], rel=1e-3)
        assert bounds(polygon) == pytest.approx((x, y, x + width, y + height), abs=1)


def test_real_masks_measure_as_their_pixels() -> None:
    for array in nuclei():
        mask = rle.mask_of_array(array)
        y, x = np.nonzero(array)
        assert area(mask) == array.sum()
        assert bounds(mask) == (x.min(), y.min(), x.max() + 1, y.max() + 1)
        assert centroid(mask) == pytest.approx((x.mean() + 0.5, y.mean() + 0.5))


def test_a_mask_in_a_blob_measures_when_it_is_loaded() -> None:
    mask = rle.mask_of_array(nuclei()[0])
    away, load = blobbed(mask)
    for measure in (area, bounds, centroid):
        assert measure(away) is None
        assert measure(away, load=load) == measure(mask)


def test_areas_too_large_for_a_float_are_none() -> None:
    assert area(Box(-1e308, -1e308, 1e308, 1e308)) is None
    assert area(Ellipse(0, 0, 1e200, 1e200, 0)) is None


def test_quarter_turns_are_exact() -> None:
    turns = [cos_sin(quarter * math.pi / 2) for quarter in range(-5, 6)]
    assert turns[5] == (1.0, 0.0)
    assert all(sorted(map(abs, turn)) == [0.0, 1.0] for turn in turns)
    assert bounds(RotatedBox(10, 10, 6, 2, math.pi / 2)) == (9, 7, 11, 13)


@given(shapes)
def test_the_hull_runs_clockwise_around_all_points(geometry: Geometry) -> None:
    points = points_of(geometry)
    ring = hull(points)
    assert signed_area(ring) >= 0
    assert hull(ring) == ring
    assert set(zip(ring[0::2], ring[1::2], strict=True)) <= set(
        zip(points[0::2], points[1::2], strict=True)
    )


@pytest.mark.parametrize("radius", [0.01, 1, 30, 1000, 1e7])
def test_the_ring_of_an_ellipse_keeps_close_to_it(radius: float) -> None:
    ring = ellipse_ring(Ellipse(0, 0, radius, radius / 2, 0.3), tolerance=0.1)
    assert len(ring) % 8 == 0
    assert len(ring) <= 8192
    size = area(Ellipse(0, 0, radius, radius / 2, 0.3))
    assert signed_area(ring) == pytest.approx(size, rel=0.03)
    assert signed_area(ring) <= size
