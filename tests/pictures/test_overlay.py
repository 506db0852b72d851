"""Every geometry is drawn where it lies, on any picture, however odd its numbers are."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from voyager import wire
from voyager.pictures import PALETTE, Mark, Pen, View, draw
from voyager.pictures.captions import plain, set_words
from voyager.pictures.overlay import bounds_of
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
)
from voyager.schema.rle import mask_of_array

SIZE = (160, 120)
PEN = Pen()
SKELETON = ((0, 1), (1, 2))


def disc() -> Mask:
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    return mask_of_array((x - 70) ** 2 + (y - 60) ** 2 < 30**2)


SHAPES: dict[str, Geometry] = {
    "box": Box(40, 30, 110, 90),
    "rotated-box": RotatedBox(75, 60, 60, 30, 0.6),
    "polygon": Polygon((((40, 30, 110, 35, 100, 90), (70, 45, 90, 45, 85, 60)),)),
    "polyline": Polyline((40, 30, 70, 90, 110, 40)),
    "points": Points((40, 30, 110, 90)),
    "keypoints": Keypoints((40, 30, 70, 60, 110, 90, 0, 0), (2, 1, 2, 0)),
    "mask": disc(),
    "ellipse": Ellipse(75, 60, 35, 20, 0.3),
    "cuboid": Cuboid((40, 50, 80, 50, 80, 90, 40, 90, 60, 30, 110, 30, 110, 70, 60, 70)),
}


def grey(level: int = 128) -> Pillow.Image:
    return Pillow.new("RGB", SIZE, (level,) * 3)


def changed(before: Pillow.Image, after: Pillow.Image) -> np.ndarray:
    return (np.asarray(before) != np.asarray(after)).any(axis=2)


@pytest.mark.parametrize("style", ["solid", "dashed"])
@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("name", SHAPES)
def test_a_geometry_changes_pixels_within_its_bounds_and_a_pen_around_them(name, level, style):
    mark = Mark(SHAPES[name], style=style, skeleton=SKELETON)
    before = grey(level)
    after = draw(before, [mark], pen=PEN)
    touched = changed(before, after)
    ys, xs = np.nonzero(touched)
    bounds = bounds_of([mark], View()).grown(PEN.reach + 1)
    assert len(xs) > 40
    assert bounds.left <= xs.min() and xs.max() < bounds.right
    assert bounds.top <= ys.min() and ys.max() < bounds.bottom
    assert not changed(before, grey(level)).any(), "the picture given is left as it was"


@pytest.mark.parametrize("colour", PALETTE)
@pytest.mark.parametrize("level", [0, 255])
def test_a_mark_of_any_colour_stands_out_from_black_and_from_white(colour, level):
    after = np.asarray(draw(grey(level), [Mark(SHAPES["box"], colour, fill=0)]), int)
    edge = after[60, 36:44]  # across the left side
    assert abs(edge.mean(axis=1) - level).max() > 60


def test_the_inside_is_tinted_and_a_hole_is_not():
    picture = np.asarray(draw(grey(), [Mark(SHAPES["polygon"], (255, 0, 0), fill=0.5)]), int)
    assert tuple(picture[40, 60]) == pytest.approx((192, 64, 64), abs=2)
    assert tuple(picture[50, 82]) == (128, 128, 128)
    bare = np.asarray(draw(grey(), [Mark(SHAPES["polygon"], (255, 0, 0), fill=0)]), int)
    assert tuple(bare[40, 60]) == (128, 128, 128)


def test_parts_that_overlap_are_one_area():
    twice = Polygon((((20, 20, 80, 20, 80, 80, 20, 80),), ((40, 40, 120, 40, 120, 100, 40, 100),)))
    picture = np.asarray(draw(grey(), [Mark(twice, (255, 0, 0), fill=0.5)]), int)
    assert tuple(picture[60, 60]) == tuple(picture[30, 30])


def test_a_mask_is_tinted_exactly_where_it_is():
    picture = draw(grey(), [Mark(SHAPES["mask"], (0, 0, 255), fill=0.5)])
    assert tuple(np.asarray(picture)[60, 70]) == pytest.approx((64, 64, 192), abs=2)
    far = Mask(1 << 20, 1 << 20, b"PPPPPPPPPP1")
    assert not changed(grey(), draw(grey(), [Mark(far)])).any(), "not spread out: too large"


def test_hidden_keypoints_are_hollow_and_those_not_labeled_are_not_drawn():
    solid = np.asarray(draw(grey(), [Mark(Keypoints((50, 50), (2,)), (255, 255, 0))]))
    hollow = np.asarray(draw(grey(), [Mark(Keypoints((50, 50), (1,)), (255, 255, 0))]))
    assert tuple(solid[50, 50]) == (255, 255, 0)
    assert tuple(hollow[50, 50]) != (255, 255, 0)
    absent = draw(grey(), [Mark(Keypoints((0, 0), (0,)))])
    assert not changed(grey(), absent).any()


def test_dashes_leave_gaps():
    line = Polyline((10, 60, 150, 60))
    solid = changed(grey(), draw(grey(), [Mark(line)]))[60, 12:148]
    dashed = changed(grey(), draw(grey(), [Mark(line, style="dashed")]))[60, 12:148]
    assert solid.all()
    assert 0.3 < dashed.mean() < 0.9


@pytest.mark.parametrize(
    "geometry",
    [
        UnknownGeometry(Unknown([99, 1])),
        Mask(4, 4, wire.blob_ref(bytes(32))),
        Mask(4, 4, b"damaged"),
        Polygon(()),
        Polygon(((),)),
        Polygon((((),),)),
        Polyline(()),
        Points(()),
    ],
)
def test_what_has_nothing_to_show_is_left_out_with_its_caption(geometry):
    assert not changed(grey(), draw(grey(), [Mark(geometry, caption="nothing")])).any()


HUGE = 1.7e308


@pytest.mark.parametrize(
    "geometry",
    [
        Box(-HUGE, -HUGE, HUGE, HUGE),
        Box(110, 90, 40, 30),
        Box(50, 50, 50, 50),
        RotatedBox(HUGE, HUGE, HUGE, HUGE, HUGE),
        Ellipse(10, 10, HUGE, 1e-300, HUGE),
        Ellipse(10, 10, -5, 0, 0),
        Polygon((((1, 2),),)),
        Polygon((((1, 2, 3, 4),),)),
        Polygon((((-1e12, 5, 1e12, 7, 3, HUGE),),)),
        Polyline((-HUGE, 0, HUGE, 100)),
        Polyline((5, 5, 5, 5, 5, 5)),
        Points((HUGE, -HUGE, 3, 3)),
        Cuboid((HUGE, -HUGE) * 8),
    ],
)
@pytest.mark.parametrize("style", ["solid", "dashed"])
def test_odd_numbers_are_drawn_quickly_and_without_error(geometry, style):
    start = time.perf_counter()
    draw(grey(), [Mark(geometry, caption="odd", style=style)], view=View().scaled(8, 8))
    assert time.perf_counter() - start < 2


def test_lines_that_leave_the_picture_keep_their_direction():
    far = draw(grey(), [Mark(Polyline((-1e7, -1e7, 1e7, 1e7)), fill=0)])
    near = draw(grey(), [Mark(Polyline((-50, -50, 200, 200)), fill=0)])
    assert changed(far, near).mean() < 0.002


@pytest.mark.timeout(100)  # a second or two on a machine that has nothing else to do
def test_long_lines_are_no_burden():
    points = tuple(np.random.default_rng(5).uniform(0, 120, 40_000).tolist())
    draw(grey(), [Mark(Polyline(points), style="dashed"), Mark(Polygon(((points,),)))])


finite = st.floats(allow_nan=False, allow_infinity=False)
flat = st.lists(finite, max_size=10).map(lambda numbers: tuple(numbers[: len(numbers) // 2 * 2]))
geometries = st.one_of(
    st.builds(Box, finite, finite, finite, finite),
    st.builds(RotatedBox, finite, finite, finite, finite, finite),
    st.builds(Ellipse, finite, finite, finite, finite, finite),
    st.builds(Polyline, flat),
    st.builds(Points, flat),
    st.builds(Polygon, st.lists(st.lists(flat, max_size=2).map(tuple), max_size=2).map(tuple)),
)


@given(geometries, st.text(max_size=8), st.sampled_from(["solid", "dashed"]))
@settings(max_examples=150, deadline=None)
def test_any_finite_geometry_can_be_drawn(geometry, caption, style):
    picture = draw(Pillow.new("L", (40, 30)), [Mark(geometry, caption=caption, style=style)])
    assert (picture.mode, picture.size) == ("RGB", (40, 30))


class TestCaptions:
    def test_they_stand_on_a_chip_of_the_colour_outside_the_box(self):
        picture = draw(grey(), [Mark(Box(40, 60, 110, 100), (240, 228, 66), "dress")])
        strip = np.asarray(picture)[40:56, 38:90].reshape(-1, 3)
        assert (strip == (240, 228, 66)).all(axis=1).sum() > 100
        assert (strip.sum(axis=1) < 150).sum() > 10, "black letters"

    def test_of_equal_boxes_have_places_of_their_own(self):
        one = draw(grey(), [Mark(Box(40, 40, 110, 100), (0, 0, 255), "one", fill=0)])
        two = draw(
            grey(),
            [
                Mark(Box(40, 40, 110, 100), (0, 0, 255), "one", fill=0),
                Mark(Box(40, 40, 110, 100), (0, 0, 255), "two", fill=0),
            ],
        )
        assert changed(one, two).sum() > 100

    def test_the_same_words_are_left_out_where_there_is_no_room(self):
        crowd = [Mark(Box(40, 40, 110, 100), (0, 0, 255), "dress", fill=0)] * 60
        picture = np.asarray(draw(grey(), crowd))
        blue = (picture == (0, 0, 255)).all(axis=2)
        assert 0.02 < blue.mean() < 0.4
        others = [Mark(Box(40, 40, 110, 100), (n, 0, 255), "dress") for n in range(60)]
        shown = {tuple(pixel) for pixel in np.asarray(draw(grey(), others)).reshape(-1, 3).tolist()}
        assert (0, 0, 255) in shown, "words of their own are never left out"

    @pytest.mark.parametrize(
        "text", ["Größe", "中文", "a\nb\tc\0d", "\ud800", "x" * 100_000, "שלום", "e\u0301", "👍"]
    )
    def test_any_text_can_be_set_in_the_room_there_is(self, text):
        words = set_words(text, 12, room=80)
        assert words.width <= 80
        assert "\n" not in words.text

    def test_a_letter_that_no_font_has_does_not_vanish(self):
        assert set_words("\U0010fffd", 12, room=80).text == "?"

    def test_marks_that_turn_text_about_are_dropped(self):
        assert plain("\u202ecod.exe") == "cod.exe"
