"""Laying one image over another: what a distance hangs on, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest
from derived_images import encoded, photos, picture
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from voyager.derived.alignment import FARTHEST, distances
from voyager.derived.likeness import BYTES, colours, lights
from voyager.derived.near import NEAR_DISTANCE
from voyager.derived.registry import METHODS


def crop(image: Image.Image, part: float = 0.05) -> Image.Image:
    left, top = round(image.width * part), 0
    return image.crop((left, top, image.width, round(image.height * (1 - part))))


def covered(image: Image.Image) -> Image.Image:
    """With a tenth of its area under a patch."""
    copy = image.copy()
    patch = Image.new("RGB", (round(image.width * 0.4), round(image.height * 0.25)), (20, 200, 60))
    copy.paste(patch, (round(image.width * 0.5), round(image.height * 0.1)))
    return copy


SAME = {
    "quality 30": lambda image: encoded(image, quality=30),
    "half size": lambda image: encoded(image.reduce(2)),
    "another shape": lambda image: encoded(image.resize((300, 300))),
    "brighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.25)),
    "darker": lambda image: encoded(ImageEnhance.Brightness(image).enhance(0.75)),
    "less colour": lambda image: encoded(ImageEnhance.Color(image).enhance(0.6)),
    "blurred": lambda image: encoded(image.filter(ImageFilter.GaussianBlur(2))),
    "cropped": lambda image: encoded(crop(image)),
    "covered": lambda image: encoded(covered(image)),
    "cropped and covered": lambda image: encoded(covered(crop(image))),
}


def likenesses(images: list[bytes]) -> np.ndarray:
    values = METHODS["likeness"]([b""] * len(images), images)
    return np.frombuffer(b"".join(value or b"" for value in values), np.uint8).reshape(-1, BYTES)


@pytest.fixture(scope="module")
def known() -> np.ndarray:
    return likenesses(list(photos(24).values()))


def straight(count: int) -> np.ndarray:
    return np.zeros(count, bool)


@pytest.mark.parametrize("variant", SAME)
def test_the_same_picture_is_near(variant: str, known: np.ndarray) -> None:
    made = likenesses([SAME[variant](picture(data)) for data in photos(24).values()])
    found = distances(known, made, straight(24))
    assert (found <= NEAR_DISTANCE).sum() >= 23
    assert np.median(found) < NEAR_DISTANCE / 2
    mirrored = likenesses(
        [SAME[variant](ImageOps.mirror(picture(data))) for data in photos(24).values()]
    )
    assert (distances(known, mirrored, ~straight(24)) <= NEAR_DISTANCE).sum() >= 23


def test_an_image_is_at_no_distance_from_itself(known: np.ndarray) -> None:
    assert not distances(known, known, straight(24)).any()


def test_other_pictures_are_far(known: np.ndarray) -> None:
    one, other = np.triu_indices(24, 1)
    for mirrored in (False, True):
        found = distances(known[one], known[other], np.full(len(one), mirrored))
        assert found.min() > NEAR_DISTANCE
        assert np.median(found) == FARTHEST


def test_colour_that_changes_in_a_part_counts(known: np.ndarray) -> None:
    """Another garment of the same light is another picture."""
    shades = known[:, 4096:].reshape(-1, 2, 16, 16).copy()
    shades[:, 0, 3:13, 3:13] -= 40
    shades[:, 1, 3:13, 3:13] += 40
    changed = np.concatenate([known[:, :4096], shades.reshape(24, -1)], axis=1)
    before, after = (distances(known, one, straight(24)) for one in (known, changed))
    assert (after > before).all()
    tinted = known.copy()
    tinted[:, 4096:] += 6
    assert np.abs(distances(known, tinted, straight(24)) - before).max() <= 2


def test_a_distance_does_not_hang_on_the_batch(known: np.ndarray) -> None:
    one, other = (rows.ravel() for rows in np.indices((24, 24)))
    turned = (one + other) % 3 == 0
    whole = distances(known[one], known[other], turned)
    order = np.random.default_rng(5).permutation(len(one))
    assert distances(known[one][order], known[other][order], turned[order]).tolist() == (
        whole[order].tolist()
    )
    for at in range(0, len(one), 37):
        alone = distances(known[one[at : at + 1]], known[other[at : at + 1]], turned[at : at + 1])
        assert alone.tolist() == [whole[at]]


def test_plain_images_are_far_from_each_other() -> None:
    down = Image.linear_gradient("L")
    slopes = [down.point(lambda level, by=by: 120 + level // by) for by in (8, 16)]
    plain = [Image.new("L", (64, 64), 120), *slopes, *map(ImageOps.flip, slopes)]
    values = likenesses([encoded(image) for image in plain])
    one, other = np.triu_indices(len(plain), 1)
    assert distances(values[one], values[other], straight(len(one))).min() > NEAR_DISTANCE


def test_nothing_is_compared_with_nothing() -> None:
    none = np.zeros((0, BYTES), np.uint8)
    assert distances(none, none, straight(0)).tolist() == []


def test_a_likeness_is_light_and_colour() -> None:
    red = Image.new("RGB", (40, 30), (255, 0, 0))
    [value] = likenesses([encoded(red, "PNG")])
    light, (blue, redness) = lights(value[None])[0], colours(value[None])[0]
    assert light.shape == (64, 64)
    assert set(light.ravel().tolist()) == {76.0}
    assert set(blue.ravel().tolist()) == {128 - 44.0}
    assert set(redness.ravel().tolist()) == {128 + 127.0}
