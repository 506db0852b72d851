"""What differs between maps, found without reading the nodes they share."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import lt

from voyager.errors import CorruptError
from voyager.store.objects import ObjectReader
from voyager.store.prolly.node import Node, NodeReader, empty
from voyager.store.prolly.rows import resolve


def diff(
    objects: ObjectReader, a: bytes, b: bytes
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield (key, row in a, row in b) where two maps differ, in key order; None is no row.

    The cost follows the number of differences. Raises CorruptError for missing or broken nodes.
    """
    for key, (row_a, row_b) in iter_differing(objects, [a, b]):
        yield key, row_a, row_b


def iter_differing(
    objects: ObjectReader, roots: Sequence[bytes]
) -> Iterator[tuple[bytes, list[bytes | None]]]:
    """Yield (key, the row in each map) where not all maps agree, in key order."""
    nodes = NodeReader(objects, cache_bytes=0)  # no node is asked for twice
    sides = [nodes.above(root) for root in roots]
    level = min(side.level for side in sides)
    sides = [_lowered(nodes, side, level) for side in sides]
    for key, cells in _differing(nodes, sides, b""):
        yield key, [None if cell is None else resolve(objects, cell) for cell in cells]


def _lowered(nodes: NodeReader, side: Node, level: int) -> Node:
    while side.level > level:
        side = _expand(nodes, side, b"")
    return side


def _differing(
    nodes: NodeReader, sides: list[Node], floor: bytes
) -> Iterator[tuple[bytes, list[bytes | None]]]:
    """Compare entries of one level that hold, in each map, all rows between the same two keys.

    `floor` is the lower of these keys.
    """
    sides = _unshared(sides)
    if sides[0].level == 1:
        yield from _differing_rows(nodes.children_side_by_side(sides))
        return
    for part, part_floor in _aligned(sides, floor):
        below = [_expand(nodes, side, part_floor) for side in part]
        yield from _differing(nodes, below, part_floor)


def _expand(nodes: NodeReader, side: Node, floor: bytes) -> Node:
    """The entries of the nodes that the entries of `side` stand for."""
    below = empty(side.level - 1)
    for at in range(len(side.keys)):
        below.extend(nodes.child(side, at))
    # So a node comes up once on its level at most, however often a forged map refers to it.
    if not all(map(lt, [floor, *below.keys], below.keys)):
        raise CorruptError(f"keys of a map do not rise behind {floor!r}")
    return below


def _unshared(sides: list[Node]) -> list[Node]:
    """Leave out the nodes that all sides have: the rows below them differ nowhere."""
    if _same_keys(sides):
        unequal = _unequal_cells(sides)
        return [side.pick(unequal) for side in sides]
    refs = [list(map(bytes, side.cells)) for side in sides]
    shared = set(refs[0]).intersection(*refs[1:])
    return [
        side.pick([at for at, ref in enumerate(cells) if ref not in shared])
        for side, cells in zip(sides, refs, strict=True)
    ]


def _same_keys(sides: list[Node]) -> bool:
    return all(side.keys == sides[0].keys for side in sides[1:])


def _unequal_cells(sides: list[Node]) -> list[int]:
    """Where sides of the same keys have different cells."""
    found: set[int] = set()
    for side in sides[1:]:
        pairs = enumerate(zip(sides[0].cells, side.cells, strict=True))
        found.update(at for at, (cell, other) in pairs if cell != other)
    return sorted(found)


def _aligned(sides: list[Node], floor: bytes) -> Iterator[tuple[list[Node], bytes]]:
    """Split the sides behind each key that all of them have; yield (parts, the key before)."""
    starts = [0] * len(sides)
    for meeting in sorted(set(sides[0].keys).intersection(*(side.keys for side in sides[1:]))):
        ends = [bisect_right(side.keys, meeting) for side in sides]
        yield [side.part(*span) for side, *span in zip(sides, starts, ends, strict=True)], floor
        starts, floor = ends, meeting
    tails = [side.part(start) for side, start in zip(sides, starts, strict=True)]
    if any(tail.keys for tail in tails):
        yield tails, floor


def _differing_rows(sides: Sequence[Iterator[Node]]) -> Iterator[tuple[bytes, list[bytes | None]]]:
    """Merge leaf by leaf: compare the rows up to the lowest last key, then those behind it."""
    end = empty(0)
    heads = [next(side, end) for side in sides]
    while any(head.keys for head in heads):
        limit = min(head.last_key for head in heads if head.keys)
        stops = [bisect_right(head.keys, limit) for head in heads]
        parts = [head.part(0, stop) for head, stop in zip(heads, stops, strict=True)]
        yield from _unequal_rows(parts)
        heads = [
            head.part(stop) if stop < len(head.keys) else next(side, end)
            for head, stop, side in zip(heads, stops, sides, strict=True)
        ]


def _unequal_rows(sides: list[Node]) -> Iterator[tuple[bytes, list[bytes | None]]]:
    if _same_keys(sides):
        for at in _unequal_cells(sides):
            yield sides[0].keys[at], [side.cells[at] for side in sides]
        return
    rows = [dict(zip(side.keys, side.cells, strict=True)) for side in sides]
    for key in sorted(set().union(*rows)):
        cells = [row.get(key) for row in rows]
        if any(cell != cells[0] for cell in cells[1:]):
            yield key, cells
