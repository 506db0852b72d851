"""The graph beside `vgr log --graph`: a lane for each line of history, drawn as git draws it.

A lane is a column that waits for one commit. A commit stands in its lane; the lane goes on to a
parent that nobody waits for yet, and edges lead to parents that have a lane already. An edge goes
from lane to lane between the rows: `/` one to the left, `\\` one to the right, and `_` through
lanes that it crosses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Graph:
    """Draws commits one by one, children before parents."""

    def __init__(self) -> None:
        self.lanes: list[bytes] = []
        self._ended: int | None = None

    def gap(self, commit: bytes) -> list[str]:
        """A row before a commit that would seem to follow from one without parents above it."""
        seems_so = self._ended == len(self.lanes) and commit not in self.lanes
        return [self.padding()] if seems_so else []

    def draw(self, commit: bytes, parents: Sequence[bytes]) -> list[str]:
        """The row of a commit and the rows that lead on from it, all of one width."""
        if commit not in self.lanes:
            self.lanes.append(commit)
        at = self.lanes.index(commit)
        rows = ["".join("* " if lane == commit else "| " for lane in self.lanes)]
        parents = list(dict.fromkeys(parents))
        known = [parent for parent in parents if parent in self.lanes]
        fresh = [parent for parent in parents if parent not in self.lanes]
        if fresh:
            rows += self._open(at, fresh)
            rows += [row for parent in known for row in self._lead(at, self.lanes.index(parent))]
        elif known:
            # The last edge takes the lane along.
            *others, last = known
            rows += [row for parent in others for row in self._lead(at, self.lanes.index(parent))]
            rows += self._join(at, self.lanes.index(last))
        else:
            rows += self._close(at)
        self._ended = None if parents else at
        width = max(2 * len(self.lanes), *map(len, rows))
        return [row.ljust(width) for row in rows]

    def padding(self) -> str:
        """The row beside further lines of text."""
        return "| " * len(self.lanes)

    def _open(self, at: int, fresh: list[bytes]) -> list[str]:
        """Let the lane wait for the first new parent, with lanes to its right for the others."""
        rows = []
        self.lanes[at] = fresh[0]
        for parent in reversed(fresh[1:]):
            rows.append("| " * at + "|\\" + " \\" * (len(self.lanes) - at - 1))
            self.lanes.insert(at + 1, parent)
        return rows

    def _lead(self, at: int, to: int) -> list[str]:
        """An edge to another lane, from a lane that goes on."""
        rows = [list("| " * len(self.lanes)) for _ in range(min(abs(at - to), 2))]
        left, right = 2 * min(at, to) + 1, 2 * max(at, to) - 1
        start, end = (right, left) if to < at else (left, right)
        stroke = "/" if to < at else "\\"
        for between in range(left + 2, right, 2):
            rows[0][between] = "_"
        rows[0][start] = stroke
        rows[-1][end] = stroke
        return ["".join(row) for row in rows]

    def _join(self, at: int, other: int) -> list[str]:
        """Two lanes that wait for the same parent become the left one of them."""
        left, right = sorted((at, other))
        rows = self._lead(right, left)
        parent = self.lanes[other]
        first = list(rows[0])
        first[2 * right :] = " "
        for lane in range(right + 1, len(self.lanes)):
            first[2 * lane - 1 :] = "/ "
        del self.lanes[right]
        self.lanes[left] = parent
        rows[0] = "".join(first)
        rows[1:] = [row[: 2 * len(self.lanes)] for row in rows[1:]]
        return rows

    def _close(self, at: int) -> list[str]:
        """End a lane at a commit without parents; those to its right move up."""
        moving = len(self.lanes) - at - 1
        del self.lanes[at]
        return ["| " * at + " /" * moving] if moving else []


def weave(rows: list[str], padding: str, text: Iterable[str]) -> list[str]:
    """The rows of a commit with lines of text beside them; the shorter side is filled up."""
    lines = list(text)
    width = len(rows[0])
    beside = rows + [padding.ljust(width)] * (len(lines) - len(rows))
    lines += [""] * (len(beside) - len(lines))
    return [f"{row}{line}".rstrip() for row, line in zip(beside, lines, strict=True)]
