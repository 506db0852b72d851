"""One geometry as another: exact where it can be, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema_strategies import geometries
from shape_samples import (
    HEIGHT,
    WIDTH,
    annotations,
    area_shapes,
    arrays,
    blobbed,
    ellipses,
    nuclei,
    polygon_of,
    rotated_boxes,
    shapes,
)

from voyager.errors import UsageError
from voyager.schema import (
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
from voyager.schema.convert import (
    as_box,
    as_polygon,
    as_rotated_box,
    least_rectangle,
    rectangle_of,
)
from voyager.schema.measures import area, bounds, points_of
from voyager.schema.outline import rotated_ring, signed_area
from voyager.schema.rle import mask_of
from voyager.schema.similarity import edge_difference, similarity


@given(arrays)
def test_the_outline_of_a_mask_is_its_pixels(array: np.ndarray[Any, Any]) -> None:
    mask = rle.mask_of_array(array)
    polygon = as_polygon(mask)
    if polygon is None:
        assert not array.any()
        return
    assert mask_of(polygon, *array.shape) == mask
    assert area(polygon) == array.sum()
    assert bounds(polygon) == bounds(mask)
    for outer, *holes in polygon.parts:
        assert signed_area(outer) > 0
        assert all(signed_area(hole) < 0 for hole in holes)
        assert outer[:2] == min(
            zip(outer[0::2], outer[1::2], strict=True), key=lambda point: point[::-1]
        )
        # One part is one piece of pixels, its holes are in it: alone it has the area it should.
        piece = mask_of(Polygon([[outer, *holes]]), *array.shape)
        assert piece is not None
        assert rle.area(rle.runs_of(piece)) == signed_area(outer) + sum(map(signed_area, holes))


def picture(*rows: str) -> Mask:
    return rle.mask_of_array(np.array([[sign == "#" for sign in row] for row in rows]))


@pytest.mark.parametrize(
    ("mask", "parts"),
    [
        (picture(".##", ".##"), [[[1, 0, 3, 0, 3, 2, 1, 2]]]),
        (picture("#.", ".#"), [[[0, 0, 1, 0, 1, 1, 0, 1]], [[1, 1, 2, 1, 2, 2, 1, 2]]]),
        (picture(".#", "#."), [[[1, 0, 2, 0, 2, 1, 1, 1]], [[0, 1, 1, 1, 1, 2, 0, 2]]]),
        (
            picture("###", "#.#", "###"),
            [[[0, 0, 3, 0, 3, 3, 0, 3], [1, 1, 1, 2, 2, 2, 2, 1]]],
        ),
        (
            picture("####", "#.##", "##.#", "####"),  # two holes that touch are one ring
            [[[0, 0, 4, 0, 4, 4, 0, 4], [1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 2, 2, 2, 2, 1]]],
        ),
        (
            picture("#####", "#...#", "#.#.#", "#...#", "#####"),  # an island in a hole
            [
                [[0, 0, 5, 0, 5, 5, 0, 5], [1, 1, 1, 4, 4, 4, 4, 1]],
                [[2, 2, 3, 2, 3, 3, 2, 3]],
            ],
        ),
        (
            picture("###", "#.#", "###", "#.#", "###"),  # a hole below a hole
            [
                [
                    [0, 0, 3, 0, 3, 5, 0, 5],
                    [1, 1, 1, 2, 2, 2, 2, 1],
                    [1, 3, 1, 4, 2, 4, 2, 3],
                ]
            ],
        ),
    ],
)
def test_outlines_of_small_masks(mask: Mask, parts: Any) -> None:
    assert as_polygon(mask) == Polygon(parts)


def test_outlines_of_real_masks_give_them_back() -> None:
    for array in nuclei():
        mask = rle.mask_of_array(array)
        polygon = as_polygon(mask)
        assert polygon is not None
        assert mask_of(polygon, *array.shape) == mask
        assert similarity(polygon, mask) == 1.0
    away, load = blobbed(mask)
    assert as_polygon(away, load=load) == polygon
    full, load = blobbed(picture("##", "##"))
    assert as_polygon(full, load=load) == Polygon([[[0, 0, 2, 0, 2, 2, 0, 2]]])
    for convert in (as_box, as_polygon, as_rotated_box):
        with pytest.raises(UsageError, match="pass load"):
            convert(away)


@given(rotated_boxes)
def test_a_rotated_box_survives_as_its_corners(box: RotatedBox) -> None:
    polygon = as_polygon(box)
    assert polygon is not None
    back = as_rotated_box(polygon)
    assert back is not None
    assert edge_difference(back, box) == pytest.approx(0, abs=1e-9)
    assert (back.width, back.height) == pytest.approx((box.width, box.height))
    assert math.remainder(back.angle - box.angle, math.tau) == pytest.approx(0, abs=1e-9)


@given(rotated_boxes, st.integers(0, 3), st.booleans(), st.booleans())
def test_a_rectangle_is_found_from_any_corner(
    box: RotatedBox, start: int, over: bool, closed: bool
) -> None:
    ring = rotated_ring(box)
    ring = ring[2 * start :] + ring[: 2 * start]
    if over:
        ring = ring[6:] + ring[4:6] + ring[2:4] + ring[:2]
    found = rectangle_of(ring + ring[:2] if closed else ring)
    assert found is not None
    assert edge_difference(found, box) == pytest.approx(0, abs=1e-9)
    assert found.width == pytest.approx(math.dist(ring[:2], ring[2:4]))


@pytest.mark.parametrize(
    "ring",
    [
        (0, 0, 4, 0, 4, 2, 0, 2.1),
        (0, 0, 4, 0, 5, 2, 1, 2),
        (0, 0, 4, 2, 4, 0, 0, 2),
        (0, 0, 0, 0, 0, 0, 0, 0),
        (0, 0, 4, 0, 4, 0, 0, 0),
        (0, 0, 4, 0, 4, 2),
        (),
    ],
)
def test_what_is_no_rectangle(ring: tuple[float, ...]) -> None:
    assert rectangle_of(ring) is None


def test_a_rectangle_may_be_off_by_rounding() -> None:
    ring = tuple(round(number, 3) for number in rotated_ring(RotatedBox(50, 40, 30, 12, 0.7)))
    found = rectangle_of(ring)
    assert found is not None
    assert edge_difference(found, RotatedBox(50, 40, 30, 12, 0.7)) == pytest.approx(0, abs=1e-3)


@given(area_shapes)
def test_the_least_rectangle_holds_the_shape_and_no_turned_one_is_smaller(
    shape: Geometry,
) -> None:
    box = as_rotated_box(shape)
    polygon = as_polygon(shape)
    if box is None or polygon is None:
        assert box is polygon
        return
    points = np.array(points_of(polygon)).reshape(-1, 2) - (box.cx, box.cy)
    assert _extent(points, box.angle) == pytest.approx(
        (abs(box.width), abs(box.height)), abs=0.2 if isinstance(shape, Ellipse) else 1e-6
    )
    if not isinstance(shape, (Box, RotatedBox, Ellipse)):
        least = min(np.prod(_extent(points, angle)) for angle in np.linspace(0, math.pi, 90))
        assert box.width * box.height <= least + 1e-6


def _extent(points: np.ndarray[Any, Any], angle: float) -> tuple[float, float]:
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = points @ (cos, sin), points @ (-sin, cos)
    return float(np.ptp(along)), float(np.ptp(across))


def test_the_least_rectangle_of_few_points() -> None:
    assert least_rectangle(()) is None
    assert least_rectangle((3, 4)) == RotatedBox(3, 4, 0, 0, 0)
    assert least_rectangle((0, 0, 2, 2, 1, 1)) == RotatedBox(1, 1, math.sqrt(8), 0, math.pi / 4)


@given(ellipses)
def test_an_ellipse_is_much_like_its_polygon(ellipse: Ellipse) -> None:
    polygon = as_polygon(ellipse, tolerance=0.01)
    assert polygon is not None
    size, outline = area(ellipse), area(polygon)
    assert size is not None
    assert outline is not None
    assert 0 <= size - outline <= 0.01 * 2 * math.pi * max(ellipse.rx, ellipse.ry) + 0.03 * size
    assert len(polygon.parts[0][0]) >= 32


def test_converting_keeps_what_is_already_that() -> None:
    for shape, convert in [
        (Box(4, 3, 1, 2), as_box),
        (Polygon([]), as_polygon),
        (RotatedBox(1, 2, 3, 4, 9), as_rotated_box),
    ]:
        assert convert(shape) is shape
    mask = picture("##", ".#")
    assert mask_of(mask, 2, 2) is mask


def test_boxes_of_everything() -> None:
    assert as_box(Polyline([1, 2, 3, 4])) == Box(1, 2, 3, 4)
    assert as_box(Keypoints([0, 0, 3, 4, 5, 9], [0, 1, 2])) == Box(3, 4, 5, 9)
    assert as_box(picture("...", ".##")) == Box(1, 1, 3, 2)
    assert as_box(Points([])) is None
    assert as_rotated_box(Box(1, 2, 5, 4)) == RotatedBox(3, 3, 4, 2, 0)
    assert as_polygon(Box(1, 2, 5, 4)) == Polygon([[[1, 2, 5, 2, 5, 4, 1, 4]]])
    assert as_polygon(Cuboid([0, 0, 2, 0, 2, 2, 0, 2, 1, 1, 3, 1, 3, 3, 1, 3])) == Polygon(
        [[[0, 0, 2, 0, 3, 1, 3, 3, 1, 3, 0, 2]]]
    )


@given(shapes)
def test_points_and_lines_have_no_outline(shape: Geometry) -> None:
    nothing = isinstance(shape, (Polyline, Points, Keypoints))
    assert (mask_of(shape, HEIGHT, WIDTH) is None) == nothing
    if nothing:
        assert as_polygon(shape) is None


@given(geometries)
def test_any_geometry_converts_or_is_refused(geometry: Geometry) -> None:
    try:
        as_box(geometry)
        as_polygon(geometry)
        as_rotated_box(geometry)
        mask_of(geometry, 4, 5)
    except (BadValueError, UsageError) as error:
        assert isinstance(geometry, Mask) or "is not finite" in str(error)


def test_a_geometry_of_a_newer_version_is_nothing_else() -> None:
    newer = UnknownGeometry(Unknown([77, 1.0]))
    assert [as_box(newer), as_polygon(newer), as_rotated_box(newer)] == [None] * 3
    assert mask_of(newer, 4, 4) is None


def test_real_polygons_as_boxes() -> None:
    for annotation in annotations():
        polygon = polygon_of(annotation)
        x, y, width, height = annotation["bbox"]
        box, rotated = as_box(polygon), as_rotated_box(polygon)
        assert box is not None
        assert rotated is not None
        assert edge_difference(box, Box(x, y, x + width, y + height)) <= 1  # type: ignore[operator]
        assert (area(rotated) or 0) <= (area(box) or 0) + 1e-6
        assert (area(rotated) or 0) >= annotation["area"] * 0.999 or len(polygon.parts) > 1
