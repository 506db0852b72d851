"""The geometry table: encodings, settling, refusals; parametrised, so a new line is tested."""

from __future__ import annotations

import math
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema_strategies import geometries, geometries_by_tag

from voyager import wire
from voyager.errors import CorruptError, InvalidDataError
from voyager.schema import (
    GEOMETRIES,
    GEOMETRY_NAMES,
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
    UnknownGeometry,
    decode_geometry,
    encode_geometry,
)

FLAT = {Polyline: "points", Points: "points"}


def test_table_union_tags_and_names_agree() -> None:
    assert {*GEOMETRIES.values(), UnknownGeometry} == set(typing.get_args(Geometry))
    assert [shape.__struct_config__.tag for shape in GEOMETRIES.values()] == list(GEOMETRIES)
    assert list(GEOMETRY_NAMES.values()) == list(GEOMETRIES.values())
    assert geometries_by_tag.keys() == GEOMETRIES.keys()


@pytest.mark.parametrize("tag", GEOMETRIES)
@given(st.data())
def test_a_geometry_is_its_tag_and_fields(tag: int, data: st.DataObject) -> None:
    geometry = data.draw(geometries_by_tag[tag])
    encoded = encode_geometry(geometry)
    assert type(geometry) is GEOMETRIES[tag]
    assert msgspec.msgpack.decode(encoded)[0] == tag
    assert wire.is_canonical(encoded)
    assert decode_geometry(encoded) == geometry


@given(geometries)
def test_any_geometry_survives(geometry: Geometry) -> None:
    encoded = encode_geometry(geometry)
    assert decode_geometry(encoded) == geometry
    assert encode_geometry(decode_geometry(encoded)) == encoded


@pytest.mark.parametrize(
    ("loose", "settled"),
    [
        (Box(1, 2, 3, -0.0), Box(1.0, 2.0, 3.0, 0.0)),
        (RotatedBox(1, 2, 3, 4, 0), RotatedBox(1.0, 2.0, 3.0, 4.0, 0.0)),
        (Polygon([[[0, 1, 2, 3]]]), Polygon((((0.0, 1.0, 2.0, 3.0),),))),
        (Polyline([1, -0.0]), Polyline((1.0, 0.0))),
        (Points([1, 2]), Points((1.0, 2.0))),
        (Keypoints([1, 2], [2]), Keypoints((1.0, 2.0), (2,))),
        (Ellipse(1, 2, 3, 4, -1), Ellipse(1.0, 2.0, 3.0, 4.0, -1.0)),
        (Cuboid(list(range(16))), Cuboid(tuple(map(float, range(16))))),
    ],
)
def test_numbers_and_lists_settle(loose: Geometry, settled: Geometry) -> None:
    assert repr(loose) == repr(settled)
    assert encode_geometry(loose) == encode_geometry(settled)


def test_numpy_numbers_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    box = Box(numpy.float32(1.5), numpy.float64(2.5), numpy.int64(3), 4)
    assert repr(box) == "Box(x0=1.5, y0=2.5, x1=3.0, y1=4.0)"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, "1", None, True, b"1", 1j])
def test_what_is_no_finite_number_is_refused(number: Any) -> None:
    for refused in (
        lambda: Box(0.5, 1.0, 2.0, number),
        lambda: RotatedBox(0.5, 1.0, 2.0, 3.0, number),
        lambda: Ellipse(number, 1.0, 2.0, 3.0, 4.0),
        lambda: Polygon([[[0.5, 1.5, 2.5, number]]]),
        lambda: Polyline([0.5, number]),
        lambda: Points([number, 0.5]),
        lambda: Keypoints([number, 0.5], [2]),
        lambda: Cuboid([0.5] * 15 + [number]),
    ):
        with pytest.raises(InvalidDataError):
            refused()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Polyline([1, 2, 3]), "points: expected x and y"),
        (lambda: Polygon([[[1, 2, 3]]]), "ring: expected x and y"),
        (lambda: Polygon([1.5]), "part: expected a list"),
        (lambda: Polygon(5), "parts: expected a list"),
        (lambda: Keypoints([1, 2], [1, 2]), "one visibility for each point"),
        (lambda: Cuboid([1, 2]), "expected 8 points"),
        (lambda: Mask(1, 1, "525"), "counts: expected a blob reference"),
        (lambda: Mask(1, 1, b"\xff"), "counts: expected the text"),
    ],
)
def test_what_cannot_be_read_as_points_is_refused(build: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        build()


@pytest.mark.parametrize(
    "shape",
    [
        Box(10, 10, 0, 0),
        Polygon([]),
        Polygon([[[1, 2, 3, 4]]]),
        RotatedBox(0, 0, -1, -1, 100),
        Ellipse(0, 0, -1, 0, 0),
        Points([]),
    ],
)
def test_shapes_without_sense_are_kept(shape: Geometry) -> None:
    assert decode_geometry(encode_geometry(shape)) == shape


@pytest.mark.parametrize(
    "value", [[], [1], [1, 1.5, 2.5, 3.5, 4.5, 5.5], [0, [77]], ["box"], [1.0], {}, [True, 1.5]]
)
def test_other_arrays_are_no_geometry(value: Any) -> None:
    with pytest.raises(CorruptError, match="not a geometry"):
        decode_geometry(wire.encode(value))


def test_the_blob_of_a_mask() -> None:
    assert Mask(2, 2, b"4").blob_id is None
    assert Mask(2, 2, wire.blob_ref(bytes(32))).blob_id == bytes(32)


def test_the_tag_of_an_unknown_geometry() -> None:
    geometry = decode_geometry(wire.encode([77, {"a": 1}]))
    assert isinstance(geometry, UnknownGeometry)
    assert geometry.tag == 77
    assert geometry.name == "unknown"
