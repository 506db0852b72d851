"""Editing a map gives what building its new content gives, and writes little."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prolly_content import Reads, Rows, after, key_pools, numbered, row

from voyager.errors import InvalidDataError
from voyager.store.objects import MemoryObjects
from voyager.store.prolly import Map, build, check, edit
from voyager.store.prolly.node import CHUNK_BYTES, NodeReader
from voyager.wire import encode as encode_row

Changes = dict[bytes, bytes | None]


def root_of(rows: Rows) -> bytes:
    return build(MemoryObjects(), sorted(rows.items()))


def some_changes(random_: random.Random, rows: Rows, pool: list[bytes], payload: str) -> Changes:
    """Upserts and deletes of single keys, of a whole stretch, or of the end of the map."""
    present = sorted(rows)
    deleting = random_.choice([0.1, 0.5, 0.9])
    changes: Changes = {}
    for _ in range(random_.choice([1, 2, 5, 30, 300])):
        key = random_.choice(present if present and random_.random() < 0.5 else pool)
        changes[key] = None if random_.random() < deleting else row(random_, payload)
    style = random_.choice(["scattered", "scattered", "stretch", "end", "all small"])
    if style == "stretch" and present:
        start = random_.randrange(len(present))
        changes |= dict.fromkeys(present[start : start + random_.choice([10, 100, 3000])])
    elif style == "end":
        changes |= dict.fromkeys(present[-3:])
    elif style == "all small":
        changes |= {key: encode_row(1) for key in present if random_.random() < 0.9}
    return changes


def edit_at_random(seed: int, pool_name: str, payload: str, count: int, steps: int) -> None:
    random_ = random.Random(seed)
    pool = key_pools()[pool_name]
    start = random_.randrange(max(1, len(pool) - count))
    neighbours = pool[start : start + count]
    scattered = random_.sample(pool, min(count, len(pool)))
    rows = {key: row(random_, payload) for key in random_.choice([neighbours, scattered])}
    objects = MemoryObjects()
    root = build(objects, sorted(rows.items()))
    for _ in range(steps):
        changes = some_changes(random_, rows, pool, random_.choice([payload, "tiny"]))
        root = edit(objects, root, sorted(changes.items()))
        rows = after(rows, changes.items())
        assert root == root_of(rows)
        assert dict(Map(objects, root).items()) == rows


POOLS = st.sampled_from(sorted(key_pools()))
PAYLOADS = st.sampled_from(["tiny", "mixed", "even", "large"])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), POOLS, PAYLOADS, st.sampled_from([0, 1, 5, 100, 500]))
def test_edit_equals_build(seed: int, pool: str, payload: str, count: int) -> None:
    edit_at_random(seed, pool, payload, count, steps=3)


@pytest.mark.deep
@settings(max_examples=2500, deadline=None)
@given(st.integers(0, 2**32), POOLS, PAYLOADS, st.sampled_from([0, 1, 5, 100, 600, 3000]))
def test_edit_equals_build_at_length(seed: int, pool: str, payload: str, count: int) -> None:
    edit_at_random(seed, pool, payload, count, steps=6)


@pytest.mark.parametrize("payload", ["tiny", "even", "large"])
def test_each_key_deleted_alone(payload: str) -> None:
    """Among them every last key of a leaf, and of the nodes above."""
    random_ = random.Random(payload)
    rows = {key: row(random_, payload) for key in random_.sample(key_pools()["any"], 300)}
    objects = MemoryObjects()
    root = build(objects, sorted(rows.items()))
    for key in rows:
        less = {other: value for other, value in rows.items() if other != key}
        assert edit(objects, root, [(key, None)]) == root_of(less)


def test_leaves_merge_across_their_ends_when_rows_shrink() -> None:
    rows = numbered(2000)
    objects = MemoryObjects()
    root = build(objects, rows.items())
    keys = sorted(rows)
    for start in range(0, 2000, 100):
        changes = {key: encode_row(0) for key in keys[start : start + 90]}
        rows |= changes
        root = edit(objects, root, changes.items())
        assert root == root_of(rows)


def sized(length: int) -> bytes:
    return encode_row("x" * length)


def leaf_count(rows: Rows) -> int:
    objects = MemoryObjects()
    return sum(level == 0 for _, level in Map(objects, build(objects, sorted(rows.items()))).walk())


@pytest.mark.parametrize("seed", range(12))
def test_at_the_very_length_of_a_row_at_which_leaves_merge(seed: int) -> None:
    """A byte decides here, so no test of the window may be off by one node's own fields."""
    random_ = random.Random(seed)
    keys = random_.sample(key_pools()["never natural"], 40)
    rows = {key: sized(random_.randrange(300, 1200)) for key in keys}
    victim = random_.choice(keys)
    low, high = 300, 8000
    if leaf_count(rows | {victim: sized(low)}) == leaf_count(rows | {victim: sized(high)}):
        high = 16_000
    while high - low > 1:
        middle = (low + high) // 2
        same = leaf_count(rows | {victim: sized(middle)}) == leaf_count(rows | {victim: sized(low)})
        low, high = (middle, high) if same else (low, middle)
    objects = MemoryObjects()
    lengths = range(low - 40, low + 40)
    roots = {
        length: build(objects, sorted((rows | {victim: sized(length)}).items()))
        for length in lengths
    }
    assert leaf_count(rows | {victim: sized(low)}) != leaf_count(rows | {victim: sized(high)})
    for length in lengths:
        for before in (low - 40, low, low + 1, low + 39):
            assert edit(objects, roots[before], [(victim, sized(length))]) == roots[length]


