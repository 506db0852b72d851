"""Nodes of a prolly map: their bytes, their sizes, and a reader that trusts no stored byte."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import lt
from typing import Annotated, cast

import msgspec

from voyager import wire
from voyager.errors import CorruptError
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader, ObjectWriter, get_many

CHUNK_BYTES = 16 * 1024
"""A node of more bytes than this has one entry (spec 2.4); a longer row lies outside (spec 2.3)."""

MAX_KEY_BYTES = 1024
MAX_HEIGHT = 16
MAX_ROWS = 2**53
MAX_NODE_BYTES = CHUNK_BYTES + MAX_KEY_BYTES + 64
"""One entry with the longest row and key, and the node's own fields."""

CACHE_BYTES = 8 * 1024 * 1024

_TOGETHER = 16
"""Nodes that are read ahead of who walks over them."""

REF_HEAD = wire.encode(wire.object_ref(bytes(32)))[:3]
REF_BYTES = 35

Entry = tuple[int, bytes]
"""What stands under a key: (rows below, cell); the cell is a row or a reference to a node."""


class Node(msgspec.Struct, gc=False):
    """Entries of one level in key order, as parallel lists.

    `counts` are the rows under each entry, 1 in a leaf. `cells` are encoded values: in a leaf the
    row or the reference to a long row, above it the reference to the child. Cells that were read
    are `msgspec.Raw` views, which equal no `bytes`; `bytes(cell)` makes them plain.
    """

    level: int
    keys: list[bytes]
    counts: list[int]
    cells: list[bytes]

    def part(self, start: int, stop: int | None = None) -> Node:
        """The entries from `start` up to `stop`, as a node of their own."""
        span = slice(start, stop)
        return Node(self.level, self.keys[span], self.counts[span], self.cells[span])

    def pick(self, wanted: Sequence[int]) -> Node:
        """The entries at these indices, as a node of their own."""
        keys, counts, cells = self.keys, self.counts, self.cells
        return Node(
            self.level,
            [keys[at] for at in wanted],
            [counts[at] for at in wanted],
            [cells[at] for at in wanted],
        )

    def append(self, key: bytes, entry: Entry) -> None:
        self.keys.append(key)
        self.counts.append(entry[0])
        self.cells.append(entry[1])

    def extend(self, entries: Node) -> None:
        self.keys += entries.keys
        self.counts += entries.counts
        self.cells += entries.cells

    def prepend(self, entries: Node) -> None:
        self.keys[:0] = entries.keys
        self.counts[:0] = entries.counts
        self.cells[:0] = entries.cells

    @property
    def last_key(self) -> bytes:
        """The highest key; empty bytes in the node of an empty map."""
        return self.keys[-1] if self.keys else b""


class StoredNode(Node, gc=False):
    """A node as it was read, with its id, the length of its bytes and the rows below it."""

    id: bytes
    size: int
    rows: int

    def expect(self, level: int, last_key: bytes) -> None:
        """Raise CorruptError unless the node is the one that its parent tells of."""
        if self.level != level:
            raise broken(self.id, f"is of level {self.level}, its parent says {level}")
        if self.last_key != last_key:
            raise broken(self.id, f"ends at {self.last_key!r}, its parent says {last_key!r}")


def empty(level: int) -> Node:
    """A node of no entries, to be filled."""
    return Node(level, [], [], [])


# --- bytes (spec 2.2) ---------------------------------------------------------------------------


def encode(node: Node) -> bytes:
    """The canonical bytes of a node; cells are copied in as they are."""
    keys = wire.encoder.encode(node.keys)
    cells = b"".join((_array_head(len(node.cells)), *node.cells))
    if node.level == 0:
        return b"".join((b"\x83\xa1k", keys, b"\xa1l\x00\xa1v", cells))
    counts = wire.encoder.encode(node.counts)
    level = bytes([node.level])
    return b"".join((b"\x84\xa1c", counts, b"\xa1k", keys, b"\xa1l", level, b"\xa1v", cells))


