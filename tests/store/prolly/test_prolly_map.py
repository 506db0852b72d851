"""Reading a map agrees with a sorted dict."""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from prolly_content import Reads, Rows, key_pools, numbered, row

from voyager.errors import InvalidDataError
from voyager.store.objects import MemoryObjects
from voyager.store.prolly import Map, build
from voyager.store.prolly.map import after_prefix
from voyager.wire import encode as encode_row


def map_of(rows: Rows) -> Map:
    objects = MemoryObjects()
    return Map(objects, build(objects, sorted(rows.items())))


def tree_rows(seed: int, count: int) -> Rows:
    """Paths of up to three folders, some of them with hundreds of files."""
    random_ = random.Random(seed)
    rows: Rows = {}
    for _ in range(count):
        folders = [
            random_.choice([b"a", b"ab", b"a-b", b"z\xff"]) for _ in range(random_.randrange(3))
        ]
        rows[b"/".join([*folders, b"%04d.jpg" % random_.randrange(2000)])] = row(random_, "mixed")
    return rows


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 40, 700]), st.data())
def test_lookups_and_positions(seed: int, count: int, data: st.DataObject) -> None:
    rows = tree_rows(seed, count)
    tree = map_of(rows)
    keys = sorted(rows)
    assert len(tree) == len(keys)
    assert list(tree) == keys
    asked = sorted(
        {*random.Random(seed).sample(keys, len(keys) // 3), b"", b"a", b"nowhere", b"\xff"}
    )
    for key in asked:
        assert tree.get(key) == rows.get(key)
        assert (key in tree) == (key in rows)
        assert tree.rank(key) == bisect_left(keys, key)
    assert list(tree.get_many(asked)) == [(key, rows.get(key)) for key in asked]
    for n in {0, len(keys) // 2, len(keys) - 1} & set(range(len(keys))):
        assert tree.nth(n) == (keys[n], rows[keys[n]])
    for n in (-1, len(keys)):
        with pytest.raises(IndexError):
            tree.nth(n)


@examples(10, deep=100)
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 40, 700]))
def test_ranges(seed: int, count: int) -> None:
    rows = tree_rows(seed, count)
    tree = map_of(rows)
    items = sorted(rows.items())
    marks = [
        b"",
        b"a",
        b"a/",
        b"b",
        b"zz",
        *random.Random(seed).sample(sorted(rows), len(rows) // 20),
    ]
    for start in marks:
        assert list(tree.items(start)) == [item for item in items if item[0] >= start]
        for stop in marks:
            expected = [item for item in items if start <= item[0] < stop]
            assert list(tree.items(start, stop)) == expected
            assert list(tree.keys(start, stop)) == [key for key, _ in expected]
        assert list(tree.items(start, after_prefix(start))) == [
            item for item in items if item[0].startswith(start)
        ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 40, 700]))
def test_folders(seed: int, count: int) -> None:
    rows = tree_rows(seed, count)
    tree = map_of(rows)
    for prefix in [b"", b"a/", b"a/ab/", b"z\xff/", b"none/"]:
        below = [key.removeprefix(prefix) for key in sorted(rows) if key.startswith(prefix)]
        parts = [key.partition(b"/") for key in below]
        expected = dict.fromkeys((name, bool(slash)) for name, slash, _ in parts)
        assert list(tree.children(prefix)) == list(expected)


def test_a_folder_is_listed_without_reading_what_is_in_its_folders() -> None:
    rows = {b"big/" + key: encode_row("x" * 300) for key in key_pools()["any"][:20_000]}
    rows |= {b"a.jpg": encode_row(1), b"z.jpg": encode_row(2)}
    objects = MemoryObjects()
    reads = Reads(objects)
    tree = Map(reads, build(objects, sorted(rows.items())))
    assert list(tree.children()) == [(b"a.jpg", False), (b"big", True), (b"z.jpg", False)]
    assert len(reads.kinds) < 10


def test_children_by_another_separator() -> None:
    tree = map_of({b"a\xffb": encode_row(1), b"a\xffc": encode_row(1), b"b": encode_row(1)})
    assert list(tree.children(separator=b"\xff")) == [(b"a", True), (b"b", False)]


@pytest.mark.parametrize(
    ("prefix", "after"), [(b"a/", b"a0"), (b"a\xff", b"b"), (b"\xff\xff", None), (b"", None)]
)
def test_after_prefix(prefix: bytes, after: bytes | None) -> None:
    assert after_prefix(prefix) == after


def test_many_keys_out_of_order_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="b'a' follows b'b'"):
        list(map_of({b"a": encode_row(1)}).get_many([b"b", b"a"]))


def test_a_small_cache_gives_the_same_rows() -> None:
    rows = numbered(5000)
    objects = MemoryObjects()
    tree = Map(objects, build(objects, rows.items()), cache_bytes=40_000)
    for key in random.Random(3).sample(sorted(rows), 500):
        assert tree.get(key) == rows[key]


def test_walk_yields_each_node_once_and_skips_what_was_seen() -> None:
    objects = MemoryObjects()
    rows = numbered(20_000)
    tree = Map(objects, build(objects, rows.items()))
    nodes = list(tree.walk())
    assert dict(nodes).keys() == objects.entries.keys()
    assert len(nodes) == len(objects.entries)
    assert nodes[0] == (tree.root, 2)
    child = next(node_id for node_id, level in nodes if level == 1)
    seen = {child}
    rest = list(tree.walk(seen))
    assert 1 < len(rest) < len(nodes) - 100
    assert seen == {child, *dict(rest)}
    assert list(tree.walk(seen)) == []
