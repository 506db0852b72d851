"""The nodes that only one map has, against sets of all nodes."""

from __future__ import annotations

import random

from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from prolly_content import Reads, after, key_pools, numbered, row

from voyager.store.objects import MemoryObjects
from voyager.store.prolly import Map, build, edit, new_nodes
from voyager.wire import encode


def all_nodes(objects: MemoryObjects, root: bytes) -> set[bytes]:
    return {node_id for node_id, _ in Map(objects, root).walk()}


@examples(20, deep=400)
@given(
    st.integers(0, 2**32),
    st.sampled_from(sorted(key_pools())),
    st.sampled_from(["tiny", "mixed", "large"]),
    st.lists(st.sampled_from([0, 1, 30, 700]), min_size=1, max_size=3),
)
def test_like_sets(seed: int, pool_name: str, payload: str, counts: list[int]) -> None:
    random_ = random.Random(seed)
    pool = key_pools()[pool_name]
    base = {key: row(random_, payload) for key in random_.sample(pool, min(600, len(pool)))}
    objects = MemoryObjects()
    roots = [build(objects, sorted(base.items())), build(objects, [])]
    for count in counts:
        keys = random_.sample(pool, min(count, len(pool)))
        changed = after(base, [(key, row(random_, payload)) for key in keys[::2]])
        changed = after(changed, [(key, None) for key in keys[1::2]])
        roots.append(build(objects, sorted(changed.items())))
    *old, new = random_.sample(roots, len(roots))
    found = [node.id for node in new_nodes(objects, old, new)]
    known: set[bytes] = set().union(*(all_nodes(objects, root) for root in old))
    assert set(found) == all_nodes(objects, new) - known
    assert len(found) == len(set(found))


def test_everything_is_new_without_an_old_map() -> None:
    objects = MemoryObjects()
    root = build(objects, sorted(numbered(5_000).items()))
    found = [(node.id, node.level) for node in new_nodes(objects, [], root)]
    assert dict(found) == dict(Map(objects, root).walk())
    assert list(new_nodes(objects, [root], root)) == []


def test_maps_of_different_height() -> None:
    objects = MemoryObjects()
    high = build(objects, numbered(20_000).items())
    low = build(objects, numbered(30).items())
    assert {node.id for node in new_nodes(objects, [low], high)} == all_nodes(objects, high)
    assert {node.id for node in new_nodes(objects, [high], low)} == all_nodes(objects, low)


def test_few_reads_for_few_changes() -> None:
    rows = numbered(20_000)
    objects = MemoryObjects()
    old = build(objects, rows.items())
    changes = [(key, encode({"n": 1})) for key in sorted(rows)[::4_000]]
    new = edit(objects, old, changes)
    reads = Reads(objects)
    found = list(new_nodes(reads, [old], new))
    assert len(found) < 20
    assert len(reads.kinds) < 35
