"""Turns, affine maps and cuts: known results, round trips, and agreement with pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shape_samples import (
    HEIGHT,
    WIDTH,
    annotations,
    area_shapes,
    arrays,
    blobbed,
    nuclei,
    polygon_of,
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
from voyager.schema.clip import clipped, cropped
from voyager.schema.measures import area, bounds, points_of
from voyager.schema.similarity import edge_difference, similarity
from voyager.schema.transform import (
    ORIENTATIONS,
    TURNS,
    Turn,
    inverse,
    scaled,
    stored,
    transformed,
    turned,
    turned_size,
    upright,
)

FACES = [1, 5, 6, 5, 6, 10, 1, 10, 3, 2, 8, 2, 8, 7, 3, 7]
PICTURES: dict[Turn, Any] = {
    "none": lambda a: a,
    "rot90": lambda a: np.rot90(a, -1),
    "rot180": lambda a: np.rot90(a, 2),
    "rot270": lambda a: np.rot90(a, 1),
    "mirror": np.fliplr,
    "flip": np.flipud,
    "transpose": np.transpose,
    "transverse": lambda a: np.rot90(np.transpose(a), 2),
}
"""What each turn does to the pixels."""

turns = st.sampled_from(list(TURNS))


def assert_close(a: Geometry, b: Geometry, within: float = 1e-6) -> None:
    assert type(a) is type(b)
    if isinstance(a, Mask):
        assert a == b
    elif points_of(a):
        difference = edge_difference(a, b)
        assert difference is not None
        assert difference <= within


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ("none", Box(2, 3, 6, 4)),
        ("rot90", Box(16, 2, 17, 6)),
        ("rot180", Box(24, 16, 28, 17)),
        ("rot270", Box(3, 24, 4, 28)),
        ("mirror", Box(24, 3, 28, 4)),
        ("flip", Box(2, 16, 6, 17)),
        ("transpose", Box(3, 2, 4, 6)),
        ("transverse", Box(16, 24, 17, 28)),
    ],
)
def test_a_box_under_each_turn(turn: Turn, expected: Box) -> None:
    assert turned(Box(2, 3, 6, 4), turn, 30, 20) == expected
    inside_out = Box(6, 4, 2, 3)
    assert bounds(turned(inside_out, turn, 30, 20)) == bounds(expected)
    assert turned(inside_out, turn, 30, 20) != expected


@given(shapes, turns)
def test_a_turn_and_its_inverse_change_nothing(shape: Geometry, turn: Turn) -> None:
    there = turned(shape, turn, WIDTH, HEIGHT)
    size = turned_size(turn, WIDTH, HEIGHT)
    back = turned(there, inverse(turn), *size)
    assert type(there) is type(shape)
    assert turned_size(inverse(turn), *size) == (WIDTH, HEIGHT)
    assert_close(back, shape)
    assert area(there) == pytest.approx(area(shape), abs=1e-6)


@given(shapes, turns, turns)
def test_turns_are_a_group(shape: Geometry, first: Turn, second: Turn) -> None:
    size = turned_size(first, WIDTH, HEIGHT)
    found = turned(turned(shape, first, WIDTH, HEIGHT), second, *size)
    pixels = np.arange(6).reshape(2, 3)
    both = PICTURES[second](PICTURES[first](pixels))
    third = next(t for t in TURNS if np.array_equal(PICTURES[t](pixels), both))
    assert_close(found, turned(shape, third, WIDTH, HEIGHT))


@given(arrays, turns)
def test_a_mask_turns_as_its_pixels(array: np.ndarray[Any, Any], turn: Turn) -> None:
    height, width = array.shape
    found = turned(rle.mask_of_array(array), turn, width, height)
    assert found == rle.mask_of_array(PICTURES[turn](array))


@given(area_shapes, turns)
def test_any_shape_turns_as_its_pixels(shape: Geometry, turn: Turn) -> None:
    mask = rle.mask_of(shape, HEIGHT, WIDTH)
    assert mask is not None
    width, height = turned_size(turn, WIDTH, HEIGHT)
    found = rle.mask_of(turned(shape, turn, WIDTH, HEIGHT), height, width)
    assert found is not None
    pixels = rle.array_of(found), PICTURES[turn](rle.array_of(mask))
    rounding = 0 if isinstance(shape, Mask) else 2 * (WIDTH + HEIGHT)  # centres on an edge
    assert (pixels[0] != pixels[1]).sum() <= rounding


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_there_and_back(orientation: int) -> None:
    for array in nuclei()[:3]:
        mask = rle.mask_of_array(array)
        height, width = array.shape
        seen = upright(mask, orientation, width, height)
        assert seen == rle.mask_of_array(PICTURES[ORIENTATIONS[orientation]](array))
        assert stored(seen, orientation, width, height) == mask
        away, load = blobbed(mask)
        assert upright(away, orientation, width, height, load=load) in (seen, away)
    for annotation in annotations():
        polygon, size = polygon_of(annotation), (annotation["width"], annotation["height"])
        assert_close(stored(upright(polygon, orientation, *size), orientation, *size), polygon)


def test_orientation_6_is_a_quarter_clockwise() -> None:
    # EXIF: the 0th row is the right-hand side of what is seen, the 0th column its top.
    assert upright(Points([0, 0]), 6, 40, 30) == Points([30, 0])
    assert upright(Points([40, 0]), 6, 40, 30) == Points([30, 40])
    assert upright(Points([0, 0]), 8, 40, 30) == Points([0, 40])
    assert upright(Points([0, 0]), 5, 40, 30) == Points([0, 0])
    assert upright(Points([0, 0]), 7, 40, 30) == Points([30, 40])


def test_axes_point_where_the_turn_takes_them() -> None:
    box = RotatedBox(10, 5, 8, 2, 0.3)
    for turn, angle in [
        ("rot90", 0.3 + math.pi / 2),
        ("rot180", 0.3 - math.pi),
        ("rot270", 0.3 - math.pi / 2),
        ("mirror", math.pi - 0.3),
        ("flip", -0.3),
        ("transpose", math.pi / 2 - 0.3),
        ("transverse", -math.pi / 2 - 0.3),
    ]:
        found = turned(box, turn, 30, 20)  # type: ignore[arg-type]
        assert isinstance(found, RotatedBox)
        assert (found.width, found.height) == (8, 2)
        assert found.angle == pytest.approx(angle)


def test_keypoints_keep_their_names_unless_told() -> None:
    face = Keypoints([4, 5, 8, 5, 0, 0], [2, 1, 0])
    mirrored = turned(face, "mirror", 20, 10)
    assert mirrored == Keypoints([16, 5, 12, 5, 0, 0], [2, 1, 0])
    exchanged = turned(face, "mirror", 20, 10, flip_pairs=[(0, 1)])
    assert exchanged == Keypoints([12, 5, 16, 5, 0, 0], [1, 2, 0])
    assert turned(face, "rot180", 20, 10, flip_pairs=[(0, 1)]) == Keypoints(
        [16, 5, 12, 5, 0, 0], [2, 1, 0]
    )


def test_a_mirrored_cuboid_begins_at_its_new_top_left() -> None:
    found = turned(Cuboid(FACES), "mirror", 10, 12)
    assert found == Cuboid([4, 5, 9, 5, 9, 10, 4, 10, 2, 2, 7, 2, 7, 7, 2, 7])
    over = (np.array([10, 12] * 8) - FACES).tolist()
    assert turned(Cuboid(FACES), "rot180", 10, 12) == Cuboid(over)


def test_what_a_newer_version_wrote_stays_where_it_is_or_is_refused() -> None:
    newer = UnknownGeometry(Unknown([77, 1.0]))
    assert turned(newer, "none", 10, 10) is newer
    for work in (
        lambda: turned(newer, "flip", 10, 10),
        lambda: transformed(newer, ((1, 0, 0), (0, 1, 0))),
        lambda: clipped(newer, 10, 10),
    ):
        with pytest.raises(BadValueError, match="tag 77"):
            work()


def test_large_masks_turn_as_small_ones() -> None:
    side = 60_000  # spread out it would be 3.6 GB
    box = Box(40_000, 10, 40_007, 13)
    mask = rle.mask_of(box, side, side)
    assert mask is not None
    for turn in TURNS:
        assert turned(mask, turn, side, side) == rle.mask_of(
            turned(box, turn, side, side), side, side
        )
    empty = rle.mask_of_runs([side * (side - 1)], side, side - 1)
    assert turned(empty, "rot90", side - 1, side) == rle.mask_of_runs(
        [side * (side - 1)], side - 1, side
    )


def test_a_mask_in_a_blob_needs_load() -> None:
    away, load = blobbed(rle.mask_of_array(nuclei()[0]))
    with pytest.raises(UsageError, match="pass load"):
        turned(away, "flip", 320, 256)
    full, load_full = blobbed(rle.mask_of_runs([0, 12], 3, 4))
    assert turned(full, "flip", 4, 3, load=load_full) == Mask(3, 4, b"0<")
    assert isinstance(turned(away, "flip", 320, 256, load=load), Mask)
    assert cropped(away, 0, 0, 320, 256, load=load) is not None


def rotation(angle: float, scale: float, dx: float, dy: float) -> list[list[float]]:
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    return [[cos, -sin, dx], [sin, cos, dy]]


def undone(matrix: Any) -> Any:
    square = np.vstack([matrix, [0, 0, 1]])
    return np.linalg.inv(square)[:2].tolist()


not_masks = shapes.filter(lambda shape: not isinstance(shape, Mask))


@given(not_masks, st.floats(-4, 4), st.floats(0.2, 5), st.floats(-20, 20), st.booleans())
def test_a_rotation_and_its_inverse_change_nothing(
    shape: Geometry, angle: float, scale: float, move: float, mirror: bool
) -> None:
    matrix = rotation(angle, scale, move, -move)
    if mirror:
        matrix = [[-a, b, c] for a, b, c in matrix]
    there = transformed(shape, matrix)
    back = transformed(there, undone(matrix))
    assert type(there) in (type(shape), RotatedBox)
    assert area(there) == pytest.approx((area(shape) or 0.0) * scale**2, abs=1e-6)
    difference = edge_difference(shape, back)
    assert difference is None or difference < 1e-6


@given(
    area_shapes.filter(lambda shape: not isinstance(shape, (Mask, Ellipse))),
    *[st.floats(0.3, 2)] * 2,
    *[st.floats(-1, 1)] * 2,
)
def test_corners_go_where_the_matrix_takes_them(
    shape: Geometry, a: float, e: float, b: float, d: float
) -> None:
    matrix = [[a, b, 3.0], [d, e, -2.0]]
    there = transformed(shape, matrix)
    expected = {
        (round(a * x + b * y + 3, 4), round(d * x + e * y - 2, 4))
        for x, y in zip(points_of(shape)[0::2], points_of(shape)[1::2], strict=True)
    }
    points = points_of(there)
    for x, y in zip(points[0::2], points[1::2], strict=True):
        assert min(abs(x - p) + abs(y - q) for p, q in expected) < 1e-3


def test_what_boxes_become() -> None:
    box = Box(0, 0, 4, 2)
    assert transformed(box, [[2, 0, 1], [0, 3, 1]]) == Box(1, 1, 9, 7)
    assert transformed(box, [[-1, 0, 9], [0, 1, 0]]) == Box(5, 0, 9, 2)
    assert transformed(box, [[0, -1, 9], [1, 0, 0]]) == Box(7, 0, 9, 4)
    assert transformed(box, rotation(math.pi / 2, 1, 9, 0)) == Box(7, 0, 9, 4)
    turned_by_some = transformed(box, rotation(0.5, 1, 0, 0))
    assert isinstance(turned_by_some, RotatedBox)
    assert turned_by_some.angle == pytest.approx(0.5)
    assert transformed(box, [[1, 1, 0], [0, 1, 0]]) == Polygon([[[0, 0, 4, 0, 6, 2, 2, 2]]])
    stretched = transformed(RotatedBox(0, 0, 4, 2, math.pi / 2), [[3, 0, 0], [0, 1, 0]])
    assert stretched == RotatedBox(0, 0, 4, 6, math.pi / 2)


@given(
    st.tuples(*[st.floats(1, 9)] * 2, st.floats(-3, 3)),
    st.tuples(*[st.floats(0.3, 2)] * 2, st.floats(-1, 1)),
)
def test_an_ellipse_stays_one_under_any_map(
    shape: tuple[float, float, float], matrix: tuple[float, float, float]
) -> None:
    rx, ry, angle = shape
    a, e, b = matrix
    there = transformed(Ellipse(0, 0, rx, ry, angle), [[a, b, 0], [0, e, 0]])
    assert isinstance(there, Ellipse)
    for step in range(12):
        along, across = math.cos(step) * rx, math.sin(step) * ry
        x = math.cos(angle) * along - math.sin(angle) * across
        y = math.sin(angle) * along + math.cos(angle) * across
        p, q = a * x + b * y, e * y
        cos, sin = math.cos(there.angle), math.sin(there.angle)
        on = ((p * cos + q * sin) / there.rx) ** 2 + ((q * cos - p * sin) / there.ry) ** 2
        assert on == pytest.approx(1.0, rel=1e-6)


def test_masks_are_scaled_moved_and_turned_by_their_pixels() -> None:
    for array in nuclei()[:4]:
        mask = rle.mask_of_array(array)
        assert scaled(mask, 2, 3) == rle.mask_of_array(array.repeat(3, axis=0).repeat(2, axis=1))
        assert scaled(scaled(mask, 3, 3), 1 / 3, 1 / 3) == mask
        moved = transformed(mask, [[1, 0, 5], [0, 1, -7]], size=(330, 250))
        assert moved == rle.mask_of_array(np.pad(array, 9)[16:266, 4:334])
        quarter = transformed(mask, [[0, -1, mask.height], [1, 0, 0]], size=array.shape)
        assert quarter == turned(mask, "rot90", mask.width, mask.height)
    assert transformed(mask, [[0, 0, 0], [0, 0, 0]], size=(3, 2)) == Mask(2, 3, b"6")


def test_real_polygons_scale_with_their_masks() -> None:
    for annotation in annotations()[:24]:
        polygon, size = polygon_of(annotation), (annotation["height"], annotation["width"])
        half = scaled(polygon, 0.5, 0.5)
        assert area(half) == pytest.approx(annotation["area"] / 4)
        mask = rle.mask_of(polygon, *size)
        assert mask is not None
        assert similarity(scaled(mask, 0.5, 0.5), half) > 0.95


CUTS: list[tuple[Geometry, Geometry | None]] = [
    (Box(2, 2, 5, 5), Box(2, 2, 5, 5)),
    (Box(-2, 2, 5, 50), Box(0, 2, 5, 10)),
    (Box(5, 50, -2, 2), Box(0, 2, 5, 10)),
    (Box(20, 2, 25, 5), None),
    (Box(-9, 0, 0, 5), None),
    (RotatedBox(10, 5, 4, 4, 0), Polygon([[[8, 3, 10, 3, 10, 7, 8, 7]]])),
    (RotatedBox(5, 5, 2, 2, 0.5), RotatedBox(5, 5, 2, 2, 0.5)),
    (Polygon([[[5, 5, 15, 5, 15, 15, 5, 15]]]), Polygon([[[5, 10, 5, 5, 10, 5, 10, 10]]])),
    (
        Polygon([[[11, 1, 12, 1, 12, 2]], [[-1, 1, 2, 1, 2, 3, -1, 3], [20, 20, 21, 20, 21, 21]]]),
        Polygon([[[0, 1, 2, 1, 2, 3, 0, 3]]]),
    ),
    (Polyline([-5, 5, 5, 5, 5, 8]), Polyline([0, 5, 5, 5, 5, 8])),
    (Polyline([1, 1, 1, -9, 3, -9, 3, 9, 20, 9]), Polyline([3, 0, 3, 9, 10, 9])),
    (Polyline([-5, -5, -1, 20]), None),
    (Polyline([-5, 8, 8, -5, 12, 1]), Polyline([0, 3, 3, 0])),
    (Points([5, 5, 15, 5, 10, 10]), Points([5, 5, 10, 10])),
    (Points([15, 5]), None),
    (Points([]), None),
    (Keypoints([5, 5, 15, 5, 0, 0], [1, 2, 0]), Keypoints([5, 5, 0, 0, 0, 0], [1, 0, 0])),
    (Keypoints([15, 5], [2]), None),
    (Cuboid(FACES), Cuboid(FACES)),
    (Cuboid([n + 5 for n in FACES]), Cuboid([n + 5 for n in FACES])),
    (Cuboid([n + 50 for n in FACES]), None),
]


@pytest.mark.parametrize(("shape", "expected"), CUTS)
def test_a_cut_keeps_what_is_in_the_image(shape: Geometry, expected: Geometry | None) -> None:
    found = clipped(shape, 10, 10)
    if expected is None or found is None:
        assert found is expected
    else:
        assert_close(found, expected)


@given(shapes)
def test_what_a_cut_leaves_lies_in_the_image(shape: Geometry) -> None:
    found = clipped(shape, WIDTH, HEIGHT)
    if found is None or isinstance(found, Cuboid):
        return
    x0, y0, x1, y1 = bounds(found) or (0, 0, 0, 0)
    assert -1e-9 <= x0 <= x1 <= WIDTH + 1e-9
    assert -1e-9 <= y0 <= y1 <= HEIGHT + 1e-9
    assert clipped(found, WIDTH + 1, HEIGHT + 1) is not None


@given(area_shapes.filter(lambda shape: not isinstance(shape, Cuboid)))
def test_a_cut_changes_no_pixel(shape: Geometry) -> None:
    found = clipped(shape, WIDTH, HEIGHT)
    before = rle.mask_of(shape, HEIGHT, WIDTH)
    assert before is not None
    if found is None:
        assert rle.area(rle.runs_of(before)) == 0
        return
    after = rle.mask_of(found, HEIGHT, WIDTH)
    assert after is not None
    differ = rle.array_of(before) != rle.array_of(after)
    assert differ.sum() <= (12 if isinstance(shape, Ellipse) else 2)  # centres on an edge


def test_a_window_of_a_mask_is_that_of_its_pixels() -> None:
    array = nuclei()[0]
    mask = rle.mask_of_array(array)
    x0, y0, x1, y1 = map(int, bounds(mask) or ())
    found = cropped(mask, x0 + 3, y0 - 4, x1 - x0, y1 - y0)
    assert found == rle.mask_of_array(array[y0 - 4 : y1 - 4, x0 + 3 : x1 + 3])
    assert cropped(mask, x1, y1, 20, 20) is None
    assert cropped(Box(10, 10, 20, 20), 15, 5, 10, 10) == Box(0, 5, 5, 10)
