"""Cutting a level anew around its changed entries, and nowhere else (spec 2.4).

A level is edited in windows: runs of neighbouring chunks, of which at least one holds a changed
entry. A window may begin behind an old cut, and end at one, only where that cut is certain to
stand: it is natural, or what is known of its run is too large by itself. Everything outside then
keeps its cuts, and inside the window `Chunker` finds the cuts of a fresh build. Taking in a chunk
too many costs time and changes nothing, so every test here may answer "not sure".

What the tests lean on: between the ends of a chunk lie only higher hashes than those of both its
ends, so a run that reaches into a chunk holds all of it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from voyager.store.objects import ObjectWriter
from voyager.store.prolly.boundary import (
    NATURAL,
    Chunker,
    boundary_hash,
    left_bound,
    right_bound,
)
from voyager.store.prolly.builder import BATCH_ROWS
from voyager.store.prolly.cursor import Cursor
from voyager.store.prolly.node import (
    CHUNK_BYTES,
    Entry,
    Node,
    NodeReader,
    StoredNode,
    encode,
    entries_size,
    put,
)

Change = tuple[bytes, Entry | None]
"""A key and its new entry; None takes the key away if it is there."""

PENDING = 4 * BATCH_ROWS
"""A window gives up its certain chunks when it holds more entries than this."""


class _Queue:
    """Changes in key order, with a look at the first."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._changes = iter(changes)
        self._next = next(self._changes, None)

    @property
    def key(self) -> bytes | None:
        """The key of the first change that is left."""
        return None if self._next is None else self._next[0]

    def batches(self, upto: bytes | None) -> Iterator[list[Change]]:
        """Take the changes up to and with key `upto` (None: all), a bounded number at a time."""
        batch: list[Change] = []
        while self._next is not None and (upto is None or self._next[0] <= upto):
            batch.append(self._next)
            self._next = next(self._changes, None)
            if len(batch) == BATCH_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch


class LevelEdit:
    """Brings the changes of one level in.

    `settled` is the last key of the window before: whatever follows, that cut stands.
    """

    def __init__(
        self,
        objects: ObjectWriter,
        nodes: NodeReader,
        root: bytes,
        level: int,
        changes: Iterable[Change],
    ) -> None:
        self.objects = objects
        self.nodes = nodes
        self.level = level
        self.queue = _Queue(changes)
        self.settled: bytes | None = None
        self._cursor = Cursor(nodes, root, level + 1)

    def run(self) -> list[Change]:
        """Write the level's new nodes; return the changes of the level above."""
        changes: list[Change] = []
        while self.queue.key is not None:
            self._cursor.seek(self.queue.key)
            window = _Window(self, self._cursor)
            changes += window.run()
            self._cursor = window.last
            self.settled = window.last.key
        return changes


