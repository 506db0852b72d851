"""What is said of odd shapes, and that nothing is said of sound ones."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema_strategies import geometries
from shape_samples import (
    HEIGHT,
    WIDTH,
    annotations,
    blobbed,
    masks,
    nuclei,
    points,
    polygon_of,
)

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
    RotatedBox,
    Unknown,
    UnknownGeometry,
    rle,
)
from voyager.schema.convert import as_polygon
from voyager.schema.outline import hull
from voyager.schema.ring_check import crossing, is_within
from voyager.schema.shape_check import ProblemKind, problems

SQUARE = [10, 10, 90, 10, 90, 90, 10, 90]
FACES = [10, 20, 30, 20, 30, 40, 10, 40, 20, 10, 40, 10, 40, 30, 20, 30]

SOUND: list[Geometry] = [
    Box(0, 0, 100, 100),
    Box(-0.5, 0, 100.4, 100),
    RotatedBox(50, 50, 40, 20, 1),
    Polygon([[SQUARE]]),
    Polygon([[SQUARE, [20, 20, 20, 40, 40, 40]], [[0, 0, 5, 0, 5, 5]]]),
    Polygon([[SQUARE, [10, 10, 10, 40, 40, 40]]]),  # a hole may touch its ring
    Polyline([1, 1, 5, 5, 1, 5, 5, 1]),
    Points([0, 0, 100, 100]),
    Keypoints([0, 0, 5, 5, 7, 7], [0, 1, 2]),
    Ellipse(50, 50, 20, 10, 1),
    Cuboid(FACES),
    UnknownGeometry(Unknown([77, 1.0])),
]

ODD: list[tuple[Geometry, list[tuple[ProblemKind, str]]]] = [
    (Box(9, 1, 2, 3), [("inside-out", "the box is inside out: x0 9, x1 2")]),
    (Box(2, 3, 9, 1.5), [("inside-out", "the box is inside out: y0 3, y1 1.5")]),
    (Box(2, 2, 2, 9), [("no-area", "the box has no area")]),
    (Box(-3, 0, 9, 9), [("beyond", "box: reaches 3.00 px beyond the image")]),
    (Box(100, 0, 109, 9), [("outside", "box: wholly outside of the image")]),
    (RotatedBox(50, 50, -4, 0, 1), [
        ("negative-size", "the width of the rotated-box is -4"),
        ("no-area", "the height of the rotated-box is 0"),
    ]),
    (RotatedBox(98, 50, 10, 2, 0), [
        ("beyond", "rotated-box: reaches 3.00 px beyond the image")
    ]),
    (Ellipse(50, 50, 4, -2, 1), [("negative-size", "the ry of the ellipse is -2")]),
    (Ellipse(50, -9, 4, 2, 0), [("outside", "ellipse: wholly outside of the image")]),
    (Polygon([]), [("no-points", "the polygon has no points")]),
    (Polygon([[[]]]), [("no-points", "the polygon has no points")]),
    (Polygon([[SQUARE], []]), [("no-points", "there is no ring of part 2")]),
    (Polygon([[[1, 1, 5, 5]]]), [("few-points", "the outer ring has 2 points, needs 3")]),
    (Polygon([[[1, 1, 5, 5, 9, 9]]]), [("no-area", "the outer ring has no area")]),
    (Polygon([[[*SQUARE, 10, 10]]]), [
        ("closed-ring", "the last point of the outer ring repeats the first")
    ]),
    (Polygon([[[*SQUARE[:4], *SQUARE[2:]]]]), [
        ("repeated-point", "points of the outer ring that repeat the one before: 1")
    ]),
    (Polygon([[[10, 10, 50, 50, 50, 10, 10, 50]]]), [
        ("crosses-itself", "the outer ring crosses itself near 30.00, 30.00")
    ]),
    (Polygon([[SQUARE], [SQUARE, [80, 80, 95, 80, 85, 85]]]), [
        ("hole-outside", "the hole 1 of part 2 is not within its outer ring")
    ]),
    (Polygon([[SQUARE, [0, 0, 5, 0, 5, 5]]]), [
        ("hole-outside", "the hole 1 is not within its outer ring")
    ]),
    (Polyline([]), [("no-points", "the polyline has no points")]),
    (Polyline([1, 1]), [("few-points", "the polyline has 1 point, needs 2")]),
    (Polyline([1, 1, 1, 1]), [
        ("repeated-point", "points of the polyline that repeat the one before: 1")
    ]),
    (Points([]), [("no-points", "there are no points")]),
    (Points([101, 5]), [("outside", "points: wholly outside of the image")]),
    (Keypoints([], []), [("no-points", "there are no keypoints")]),
    (Keypoints([0, 0, 3, 0], [2, 0]), [
        ("keypoint-unlabeled", "keypoint 1 is not labeled, but at 3.00, 0.00")
    ]),
    (Keypoints([101, 3, 102, 4], [2, 1]), [
        ("keypoint-outside", "keypoint 0 at 101.00, 3.00 is outside of the image"),
        ("keypoint-outside", "keypoint 1 at 102.00, 4.00 is outside of the image"),
    ]),
    (Cuboid([1, 2] * 8), [("no-area", "the cuboid has no area")]),
    (Mask(3, 4, b"12301"), [("mask-size", "the mask is 4 × 3, its image 100 × 100")]),
    (Mask(100, 100, b"12301"), [
        ("mask-counts", "counts: the runs hold 12 pixels, 100 × 100 are 10000")
    ]),
    (Mask(100, 100, b"1 3"), [
        ("mask-counts", "counts: ' ' is not a character of compressed counts")
    ]),
    (Mask(100, 100, b"`h9"), [("no-area", "the mask is empty")]),
    (Mask(100, 100, rle.encode_counts([50, 0, 50, 5, 9895])), [
        ("mask-form", "the counts of the mask are not in their one form")
    ]),
]  # fmt: skip


@pytest.mark.parametrize("geometry", SOUND)
def test_nothing_is_said_of_sound_shapes(geometry: Geometry) -> None:
    assert problems(geometry, 100, 100) == []


@pytest.mark.parametrize(("geometry", "expected"), ODD)
def test_odd_shapes(geometry: Geometry, expected: list[tuple[str, str]]) -> None:
    assert [(each.kind, each.message) for each in problems(geometry, 100, 100)] == expected


def test_every_kind_is_shown() -> None:
    assert {kind for _, expected in ODD for kind, _ in expected} == set(get_args(ProblemKind))


def test_without_the_size_of_the_image_only_the_shape_is_judged() -> None:
    for shape in (Box(-9, 0, 900, 5), Keypoints([500, 5], [2]), Mask(3, 4, b"12301")):
        assert problems(shape, None, None) == []
    assert len(problems(Box(9, 0, -900, 5), None, None)) == 1


@given(geometries, st.none() | st.integers(1, 100))
def test_any_geometry_is_judged(geometry: Geometry, side: int | None) -> None:
    for each in problems(geometry, side, side):
        assert each.kind in get_args(ProblemKind)
        assert each.message


def test_a_mask_in_a_blob_is_judged_when_it_is_loaded() -> None:
    away, load = blobbed(Mask(3, 4, b"1232"))
    assert problems(away, 4, 3) == []
    assert [each.kind for each in problems(away, 4, 3, load=load)] == ["mask-counts"]


@given(masks)
def test_masks_made_here_and_their_outlines_are_sound(mask: Mask) -> None:
    outline = as_polygon(mask)
    if outline is None:
        assert [each.kind for each in problems(mask, WIDTH, HEIGHT)] == ["no-area"]
        return
    assert problems(mask, WIDTH, HEIGHT) == []
    assert problems(outline, WIDTH, HEIGHT) == []


def test_real_masks_and_polygons() -> None:
    for array in nuclei():
        assert problems(rle.mask_of_array(array), array.shape[1], array.shape[0]) == []
    said = [
        [each.kind for each in problems(polygon_of(row), row["width"], row["height"])]
        for row in annotations()
    ]
    closed = ["closed-ring"]  # as TACO's are
    assert said == [[]] * 32 + [closed] * 6 + [[*closed, "crosses-itself"], closed]


def crossing_by_hand(ring: tuple[float, ...]) -> bool:
    """Every pair of sides, one at a time."""
    corners = list(zip(ring[0::2], ring[1::2], strict=True))
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))

    def turn(p: Any, q: Any, r: Any) -> float:
        return float(np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])))

    return any(
        turn(*one, other[0]) * turn(*one, other[1]) < 0
        and turn(*other, one[0]) * turn(*other, one[1]) < 0
        for at, one in enumerate(sides)
        for other in sides[:at]
    )


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=9))
def test_crossings_are_found(corners: list[tuple[int, int]]) -> None:
    ring = tuple(float(number) for corner in corners for number in corner)
    assert (crossing(ring) is not None) == crossing_by_hand(ring)


@given(st.lists(points, min_size=3, max_size=12))
def test_a_hull_never_crosses_and_holds_its_points(drawn: list[tuple[float, float]]) -> None:
    flat = tuple(number for point in drawn for number in point)
    ring = hull(flat)
    if len(ring) >= 6:
        assert crossing(ring) is None
        assert is_within(flat, ring)
        assert is_within(ring, ring)


def test_a_ring_of_many_points() -> None:
    angles = np.linspace(0, math.tau, 20_000, endpoint=False)
    radius = 1000 + 50 * np.sin(angles * 40)
    ring = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    assert crossing(tuple(ring.ravel().tolist())) is None
    ring[[5000, 5003]] = ring[[5003, 5000]]
    assert crossing(tuple(ring.ravel().tolist())) is not None


def test_a_hole_across_a_bay_is_not_within() -> None:
    bay = (0.0, 0.0, 9.0, 0.0, 9.0, 9.0, 6.0, 9.0, 6.0, 3.0, 3.0, 3.0, 3.0, 9.0, 0.0, 9.0)
    assert not is_within((1, 4, 8, 4, 8, 5, 1, 5), bay)  # its corners are
    assert is_within((1, 1, 8, 1, 8, 2, 1, 2), bay)
    assert is_within((), bay)