def _array_head(count: int) -> bytes:
    if count < 16:
        return bytes([0x90 + count])
    return b"\xdc" + count.to_bytes(2, "big")


def entry_sizes(entries: Node) -> list[int]:
    """The bytes that each entry adds to its node, the heads of arrays left out."""
    sizes = [
        len(key) + len(cell) + (2 if len(key) < 256 else 3)
        for key, cell in zip(entries.keys, entries.cells, strict=True)
    ]
    if entries.level > 0:
        counts = map(_int_bytes, entries.counts)
        return [size + count for size, count in zip(sizes, counts, strict=True)]
    return sizes


def _int_bytes(number: int) -> int:
    """The length of an unsigned integer in canonical msgpack."""
    if number < 0x80:
        return 1
    if number < 0x100:
        return 2
    return 3 if number < 0x10000 else 5 if number < 0x100000000 else 9


def node_size(level: int, count: int, entries_size: int) -> int:
    """The exact length of a node of `count` entries that add `entries_size` bytes."""
    array_head = 1 if count < 16 else 3
    return entries_size + (8 + 2 * array_head if level == 0 else 10 + 3 * array_head)


def entries_size(level: int, size: int) -> int:
    """The bytes, less 4 at most, that the entries of a node of `size` bytes add to it."""
    return size - node_size(level, 16, 0)


def put(objects: ObjectWriter, node: Node) -> Entry:
    """Store a node and return the entry that stands for it one level up."""
    node_id = objects.put(Kind.NODE, encode(node))
    return sum(node.counts), REF_HEAD + node_id


# --- reading (spec 2.6) -------------------------------------------------------------------------


class _WireNode(msgspec.Struct, gc=False):
    k: list[bytes]
    l: Annotated[int, msgspec.Meta(ge=0, lt=MAX_HEIGHT)]  # noqa: E741 — the name on the wire
    v: list[msgspec.Raw]
    c: list[Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)]] | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.msgpack.Decoder(_WireNode)


def decode(node_id: bytes, data: bytes) -> StoredNode:
    """Read a node; CorruptError unless its parts fit each other and its keys rise."""
    if len(data) > MAX_NODE_BYTES:
        raise broken(node_id, f"has {len(data)} bytes, more than {MAX_NODE_BYTES}")
    try:
        found = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise broken(node_id, f"is not a node: {error}") from error
    if (found.c is msgspec.UNSET) != (found.l == 0):
        raise broken(node_id, "has counts in a leaf, or none above one")
    counts = [1] * len(found.k) if found.c is msgspec.UNSET else found.c
    if not len(found.k) == len(found.v) == len(counts) or (found.l > 0 and not found.k):
        raise broken(node_id, "has parts of different lengths, or is empty above a leaf")
    if not all(map(lt, found.k, islice(found.k, 1, None))) or (found.k and not found.k[0]):
        raise broken(node_id, "has keys that do not rise")
    cells = cast(list[bytes], found.v)
    rows = sum(counts) if found.l else len(counts)
    return StoredNode(found.l, found.k, counts, cells, node_id, len(data), rows)


def broken(node_id: bytes, fault: str) -> CorruptError:
    """The error for a node that breaks a rule."""
    return CorruptError(f"node {node_id.hex()} {fault}")


