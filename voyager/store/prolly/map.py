"""Reading a map: lookup, ranges, positions and folders."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from voyager.errors import InvalidDataError
from voyager.store.objects import ObjectReader
from voyager.store.prolly.cursor import Cursor
from voyager.store.prolly.node import CACHE_BYTES, NodeReader, StoredNode, ref_id
from voyager.store.prolly.rows import resolve, resolve_all


class Map:
    """An immutable sorted map from key to encoded row, by its root id.

    It keeps the nodes it read last, `cache_bytes` of them. Every method raises CorruptError when
    a node is missing or broken. Loops over many rows run faster inside `paused_gc`.
    """

    def __init__(
        self, objects: ObjectReader, root: bytes, *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.root = root
        self._objects = objects
        self._nodes = NodeReader(objects, cache_bytes)

    def __repr__(self) -> str:
        return f"Map({self.root.hex()})"

    def __len__(self) -> int:
        """The number of rows, from the root alone."""
        return self._nodes.above(self.root).counts[0]

    def __iter__(self) -> Iterator[bytes]:
        return self.keys()

    def __contains__(self, key: bytes) -> bool:
        return self._find(key) is not None

    def get(self, key: bytes) -> bytes | None:
        """The row of a key, None when there is none."""
        found = self._find(key)
        return None if found is None else resolve(self._objects, found[0].cells[found[1]])

    def get_many(self, keys: Iterable[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield (key, row or None) for keys in order; cheaper than as many `get`.

        Raises InvalidDataError when a key is below the one before.
        """
        cursor = Cursor(self._nodes, self.root)
        last = b""
        for key in keys:
            if key < last:
                raise InvalidDataError(f"keys must rise, {key!r} follows {last!r}")
            there = cursor.seek(key) and cursor.key == key
            yield key, resolve(self._objects, cursor.cell) if there else None
            last = key

    def items(self, start: bytes = b"", stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, row) with start <= key < stop, in key order."""
        for leaf, first, end in self._spans(start, stop):
            cells = resolve_all(self._objects, leaf.cells[first:end])
            yield from zip(leaf.keys[first:end], cells, strict=True)

    def keys(self, start: bytes = b"", stop: bytes | None = None) -> Iterator[bytes]:
        """Yield the keys with start <= key < stop, in order."""
        for leaf, first, end in self._spans(start, stop):
            yield from leaf.keys[first:end]

    def children(
        self, prefix: bytes = b"", separator: bytes = b"/"
    ) -> Iterator[tuple[bytes, bool]]:
        """List a folder: yield (name, is a folder) of what lies directly below `prefix`.

        `prefix` is empty or ends with the separator. The order is that of the keys, so a folder
        sorts as if its name ended with the separator. A folder's content is skipped, not read.
        """
        cursor = Cursor(self._nodes, self.root)
        there = cursor.seek(prefix)
        while there and cursor.key.startswith(prefix):
            name, slash, _ = cursor.key[len(prefix) :].partition(separator)
            yield name, bool(slash)
            if slash:
                beyond = after_prefix(prefix + name + separator)
                there = beyond is not None and cursor.seek(beyond)
            else:
                there = cursor.forward()

    def nth(self, n: int) -> tuple[bytes, bytes]:
        """The (key, row) with `n` keys before it; IndexError outside 0 <= n < len."""
        if not 0 <= n < len(self):
            raise IndexError(f"row {n} of {len(self)}")
        node = self._nodes.load(self.root)
        while node.level > 0:
            ends = list(accumulate(node.counts))
            at = bisect_right(ends, n)
            n -= ends[at] - node.counts[at]
            node = self._nodes.child(node, at)
        return node.keys[n], resolve(self._objects, node.cells[n])

    def rank(self, key: bytes) -> int:
        """The number of keys below `key`."""
        rank = 0
        node = self._nodes.load(self.root)
        while True:
            at = bisect_left(node.keys, key)
            rank += sum(node.counts[:at])
            if node.level == 0 or at == len(node.keys):
                return rank
            node = self._nodes.child(node, at)

    def walk(self, seen: set[bytes] | None = None) -> Iterator[tuple[bytes, int]]:
        """Yield (node id, level) of every node, a parent before its children; leaves stay unread.

        Nodes in `seen` are left out with everything below them; those yielded are added to it.
        """
        seen = set() if seen is None else seen
        top = self._nodes.above(self.root)
        waiting = [(self.root, top.level - 1, top.last_key)]
        while waiting:
            node_id, level, last_key = waiting.pop()
            if node_id in seen:
                continue
            seen.add(node_id)
            yield node_id, level
            if level > 0:
                node = self._nodes.load(node_id)
                node.expect(level, last_key)
                below = zip(map(ref_id, node.cells), node.keys, strict=True)
                waiting += [(child, level - 1, key) for child, key in below][::-1]

    def _find(self, key: bytes) -> tuple[StoredNode, int] | None:
        node = self._nodes.load(self.root)
        while True:
            at = bisect_left(node.keys, key)
            if at == len(node.keys):
                return None
            if node.level == 0:
                return (node, at) if node.keys[at] == key else None
            node = self._nodes.child(node, at)

    def _spans(self, start: bytes, stop: bytes | None) -> Iterator[tuple[StoredNode, int, int]]:
        """Yield each leaf with rows in the range, and the indices where these begin and end."""
        cursor = Cursor(self._nodes, self.root, level=1)
        more = cursor.seek(start)
        while more:
            leaf = cursor.child()
            first = bisect_left(leaf.keys, start)
            end = len(leaf.keys) if stop is None else bisect_left(leaf.keys, stop)
            yield leaf, first, end
            more = end == len(leaf.keys) and cursor.forward()


def after_prefix(prefix: bytes) -> bytes | None:
    """The least key above all that begin with `prefix`; None when there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
