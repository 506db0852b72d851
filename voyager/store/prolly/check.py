"""Proving that a map is the one map of its content, for fsck and fetch (spec 2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from voyager import wire
from voyager.errors import CorruptError, InvalidDataError
from voyager.store.ids import Kind, id_of
from voyager.store.objects import ObjectReader
from voyager.store.prolly.builder import build
from voyager.store.prolly.diff import diff
from voyager.store.prolly.edit import edit
from voyager.store.prolly.map import Map


def check(
    objects: ObjectReader, root: bytes, *, known: bytes | None = None, rows: bool = True
) -> Iterator[str]:
    """Yield what is wrong with a map, naming the node or key; nothing when it is right.

    The shape of a map follows from its rows, so the map is made again from them, without storing
    it, and has to get the same id: that settles order, levels, counts, cuts and encoding at once.
    `known` is the root of a map found right before; the cost then follows the difference to it.
    Without `rows` they are taken to be canonical, as they are in nodes that are.
    """
    shadow = _Shadow(objects, keep=known is not None)
    odd_rows: list[bytes] = []
    try:
        if known is None:
            items = Map(objects, root).items()
            made = build(shadow, _noting(odd_rows, items) if rows else items)
        else:
            changes = ((key, row) for key, _, row in diff(objects, known, root))
            made = edit(shadow, known, _noting(odd_rows, changes) if rows else changes)
    except (CorruptError, InvalidDataError) as error:
        yield f"map {root.hex()}: {error}"
        return
    if odd_rows:
        yield f"map {root.hex()}: {len(odd_rows)} rows not canonical, the first of {odd_rows[0]!r}"
    if made != root:
        yield f"map {root.hex()}: its rows make another map, {made.hex()}"
        if known is not None:
            shadow.ids.update(node_id for node_id, _ in Map(objects, known).walk())
        yield from _strangers(Map(objects, root), shadow.ids)


class _Shadow:
    """Takes objects as a store does, and forgets them but for their ids unless told to `keep`."""

    def __init__(self, objects: ObjectReader, *, keep: bool) -> None:
        self.ids: set[bytes] = set()
        self._objects = objects
        self._kept: dict[bytes, bytes] | None = {} if keep else None

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        if self._kept is not None and object_id in self._kept:
            return self._kept[object_id]
        return self._objects.get(object_id, kind)

    def put(self, kind: Kind, data: bytes) -> bytes:
        object_id = id_of(kind, data)
        self.ids.add(object_id)
        if self._kept is not None:
            self._kept[object_id] = data
        return object_id


_Row = TypeVar("_Row", bytes, bytes | None)


def _noting(odd: list[bytes], rows: Iterable[tuple[bytes, _Row]]) -> Iterator[tuple[bytes, _Row]]:
    """Pass rows on and note the keys of those that are not canonical."""
    for key, row in rows:
        if row is not None and not wire.is_canonical(row):
            odd.append(key)
        yield key, row


def _strangers(tree: Map, right: set[bytes]) -> Iterator[str]:
    """Name the lowest nodes that the rows do not give; those above them only follow."""
    strange = [(level, node_id) for node_id, level in tree.walk() if node_id not in right]
    lowest = min(strange, default=(0, b""))[0]
    for level, node_id in strange:
        if level == lowest:
            yield f"node {node_id.hex()} of level {level} is cut or encoded against the rules"