class NodeReader:
    """Loads nodes, checks each against its parent, and keeps `cache_bytes` of the latest.

    Leaves have one half of that to themselves, or passing by they would drive out the nodes above
    them that every lookup needs.
    """

    def __init__(self, objects: ObjectReader, cache_bytes: int = CACHE_BYTES) -> None:
        self.objects = objects
        self._leaves = _Latest(cache_bytes // 2)
        self._inner = _Latest(cache_bytes // 2)

    def load(self, node_id: bytes) -> StoredNode:
        """The node of an id; CorruptError when it is absent or no node."""
        node = self._inner.get(node_id) or self._leaves.get(node_id)
        if node is None:
            node = decode(node_id, self.objects.get(node_id, Kind.NODE))
            (self._inner if node.level else self._leaves).keep(node)
        return node

    def child(self, parent: Node, at: int) -> StoredNode:
        """The node under entry `at`; CorruptError when the entry says otherwise of it."""
        return self._checked(self.load(ref_id(parent.cells[at])), parent, at)

    def children(self, parent: Node) -> Iterator[StoredNode]:
        """The nodes under all entries, read some at a time; past the cache."""
        return self.children_side_by_side([parent])[0]

    def children_side_by_side(self, parents: Sequence[Node]) -> list[Iterator[StoredNode]]:
        """The children of several nodes, to be taken in step: one of several is read once."""
        uses = Counter(bytes(cell) for parent in parents for cell in parent.cells)
        read: dict[bytes, StoredNode | bytes] = {}
        return [self._children(parent, uses, read) for parent in parents]

    def _children(
        self, parent: Node, uses: Counter[bytes], read: dict[bytes, StoredNode | bytes]
    ) -> Iterator[StoredNode]:
        """`read` holds nodes, or their bytes, that were read and are to be taken still."""
        for start in range(0, len(parent.keys), _TOGETHER):
            cells = list(map(bytes, parent.cells[start : start + _TOGETHER]))
            wanted = [cell for cell in cells if cell not in read]
            data = get_many(self.objects, list(map(ref_id, wanted)), Kind.NODE)
            read.update(zip(wanted, data, strict=True))
            for at, cell in enumerate(cells, start):
                found = read.pop(cell)
                node = decode(ref_id(cell), found) if isinstance(found, bytes) else found
                uses[cell] -= 1
                if uses[cell]:
                    read[cell] = node
                yield self._checked(node, parent, at)

    def _checked(self, node: StoredNode, parent: Node, at: int) -> StoredNode:
        node.expect(parent.level - 1, parent.keys[at])
        if node.rows != parent.counts[at]:
            raise broken(node.id, f"has {node.rows} rows, its parent says {parent.counts[at]}")
        return node

    def size(self, parent: Node, at: int) -> int:
        """The length of the node under entry `at`, unread."""
        node_id = ref_id(parent.cells[at])
        node = self._inner.get(node_id) or self._leaves.get(node_id)
        return len(self.objects.get(node_id, Kind.NODE)) if node is None else node.size

    def above(self, root: bytes) -> Node:
        """The one-entry node that a parent of the root would be: it spares roots a special case."""
        node = self.load(root)
        if node.rows > MAX_ROWS:
            raise broken(root, f"claims {node.rows} rows")
        return Node(node.level + 1, [node.last_key], [node.rows], [msgspec.Raw(REF_HEAD + root)])


class _Latest:
    """The nodes used last, up to a number of encoded bytes but one at least."""

    def __init__(self, room: int) -> None:
        self._nodes: OrderedDict[bytes, StoredNode] = OrderedDict()
        self._room = room

    def get(self, node_id: bytes) -> StoredNode | None:
        node = self._nodes.get(node_id)
        if node is not None:
            try:
                self._nodes.move_to_end(node_id)
            except KeyError:
                self.keep(node)  # another thread has just let it go
        return node

    def keep(self, node: StoredNode) -> None:
        if self._nodes.setdefault(node.id, node) is node:
            self._room -= node.size
        while self._room < 0 and len(self._nodes) > 1:
            self._room += self._nodes.popitem(last=False)[1].size


def ref_id(cell: bytes) -> bytes:
    """The id that the cell of an internal node refers to; CorruptError when it does not."""
    ref = bytes(cell)
    if len(ref) != REF_BYTES or not ref.startswith(REF_HEAD):
        raise CorruptError(f"a node refers to no object: {ref[:REF_BYTES]!r}")
    return ref[len(REF_HEAD) :]
