"""Changing some rows of a map, writing only the nodes that become other ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from voyager.store.bulk import paused_gc
from voyager.store.objects import ObjectWriter
from voyager.store.prolly.builder import LevelWriter, build, put_empty
from voyager.store.prolly.node import Node, NodeReader, StoredNode
from voyager.store.prolly.rows import check_keys, place
from voyager.store.prolly.window import Change, LevelEdit, apply_changes


def edit(
    objects: ObjectWriter, root: bytes, changes: Iterable[tuple[bytes, bytes | None]]
) -> bytes:
    """Put rows into the map `root`, or delete them (None), and return the new root id.

    The result is what `build` makes of the new content; nodes shared with the old map are not
    written again, and an edit that changes nothing returns `root`. Keys of `changes` must rise
    strictly; deleting an absent key changes nothing. Raises InvalidDataError as `build` does.
    """
    with paused_gc():
        nodes = NodeReader(objects)
        top = nodes.load(root)
        if not top.keys:
            return build(objects, ((key, row) for key, row in _ordered(changes) if row is not None))
        return _edit_levels(objects, nodes, top, _leaf_changes(objects, changes))


def _edit_levels(
    objects: ObjectWriter, nodes: NodeReader, top: StoredNode, changes: Iterable[Change]
) -> bytes:
    """Go up from the leaves: the nodes that a level loses and gains are the changes above it."""
    for level in range(top.level + 1):
        changes = LevelEdit(objects, nodes, top.id, level, changes).run()
        if not changes:
            return top.id
    tops = apply_changes(nodes.above(top.id), list(changes))
    if not tops.keys:
        return put_empty(objects)
    if len(tops.keys) == 1:
        return _lowest_root(nodes, tops)
    writer = LevelWriter(objects, tops.level)
    writer.extend(tops)
    return writer.finish()


def _lowest_root(nodes: NodeReader, tops: Node) -> bytes:
    """Go down while a node has one entry: the only node of a level is the root (spec 2.5).

    The few nodes passed over stay behind unused; a map seldom loses a level.
    """
    node = nodes.child(tops, 0)
    while node.level > 0 and len(node.keys) == 1:
        node = nodes.child(node, 0)
    return node.id


def _ordered(
    changes: Iterable[tuple[bytes, bytes | None]],
) -> Iterator[tuple[bytes, bytes | None]]:
    last = b""
    for key, row in changes:
        check_keys(last, [key])
        yield key, row
        last = key


def _leaf_changes(
    objects: ObjectWriter, changes: Iterable[tuple[bytes, bytes | None]]
) -> Iterator[Change]:
    for key, row in _ordered(changes):
        yield key, None if row is None else (1, place(objects, key, row))
