"""Building a map from sorted rows in one pass, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from voyager.errors import InvalidDataError
from voyager.store.bulk import paused_gc
from voyager.store.ids import Kind
from voyager.store.objects import ObjectWriter
from voyager.store.prolly.boundary import Chunker
from voyager.store.prolly.node import (
    CHUNK_BYTES,
    MAX_HEIGHT,
    REF_HEAD,
    Node,
    empty,
    encode,
    put,
)
from voyager.store.prolly.rows import NO_ROW, check_keys, place

BATCH_ROWS = 1000


def build(objects: ObjectWriter, items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write the map of `items` (key, encoded row) and return its root id.

    Keys must rise strictly; each row is one canonical msgpack value, which is not checked here.
    Raises InvalidDataError, naming the key, for keys out of order and for what no map can hold.
    """
    with paused_gc():
        writer = LevelWriter(objects, level=0)
        for leaf in _batches(objects, items):
            writer.extend(leaf)
        return writer.finish()


class LevelWriter:
    """Writes the nodes of one level from its entries, and the levels above from their entries.

    A level holds at most a batch and one chunk. The level above is made when there is a second
    node for it to join, so that the only node of a level becomes the root (spec 2.5).
    """

    def __init__(self, objects: ObjectWriter, level: int) -> None:
        if level >= MAX_HEIGHT:
            raise InvalidDataError(f"a map has at most {MAX_HEIGHT} levels")
        self._objects = objects
        self._level = level
        self._chunker = Chunker(level)
        self._written = empty(level + 1)
        self._upper: LevelWriter | None = None

    def extend(self, entries: Node) -> None:
        """Take the entries that follow."""
        self._chunker.extend(entries)
        self._write(self._chunker.settle())

    def finish(self) -> bytes:
        """Write what is pending and return the id of the root."""
        self._write(self._chunker.finish())
        if self._upper is not None:
            return self._upper.finish()
        if self._written.keys:
            return self._written.cells[0][len(REF_HEAD) :]
        return put_empty(self._objects)

    def _write(self, chunks: list[Node]) -> None:
        for chunk in chunks:
            self._written.append(chunk.last_key, put(self._objects, chunk))
        if self._upper is None and len(self._written.keys) > 1:
            self._upper = LevelWriter(self._objects, self._level + 1)
        if self._upper is not None:
            self._upper.extend(self._written)
            self._written = empty(self._level + 1)


def put_empty(objects: ObjectWriter) -> bytes:
    """Store the map of no rows and return its root id."""
    return objects.put(Kind.NODE, encode(empty(0)))


def _batches(objects: ObjectWriter, items: Iterable[tuple[bytes, bytes]]) -> Iterator[Node]:
    """Gather items into leaves of BATCH_ROWS rows, checked, with long rows stored outside."""
    last = b""
    keys: list[bytes] = []
    cells: list[bytes] = []
    for key, row in items:
        keys.append(key)
        # `place` decides; asking it for every row would double the time of this loop.
        ordinary = len(row) <= CHUNK_BYTES and row[:1] not in NO_ROW
        cells.append(row if ordinary else place(objects, key, row))
        if len(keys) == BATCH_ROWS:
            yield _leaf(last, keys, cells)
            last = keys[-1]
            keys, cells = [], []
    yield _leaf(last, keys, cells)


def _leaf(last: bytes, keys: list[bytes], cells: list[bytes]) -> Node:
    check_keys(last, keys)
    return Node(0, keys, [1] * len(keys), cells)
