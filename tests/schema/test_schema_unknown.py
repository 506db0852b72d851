"""What a newer spec wrote is kept, wherever it stands, and the reserved names never pass."""

from __future__ import annotations

from typing import Any

import pytest

from voyager import wire
from voyager.errors import CorruptError, InvalidDataError
from voyager.schema import (
    Box,
    Image,
    Region,
    Sample,
    Unknown,
    UnknownGeometry,
    decode_sample,
    encode_sample,
    is_canonical_sample,
)

UID = bytes(range(16))
BLOB = wire.blob_ref(bytes(32))
NEWER: dict[str, Any] = {"new": [1.5, {"deep": None}], "ref": wire.object_ref(bytes(32))}
ORIGIN = {"i": 7, **NEWER}
LABEL = {"n": UID, "o": ORIGIN, "t": "objects", **NEWER}
REGION = {
    "g": {"box": [1, 1.5, 2.5, 3.5, 4.5], "new": [77, "anything", BLOB]},
    "i": UID,
    "k": [{"k": "wears", "r": UID, "u": UID, **NEWER}],
    "l": [LABEL],
    "m": "new",
    **NEWER,
}
ROW = {
    "a": {"depth": {"b": BLOB, "n": 3, **NEWER}},
    "g": {"i": "drive", **NEWER},
    "h": {"d": 1.5, "k": "near", "m": "phash", "u": UID, **NEWER},
    "i": {"b": BLOB, **NEWER},
    "l": [LABEL],
    "r": [REGION],
    "u": UID,
    **NEWER,
}


def test_unknown_fields_are_kept_in_every_map() -> None:
    data = wire.encode(ROW)
    sample = decode_sample(data)
    region = sample.regions[0]
    parts = [
        sample,
        sample.image,
        sample.group,
        sample.held,
        sample.assets["depth"],
        sample.labels[0],
        sample.labels[0].origin,
        region,
        region.links[0],
        region.labels[0],
    ]
    assert all(part is not None and part.unknown == Unknown(NEWER) for part in parts)
    assert region.geometry == UnknownGeometry(Unknown([77, "anything", BLOB]))
    assert encode_sample(sample) == data
    assert is_canonical_sample(data)


def test_an_edit_keeps_what_it_does_not_know() -> None:
    edited = decode_sample(wire.encode(ROW)).replace(split="train")
    assert encode_sample(edited) == wire.encode({**ROW, "s": "train"})


def test_references_in_unknown_fields_are_seen() -> None:
    data = encode_sample(decode_sample(wire.encode(ROW)))
    assert len(list(wire.iter_references(data))) == len(
        list(wire.iter_references(wire.encode(ROW)))
    )


@pytest.mark.parametrize(
    "row",
    [
        {"i": {}, "u": UID, "~": {"new": 1}},
        {"i": {"~": {"new": 1}}, "u": UID},
        {"i": {}, "u": UID, "r": [{"i": UID, "g": {"a": [0, [77]]}}]},
    ],
)
def test_reserved_names_are_corrupt(row: dict[str, Any]) -> None:
    with pytest.raises(CorruptError, match="reserved"):
        decode_sample(wire.encode(row))


@pytest.mark.parametrize(
    "fields",
    [
        {"unknown": Unknown({"s": "train"})},
        {"unknown": Unknown("text")},
        {"unknown": Unknown({"new": float("nan")})},
        {"extra": {"a": Unknown({"b": object()})}},
    ],
)
def test_unknown_holds_only_what_this_spec_lacks(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError):
        encode_sample(Sample(uid=UID, image=Image(), **fields))


@pytest.mark.parametrize("array", [[1, 2.5], [], ["box"], [0, [77]], "box", None, [True]])
def test_an_unknown_geometry_has_an_unknown_tag(array: Any) -> None:
    with pytest.raises(InvalidDataError, match="a tag that this spec lacks"):
        UnknownGeometry(Unknown(array))


def test_a_known_geometry_never_grows() -> None:
    row = {"i": {}, "u": UID, "r": [{"i": UID, "g": {"a": [1, 1.5, 2.5, 3.5, 4.5, 5.5]}}]}
    with pytest.raises(CorruptError, match=r"regions\[0\].geometries\[...\]: "):
        decode_sample(wire.encode(row))


def test_the_usual_row_has_no_unknown() -> None:
    sample = Sample(
        uid=UID, image=Image(), regions=[Region(id=UID, geometries={"box": Box(1, 2, 3, 4)})]
    )
    assert decode_sample(encode_sample(sample)).unknown is None
