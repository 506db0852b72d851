"""The nodes that a map has and others have not: what a push sends of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voyager.store.objects import ObjectReader
from voyager.store.prolly.cursor import Cursor
from voyager.store.prolly.node import CACHE_BYTES, Node, NodeReader, StoredNode, ref_id


def new_nodes(
    objects: ObjectReader, old_roots: Sequence[bytes], new_root: bytes
) -> Iterator[StoredNode]:
    """Yield the nodes of a map that none of the old maps has, in key order, a parent before its
    children.

    The cost follows their number: shared nodes stay unread, and so do leaves of the old maps. A
    node that an old map has under another last key cannot be equal, so one path tells.
    """
    if new_root in old_roots:
        return
    nodes = NodeReader(objects, CACHE_BYTES)
    top = nodes.above(new_root)
    olds = [(root, nodes.above(root).level) for root in dict.fromkeys(old_roots)]
    cursors = [
        [Cursor(nodes, root, level) for root, height in olds if height >= level]
        for level in range(top.level + 1)
    ]
    yield from _below(nodes, top, cursors)


def _below(
    nodes: NodeReader, entries: Node, cursors: Sequence[Sequence[Cursor]]
) -> Iterator[StoredNode]:
    for node in nodes.children(_fresh(entries, cursors[entries.level])):
        yield node
        if node.level:
            yield from _below(nodes, node, cursors)


def _fresh(entries: Node, cursors: Sequence[Cursor]) -> Node:
    """The entries that no cursor of their level meets; keys rise from call to call."""
    wanted = [
        at
        for at, (key, cell) in enumerate(zip(entries.keys, entries.cells, strict=True))
        if not any(_has(cursor, key, ref_id(cell)) for cursor in cursors)
    ]
    return entries if len(wanted) == len(entries.keys) else entries.pick(wanted)


def _has(cursor: Cursor, key: bytes, node_id: bytes) -> bool:
    """Whether the level of a cursor has this node, whose last key is `key`."""
    return cursor.seek(key) and cursor.key == key and ref_id(cursor.cell) == node_id
