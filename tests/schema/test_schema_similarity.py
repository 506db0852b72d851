"""Similarity: known pairs, laws over the whole table, real masks and polygons."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from schema_strategies import geometries
from shape_samples import (
    annotations,
    area_shapes,
    blobbed,
    boxes,
    keypoints,
    nuclei,
    point_sets,
    polygon_of,
    polygons,
    polylines,
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
from voyager.schema.measures import bounds, points_of
from voyager.schema.outline import rotated_ring
from voyager.schema.similarity import (
    bounds_iou,
    box_iou_matrix,
    edge_difference,
    similarity,
    similarity_matrix,
)

L_SHAPE = Polygon([[[0, 0, 40, 0, 40, 10, 10, 10, 10, 40, 0, 40]]])
FRAME = Polygon([[[0, 0, 40, 0, 40, 40, 0, 40], [10, 10, 30, 10, 30, 30, 10, 30]]])
TWO_PARTS = Polygon([[[0, 0, 10, 0, 10, 10, 0, 10]], [[20, 0, 30, 0, 30, 10, 20, 10]]])
FACES = [0, 10, 20, 10, 20, 30, 0, 30, 10, 0, 30, 0, 30, 20, 10, 20]

KNOWN: list[tuple[Geometry, Geometry, float]] = [
    (Box(0, 0, 10, 10), Box(5, 0, 15, 10), 1 / 3),
    (Box(0, 0, 10, 10), Box(10, 0, 20, 10), 0.0),
    (Box(0, 0, 10, 10), Box(0, 0, 11.5, 8.5), 1.0),
    (Box(0, 0, 10, 10), Box(0, 0, 11.6, 10), 10 / 11.6),
    (Box(10, 10, 0, 0), Box(5, 0, 15, 10), 1 / 3),
    (Box(0, 0, 0, 9), Box(4, 0, 4, 9), 0.0),
    (RotatedBox(10, 10, 20, 20, math.pi / 4), Box(0, 0, 20, 20), 0.5),
    (RotatedBox(10, 10, 20, 20, math.pi / 4), RotatedBox(10, 10, 20, 20, 0), math.sqrt(0.5)),
    (RotatedBox(10, 10, 20, 8, 0.3), RotatedBox(10, 10, 8, 20, 0.3 + math.pi / 2), 1.0),
    (RotatedBox(10, 10, 20, 8, 0.3), RotatedBox(10, 10, -20, 8, 0.3 - math.pi), 1.0),
    (L_SHAPE, FRAME, 700 / 1200),
    (L_SHAPE, TWO_PARTS, 200 / 700),
    (FRAME, RotatedBox(20, 20, 20, 20, 0), 0.0),
    (FRAME, RotatedBox(20, 20, 40, 40, 0), 0.75),
    (FRAME, Ellipse(20, 20, 10, 10, 0), 0.0),
    (Ellipse(20, 20, 10, 10, 0), Ellipse(20, 20, 20, 20, 1), 0.25),
    (Ellipse(20, 20, 10, 6, 0), RotatedBox(20, 20, 20, 12, 0), math.pi / 4),
    (Cuboid(FACES), Polygon([[[0, 10, 20, 10, 20, 30, 0, 30]]]), 0.5),
    (Keypoints([0, 0, 9, 9], [0, 2]), Keypoints([0, 0, 9, 9.5], [0, 1]), 1.0),
    (Points([5, 5]), Points([5, 15]), math.exp(-0.5)),
    (Points([5, 5]), Points([5, 99]), 0.0),
    (Points([5, 5, 90, 5]), Points([90, 5, 5, 5]), 1.0),
    (Points([5, 5, 90, 5]), Points([5, 5]), 0.5),
    (Polyline([0, 0, 100, 0]), Polyline([0, 10, 50, 10, 100, 10]), math.exp(-0.5)),
    (Polyline([0, 0, 100, 0]), Polyline([100, 0, 0, 0]), 1.0),
    (Polyline([0, 0, 100, 0]), Polyline([0, 0, 20, 0, 100, 0]), 1.0),
    (Box(0, 0, 10, 10), L_SHAPE, 100 / 1600),
    (Box(0, 0, 40, 40), L_SHAPE, 1.0),
    (Polyline([0, 0, 40, 40]), Box(0, 0, 40, 40), 1.0),
    (Polyline([0, 0, 40, 40]), Points([0, 0, 40, 20]), 0.5),
    (Points([]), Points([5, 5]), 0.0),
    (Polygon([]), L_SHAPE, 0.0),
    (UnknownGeometry(Unknown([77, 1])), UnknownGeometry(Unknown([77, 1])), 1.0),
    (UnknownGeometry(Unknown([77, 1])), UnknownGeometry(Unknown([77, 2])), 0.0),
]


@pytest.mark.parametrize(("a", "b", "expected"), KNOWN)
def test_known_pairs(a: Geometry, b: Geometry, expected: float) -> None:
    assert similarity(a, b) == pytest.approx(expected, abs=2e-4)
    assert similarity(b, a) == pytest.approx(expected, abs=2e-4)


@given(shapes, shapes)
def test_similarity_is_from_0_to_1_and_the_same_both_ways(a: Geometry, b: Geometry) -> None:
    found = similarity(a, b)
    assert 0.0 <= found <= 1.0
    assert similarity(b, a) == pytest.approx(found, abs=1e-6)
    assert similarity(a, a) == 1.0


@given(geometries, geometries)
def test_any_two_geometries_compare_or_their_counts_are_bad(a: Geometry, b: Geometry) -> None:
    try:
        assert 0.0 <= similarity(a, b) <= 1.0
    except (BadValueError, UsageError):
        assert Mask in (type(a), type(b))


@given(boxes, boxes)
def test_boxes_by_the_three_ways_are_the_same(a: Box, b: Box) -> None:
    found = similarity(a, b)
    matrix = similarity_matrix([a, b], [b, a, b])
    assert matrix[0].tolist() == pytest.approx([found, 1.0, found])
    array = np.array([bounds(a), bounds(b)], float)
    iou = box_iou_matrix(array, array)
    assert iou[0, 1] == pytest.approx(bounds_iou(array[0].tolist(), array[1].tolist()))
    if max(abs(array[0] - array[1])) > 1.5:
        assert iou[0, 1] == pytest.approx(found)


@given(rotated_boxes, rotated_boxes)
def test_the_exact_clip_agrees_with_lines(a: RotatedBox, b: RotatedBox) -> None:
    from voyager.schema.overlap import common_area

    found = edge_difference(a, b)
    assume(found is not None and found > 1.5)
    of_a, of_b, both = common_area(a, b)
    assert similarity(a, b) == pytest.approx(both / (of_a + of_b - both), abs=1e-7)
    assert of_a == pytest.approx(a.width * a.height)
    assert of_b == pytest.approx(b.width * b.height)


@given(polygons, polygons)
def test_polygons_agree_with_fine_pixels(a: Polygon, b: Polygon) -> None:
    assume((edge_difference(a, b) or 2) > 1.5)
    fine, side = 10, 60 * 10
    one, other = (
        rle.mask_of(
            Polygon([[[(n + 10) * fine for n in ring] for ring in part] for part in polygon.parts]),
            side,
            side,
        )
        for polygon in (a, b)
    )
    assert one is not None
    assert other is not None
    pixels = [rle.area(rle.runs_of(mask)) for mask in (one, other)]
    assume(min(pixels) > 3000)
    assert similarity(a, b) == pytest.approx(rle.iou(one, other), abs=0.03)


@given(
    area_shapes.filter(lambda shape: not isinstance(shape, Mask)),
    st.floats(-1.5, 1.5),
    st.floats(-1.5, 1.5),
)
def test_moved_by_less_than_the_quantum_is_the_same(shape: Geometry, dx: float, dy: float) -> None:
    moved = _moved(shape, dx * 0.999, dy * 0.999)
    found = edge_difference(shape, moved)
    assert found == pytest.approx(max(abs(dx), abs(dy)) * 0.999)
    assert similarity(shape, moved) == 1.0


def _moved(shape: Geometry, dx: float, dy: float) -> Geometry:
    match shape:
        case Box(x0, y0, x1, y1):
            return Box(x0 + dx, y0 + dy, x1 + dx, y1 + dy)
        case RotatedBox(cx, cy) | Ellipse(cx, cy):
            return shape.replace(cx=cx + dx, cy=cy + dy)
        case Polygon(parts):
            return Polygon([[_shifted(ring, dx, dy) for ring in part] for part in parts])
        case Cuboid(corners):
            return Cuboid(_shifted(corners, dx, dy))
    raise AssertionError(shape)


def _shifted(flat: tuple[float, ...], dx: float, dy: float) -> list[float]:
    return [number + (dy if place % 2 else dx) for place, number in enumerate(flat)]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Box(0, 0, 9, 9), Polygon([[[0, 0, 9, 0, 9, 9, 0, 9]]])),
        (Polygon([[[0, 0, 9, 0, 9, 9]]]), Polygon([[[0, 0, 9, 0, 9, 9, 0, 9]]])),
        (Points([1, 1]), Points([1, 1, 2, 2])),
        (Keypoints([0, 0, 9, 9], [0, 2]), Keypoints([9, 9, 9, 9], [2, 2])),
        (Mask(3, 4, b"12301"), Mask(3, 4, b"12301")),
        (Points([]), Points([])),
    ],
)
def test_other_structures_have_no_edge_difference(a: Geometry, b: Geometry) -> None:
    assert edge_difference(a, b) is None


@given(rotated_boxes, st.integers(-3, 3))
def test_a_rotated_box_is_the_same_by_any_name(box: RotatedBox, quarters: int) -> None:
    width, height = (box.width, box.height) if quarters % 2 == 0 else (box.height, box.width)
    renamed = RotatedBox(box.cx, box.cy, width, height, box.angle + quarters * math.pi / 2)
    assert edge_difference(box, renamed) == pytest.approx(0, abs=1e-9)
    assert edge_difference(box, RotatedBox(box.cx, box.cy, -width, height, renamed.angle)) == (
        pytest.approx(0, abs=1e-9)
    )


def test_keypoints_by_cocos_formula() -> None:
    a = Keypoints([10, 10, 60, 60, 110, 10], [2, 1, 2])
    b = Keypoints([10, 13, 65, 60, 0, 0], [2, 2, 0])
    area, sigmas = 5000.0, [0.026, 0.079, 0.1]
    terms = [
        math.exp(-(distance**2) / (2 * area * (2 * sigma) ** 2))
        for distance, sigma in zip([3, 5], sigmas, strict=False)
    ]
    found = similarity(a, b, sigmas=sigmas, area=area)
    assert found == pytest.approx(sum(terms) / 3)  # labeled in one of them only: 0
    by_bounds = similarity(a, b, sigmas=sigmas)
    assert by_bounds == pytest.approx(similarity(a, b, sigmas=sigmas, area=(5000 + 55 * 47) / 2))
    assert similarity(a, b) == similarity(a, b, sigmas=[0.05] * 3)
    with pytest.raises(UsageError, match="2 sigmas for 3 keypoints"):
        similarity(a, b, sigmas=[0.1, 0.1])


def test_keypoints_labeled_nowhere_are_the_same() -> None:
    nowhere = Keypoints([0, 0, 0, 0], [0, 0])
    assert similarity(nowhere, Keypoints([3, 3, 0, 0], [0, 0])) == 1.0
    assert similarity(nowhere, Keypoints([3, 3, 0, 0], [2, 0])) == 0.0
    assert similarity(Keypoints([3, 3], [2]), Keypoints([3, 7], [2])) == pytest.approx(
        math.exp(-(4**2) / (2 * 10**2))
    )


@given(keypoints | point_sets | polylines, st.floats(1.0, 1e6))
def test_a_larger_object_is_more_alike(geometry: Geometry, area: float) -> None:
    moved = type(geometry)(
        *([n + 3 for n in geometry.points],),  # type: ignore[union-attr]
        *([geometry.visibility] if isinstance(geometry, Keypoints) else []),
    )
    assert similarity(geometry, moved, area=area * 2) >= similarity(geometry, moved, area=area)


def test_real_masks_are_themselves_and_no_other() -> None:
    masks = [rle.mask_of_array(array) for array in nuclei()[:17]]
    matrix = similarity_matrix(masks, masks)
    assert (np.diag(matrix) == 1.0).all()
    assert (matrix - np.diag(np.diag(matrix))).max() == 0.0  # nuclei do not overlap
    eroded = [rle.mask_of_array(_eroded(array)) for array in nuclei()[:17]]
    ious = np.diag(similarity_matrix(masks, eroded))
    expected = [
        rle.area(rle.runs_of(inner)) / rle.area(rle.runs_of(outer))
        for inner, outer in zip(eroded, masks, strict=True)
    ]
    assert ious.tolist() == pytest.approx(expected)


def _eroded(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array & np.roll(array, 1, axis=0) & np.roll(array, 1, axis=1)


def test_a_mask_is_its_polygon_and_its_box() -> None:
    for array in nuclei():
        mask = rle.mask_of_array(array)
        box = Box(*(bounds(mask) or ()))
        assert similarity(mask, box) == 1.0
        x0, y0, x1, y1 = box.x0, box.y0, box.x1, box.y1
        square = Polygon([[[x0, y0, x1, y0, x1, y1, x0, y1]]])
        filled = array.sum() / ((x1 - x0) * (y1 - y0))
        assert similarity(mask, square) == pytest.approx(filled)


def test_masks_of_two_sizes_lie_from_the_top_left() -> None:
    small, large = (rle.mask_of(Ellipse(6, 6, 5, 4, 0), *size) for size in ((12, 12), (40, 30)))
    assert small is not None
    assert large is not None
    assert similarity(small, large) == 1.0


def test_masks_in_blobs_need_load_unless_they_are_one() -> None:
    mask = rle.mask_of_array(nuclei()[0])
    away, load = blobbed(mask)
    assert similarity(away, away) == 1.0
    assert similarity(away, mask, load=load) == 1.0
    for other in (mask, Box(0, 0, 99, 99), L_SHAPE, Points([1, 1])):
        with pytest.raises(UsageError, match="pass load"):
            similarity(away, other)
        assert 0 <= similarity(away, other, load=load) <= 1


def test_real_polygons_are_alike_as_their_pixels() -> None:
    for annotation in annotations():
        polygon, (height, width) = (
            polygon_of(annotation),
            (annotation["height"], annotation["width"]),
        )
        moved = Polygon([[_shifted(ring, 7, -5) for ring in part] for part in polygon.parts])
        one, other = (rle.mask_of(shape, height, width) for shape in (polygon, moved))
        assert one is not None
        assert other is not None
        loss = 60 / math.sqrt(annotation["area"]) / 10
        assert similarity(polygon, moved) == pytest.approx(rle.iou(one, other), abs=loss)


def test_a_ring_begun_elsewhere_or_turned_over_is_the_same() -> None:
    for annotation in annotations():
        parts = polygon_of(annotation).parts
        begun = Polygon([[ring[4:] + ring[:4]] for (ring,) in parts])
        over = Polygon(
            [[np.array(ring).reshape(-1, 2)[::-1].ravel().tolist()] for (ring,) in parts]
        )
        assert similarity(Polygon(parts), begun) == pytest.approx(1.0)
        assert similarity(Polygon(parts), over) == pytest.approx(1.0)


@given(st.lists(shapes, max_size=4), st.lists(shapes, max_size=4))
def test_the_matrix_is_similarity_of_each_pair(a: list[Geometry], b: list[Geometry]) -> None:
    matrix = similarity_matrix(a, b)
    assert matrix.shape == (len(a), len(b))
    for row, one in enumerate(a):
        for column, other in enumerate(b):
            assert matrix[row, column] == pytest.approx(similarity(one, other), abs=1e-6)


@pytest.mark.parametrize("far", [1e9, 1e150, 1.7e308])
def test_far_coordinates_do_no_harm(far: float) -> None:
    giants: list[Geometry] = [
        Box(-far, -far, far, far),
        RotatedBox(0, 0, far, far, 1),
        Polygon([[[-far, -far, far, -far, far, far, 0, 0]]]),
        Ellipse(0, 0, far, far, 1),
        Polyline([-far, -far, far, far]),
        Points([far, far]),
        Points([far, far, -far, -far]),
        Keypoints([far, far, -far, far], [2, 2]),
        Cuboid([far, -far] * 8),
        Mask(3, 4, b"12301"),
    ]
    for a in giants:
        for b in [*giants, L_SHAPE, Box(0, 0, 9, 9)]:
            assert 0.0 <= similarity(a, b) <= 1.0


@given(rotated_boxes)
def test_the_corners_of_a_rotated_box_are_a_polygon_that_is_it(box: RotatedBox) -> None:
    corners = Polygon([[rotated_ring(box)]])
    assert points_of(corners) == points_of(box)
    assert similarity(corners, box) == pytest.approx(1.0)
