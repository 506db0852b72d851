"""The shape of a map is a pure function of its content (spec 2.1–2.5)."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prolly_content import Rows, key_pools, numbered, row
from prolly_reference import Reference

from voyager.errors import InvalidDataError
from voyager.store.ids import Kind
from voyager.store.objects import MemoryObjects
from voyager.store.prolly import Map, build, edit
from voyager.store.prolly.boundary import (
    NATURAL,
    Chunker,
    boundary_hash,
    chunk_ends,
    left_bound,
    right_bound,
)
from voyager.store.prolly.node import CHUNK_BYTES, Node, NodeReader, encode, entry_sizes, node_size
from voyager.wire import blob_ref, is_canonical, object_ref
from voyager.wire import encode as encode_row

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "prolly.json").read_text("utf-8"))

GOLDEN = {
    100: "72c1a8173e1faf523ac41d3af2f7f0ba5ad90651b0ebf73afc55b20aefe2ff47",
    10_000: "6882566bbef287faa25f90af93cd2a34ddb4b59146a2b06f84eb431542ac25b9",
}
"""Root ids of `numbered` rows. They may change only with the format (spec 2)."""


def made(rows: Rows) -> tuple[MemoryObjects, bytes]:
    objects = MemoryObjects()
    return objects, build(objects, sorted(rows.items()))


def rows_of(vector: dict[str, Any]) -> Rows:
    rows = {key.encode(): encode_row(value) for key, value in vector.get("rows", [])}
    rows |= {key.encode(): encode_row("x" * count) for key, count in vector.get("strings", [])}
    return rows | numbered(vector.get("numbered", 0))


@pytest.mark.parametrize("vector", VECTORS["maps"], ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    rows = rows_of(vector)
    objects, root = made(rows)
    assert root.hex() == vector["root"] == Reference(rows).root.hex()
    assert len(objects.entries) == vector["objects"]
    if "bytes" in vector:
        assert objects.get(root, Kind.NODE).hex() == vector["bytes"]


@pytest.mark.parametrize("vector", VECTORS["boundary_hashes"], ids=lambda vector: vector["level"])
def test_boundary_hash_is_blake3_of_level_and_key(vector: dict[str, Any]) -> None:
    found = boundary_hash(vector["level"], vector["key"].encode())
    assert found.hex() == vector["hash"]
    assert NATURAL.hex() == "02000000"


@pytest.mark.parametrize("count", GOLDEN)
def test_golden_root(count: int) -> None:
    assert made(numbered(count))[1].hex() == GOLDEN[count]


@pytest.mark.parametrize(("count", "batch"), [(100, 1), (10_000, 97), (10_000, 4000)])
def test_golden_root_in_any_insert_order(count: int, batch: int) -> None:
    rows = list(numbered(count).items())
    random.Random(batch).shuffle(rows)
    objects = MemoryObjects()
    root = build(objects, [])
    for start in range(0, len(rows), batch):
        root = edit(objects, root, sorted(rows[start : start + batch]))
    assert root.hex() == GOLDEN[len(rows)]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    pool=st.sampled_from(sorted(key_pools())),
    payload=st.sampled_from(["tiny", "mixed", "even", "large"]),
    count=st.sampled_from([0, 1, 2, 17, 150, 600]),
)
def test_build_makes_what_the_words_of_the_spec_make(
    seed: int, pool: str, payload: str, count: int
) -> None:
    random_ = random.Random(seed)
    keys = key_pools()[pool]
    keys = random_.sample(keys, min(count, len(keys)))
    rows = {key: row(random_, payload) for key in keys}
    objects, root = made(rows)
    expected = Reference(rows)
    assert root == expected.root
    assert {i: data for i, (_, data) in objects.entries.items()} == expected.objects


# Few different hashes, so that there are ties: four equal bytes are too rare to find real keys.
ENTRIES = st.lists(
    st.tuples(st.sampled_from([0, 2, 3, 4, 200]), st.sampled_from([10, 5000, 17000])), max_size=40
)


@given(ENTRIES, st.lists(st.integers(0, 40), max_size=5))
def test_feeding_in_pieces_cuts_like_feeding_at_once(
    entries: list[tuple[int, int]], pieces: list[int]
) -> None:
    hashes = [bytes([first, 0, 0, 0]) for first, _ in entries]
    sizes = [size for _, size in entries]
    ends = chunk_ends(0, hashes, sizes)
    assert ends == naive_ends(hashes, sizes)
    found: list[int] = []
    start, left = 0, NATURAL
    for stop in sorted(min(piece, len(entries)) for piece in pieces):
        settled = chunk_ends(0, hashes[start:stop], sizes[start:stop], left)[:-1]
        found += [start + end for end in settled]
        if settled:
            start = found[-1]
            left = max(NATURAL, hashes[start - 1])
    found += [start + end for end in chunk_ends(0, hashes[start:], sizes[start:], left)]
    assert found == ends


@given(ENTRIES, st.data())
def test_a_stretch_between_two_cuts_is_cut_like_the_whole(
    entries: list[tuple[int, int]], data: st.DataObject
) -> None:
    hashes = [bytes([first, 0, 0, 0]) for first, _ in entries]
    sizes = [size for _, size in entries]
    ends = chunk_ends(0, hashes, sizes)
    cuts = st.sampled_from([0, *ends[:-1]])
    start, stop = sorted([data.draw(cuts), data.draw(cuts)])
    left = left_bound(hashes[start - 1]) if start else NATURAL
    right = right_bound(hashes[stop - 1]) if stop else NATURAL
    found = chunk_ends(0, hashes[start:stop], sizes[start:stop], left, right)
    assert [start + end for end in found] == [end for end in ends if start < end <= stop]


def naive_ends(hashes: list[bytes], sizes: list[int]) -> list[int]:
    """Natural chunks, then recursive splits, as the spec says it."""
    ends = []
    start = 0
    for at, found in enumerate(hashes):
        if found < NATURAL or at == len(hashes) - 1:
            ends += split_ends(hashes, sizes, start, at + 1)
            start = at + 1
    return ends


def split_ends(hashes: list[bytes], sizes: list[int], start: int, stop: int) -> list[int]:
    size = node_size(0, stop - start, sum(sizes[start:stop]))
    if stop - start == 1 or size <= CHUNK_BYTES:
        return [stop]
    cut = min(range(start, stop - 1), key=lambda at: (hashes[at], at)) + 1
    return split_ends(hashes, sizes, start, cut) + split_ends(hashes, sizes, cut, stop)


def test_nodes_are_canonical_and_bounded() -> None:
    rows = {**numbered(3000), b"z" * 1024: encode_row("x" * 16379)}
    objects, root = made(rows)
    nodes = NodeReader(objects)
    for node_id, level in Map(objects, root).walk():
        data = objects.get(node_id, Kind.NODE)
        node = nodes.load(node_id)
        assert is_canonical(data)
        assert (node.level, node.size) == (level, len(data))
        assert len(data) <= CHUNK_BYTES or len(node.keys) == 1


@pytest.mark.parametrize("count", [1, 15, 16, 300])
@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("key_bytes", [6, 255, 256, 1024])
def test_the_size_of_a_node_is_known_before_it_is_encoded(
    count: int, level: int, key_bytes: int
) -> None:
    counts = [10 ** (at % 11) for at in range(count)] if level else [1] * count
    keys = [b"%06d" % at + b"k" * (key_bytes - 6) for at in range(count)]
    chunker = Chunker(level)
    chunker.extend(Node(level, keys, counts, [encode_row(object_ref(bytes(32)))] * count))
    for chunk in chunker.finish():
        assert len(chunk.keys) == 1 or len(encode(chunk)) <= CHUNK_BYTES
    node = Node(level, keys, counts, [encode_row(None)] * count)
    assert node_size(level, count, sum(entry_sizes(node))) == len(encode(node))


def test_keys_that_all_end_a_chunk_make_leaves_of_one_row() -> None:
    keys = key_pools()["all natural"]
    objects, root = made({key: encode_row(1) for key in keys})
    levels = [level for _, level in Map(objects, root).walk()]
    assert levels.count(0) == len(keys)
    assert max(levels) < 4


def test_keys_that_never_end_a_chunk_make_no_large_leaf() -> None:
    objects, _ = made({key: encode_row(1) for key in key_pools()["never natural"]})
    leaves = [len(data) for _, data in objects.entries.values()]
    assert max(leaves) <= CHUNK_BYTES


def test_a_long_row_lies_outside_its_leaf() -> None:
    inside, outside = encode_row("x" * (CHUNK_BYTES - 3)), encode_row("x" * (CHUNK_BYTES - 2))
    assert len(inside) == CHUNK_BYTES
    objects, root = made({b"a": inside, b"b": outside, b"c": inside})
    kinds = [kind for kind, _ in objects.entries.values()]
    assert kinds.count(Kind.ROW) == 1
    assert dict(Map(objects, root).items()) == {b"a": inside, b"b": outside, b"c": inside}


def test_a_row_over_16_mib_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="b'long'"):
        made({b"long": encode_row(bytes(16 * 1024 * 1024))})


@pytest.mark.parametrize("value", [b"", encode_row(blob_ref(bytes(32))), b"\xd4\x01\x00"])
def test_what_is_no_row_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidDataError, match="b'key'"):
        made({b"key": value})
    objects, root = made({b"other": encode_row(1)})
    with pytest.raises(InvalidDataError, match="b'key'"):
        edit(objects, root, [(b"key", value)])


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ([b"b", b"a"], "b'a' follows b'b'"),
        ([b"a", b"a"], "b'a' follows b'a'"),
        ([b""], "b''"),
        ([b"a", b"k" * 1025], "b'kkkk"),
    ],
)
def test_keys_that_do_not_fit_are_refused(keys: list[bytes], named: str) -> None:
    objects, root = made(numbered(10))
    items = [(key, encode_row(1)) for key in keys]
    with pytest.raises(InvalidDataError, match=named):
        build(objects, items)
    with pytest.raises(InvalidDataError, match=named):
        edit(objects, root, items)
    with pytest.raises(InvalidDataError, match=named):
        edit(objects, build(objects, []), items)


class Discarding(MemoryObjects):
    """Makes ids and forgets the bytes."""

    def put(self, kind: Kind, data: bytes) -> bytes:
        object_id = super().put(kind, data)
        self.entries.clear()
        return object_id


@pytest.mark.parametrize("pool", ["any", "never natural"])
def test_building_holds_no_rows(pool: str) -> None:
    keys = key_pools()[pool]
    payload = "x" * 400

    def items() -> Iterator[tuple[bytes, bytes]]:
        for key in keys:
            yield key, encode_row({"key": key, "x": payload})

    tracemalloc.start()
    try:
        build(Discarding(), items())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20 < len(keys) * 400 / 5
