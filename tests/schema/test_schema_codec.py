"""Rows: every value survives, has one encoding, and nothing else is taken for a row."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from schema_strategies import files, plain, samples

from voyager import wire
from voyager.errors import CorruptError, InvalidDataError
from voyager.schema import (
    Box,
    FileRow,
    Image,
    Keypoints,
    Label,
    Mask,
    Region,
    Sample,
    check_sample,
    decode_file,
    decode_sample,
    encode_file,
    encode_sample,
    is_canonical_file,
    is_canonical_sample,
)

SLOW = examples(20, deep=300)
UID = bytes(range(16))
BLOB = wire.blob_ref(bytes(32))
IMAGE = Image(blob=BLOB, bytes=1, type="jpeg", width=4, height=3)
SAMPLE = Sample(uid=UID, image=IMAGE)


def region(**fields: Any) -> Region:
    return Region(**{"id": UID, "geometries": {"box": Box(1, 2, 3, 4)}, **fields})


def encoded_fields(data: bytes) -> Any:
    return msgspec.msgpack.decode(data)


@SLOW
@given(samples)
def test_a_sample_survives_and_has_one_row(sample: Sample) -> None:
    data = encode_sample(sample)
    assert decode_sample(data) == sample
    assert encode_sample(decode_sample(data)) == data
    assert wire.is_canonical(data)
    assert is_canonical_sample(data)
    assert check_sample(sample) == sample
    assert pickle.loads(pickle.dumps(sample)) == sample


@SLOW
@given(files)
def test_a_file_survives_and_has_one_row(row: FileRow) -> None:
    data = encode_file(row)
    assert decode_file(data) == row
    assert encode_file(decode_file(data)) == data
    assert wire.is_canonical(data)
    assert is_canonical_file(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_row_or_corrupt(data: bytes) -> None:
    for decode in (decode_sample, decode_file):
        try:
            decode(data)
        except CorruptError:
            continue


@SLOW
@given(samples.map(encode_sample), st.data())
def test_a_damaged_row_is_a_row_or_corrupt(row: bytes, data: st.DataObject) -> None:
    damaged = bytearray(row)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(row) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_sample(bytes(damaged))
    except CorruptError as error:
        assert error.message.startswith("not a sample row: ")
    is_canonical_sample(bytes(damaged))


@given(plain)
def test_any_value_is_a_row_or_corrupt(value: Any) -> None:
    try:
        data = wire.encode(value)
    except InvalidDataError:
        return
    try:
        decode_sample(data)
    except CorruptError:
        return


def test_a_sample_is_no_file_and_a_file_no_sample() -> None:
    with pytest.raises(CorruptError, match="not a file row: "):
        decode_file(encode_sample(SAMPLE))
    with pytest.raises(CorruptError, match="not a sample row: "):
        decode_sample(encode_file(FileRow(blob=BLOB, bytes=3)))


def test_what_is_equal_is_encoded_alike() -> None:
    plainly = SAMPLE.replace(
        labels=(Label(task="t", node=UID),), regions=(region(flags=("crowd", "ignore")),)
    )
    oddly = Sample(
        uid=UID,
        image=IMAGE.replace(orientation=int("1")),
        labels=[
            Label(
                task="t", node=UID, source="".join(["hu", "man"]), state="".join(["accept", "ed"])
            )
        ],
        regions=[
            region(
                flags=["ignore", "crowd", "ignore"], attrs={}, extra={}, labels=[], primary="box"
            )
        ],
        meta={},
        negatives={"t": []},
        extra={},
    )
    assert oddly == plainly
    assert encode_sample(oddly) == encode_sample(plainly)


def test_integers_become_floats_and_zero_loses_its_sign() -> None:
    sample = SAMPLE.replace(
        labels=(Label(task="size", value=3, score=1),),
        regions=(region(geometries={"box": Box(-0.0, 0, 1, 2)}, score=-0.0),),
    )
    row = encoded_fields(encode_sample(sample))
    assert repr(row["l"][0]["v"]) == "3.0"
    assert repr(row["l"][0]["p"]) == "1.0"
    assert repr(row["r"][0]["g"]["box"]) == "[1, 0.0, 0.0, 1.0, 2.0]"
    assert repr(row["r"][0]["p"]) == "0.0"


def test_free_values_keep_integers_and_lose_the_sign_of_zero() -> None:
    sample = SAMPLE.replace(meta={"n": 3, "x": 3.0, "zero": [-0.0]})
    row = encoded_fields(encode_sample(sample))
    assert repr(row["m"]) == "{'n': 3, 'x': 3.0, 'zero': [0.0]}"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(number: float) -> None:
    for refused in (
        lambda: Label(task="t", node=UID, score=number),
        lambda: Label(task="t", value=number),
        lambda: encode_sample(SAMPLE.replace(meta={"a": number})),
        lambda: encode_sample(SAMPLE.replace(regions=(region(extra={"a": [number]}),))),
    ):
        with pytest.raises(InvalidDataError, match="finite"):
            refused()


@pytest.mark.parametrize(
    ("sample", "path"),
    [
        (SAMPLE.replace(split=5), "split"),
        (SAMPLE.replace(uid=UID[:15]), "uid"),
        (SAMPLE.replace(uid="0" * 16), "uid"),
        (SAMPLE.replace(image=IMAGE.replace(width="x")), "image.width"),
        (SAMPLE.replace(image=IMAGE.replace(width=0)), "image.width"),
        (SAMPLE.replace(image=IMAGE.replace(orientation=9)), "image.orientation"),
        (SAMPLE.replace(meta={"a": {"b": 1}}), r"meta\[...\]"),
        (SAMPLE.replace(labels=(Label(task=5, node=UID),)), r"labels\[0\].task"),
        (
            SAMPLE.replace(regions=(region(), region(state="done"))),
            r"regions\[1\].state",
        ),
        (
            SAMPLE.replace(regions=(region(labels=(Label(task="t", node=b"x"),)),)),
            r"regions\[0\].labels\[0\].node",
        ),
        (
            SAMPLE.replace(regions=(region(geometries={"mask": Mask("3", 4, b"")}),)),
            r"regions\[0\].geometries\[...\]",
        ),
        (
            SAMPLE.replace(regions=(region(geometries={"k": Keypoints([1, 2], [7])}),)),
            r"regions\[0\].geometries\[...\]",
        ),
    ],
)
def test_a_wrong_type_is_refused_with_its_path(sample: Sample, path: str) -> None:
    with pytest.raises(InvalidDataError, match=rf"^{path}(\[\d\])*: "):
        check_sample(sample)


@pytest.mark.parametrize(
    "fields",
    [
        {"split": object()},
        {"meta": {5: 1}},
        {"extra": {"a": 2**64}},
        {"extra": {"a": "\ud800"}},
    ],
)
def test_what_msgpack_cannot_hold_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError, match="not storable"):
        encode_sample(SAMPLE.replace(**fields))


def test_deep_nesting_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(InvalidDataError, match="nested deeper than 32"):
        check_sample(SAMPLE.replace(extra={"a": deep}))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Label(task="t"), "either a node or a value"),
        (lambda: Label(task="t", node=UID, value="x"), "either a node or a value"),
        (lambda: Label(task="t", node=UID, source="robot"), "source: 'robot'"),
        (lambda: Label(task="t", node=UID, source="model:"), "source: 'model:'"),
        (lambda: Label(task="t", node=UID, source=5), "source: 5"),
        (lambda: Label(task="t", node=UID, score="high"), "score: expected a number"),
        (lambda: Label(task="t", node=UID, score=True), "score: expected a number"),
        (lambda: Label(task="t", node=UID, score=10**400), "score: .* not finite"),
        (lambda: region(geometries={"a": Box(1, 2, 3, 4), "b": Box(1, 2, 3, 4)}), "primary: need"),
        (lambda: region(primary="mask"), "primary: there is no geometry 'mask'"),
        (lambda: region(flags="crowd"), "flags: expected a list"),
        (lambda: region(labels={}), "labels: expected a list"),
        (lambda: Image(blob=bytes(32)), "blob: expected a blob reference"),
        (lambda: Image(blob=wire.object_ref(bytes(32))), "blob: expected a blob reference"),
        (lambda: Image(blob=wire.blob_ref(bytes(31))), "blob: expected a blob reference"),
        (lambda: Image(blob=BLOB, purged=True), "purged"),
        (lambda: SAMPLE.replace(coverage={"t:xyz": "partial"}), "coverage: 't:xyz'"),
        (lambda: SAMPLE.replace(negatives={"t": "xyz"}), "negatives: expected a list"),
    ],
)
def test_constructors_refuse_what_has_no_form(build: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        build()


def test_values_are_frozen() -> None:
    with pytest.raises(AttributeError):
        SAMPLE.split = "train"  # type: ignore[misc]
    with pytest.raises(TypeError, match="use replace"):
        SAMPLE.meta["a"] = 1
    with pytest.raises(TypeError, match="use replace"):
        SAMPLE.meta.update(a=1)
    assert SAMPLE.replace(split="train").split == "train"
    assert Sample(uid=UID, image=IMAGE).meta == {}


def test_the_state_and_blob_of_an_image() -> None:
    assert (IMAGE.state, IMAGE.blob_id) == ("stored", bytes(32))
    assert (Image(uri="s3://a/b").state, Image().blob_id) == ("pending", None)
    assert Image(purged=True).state == "purged"


def test_the_primary_geometry_of_a_region() -> None:
    box, mask = Box(1, 2, 3, 4), Mask(2, 2, b"4")
    assert region().geometry == box
    assert region().primary_role == "box"
    two = region(geometries={"box": box, "mask": mask}, primary="mask")
    assert two.geometry == mask
    assert two.replace(geometries={"mask": mask}).primary is None
    empty = region(geometries={})
    assert (empty.geometry, empty.primary_role) == (None, None)
