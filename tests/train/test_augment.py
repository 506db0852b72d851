"""What is done to pictures: pure functions of a place, within what the settings allow."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from voyager.errors import UsageError
from voyager.train.augment import (
    AUGMENTATIONS,
    NONE,
    Augmentation,
    Plan,
    parse_augmentation,
    plan_batch,
    plan_mix,
)

GOLDEN = [[28.813, 0.0, 272.929, 300.0], [25.516, 0.0, 373.6, 300.0]]

SIDES = st.integers(1, 4000)


def plan(how: Augmentation, frames: list[list[float]], first: int = 0, **given: int) -> Plan:
    usual = {"size": 224, "seed": 3, "epoch": 0, "whole": True}
    positions = np.arange(first, first + len(frames))
    return plan_batch(how, np.array(frames, np.float64), positions, **{**usual, **given})


def all_of(plan: Plan) -> list[np.ndarray]:
    return [getattr(plan, name) for name in Plan.__dataclass_fields__]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_picture_is_changed_by_its_place_alone(name: str) -> None:
    frames = [[0, 0, 400, 300]] * 40
    whole = plan(AUGMENTATIONS[name], frames)
    rest = plan(AUGMENTATIONS[name], frames[:7], 5)
    for some, part in zip(all_of(whole), all_of(rest), strict=True):
        assert np.array_equal(some[5:12], part)
    if AUGMENTATIONS[name] != NONE:
        for other in ({"epoch": 1}, {"seed": 4}):
            assert not np.array_equal(whole.boxes, plan(AUGMENTATIONS[name], frames, **other).boxes)


def test_what_is_left_to_chance_never_changes_again() -> None:
    """A run of years ago is repeated by these numbers."""
    found = plan(AUGMENTATIONS["standard"], [[0, 0, 400, 300]] * 2)
    assert np.round(found.boxes, 3).tolist() == GOLDEN


@examples(60, deep=600)
@given(width=SIDES, height=SIDES, at=st.integers(0, 999), name=st.sampled_from([*AUGMENTATIONS]))
def test_crops_lie_in_the_frame(width: int, height: int, at: int, name: str) -> None:
    how = AUGMENTATIONS[name]
    (left, top, right, bottom) = plan(how, [[7, 9, 7 + width, 9 + height]], at).boxes[0]
    assert 7 - 1e-6 <= left < right <= 7 + width + 1e-6
    assert 9 - 1e-6 <= top < bottom <= 9 + height + 1e-6


def test_chances_and_sizes_are_as_they_are_said() -> None:
    how = AUGMENTATIONS["strong"]
    found = plan(how, [[0, 0, 500, 500]] * 20_000)
    wide, high = (found.boxes[:, 2:] - found.boxes[:, :2]).T
    assert abs((wide * high).mean() / 500**2 - 0.6) < 0.03
    assert (wide * high >= 0.2 * 500**2 * 0.999).mean() > 0.95  # sides are cut to the frame
    assert abs(found.flip.mean() - 0.5) < 0.02
    assert not found.flip_down.any()
    assert np.abs(found.colour - 1).max() <= how.colour
    assert np.allclose(found.colour.mean(axis=0), 1, atol=0.01)
    assert np.abs(found.turn).max() <= how.turn
    assert abs((found.blur > 0).mean() - how.blur) < 0.01
    erased = found.erase[:, 2] > found.erase[:, 0]
    assert abs(erased.mean() - how.erase) < 0.02
    assert found.erase.min() >= 0
    assert found.erase.max() <= 1


def test_an_evaluation_looks_at_the_usual_middle() -> None:
    """Resize(256) and CenterCrop(224) of torchvision, as boxes of the original."""
    boxes = plan(NONE, [[0, 0, 400, 533], [0, 0, 341, 256], [0, 0, 256, 256], [0, 0, 90, 30]]).boxes
    resized = [(256, 341), (341, 256), (256, 256), (768, 256)]
    for box, (width, height), size in zip(
        boxes, resized, [(400, 533), (341, 256), (256, 256), (90, 30)], strict=True
    ):
        left, top = round((width - 224) / 2), round((height - 224) / 2)
        scale = np.array([size[0] / width, size[1] / height] * 2)
        assert np.allclose(box, np.array([left, top, left + 224, top + 224]) * scale)
    of_region = plan(NONE, [[5, 6, 25, 26]], whole=False)
    assert of_region.boxes.tolist() == [[5, 6, 25, 26]]


def test_rows_of_a_plan_are_its_columns() -> None:
    found = plan(AUGMENTATIONS["strong"], [[0, 0, 400, 300]] * 9)
    for place, change in enumerate(found.changes()):
        assert change.box == tuple(found.boxes[place])
        assert change.colour == tuple(found.colour[place])
        assert (change.flip, change.turn) == (found.flip[place], found.turn[place])
        assert change.erase == tuple(found.erase[place])
    assert all(change.is_plain for change in plan(NONE, [[0, 0, 400, 300]] * 9).changes())


def test_settings_are_read_with_changes() -> None:
    assert parse_augmentation("none") == NONE
    assert parse_augmentation("light,flip=0,turn=5") == Augmentation(area=0.7, aspect=1.2, turn=5)
    for text in ("loud", "light,flips=1", "light,flip", "light,flip=x"):
        with pytest.raises(UsageError):
            parse_augmentation(text)


def test_blending_is_a_function_of_the_place() -> None:
    how = AUGMENTATIONS["strong"]
    mixes = [plan_mix(how, first, 16, seed=1, epoch=0) for first in range(0, 3200, 16)]
    again = plan_mix(how, 16, 16, seed=1, epoch=0)
    assert again is not None
    assert mixes[1] is not None
    assert (again.share, again.box) == (mixes[1].share, mixes[1].box)
    for mix in mixes:
        assert mix is not None
        assert sorted(mix.partner) == list(range(16))
        assert (mix.partner != np.arange(16)).all()
        assert 0 <= mix.share <= 1
    cut = [mix for mix in mixes if mix is not None and mix.box is not None]
    assert 70 < len(cut) < 130
    assert plan_mix(NONE, 0, 16, seed=1, epoch=0) is None
    assert plan_mix(how, 0, 1, seed=1, epoch=0) is None
