"""What differs between maps, found without reading the nodes they share."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from voyager.errors import CorruptError
from voyager.store.objects import ObjectReader
from voyager.store.prolly.node import REF_HEAD, Node, NodeReader, StoredNode, empty
from voyager.store.prolly.rows import resolve

Side = dict[bytes, bytes]
"""Nodes of one level of one map, in key order: reference → last key."""


def diff(
    objects: ObjectReader, a: bytes, b: bytes
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield (key, row in a, row in b) where the maps differ, in key order; None is no row.

    The cost follows the number of differences. Raises CorruptError for missing or broken nodes.
    """
    for key, (row_a, row_b) in iter_differing(objects, [a, b]):
        yield key, row_a, row_b


def iter_differing(
    objects: ObjectReader, roots: Sequence[bytes]
) -> Iterator[tuple[bytes, list[bytes | None]]]:
    """Yield (key, the row in each map) where not all maps agree, in key order."""
    nodes = NodeReader(objects)
    tops = [nodes.above(root) for root in roots]
    level = min(top.level for top in tops)
    for key, cells in _descend(nodes, level, [_side_at(nodes, top, level) for top in tops]):
        yield key, [None if cell is None else resolve(objects, cell) for cell in cells]


def _side_at(nodes: NodeReader, top: Node, level: int) -> Side:
    """All entries of one level of a map, where it is higher than the other maps."""
    side = _side(top)
    for above in range(top.level - 1, level - 1, -1):
        side = _expand(nodes, above, side)
    return side


def _side(node: Node) -> Side:
    return dict(zip(map(bytes, node.cells), node.keys, strict=True))


def _expand(nodes: NodeReader, level: int, side: Side) -> Side:
    below: Side = {}
    for ref, key in side.items():
        below.update(_side(_load(nodes, level, ref, key)))
    return below


def _load(...)
