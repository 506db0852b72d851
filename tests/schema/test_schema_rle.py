"""Masks as runs: the text of the counts, arrays, set algebra, rasterised shapes."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shape_samples import (
    HEIGHT,
    WIDTH,
    annotations,
    arrays,
    blobbed,
    ellipses,
    masks,
    nuclei,
    polygon_of,
    polygons,
)

from voyager.errors import UsageError
from voyager.schema import (
    BadValueError,
    Box,
    Cuboid,
    Ellipse,
    Mask,
    Points,
    Polygon,
    RotatedBox,
    rle,
)

PYCOCOTOOLS = b"Un14h76K4M4M2O0010O00000001O01O0000010O001O10O01O1O1O1N2NlYW2"
"""What pycocotools 2.0 writes for the first mask of nuclei."""

SPEC = [  # spec 9.4
    ([1, 2, 3, 2, 4], 3, 4, b"12301"),
    ([100, 50, 10, 20, 307020], 480, 640, b"T3b1:RORj[9"),
]
COCO = [  # as pycocotools 2.0 writes them
    ([0, 6], 2, 3, b"06"),
    ([6], 2, 3, b"6"),
    ([0, 1, 2, 1, 2], 2, 3, b"01200"),
    ([50, 1000, 3, 2, 16, 32, 497], 40, 40, b"b1Xo03jPO=n0Q?"),
]


@pytest.mark.parametrize(("runs", "height", "width", "counts"), SPEC)
def test_the_counts_of_the_spec(runs: list[int], height: int, width: int, counts: bytes) -> None:
    assert rle.decode_counts(counts) == runs
    assert rle.encode_counts(runs) == counts
    assert rle.runs_of(rle.mask_of_counts(counts, height, width)) == runs


lengths = st.integers(0, 40) | st.integers(0, 5000) | st.integers(0, rle.LONGEST_RUN // 64)


@given(st.lists(lengths, min_size=1, max_size=60))
def test_any_runs_survive_as_text(runs: list[int]) -> None:
    counts = rle.encode_counts(runs)
    assert rle.decode_counts(counts) == runs
    assert all(48 <= character < 112 for character in counts)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (b"", "no runs"),
        (b"12 3", "' ' is not a character"),
        (b"12\x7f", "is not a character"),
        (b"12T", "end within a number"),
        (b"TTTTTTTTT3", "more than 8 characters"),
        (b"1O3", "run 1 is negative"),
        (b"1234I", "run 4 is negative"),
        (b"ooooooo?", "run is longer"),
    ],
)
def test_bad_counts_are_refused(counts: bytes, reason: str) -> None:
    with pytest.raises(BadValueError, match=reason):
        rle.decode_counts(counts)


@given(st.binary(max_size=20) | st.text("0123456789:;<=>?@PQROabcno", max_size=20).map(str.encode))
def test_any_bytes_are_runs_or_refused(counts: bytes) -> None:
    try:
        runs = rle.decode_counts(counts)
    except BadValueError:
        return
    assert runs
    assert min(runs) >= 0


def test_runs_have_to_fit_the_image() -> None:
    with pytest.raises(BadValueError, match="the runs hold 12 pixels, 3 × 5 are 15"):
        rle.runs_of(Mask(3, 5, b"12301"))
    for runs in ([1, 2, 3], [1, -1, 12], [], [True, 11], [12.0], ["12"]):
        with pytest.raises(BadValueError, match="counts"):
            rle.read_runs(runs, 3, 4)  # type: ignore[arg-type]
    assert rle.read_runs([1, 2, 3, 2, 4], 3, 4) == [1, 2, 3, 2, 4]


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([3, 0, 2, 4], [5, 4]),
        ([0, 0, 2, 4], [2, 4]),
        ([0, 2, 0, 4], [0, 6]),
        ([2, 0], [2]),
        ([2, 4, 0, 0], [2, 4]),
        ([0, 3], [0, 3]),
        ([0, 3, 0, 0, 0, 1, 2], [0, 4, 2]),
    ],
)
def test_canonical_runs_have_no_zero_but_the_first(runs: list[int], found: list[int]) -> None:
    assert rle.canonical(runs) == found
    total = sum(runs)
    assert rle.runs_of(Mask(1, total, rle.encode_counts(runs))) == found
    assert rle.mask_of_counts(rle.encode_counts(runs).decode(), 1, total) == Mask(
        1, total, rle.encode_counts(found)
    )


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12).filter(any))
def test_canonical_runs_are_the_same_pixels(runs: list[int]) -> None:
    found = rle.canonical(runs)
    assert 0 not in found[1:]
    array = rle.array_of_runs(runs, 1, sum(runs))
    assert (rle.array_of_runs(found, 1, sum(runs)) == array).all()
    assert rle.runs_of(rle.mask_of_array(array)) == found


@given(arrays)
def test_an_array_survives(array: np.ndarray[Any, Any]) -> None:
    mask = rle.mask_of_array(array)
    assert (mask.height, mask.width) == array.shape
    assert (rle.array_of(mask) == array).all()
    assert rle.mask_of_array(np.asfortranarray(array).astype(np.uint8) * 255) == mask
    runs = rle.runs_of(mask)
    assert runs == rle.canonical(runs)
    assert rle.area(runs) == array.sum()
    assert rle.bounds(runs, mask.height) == bounds_by_array(array)


def bounds_by_array(array: np.ndarray[Any, Any]) -> tuple[float, ...] | None:
    y, x = np.nonzero(array)
    return (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else None


def test_what_is_no_mask_array_is_refused() -> None:
    for array in (np.zeros((0, 3)), np.zeros((2, 2, 3)), np.zeros(4)):
        with pytest.raises(BadValueError, match="height × width"):
            rle.mask_of_array(array)


def test_real_masks_survive() -> None:
    arrays = nuclei()
    assert len(arrays) == 22
    for array in arrays:
        mask = rle.mask_of_array(array)
        assert (rle.array_of(mask) == array).all()
        assert rle.area(rle.runs_of(mask)) == array.sum()
        assert rle.bounds(rle.runs_of(mask), mask.height) == bounds_by_array(array)


def test_counts_of_a_real_mask_are_those_of_cocos_tools() -> None:
    mask = rle.mask_of_array(nuclei()[0])
    assert (mask.height, mask.width) == (256, 320)
    assert mask.counts == PYCOCOTOOLS


@pytest.mark.parametrize(("runs", "height", "width", "counts"), COCO)
def test_counts_are_those_of_cocos_tools(
    runs: list[int], height: int, width: int, counts: bytes
) -> None:
    assert rle.mask_of_runs(runs, height, width).counts == counts


@given(arrays, st.data())
def test_set_algebra_is_that_of_arrays(array: np.ndarray[Any, Any], data: st.DataObject) -> None:
    seeds = data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=3))
    others = [np.random.default_rng(seed).random(array.shape) < 0.5 for seed in seeds]
    all_arrays = [array, *others]
    all_masks = [rle.mask_of_array(one) for one in all_arrays]
    assert rle.union(all_masks) == rle.mask_of_array(np.logical_or.reduce(all_arrays))
    assert rle.intersection(all_masks) == rle.mask_of_array(np.logical_and.reduce(all_arrays))
    both, either = (array & others[0]).sum(), (array | others[0]).sum()
    assert rle.iou(*all_masks[:2]) == (both / either if either else 0.0)


def test_masks_of_two_sizes_are_not_compared() -> None:
    masks = [Mask(3, 4, b"12301"), Mask(4, 3, b"12301")]
    for work in (rle.union, rle.intersection, lambda pair: rle.iou(*pair)):
        with pytest.raises(UsageError, match="3 × 4, 4 × 3"):
            work(masks)
    with pytest.raises(UsageError, match="one size, got none"):
        rle.union([])


@given(arrays, st.integers(-4, 9), st.integers(-4, 9), st.integers(1, 9), st.integers(1, 9))
def test_a_window_is_that_of_the_array(
    array: np.ndarray[Any, Any], left: int, top: int, width: int, height: int
) -> None:
    padded = np.pad(array, 20)
    seen = padded[top + 20 : top + 20 + height, left + 20 : left + 20 + width]
    assert rle.window(rle.mask_of_array(array), left, top, width, height) == rle.mask_of_array(seen)


def test_counts_in_a_blob_are_loaded() -> None:
    mask = rle.mask_of_array(nuclei()[0])
    away, load = blobbed(mask)
    assert rle.runs_of(away, load) == rle.runs_of(mask)
    assert rle.iou(away, mask, load) == 1.0
    assert rle.mask_of(away, 300, 300, load=load) == rle.mask_of(mask, 300, 300)
    with pytest.raises(UsageError, match="pass load"):
        rle.runs_of(away)


def test_gigapixel_masks_are_runs_but_never_arrays() -> None:
    side = 200_000
    runs = [side * 5, 77, side * (side - 5) - 77]
    mask = rle.mask_of_runs(runs, side, side)
    assert rle.runs_of(mask) == runs
    assert rle.bounds(runs, side) == (5.0, 0.0, 6.0, 77.0)
    assert rle.mask_of(Box(5, 0, 6, 77), side, side) == mask
    with pytest.raises(BadValueError, match="too large"):
        rle.array_of(mask)


def in_ring(x: float, y: float, ring: tuple[float, ...]) -> bool:
    """Even-odd, a point at a time."""
    corners = list(zip(ring[0::2], ring[1::2], strict=True))
    inside = False
    for (ax, ay), (bx, by) in pairwise([*corners, corners[0]]):
        if min(ax, bx) <= x < max(ax, bx):
            inside ^= ay + (x - ax) / (bx - ax) * (by - ay) <= y
    return inside


@given(polygons)
def test_a_polygon_covers_the_pixels_whose_centres_are_in_it(polygon: Polygon) -> None:
    expected = np.zeros((HEIGHT, WIDTH), bool)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            centre = column + 0.5, row + 0.5
            expected[row, column] = any(
                sum(in_ring(*centre, ring) for ring in part) % 2 for part in polygon.parts
            )
    mask = rle.mask_of(polygon, HEIGHT, WIDTH)
    assert mask is not None
    assert (rle.array_of(mask) == expected).all()


@given(ellipses)
def test_an_ellipse_covers_the_pixels_whose_centres_are_in_it(ellipse: Ellipse) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    dx, dy = x - ellipse.cx, y - ellipse.cy
    cos, sin = math.cos(ellipse.angle), math.sin(ellipse.angle)
    square = ((dx * cos + dy * sin) / ellipse.rx) ** 2 + ((dy * cos - dx * sin) / ellipse.ry) ** 2
    mask = rle.mask_of(ellipse, HEIGHT, WIDTH)
    assert mask is not None
    differ = rle.array_of(mask) != (square < 1)
    assert (abs(square[differ] - 1) < 1e-6).all()


def test_boxes_cover_whole_pixels_and_share_none() -> None:
    left, right = (rle.mask_of(Box(*sides), 4, 6) for sides in ((1, 0, 3, 4), (3, 0, 6, 4)))
    assert left is not None
    assert right is not None
    assert rle.array_of(left).sum(axis=0).tolist() == [0, 4, 4, 0, 0, 0]
    assert rle.array_of(right).sum(axis=0).tolist() == [0, 0, 0, 4, 4, 4]
    halves = [rle.mask_of(Box(*sides), 4, 6) for sides in ((0, 0, 2.5, 4), (2.5, 0, 6, 4))]
    assert [rle.area(rle.runs_of(half)) for half in halves if half] == [8, 16]


def test_every_shape_with_an_area_is_rasterised() -> None:
    quarter = rle.mask_of(RotatedBox(3, 2, 4, 2, math.pi / 2), 6, 6)
    assert quarter == rle.mask_of(Box(2, 0, 4, 4), 6, 6)
    faces = [1, 1, 4, 1, 4, 4, 1, 4, 2, 0, 5, 0, 5, 3, 2, 3]
    assert rle.mask_of(Cuboid(faces), 6, 6) == rle.mask_of(
        Polygon([[[1, 1, 2, 0, 5, 0, 5, 3, 4, 4, 1, 4]]]), 6, 6
    )
    hole = Polygon([[[0, 0, 6, 0, 6, 6, 0, 6], [2, 2, 4, 2, 4, 4, 2, 4]]])
    ring = rle.mask_of(hole, 6, 6)
    assert ring is not None
    assert rle.area(rle.runs_of(ring)) == 32
    assert rle.mask_of(Polygon([]), 2, 3) == Mask(2, 3, b"6")
    assert rle.mask_of(Points([1, 1]), 6, 6) is None


@given(masks, st.integers(1, 40), st.integers(1, 40))
def test_a_mask_of_another_size_keeps_its_place(mask: Mask, height: int, width: int) -> None:
    array = np.pad(rle.array_of(mask), 40)[40 : 40 + height, 40 : 40 + width]
    assert rle.mask_of(mask, height, width) == rle.mask_of_array(array)


@pytest.mark.parametrize("far", [1e9, 1e100, 1.7e308])
def test_far_coordinates_do_no_harm(far: float) -> None:
    for shape in (
        Box(-far, -far, far, far),
        Polygon([[[-far, -far, far, -far, far, far, -far, far]]]),
        Ellipse(0, 0, far, far, 0.3),
    ):
        assert rle.mask_of(shape, 3, 4) == Mask(3, 4, b"0<")
    assert rle.mask_of(Box(far, far, far, far), 3, 4) == Mask(3, 4, b"<")


def test_real_polygons_cover_the_area_that_their_file_says() -> None:
    for annotation in annotations():
        mask = rle.mask_of(polygon_of(annotation), annotation["height"], annotation["width"])
        assert mask is not None
        covered = rle.area(rle.runs_of(mask))
        assert covered == pytest.approx(annotation["area"], rel=0.01, abs=15)
