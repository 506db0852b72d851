"""A place on one level of a map, moved forward and back by entries."""

from __future__ import annotations

from bisect import bisect_left

from voyager.errors import CorruptError
from voyager.store.prolly.node import Node, NodeReader, StoredNode


class Cursor:
    """Stands on an entry of the nodes of `level`: a row at level 0, a node of level - 1 above.

    Levels go up to one above the root's, whose only entry is the root.
    """

    __slots__ = ("_at", "_nodes", "_path")

    def __init__(self, nodes: NodeReader, root: bytes, level: int = 0) -> None:
        """Stand on the first entry; a map of no rows has none at level 0."""
        self._nodes = nodes
        self._path: list[Node] = [nodes.above(root)]
        self._at = [0]
        while self._path[-1].level > level:
            self._descend(0)

    def fork(self) -> Cursor:
        """A second cursor at the same place."""
        twin = Cursor.__new__(Cursor)
        twin._nodes = self._nodes
        twin._path = self._path.copy()
        twin._at = self._at.copy()
        return twin

    @property
    def key(self) -> bytes:
        """The key of the entry: of a node, its last key."""
        return self._path[-1].keys[self._at[-1]]

    @property
    def cell(self) -> bytes:
        """The encoded value of the entry: a row, or a reference to a long row or a node."""
        return self._path[-1].cells[self._at[-1]]

    def child(self) -> StoredNode:
        """The node that the entry stands for; only above level 0."""
        return self._nodes.child(self._path[-1], self._at[-1])

    def child_size(self) -> int:
        """The length in bytes of the node that the entry stands for."""
        return self._nodes.size(self._path[-1], self._at[-1])

    def is_last(self) -> bool:
        """Whether no entry of the level follows."""
        if self._at[-1] < len(self._path[-1].keys) - 1:
            return False
        return all(at == len(node.keys) - 1 for node, at in zip(self._path, self._at, strict=True))

    def forward(self) -> bool:
        """Go to the next entry; False, and no move, at the end of the level."""
        before = self.key
        moved = self._step(1)
        if moved and self.key <= before:  # else a forged map could be walked for ever
            raise CorruptError(f"keys of a map do not rise: {self.key!r} follows {before!r}")
        return moved

    def back(self) -> bool:
        """Go to the entry before; False, and no move, at the start of the level."""
        return self._step(-1)

    def seek(self, key: bytes) -> bool:
        """Go forward to the first entry at or after `key`, never back.

        False when there is none; the cursor then stands on the last entry of the level.
        """
        depth = len(self._path) - 1
        while depth > 0 and self._path[depth].last_key < key:
            depth -= 1
        floor = self._path[-1].level
        del self._path[depth + 1 :], self._at[depth + 1 :]
        self._settle(key)
        while self._path[-1].level > floor:
            self._descend(0)
            self._settle(key)
        return bool(self._path[-1].keys) and self.key >= key

    def _settle(self, key: bytes) -> None:
        keys = self._path[-1].keys
        self._at[-1] = min(bisect_left(keys, key, self._at[-1]), max(len(keys) - 1, 0))

    def _step(self, step: int) -> bool:
        depth = len(self._path) - 1
        while not 0 <= self._at[depth] + step < len(self._path[depth].keys):
            depth -= 1
            if depth < 0:
                return False
        floor = self._path[-1].level
        del self._path[depth + 1 :], self._at[depth + 1 :]
        self._at[depth] += step
        while self._path[-1].level > floor:
            self._descend(0 if step > 0 else -1)
        return True

    def _descend(self, at: int) -> None:
        node = self.child()
        self._path.append(node)
        self._at.append(at if at >= 0 else len(node.keys) - 1)
