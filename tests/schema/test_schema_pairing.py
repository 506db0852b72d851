"""Pairing the regions of one image in two descriptions of it."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voyager.schema import Box, Keypoints, Mask, Origin, Polygon, Region
from voyager.schema.geometry import Geometry
from voyager.schema.pairing import Pairing, pair_exact, pair_regions
from voyager.schema.rle import array_of, mask_of_array
from voyager.schema.transform import TURNS, turned

NUCLEI = Path(__file__).parent.parent / "data" / "nuclei"
WIDTH, HEIGHT = 64, 48


def region(
    shape: Geometry | None, name: str = "cat", id: int | None = None, own: int = 0
) -> Region:
    shapes = {} if shape is None else {shape.name: shape}
    origin = None if id is None else Origin(import_="x", id=id)
    return Region(
        id=own.to_bytes(16, "big"), geometries=shapes, attrs={"class": name}, origin=origin
    )


def class_of(found: Region) -> Hashable:
    return found.attrs["class"]


def pair(old: Sequence[Region], new: Sequence[Region], **options: object) -> Pairing:
    found = pair_regions(old, new, class_of=class_of, **options)  # type: ignore[arg-type]
    olds = [p.old for p in found.pairs] + found.old_left
    news = [p.new for p in found.pairs] + found.new_left
    assert sorted(olds) == list(range(len(old)))
    assert sorted(news) == list(range(len(new)))
    return found


def said(found: Pairing) -> list[tuple[int, int, str]]:
    return sorted((p.old, p.new, p.how) for p in found.pairs)


def nuclei() -> list[Mask]:
    from PIL import Image

    folders = sorted(path for path in NUCLEI.iterdir() if path.is_dir())
    masks = []
    for path in sorted((folders[0] / "masks").glob("*.png")):
        with Image.open(path) as image:
            masks.append(mask_of_array(np.asarray(image.convert("L")) > 0))
    assert len(masks) == 17
    return masks


# -- exact ----------------------------------------------------------------------------------------


def test_order_does_not_matter() -> None:
    old = [region(Box(n, 0, n + 5, 5)) for n in range(20)]
    new = random.Random(1).sample(old, 20)
    assert [(new[p.new], p.how) for p in sorted(pair(old, new).pairs, key=lambda p: p.old)] == [
        (one, "exact") for one in old
    ]


def test_equals_of_one_class_go_first() -> None:
    box = Box(0, 0, 5, 5)
    old = [region(box, "cat"), region(box, "dog")]
    new = [region(box, "dog"), region(box, "cow")]
    assert said(pair(old, new)) == [(0, 1, "geometry"), (1, 0, "exact")]


def test_many_exact_equals_pair_in_order() -> None:
    old = [region(Box(0, 0, 5, 5)) for _ in range(4)]
    assert said(pair(old, old[:2])) == [(0, 0, "exact"), (1, 1, "exact")]


def test_regions_without_geometry() -> None:
    old, new = (
        [region(None, id=7), region(None, id=8)],
        [region(None, id=8), region(Box(0, 0, 1, 1))],
    )
    assert said(pair(old, new)) == [(0, 0, "exact")]
    assert said(pair(old, new, trust_ids=True)) == [(1, 0, "id")]
    assert said(pair(old, [region(None, "dog")])) == []


def test_nothing_on_one_side() -> None:
    assert pair([], [region(Box(0, 0, 1, 1))]).new_left == [0]
    assert pair([region(Box(0, 0, 1, 1))], []).old_left == [0]


def test_exact_pairs_only() -> None:
    old = [region(Box(0, 0, 5, 5)), region(Box(10, 0, 15, 5))]
    new = [region(Box(0.5, 0, 5, 5)), region(Box(10, 0, 15, 5), "dog")]
    assert said(pair_exact(old, new, class_of=class_of)) == [(1, 1, "geometry")]


# -- ids ------------------------------------------------------------------------------------------


def test_ids_that_lie_join_nothing() -> None:
    """TACO: in 18.5 % of its steps pairing by id joins the wrong regions."""
    old = [region(Box(n * 10, 0, n * 10 + 8, 8), id=n) for n in range(5)]
    new = [region(Box(n * 10 + 1, 0, n * 10 + 9, 8), id=(n + 1) % 5) for n in range(5)]
    assert said(pair(old, new)) == [(n, n, "similar") for n in range(5)]
    assert [p.new for p in pair(old, new, trust_ids=True).pairs] == [4, 0, 1, 2, 3]


def test_trusted_ids_pair_what_is_far_and_of_another_class() -> None:
    old, new = [region(Box(0, 0, 5, 5), id=3)], [region(Box(40, 40, 44, 44), "dog", id=3)]
    assert said(pair(old, new)) == []
    assert said(pair(old, new, trust_ids=True)) == [(0, 0, "id")]


def test_own_ids_go_before_geometry() -> None:
    a, b = Box(0, 0, 5, 5), Box(20, 20, 30, 30)
    old = [region(a, own=1), region(b, own=2)]
    swapped = [region(b, own=1), region(a, own=2)]
    assert said(pair(old, swapped)) == [(0, 1, "exact"), (1, 0, "exact")]
    assert said(pair(old, swapped, same_ids=True)) == [(0, 0, "id"), (1, 1, "id")]


# -- turns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", list(TURNS)[1:])
def test_a_turn_of_the_whole_image(turn: str) -> None:
    """TACO: 28 regions turned by 180°, of which IoU finds none."""
    rng = random.Random(3)
    shapes: list[Geometry] = [
        Polygon((((x, y, x + 9, y + 1, x + 4.5, y + 7),),))
        for x, y in ((rng.uniform(0, 50), rng.uniform(0, 40)) for _ in range(10))
    ]
    shapes += [Box(1, 2, 11, 6), nuclei_like(), Keypoints((1, 2, 9, 9), (2, 1))]
    old = [region(shape) for shape in shapes]
    new = [region(turned(shape, turn, WIDTH, HEIGHT)) for shape in reversed(shapes)]  # type: ignore[arg-type]
    found = pair(old, new, size=(WIDTH, HEIGHT))
    assert found.turn == turn
    assert said(found) == [(n, 12 - n, "turned") for n in range(13)]


def nuclei_like() -> Mask:
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[5:9, 10:30] = True
    pixels[9:20, 10:12] = True
    return mask_of_array(pixels)


def test_a_few_that_fit_a_turn_are_no_turn() -> None:
    old = [region(Box(n * 6, 2, n * 6 + 4, 7)) for n in range(5)]
    new = [region(turned(r.geometry, "rot180", WIDTH, HEIGHT)) for r in old[:3]]  # type: ignore[arg-type]
    new += [region(Box(1, 20, 5, 25)), region(Box(30, 20, 35, 27))]
    assert pair(old, new, size=(WIDTH, HEIGHT)).turn is None
    assert pair(old[:1], new[:1], size=(WIDTH, HEIGHT)).turn is None


# -- similarity -----------------------------------------------------------------------------------


def test_the_best_assignment_within_a_class() -> None:
    old = [region(Box(0, 0, 20, 20)), region(Box(3, 0, 23, 20))]
    new = [region(Box(2, 0, 22, 20)), region(Box(5, 0, 25, 20))]
    assert said(pair(old, new)) == [(0, 0, "similar"), (1, 1, "similar")]
    other = [region(Box(2, 0, 22, 20), "dog")]
    assert said(pair(old, other)) == []


def test_small_things_that_moved_by_a_pixel() -> None:
    (found,) = pair([region(Box(0, 0, 3, 3))], [region(Box(1, 1, 4, 4))]).pairs
    assert (found.how, found.similarity) == ("similar", 1.0)
    assert pair([region(Box(0, 0, 30, 3))], [region(Box(0, 8, 30, 11))]).pairs == []


# -- division -------------------------------------------------------------------------------------


def halves(mask: Mask) -> tuple[Mask, Mask]:
    pixels = array_of(mask)
    columns = np.flatnonzero(pixels.any(axis=0))
    middle = int(columns[len(columns) // 2])
    left, right = pixels.copy(), pixels.copy()
    left[:, middle:] = False
    right[:, :middle] = False
    return mask_of_array(left), mask_of_array(right)


def test_halves_of_nuclei() -> None:
    """At IoU ≥ 0.5, 16 of 23 deleted nuclei would pair with one of their halves."""
    masks = nuclei()
    for place in range(len(masks)):
        old = [region(mask, "nucleus") for mask in masks]
        new = old[:place] + old[place + 1 :] + [region(h, "nucleus") for h in halves(masks[place])]
        found = pair(old, new)
        assert found.divided == {place: [16, 17]}
        assert found.old_left == [place]
        assert found.new_left == [16, 17]


def test_a_region_that_lost_a_little_was_not_divided() -> None:
    old = [region(Box(0, 0, 40, 20))]
    new = [region(Box(0, 0, 38, 20)), region(Box(36, 0, 40, 3))]
    found = pair(old, new)
    assert found.divided == {}
    assert said(found) == [(0, 0, "similar")]


def test_polygons_cut_in_two() -> None:
    old = [region(Polygon((((0, 0, 40, 0, 40, 20, 0, 20),),)))]
    new = [
        region(Polygon((((0, 0, 25, 0, 20, 20, 0, 20),),))),
        region(Polygon((((25, 0, 40, 0, 40, 20, 20, 20),),))),
    ]
    assert pair(old, new).divided == {0: [0, 1]}


# -- laws -----------------------------------------------------------------------------------------

boxes = st.lists(
    st.builds(
        lambda x, y, w, h, name, id: region(Box(x, y, x + w, y + h), name, id),
        *(st.integers(0, 30).map(float) for _ in range(2)),
        *(st.integers(1, 20).map(float) for _ in range(2)),
        st.sampled_from("ab"),
        st.none() | st.integers(0, 4),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(boxes, boxes, st.booleans())
def test_every_region_is_paired_once_or_left(
    old: list[Region], new: list[Region], trust: bool
) -> None:
    found = pair(old, new, trust_ids=trust, size=(WIDTH, HEIGHT))
    for p in found.pairs:
        if p.how in ("exact", "similar"):
            assert class_of(old[p.old]) == class_of(new[p.new])
        assert 0.7 <= p.similarity <= 1
    for place, parts in found.divided.items():
        assert place in found.old_left
        assert len(parts) >= 2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(boxes, st.randoms(use_true_random=False))
def test_a_shuffled_copy_pairs_exactly(old: list[Region], rng: random.Random) -> None:
    new = list(old)
    rng.shuffle(new)
    found = pair(old, new)
    assert {p.how for p in found.pairs} <= {"exact"}
    assert not found.old_left
