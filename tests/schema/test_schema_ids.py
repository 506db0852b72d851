"""Ids are what the spec says, and no two inputs share their bytes."""

from __future__ import annotations

from itertools import combinations

import msgpack
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_strategies import regions

from voyager.schema import (
    Box,
    Image,
    Label,
    Region,
    encode_geometry,
    image_anchor,
    mint_region_id,
    node_id,
    random_region_id,
    region_id,
    sample_uid,
)
from voyager.schema.ids import mint_region_ids
from voyager.wire import blob_ref

BLOB = bytes(range(32))
NODE = bytes(16)
BOX = encode_geometry(Box(1, 2, 3, 4))


def by_the_spec(purpose: str, values: list[object]) -> bytes:
    key = f"voyager 1 {purpose}".encode().ljust(32, b"\0")
    return blake3(msgpack.packb(values), key=key).digest()[:16]


def test_ids_are_what_the_spec_says() -> None:
    assert sample_uid(BLOB, "a/b.jpg", 2) == by_the_spec("sample uid", [BLOB, "a/b.jpg", 2])
    assert region_id(BLOB, BOX, NODE, 1) == by_the_spec("region id", [BLOB, BOX, NODE, 1])
    assert node_id("fashion", "shoes", 3) == by_the_spec("node id", ["fashion", "shoes", 3])


def test_other_inputs_have_other_ids() -> None:
    ids = [
        sample_uid(BLOB, "a"),
        sample_uid(BLOB, "a", 1),
        sample_uid(BLOB, "b"),
        sample_uid("a", "a"),
        sample_uid("", "aa"),
        region_id(BLOB, BOX, NODE),
        region_id(BLOB, BOX, NODE, 1),
        region_id(BLOB, BOX, "shoe"),
        region_id(BLOB, BOX, None),
        region_id(BLOB, b"", NODE),
        node_id("a", "b/c"),
        node_id("a", "b/c", 1),
        node_id("a/b", "c"),
    ]
    assert all(len(found) == 16 for found in ids)
    assert all(one != other for one, other in combinations(ids, 2))


def test_what_stands_for_an_image() -> None:
    assert image_anchor(Image(blob=blob_ref(BLOB), hash="md5:0"), "k") == BLOB
    assert image_anchor(Image(hash="md5:0", uri="s3://a"), "k") == "md5:0"
    assert image_anchor(Image(uri="s3://a"), "k") == "s3://a"
    assert image_anchor(Image(), "k") == "k"


def test_a_new_region_takes_the_first_free_ordinal() -> None:
    region = Region(
        id=NODE, geometries={"box": Box(1, 2, 3, 4)}, labels=[Label(task="objects", node=NODE)]
    )
    first = mint_region_id(BLOB, region, set())
    assert first == region_id(BLOB, BOX, NODE, 0)
    assert mint_region_id(BLOB, region, {first}) == region_id(BLOB, BOX, NODE, 1)
    bare = Region(id=NODE, geometries={}, labels=[Label(task="caption", value="x")])
    assert mint_region_id(BLOB, bare, set()) == region_id(BLOB, b"", None, 0)


def test_a_drawn_region_has_an_id_of_its_own() -> None:
    assert len({random_region_id() for _ in range(100)}) == 100


@settings(max_examples=25, deadline=None)
@given(st.lists(regions(), max_size=4))
def test_ids_minted_at_once_are_those_minted_one_by_one(found: list[Region]) -> None:
    taken: set[bytes] = set()
    one_by_one = []
    for region in [*found, *found[:1]]:
        one_by_one.append(mint_region_id("anchor", region, taken))
        taken.add(one_by_one[-1])
    assert mint_region_ids("anchor", [*found, *found[:1]]) == one_by_one
