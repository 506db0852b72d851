"""Samples read in part have what the whole ones have, and nothing that was not asked for."""

from __future__ import annotations

from operator import attrgetter

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from schema_strategies import samples

from voyager.errors import CorruptError
from voyager.schema import (
    Box,
    Group,
    Image,
    Label,
    Region,
    Sample,
    decode_geometry,
    encode_sample,
)
from voyager.schema.encoded_geometry import open_map
from voyager.schema.partial import partial_decoder

SAMPLE = Sample(
    uid=bytes(16),
    split="train",
    image=Image(uri="x", width=3),
    group=Group(id="drive", view="left"),
    regions=(
        Region(
            id=bytes(16), geometries={"box": Box(1, 2, 3, 4)}, labels=(Label(task="t", value="v"),)
        ),
    ),
)
PATHS = ["uid", "split", "meta", "labels", "image.width", "image.blob", "group.id", "held.kind"]
PARTS = ["id", "labels", "flags", "primary", "attrs", "source", "links"]


def test_only_what_is_asked_for_is_made() -> None:
    wanted = ["uid", "image.width", "group.view", "regions.labels.task"]
    part = partial_decoder(wanted)(encode_sample(SAMPLE))
    assert part.uid == SAMPLE.uid
    assert (part.image.width, part.group.view) == (3, "left")
    assert part.regions[0].labels[0].task == "t"
    for missing in ("split", "image.uri", "group.id"):
        with pytest.raises(AttributeError):
            attrgetter(missing)(part)
    assert not hasattr(part.regions[0].labels[0], "value")


def test_a_field_stands_for_all_that_is_in_it() -> None:
    part = partial_decoder(["regions.labels.task", "regions.labels"])(encode_sample(SAMPLE))
    assert part.regions[0].labels == SAMPLE.regions[0].labels


def test_a_raw_map_keeps_its_bytes() -> None:
    part = partial_decoder(["uid"], raw=["regions.geometries"])(encode_sample(SAMPLE))
    assert isinstance(part.regions[0].geometries, Raw)
    (shape,) = open_map(part.regions[0].geometries).values()
    assert isinstance(shape, Raw)
    assert decode_geometry(bytes(shape)) == Box(1, 2, 3, 4)


def test_broken_rows_are_told() -> None:
    with pytest.raises(CorruptError):
        partial_decoder(["split"])(b"\x81\xa1s\x05")


@given(samples, st.sets(st.sampled_from(PATHS)), st.sets(st.sampled_from(PARTS)))
@examples(15, deep=300)
def test_parts_are_as_in_the_whole(sample: Sample, paths: set[str], parts: set[str]) -> None:
    wanted = {"uid", *paths, *(f"regions.{part}" for part in parts)}
    part = partial_decoder(wanted)(encode_sample(sample))
    for path in paths:
        first, _, second = path.partition(".")
        whole, found = getattr(sample, first), getattr(part, first)
        if second and whole is not None:
            whole, found = getattr(whole, second), getattr(found, second)
        assert found == whole
    for name in parts:
        of_part = [getattr(region, name) for region in part.regions]
        assert of_part == [getattr(region, name) for region in sample.regions]
