"""The vectors of the spec: rows as another implementation must write and read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from voyager.schema import (
    FileRow,
    decode_file,
    decode_geometry,
    decode_sample,
    encode_file,
    encode_geometry,
    encode_sample,
    is_canonical_file,
    is_canonical_sample,
    node_id,
    region_id,
    sample_from_json,
    sample_to_json,
    sample_uid,
)
from voyager.schema.jsonvalues import read_geometry, write_geometry
from voyager.wire import blob_ref

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rows.json").read_text("utf-8"))


def each(kind: str) -> Any:
    """One test for each vector of a kind."""
    return pytest.mark.parametrize(
        "vector", VECTORS[kind], ids=lambda vector: vector.get("name", vector.get("id"))
    )


def anchor_of(vector: dict[str, Any]) -> bytes | str:
    anchor = vector["anchor"]
    return bytes.fromhex(anchor["blob"]) if "blob" in anchor else str(anchor["text"])


@each("geometries")
def test_geometry(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    geometry = read_geometry(vector["json"], "geometry")
    assert encode_geometry(geometry) == data
    assert decode_geometry(data) == geometry
    assert write_geometry(geometry) == vector["json"]


@each("rows")
def test_row(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    key, sample = sample_from_json(vector["json"])
    assert encode_sample(sample) == data
    assert decode_sample(data) == sample
    assert sample_to_json(key, sample) == vector["json"]
    assert is_canonical_sample(data)
    assert msgpack.packb(msgpack.unpackb(data)) == data


@each("files")
def test_file(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    row = FileRow(
        blob=blob_ref(bytes.fromhex(vector["blob"])),
        bytes=vector["bytes"],
        executable=vector["executable"],
    )
    assert encode_file(row) == data
    assert decode_file(data) == row
    assert is_canonical_file(data)


@each("refused")
def test_refused(vector: dict[str, Any]) -> None:
    assert not is_canonical_sample(bytes.fromhex(vector["hex"]))


@each("sample_uids")
def test_sample_uid(vector: dict[str, Any]) -> None:
    found = sample_uid(anchor_of(vector), vector["key"], vector["n"])
    assert found.hex() == vector["id"]


@each("region_ids")
def test_region_id(vector: dict[str, Any]) -> None:
    named = vector["category"] or {}
    category = bytes.fromhex(named["node"]) if "node" in named else named.get("name")
    geometry = bytes.fromhex(vector["geometry"])
    found = region_id(anchor_of(vector), geometry, category, vector["ordinal"])
    assert found.hex() == vector["id"]


@each("node_ids")
def test_node_id(vector: dict[str, Any]) -> None:
    assert node_id(vector["taxonomy"], vector["path"], vector["n"]).hex() == vector["id"]
