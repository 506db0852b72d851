"""Differences of two and three maps agree with dicts and cost what they are."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from prolly_content import Reads, Rows, after, key_pools, numbered, row

from voyager.store.ids import Kind
from voyager.store.objects import MemoryObjects
from voyager.store.prolly import build, diff, edit, three_way
from voyager.store.prolly.boundary import NATURAL, boundary_hash
from voyager.wire import encode as encode_row


def expected(*sides: Rows) -> list[tuple[bytes | None, ...]]:
    keys = sorted(set().union(*sides))
    rows = [(key, *(side.get(key) for side in sides)) for key in keys]
    return [found for found in rows if len(set(found[1:])) > 1]


def changed(random_: random.Random, rows: Rows, pool: list[bytes], payload: str) -> Rows:
    keys = random_.sample(pool, min(len(pool), random_.choice([0, 1, 3, 40])))
    present = random_.sample(sorted(rows), min(len(rows), random_.choice([0, 1, 3, 40, 10**6])))
    changes = [(key, row(random_, payload)) for key in keys + present[::2]]
    return after(rows, [*changes, *((key, None) for key in present[1::2])])


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(sorted(key_pools())),
    st.sampled_from(["tiny", "mixed", "even", "large"]),
    st.sampled_from([0, 1, 30, 500]),
)
def test_like_dicts(seed: int, pool_name: str, payload: str, count: int) -> None:
    random_ = random.Random(seed)
    pool = key_pools()[pool_name]
    base = {key: row(random_, payload) for key in random_.sample(pool, min(count, len(pool)))}
    ours = changed(random_, base, pool, payload)
    theirs = changed(random_, random_.choice([base, ours, {}]), pool, payload)
    objects = MemoryObjects()
    roots = [build(objects, sorted(rows.items())) for rows in (base, ours, theirs)]
    assert list(diff(objects, roots[0], roots[1])) == expected(base, ours)
    assert list(diff(objects, roots[2], roots[0])) == expected(theirs, base)
    assert list(three_way(objects, *roots)) == expected(base, ours, theirs)


def test_maps_of_different_height() -> None:
    large, small = numbered(20_000), numbered(30)
    objects = MemoryObjects()
    high, low = (build(objects, rows.items()) for rows in (large, small))
    none = build(objects, [])
    assert list(diff(objects, low, high)) == expected(small, large)
    assert list(diff(objects, high, none)) == expected(large, {})
    assert list(three_way(objects, low, none, high)) == expected(small, {}, large)


def test_long_rows_come_back_whole_and_unchanged_ones_stay_unread() -> None:
    rows = {b"%03d" % n: encode_row("x" * (20_000 + n)) for n in range(100)}
    new_row = encode_row("y" * 30_000)
    objects = MemoryObjects()
    a = build(objects, rows.items())
    b = edit(objects, a, [(b"050", new_row)])
    reads = Reads(objects)
    assert list(diff(reads, a, b)) == [(b"050", rows[b"050"], new_row)]
    assert reads.kinds.count(Kind.ROW) == 2


def test_the_cost_follows_the_changes() -> None:
    rows = numbered(20_000)
    objects = MemoryObjects()
    base = build(objects, rows.items())
    ours = edit(objects, base, [(b"train/005000.jpg", encode_row("ours"))])
    theirs = edit(objects, base, [(b"train/015000.jpg", None)])
    reads = Reads(objects)
    assert [found.key for found in three_way(reads, base, ours, theirs)] == [
        b"train/005000.jpg",
        b"train/015000.jpg",
    ]
    assert len(reads.kinds) < 30
    reads = Reads(objects)
    assert list(diff(reads, base, base)) == []
    assert len(reads.kinds) == 1


def test_a_new_end_of_a_leaf_costs_no_more() -> None:
    """The last keys of the leaves are then not the same on both sides."""
    candidates = (b"train/010000.jpg-%d" % n for n in range(10_000))
    natural = next(key for key in candidates if boundary_hash(0, key) < NATURAL)
    objects = MemoryObjects()
    old = build(objects, numbered(20_000).items())
    new = edit(objects, old, [(natural, encode_row(1))])
    reads = Reads(objects)
    assert list(diff(reads, old, new)) == [(natural, None, encode_row(1))]
    assert len(reads.kinds) < 20


def test_differences_come_one_by_one() -> None:
    """The first is there before the rest is read."""
    objects = MemoryObjects()
    a = build(objects, numbered(20_000).items())
    b = build(objects, [(key, encode_row(0)) for key in numbered(20_000)])
    reads = Reads(objects)
    assert next(diff(reads, a, b))[0] == b"train/000000.jpg"
    assert len(reads.kinds) < 50