class _Window:
    """Neighbouring chunks, from `first` to `last`, that are cut anew."""

    def __init__(self, level_edit: LevelEdit, start: Cursor) -> None:
        self._edit = level_edit
        self._first = start
        self.last = start.fork()
        self._chunker = Chunker(level_edit.level)
        self._begun = False
        self._old: deque[StoredNode] = deque()
        self._changes: dict[bytes, Entry | None] = {}

    def run(self) -> list[Change]:
        """Cut and write; return the nodes lost and gained, as changes of the level above."""
        self._read()
        if self._stays():
            self._write([self._chunker.pending])
        else:
            self._write(self._cut_anew())
        return sorted(self._changes.items())

    def _cut_anew(self) -> list[Node]:
        self._begin()
        while (right := self._end()) is None:
            self.last.forward()
            self._read()
        return self._chunker.finish(right)

    def _read(self) -> None:
        """Take in the last chunk with its changes; behind the last of a level all are its own."""
        node = self.last.child()
        self._old.append(node)
        self._changes[node.last_key] = None
        done = 0
        for batch in self._edit.queue.batches(None if self.last.is_last() else node.last_key):
            stop = bisect_right(node.keys, batch[-1][0], done)
            self._feed(apply_changes(node.part(done, stop), batch))
            done = stop
        self._feed(node.part(done))

    def _feed(self, entries: Node) -> None:
        self._chunker.extend(entries)
        if len(self._chunker.pending.keys) > PENDING:
            self._begin()
            self._write(self._chunker.settle())

    # --- which ends are certain ---

    def _stays(self) -> bool:
        """Whether the chunk read first keeps its keys and certainly both its ends.

        This spares hashing the keys, the largest part of the cost of changing a row.
        """
        if self._begun:
            return False  # so much was read that a part is cut and written already
        old, new = self._old[0], self._chunker.pending
        if old.keys != new.keys:
            return False
        size = len(encode(new))
        if size > CHUNK_BYTES and len(new.keys) > 1:
            return False
        cut = self._hash(self.last)
        ends_anyway = cut < NATURAL or self.last.is_last()
        if size >= old.size:  # no run that holds the chunk has become smaller
            return ends_anyway or self._no_change_ahead(cut)
        inside = entries_size(new.level, size)
        certain = ends_anyway or self._is_large(cut, inside)
        return certain and self._left_bound(lambda _: inside) is not None

    def _begin(self) -> None:
        """Take in chunks in front until the cut before the window is certain to stand."""
        while not self._begun:
            bound = self._left_bound(self._chunker.size_behind)
            if bound is None:
                self._first.back()
                node = self._first.child()
                self._old.appendleft(node)
                self._changes[node.last_key] = None
                self._chunker.prepend(node)
            else:
                self._chunker.left = bound
                self._begun = True

    def _left_bound(self, size_behind: Callable[[bytes], int]) -> bytes | None:
        """The bound of the cut before the window, or None while that cut may fall.

        `size_behind` tells what a cut of a given hash has of the window in its run.
        """
        before = self._first.fork()
        if not before.back():
            return NATURAL
        cut = self._hash(before)
        if cut < NATURAL or before.key == self._edit.settled:
            return left_bound(cut)
        size = entries_size(self._edit.level, before.child_size())
        if size + size_behind(cut) > CHUNK_BYTES:
            return left_bound(cut)
        # A higher cut at the other end of that chunk has its whole run in front of the window, so
        # it stands, and this run holds that one.
        stands = before.back() and self._hash(before) > cut
        return left_bound(cut) if stands else None

    def _end(self) -> bytes | None:
        """The right bound to finish with, or None while the window may not end here."""
        if self.last.is_last():
            return NATURAL
        if self._chunker.pending.last_key != self.last.key:
            return None  # the old last entry is gone
        cut = self._chunker.last_cut()
        certain = cut < NATURAL or self._is_large(cut, self._chunker.size_before(cut))
        return right_bound(cut) if certain else None

    def _is_large(self, cut: bytes, size: int) -> bool:
        """Whether the last entry's run, with `size` bytes of it in the window, is too large.

        Chunks behind the window count up to the first with changes.
        """
        for ahead in self._run_ahead(cut):
            if size > CHUNK_BYTES or ahead is None:
                break
            size += entries_size(self._edit.level, ahead.child_size())
        return size > CHUNK_BYTES

    def _no_change_ahead(self, cut: bytes) -> bool:
        """Whether no chunk with changes lies in the last entry's run behind the window."""
        return None not in self._run_ahead(cut)

    def _run_ahead(self, cut: bytes) -> Iterator[Cursor | None]:
        """The chunks behind the window that lie in the last entry's run; None at a changed one."""
        ahead = self.last.fork()
        while ahead.forward():
            changed = self._edit.queue.key
            if changed is not None and changed <= ahead.key:
                yield None
                return
            yield ahead
            if self._hash(ahead) < cut:
                return

    def _hash(self, chunk: Cursor) -> bytes:
        return boundary_hash(self._edit.level, chunk.key)

    # --- writing ---

    def _write(self, chunks: list[Node]) -> None:
        for chunk in chunks:
            while self._old and self._old[0].last_key < chunk.last_key:
                self._old.popleft()
            if self._old and _same(self._old[0], chunk):
                del self._changes[chunk.last_key]
            else:
                self._changes[chunk.last_key] = put(self._edit.objects, chunk)


def _same(old: Node, new: Node) -> bool:
    return old.keys == new.keys and old.cells == new.cells


def apply_changes(entries: Node, changes: list[Change]) -> Node:
    """Bring changes into `entries`, which are the caller's own; an equal cell keeps its view."""
    keys, counts, cells = entries.keys, entries.counts, entries.cells
    at = 0
    for key, entry in changes:
        at = bisect_left(keys, key, at)
        found = at < len(keys) and keys[at] == key
        if entry is None:
            if found:
                del keys[at], counts[at], cells[at]
        elif not found:
            keys.insert(at, key)
            counts.insert(at, entry[0])
            cells.insert(at, entry[1])
        elif bytes(cells[at]) != entry[1]:
            counts[at], cells[at] = entry
    return entries
