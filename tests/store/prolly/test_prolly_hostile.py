"""Broken and forged nodes are refused with CorruptError, and `check` finds what reads let pass."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prolly_content import numbered
from prolly_reference import node_bytes, reference

from voyager.errors import CorruptError
from voyager.store.ids import Kind
from voyager.store.objects import MemoryObjects
from voyager.store.prolly import Map, build, check, diff, edit, three_way
from voyager.store.prolly.boundary import boundary_hash
from voyager.store.prolly.node import NodeReader
from voyager.wire import encode

ONE = encode(1)


class Forge(MemoryObjects):
    """A store that nodes are forged in."""

    def node(self, level: int, entries: Iterable[tuple[bytes, int, bytes]]) -> bytes:
        """A node of (key, rows below, encoded value or id of a child)."""
        cells = [
            (key, count, reference(value) if level else value) for key, count, value in entries
        ]
        return self.put(Kind.NODE, node_bytes(level, cells))

    def leaf(self, *keys: bytes) -> bytes:
        return self.node(0, [(key, 1, ONE) for key in keys])


def read_everything(objects: MemoryObjects, root: bytes, other: bytes) -> None:
    """Every way to read a map."""
    tree = Map(objects, root)
    list(tree.items())
    list(tree.children())
    list(tree.walk())
    list(tree.get_many([b"a", b"b", b"c"]))
    for key in (b"a", b"b", b"c", b"d"):
        tree.get(key)
        tree.rank(key)
    for n in range(min(len(tree), 50)):
        tree.nth(n)
    list(diff(objects, root, other))
    list(three_way(objects, other, root, other))
    edit(objects, root, [(b"b", None), (b"bb", ONE)])


BAD_NODES: dict[str, object] = {
    "no map": [1, 2],
    "no keys": {"l": 0, "v": []},
    "no level": {"k": [], "v": []},
    "fewer values than keys": {"k": [b"a", b"b"], "l": 0, "v": [1]},
    "text for a key": {"k": ["a"], "l": 0, "v": [1]},
    "empty key": {"k": [b""], "l": 0, "v": [1]},
    "keys fall": {"k": [b"b", b"a"], "l": 0, "v": [1, 2]},
    "a key twice": {"k": [b"a", b"a"], "l": 0, "v": [1, 2]},
    "counts in a leaf": {"c": [1], "k": [b"a"], "l": 0, "v": [1]},
    "no counts above a leaf": {"k": [b"a"], "l": 1, "v": [1]},
    "nothing above a leaf": {"c": [], "k": [], "l": 1, "v": []},
    "a count of nothing": {"c": [0], "k": [b"a"], "l": 1, "v": [msgpack.ExtType(2, bytes(32))]},
    "a count below zero": {"c": [-1], "k": [b"a"], "l": 1, "v": [msgpack.ExtType(2, bytes(32))]},
    "a huge count": {"c": [2**60], "k": [b"a"], "l": 1, "v": [msgpack.ExtType(2, bytes(32))]},
    "level 16": {"c": [1], "k": [b"a"], "l": 16, "v": [msgpack.ExtType(2, bytes(32))]},
    "level below zero": {"k": [b"a"], "l": -1, "v": [1]},
    "level of text": {"k": [b"a"], "l": "0", "v": [1]},
    "no reference": {"c": [1], "k": [b"a"], "l": 1, "v": [1]},
    "a blob for a child": {"c": [1], "k": [b"a"], "l": 1, "v": [msgpack.ExtType(1, bytes(32))]},
    "a short reference": {"c": [1], "k": [b"a"], "l": 1, "v": [msgpack.ExtType(2, bytes(31))]},
    "a child that is missing": {
        "c": [1],
        "k": [b"a"],
        "l": 1,
        "v": [msgpack.ExtType(2, bytes(32))],
    },
    "a row that is missing": {"k": [b"a"], "l": 0, "v": [msgpack.ExtType(2, bytes(32))]},
    "too many bytes": {"k": [b"a"], "l": 0, "v": ["x" * 20_000]},
}


@pytest.mark.parametrize("fault", BAD_NODES)
def test_bad_nodes_are_refused(fault: str) -> None:
    objects = MemoryObjects()
    other = build(objects, numbered(10).items())
    root = objects.put(Kind.NODE, msgpack.packb(BAD_NODES[fault]))
    with pytest.raises(CorruptError):
        read_everything(objects, root, other)
    assert list(check(objects, root))
    assert list(check(objects, root, known=other))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x83\xa1k\x90\xa1l\x00\xa1v\x90x",
        b"\x83\xa1k\xdd\xff\xff\xff\xff",
        b"\x83\xa1k\x91\xc4\x01a\xa1l\x00\xa1v\x91" + b"\x91" * 15_000,
    ],
    ids=["nothing", "reserved byte", "trailing", "cut short", "nested"],
)
def test_bytes_that_are_no_node_are_refused(data: bytes) -> None:
    objects = MemoryObjects()
    root = objects.put(Kind.NODE, data)
    with pytest.raises(CorruptError, match=root.hex()):
        len(Map(objects, root))


def test_a_root_of_another_kind_is_refused() -> None:
    objects = MemoryObjects()
    root = objects.put(Kind.ROW, node_bytes(0, []))
    with pytest.raises(CorruptError, match="expected a node"):
        len(Map(objects, root))


def wrong_level(forge: Forge) -> bytes:
    return forge.node(2, [(b"b", 2, forge.leaf(b"a", b"b"))])


def wrong_last_key(forge: Forge) -> bytes:
    return forge.node(1, [(b"c", 2, forge.leaf(b"a", b"b"))])


def wrong_count(forge: Forge) -> bytes:
    return forge.node(1, [(b"b", 3, forge.leaf(b"a", b"b"))])


@pytest.mark.parametrize("make", [wrong_level, wrong_last_key, wrong_count])
def test_a_child_that_is_not_what_its_parent_says_is_refused(
    make: Callable[[Forge], bytes],
) -> None:
    forge = Forge()
    root = make(forge)
    with pytest.raises(CorruptError, match="its parent says"):
        list(Map(forge, root).items())
    assert list(check(forge, root))


def overlap(forge: Forge) -> bytes:
    leaves = forge.leaf(b"a", b"c"), forge.leaf(b"b", b"d")
    return forge.node(1, [(b"c", 2, leaves[0]), (b"d", 2, leaves[1])])


def split_too_early(forge: Forge) -> bytes:
    leaves = forge.leaf(b"a", b"b"), forge.leaf(b"c", b"d")
    return forge.node(1, [(b"b", 2, leaves[0]), (b"d", 2, leaves[1])])


def natural_end_inside(forge: Forge) -> bytes:
    keys = sorted(
        key for key in (b"%04d" % n for n in range(2000)) if boundary_hash(0, key) < b"\2"
    )
    return forge.leaf(*keys[:2])


def too_large(forge: Forge) -> bytes:
    return forge.node(0, [(b"a", 1, encode("x" * 9000)), (b"b", 1, encode("x" * 8000))])


def too_high(forge: Forge) -> bytes:
    return forge.node(1, [(b"a", 1, forge.leaf(b"a"))])


def short_row_outside(forge: Forge) -> bytes:
    return forge.node(0, [(b"a", 1, reference(forge.put(Kind.ROW, ONE)))])


def reference_for_a_row(forge: Forge) -> bytes:
    return forge.node(0, [(b"a", 1, msgpack.packb(msgpack.ExtType(1, bytes(32))))])


def long_integer_in_a_row(forge: Forge) -> bytes:
    return forge.node(0, [(b"a", 1, b"\xcd\x00\x01")])


def long_key(forge: Forge) -> bytes:
    return forge.leaf(b"k" * 1025)


def unknown_field(forge: Forge) -> bytes:
    return forge.put(Kind.NODE, msgpack.packb({"k": [b"a"], "l": 0, "v": [1], "w": 1}))


def fields_out_of_order(forge: Forge) -> bytes:
    return forge.put(Kind.NODE, msgpack.packb({"l": 0, "k": [b"a"], "v": [1]}))


@pytest.mark.parametrize(
    "make",
    [
        overlap,
        split_too_early,
        natural_end_inside,
        too_large,
        too_high,
        short_row_outside,
        reference_for_a_row,
        long_integer_in_a_row,
        long_key,
        unknown_field,
        fields_out_of_order,
    ],
)
def test_check_finds_what_breaks_the_rules(make: Callable[[Forge], bytes]) -> None:
    forge = Forge()
    root = make(forge)
    assert list(check(forge, root))
    known = build(forge, numbered(200).items())
    assert list(check(forge, root, known=known))
    assert list(check(forge, known)) == []


def test_check_names_the_node_that_is_cut_wrong() -> None:
    """One leaf of a map is cut in two where the rule does not cut it."""
    forge = Forge()
    right = build(forge, numbered(2000).items())
    nodes = NodeReader(forge)
    root = nodes.load(right)
    victim = nodes.child(root, 3)
    halves = [victim.part(0, 4), victim.part(4)]
    entries = list(
        zip(root.keys, root.counts, [bytes(cell)[3:] for cell in root.cells], strict=True)
    )
    cut = [
        forge.node(0, zip(half.keys, half.counts, map(bytes, half.cells), strict=True))
        for half in halves
    ]
    entries[3:4] = [
        (half.last_key, len(half.keys), node_id) for half, node_id in zip(halves, cut, strict=True)
    ]
    wrong = forge.node(1, entries)
    assert dict(Map(forge, wrong).items()) == numbered(2000)
    for known in (None, right):
        problems = list(check(forge, wrong, known=known))
        assert [node_id.hex() in " ".join(problems) for node_id in cut] == [True, True]
        assert root.id.hex() in problems[0]
        assert len(problems) == 3


def test_a_forged_map_that_refers_to_nodes_again_and_again_ends_soon() -> None:
    """Every level takes all nodes of the level below twice: 2**14 paths lead to each leaf."""
    forge = Forge()
    keys = [b"%02d" % n for n in range(20)]
    row_counts = [1] * len(keys)
    nodes = [forge.leaf(key) for key in keys]
    for level in range(1, 15):
        entries = list(zip(keys, row_counts, nodes, strict=True))
        nodes = [forge.node(level, entries[: at + 1]) for at in range(len(keys))]
        row_counts = [sum(row_counts[: at + 1]) for at in range(len(keys))]
    root = nodes[-1]
    other = build(forge, numbered(10).items())
    assert len(list(Map(forge, root).walk())) <= 20 * 15
    for read in (
        lambda: list(Map(forge, root).items()),
        lambda: list(diff(forge, root, other)),
        lambda: list(three_way(forge, other, root, other)),
        lambda: edit(forge, root, [(key, None) for key in keys]),
    ):
        with pytest.raises(CorruptError):
            read()
    assert list(check(forge, root))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_flipped_bytes_raise_nothing_but_corrupt_error(seed: int) -> None:
    random_ = random.Random(seed)
    objects = MemoryObjects()
    root = build(objects, numbered(600).items())
    other = edit(objects, root, [(b"train/000300.jpg", None)])
    victim = random_.choice([node_id for node_id, _ in Map(objects, root).walk()])
    data = bytearray(objects.entries[victim][1])
    for _ in range(random_.choice([1, 2, 8])):
        data[random_.randrange(min(len(data), random_.choice([20, 20_000])))] = random_.randrange(
            256
        )
    objects.entries[victim] = (Kind.NODE, bytes(data))
    with suppress(CorruptError):
        read_everything(objects, root, other)
    list(check(objects, root))
    list(check(objects, other, known=root))