def test_a_map_is_emptied_and_filled_again() -> None:
    rows = numbered(3000)
    objects = MemoryObjects()
    root = build(objects, rows.items())
    nothing = edit(objects, root, [(key, None) for key in rows])
    assert nothing == build(objects, [])
    assert edit(objects, nothing, rows.items()) == root
    last = max(rows)
    one = edit(objects, root, [(key, None) for key in rows if key != last])
    assert one == root_of({last: rows[last]})


def test_what_changes_nothing_returns_the_same_root_and_writes_nothing() -> None:
    rows = {**numbered(2000), b"v/long": encode_row("x" * 20_000)}
    objects = MemoryObjects()
    root = build(objects, rows.items())
    before = dict(objects.entries)
    same = [(key, rows[key]) for key in sorted(rows)[::7]]
    assert edit(objects, root, same) == root
    assert edit(objects, root, [(b"absent", None), (b"v/long", rows[b"v/long"])]) == root
    assert edit(objects, root, []) == root
    empty = build(objects, [])
    assert edit(objects, empty, [(b"absent", None)]) == empty
    del objects.entries[empty]
    assert objects.entries == before


def test_few_edits_write_few_nodes() -> None:
    rows = numbered(20_000)
    objects = MemoryObjects()
    root = build(objects, rows.items())
    before = set(objects.entries)
    random_ = random.Random(1)
    changes = {key: encode_row("y" * 300) for key in random_.sample(sorted(rows), 10)}
    new_root = edit(objects, root, sorted(changes.items()))
    written = objects.entries.keys() - before
    assert written <= {node_id for node_id, _ in Map(objects, new_root).walk()}
    assert len(written) <= 10 * 2 + 1
    assert sum(len(objects.entries[node_id][1]) for node_id in written) < 350_000


def test_a_row_moves_out_of_its_leaf_and_back() -> None:
    rows = numbered(50)
    objects = MemoryObjects()
    root = build(objects, rows.items())
    long_rows = {**rows, b"train/000007.jpg": encode_row("x" * CHUNK_BYTES)}
    out = edit(objects, root, [(b"train/000007.jpg", long_rows[b"train/000007.jpg"])])
    assert out == root_of(long_rows)
    assert edit(objects, out, [(b"train/000007.jpg", rows[b"train/000007.jpg"])]) == root


@pytest.mark.parametrize("place", ["before", "inside", "behind"])
def test_many_rows_go_into_a_small_map(place: str) -> None:
    """More than a window holds at once, so that parts are written before the end is read."""
    middle = numbered(12_000)
    ends = {"before": [b"u", b"v"], "inside": [b"a", b"z"], "behind": [b"a", b"b"]}[place]
    small = {key: encode_row(key) for key in ends}
    objects = MemoryObjects()
    root = edit(objects, build(objects, sorted(small.items())), middle.items())
    assert root == root_of({**middle, **small})
    assert edit(objects, root, [(key, None) for key in middle]) == root_of(small)


def test_bad_changes_write_no_root() -> None:
    objects = MemoryObjects()
    root = build(objects, numbered(100).items())
    with pytest.raises(InvalidDataError, match="follows"):
        edit(objects, root, [(b"b", None), (b"a", None)])


def test_an_edited_map_passes_the_check() -> None:
    objects = MemoryObjects()
    old = build(objects, numbered(2000).items())
    new = edit(objects, old, [(b"train/%06d.jpg" % n, None) for n in range(0, 2000, 50)])
    assert list(check(objects, new)) == []
    assert list(check(objects, new, known=old)) == []
    assert list(check(objects, old, known=new)) == []


def test_nodes_that_are_shared_are_not_read() -> None:
    """An edit reads the path to its leaf and the neighbours that might join it."""
    objects = MemoryObjects()
    root = build(objects, numbered(20_000).items())
    reads = Reads(objects)
    edit(reads, root, [(b"train/010000.jpg", encode_row(1))])
    assert len(reads.kinds) <= 2 * NodeReader(objects).load(root).level + 5
