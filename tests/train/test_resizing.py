"""Boxes of real photographs, resized by torch as by Pillow."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from voyager.samples import photo_paths
from voyager.train.resizing import by_pillow, by_torch

PHOTOS = [
    np.array(PIL.Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
    for path in photo_paths()[::40]
]
SIDE = 96


def off(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.int32) - other).mean())


@pytest.mark.parametrize("pixels", PHOTOS)
def test_the_middle_of_a_photograph_is_about_pillows(pixels: np.ndarray) -> None:
    high, wide = pixels.shape[:2]
    side = min(high, wide) * 224 / 256
    box = ((wide - side) / 2, (high - side) / 2, (wide + side) / 2, (high + side) / 2)
    assert off(by_torch(pixels, box, 224), by_pillow(pixels, box, 224)) <= 0.2


@examples(60, deep=2000)
@given(st.sampled_from(range(len(PHOTOS))), st.data())
def test_any_box_is_about_pillows(which: int, data: st.DataObject) -> None:
    """Within a sixteenth of a pixel: less than a picture differs from itself moved by an eighth."""
    pixels = PHOTOS[which]
    high, wide = pixels.shape[:2]
    x0 = data.draw(st.floats(0, wide - 8))
    y0 = data.draw(st.floats(0, high - 8))
    box = (x0, y0, data.draw(st.floats(x0 + 8, wide)), data.draw(st.floats(y0 + 8, high)))
    made, wanted = by_torch(pixels, box, SIDE), by_pillow(pixels, box, SIDE)
    assert made.shape == (SIDE, SIDE, 3)
    inner = slice(2, -2)  # Pillow's filter sees what lies around a box, torch's on three sides
    aside, down = (box[2] - box[0]) / SIDE / 8, (box[3] - box[1]) / SIDE / 8
    far = (min(box[2] + aside, wide), min(box[3] + down, high))
    moved = by_pillow(pixels, (box[0] + aside, box[1] + down, *far), SIDE)
    bound = 0.5 + off(moved[inner, inner], wanted[inner, inner])
    assert off(made[inner, inner], wanted[inner, inner]) <= bound


def test_levels_stay_exact_where_nothing_is_resized() -> None:
    pixels = PHOTOS[0]
    made = by_torch(pixels, (10, 20, 10 + SIDE, 20 + SIDE), SIDE)
    assert (made == pixels[20 : 20 + SIDE, 10 : 10 + SIDE]).all()


def test_a_box_with_no_good_start_is_pillows() -> None:
    pixels = PHOTOS[0]
    box = (0.4, 0.4, 200.4, 200.4)
    assert (by_torch(pixels, box, SIDE) == by_pillow(pixels, box, SIDE)).all()
