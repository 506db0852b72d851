"""The graph of `vgr log --graph`: known pictures, and every drawn line followed to its end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voyager.commands.graph import Graph, weave

History = Sequence[tuple[str, str]]
"""(commit, its parents), one letter each, children before parents."""


def picture(history: History) -> str:
    graph = Graph()
    lines: list[str] = []
    for commit, parents in history:
        lines += graph.gap(commit.encode())
        rows = graph.draw(commit.encode(), [parent.encode() for parent in parents])
        lines += weave(rows, graph.padding(), [commit])
    return "\n".join(lines)


def drawn(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


def test_a_line() -> None:
    assert picture([("b", "a"), ("a", "")]) == "* b\n* a"


def test_a_branch_and_its_merge() -> None:
    history = [("m", "bc"), ("b", "a"), ("c", "a"), ("a", "")]
    assert picture(history) == drawn("""
*   m
|\\
* | b
| * c
|/
* a
""")


def test_criss_cross() -> None:
    history = [("f", "de"), ("e", "bc"), ("d", "cb"), ("c", "a"), ("b", "a"), ("a", "")]
    assert picture(history) == drawn("""
*   f
|\\
| *   e
| |\\
* | | d
|\\| |
| |\\|
|/ /
| * c
* | b
|/
* a
""")


def test_a_lane_is_crossed() -> None:
    history = [("d", "a"), ("c", "b"), ("e", "a"), ("b", "a"), ("a", "")]
    assert picture(history) == drawn("""
* d
| * c
| | * e
| |/
|/|
| * b
|/
* a
""")


def test_two_roots() -> None:
    history = [("d", "b"), ("c", "a"), ("b", ""), ("a", "")]
    assert picture(history) == drawn("""
* d
| * c
* | b
 /
* a
""")


def test_a_root_above_a_tip() -> None:
    history = [("d", "c"), ("c", ""), ("b", "a"), ("a", "")]
    assert picture(history) == "* d\n* c\n\n* b\n* a"


def test_octopus() -> None:
    history = [("m", "abc"), ("a", "r"), ("b", "r"), ("c", "r"), ("r", "")]
    assert picture(history) == drawn("""
*     m
|\\
|\\ \\
* | | a
| * | b
|/ /
| * c
|/
* r
""")


def test_more_text_than_rows() -> None:
    graph = Graph()
    graph.draw(b"x", [b"y"])
    rows = graph.draw(b"c", [b"a"])
    assert weave(rows, graph.padding(), ["c", "", "text"]) == ["| * c", "| |", "| | text"]


def test_more_rows_than_text() -> None:
    graph = Graph()
    rows = graph.draw(b"m", [b"a", b"b"])
    assert weave(rows, graph.padding(), ["m"]) == ["*   m", "|\\"]
    assert weave(rows, graph.padding(), ["m", "x", "y"]) == ["*   m", "|\\  x", "| | y"]


# -- following the lines --------------------------------------------------------------------------


def follow(history: History) -> bool:
    """Whether every commit's lines lead to its parents, and to nothing else."""
    rows, places = [], {}
    graph = Graph()
    for commit, parents in history:
        rows += graph.gap(commit.encode())
        first, *others = graph.draw(commit.encode(), [parent.encode() for parent in parents])
        places[len(rows), first.index("*")] = commit
        rows += [first, *others]
    picture = _Picture(rows)
    known = {commit for commit, _ in history}
    for (row, column), commit in places.items():
        parents = dict(history)[commit]
        found = {places[end] for end in picture.ends_of(row, column) if end in places}
        assert found == set(parents) & known, "\n".join(rows)
    return True


class _Picture:
    def __init__(self, rows: list[str]) -> None:
        self.rows = rows

    def at(self, row: int, column: int) -> str:
        if row >= len(self.rows) or not 0 <= column < len(self.rows[row]):
            return " "
        return self.rows[row][column]

    def ends_of(self, row: int, column: int) -> set[tuple[int, int]]:
        """Where the lines that leave a commit downwards arrive."""
        ends = set()
        if self.at(row + 1, column) in "|*":
            ends.add(self.fall(row + 1, column))
        for below in range(row + 1, len(self.rows)):
            # Edges leave a commit from the rows below it as long as its lane stands there.
            if self.at(below, column - 1) == "/" and not self.passes(below, column - 1):
                ends.add(self.leftwards(below, column - 1))
            if self.at(below, column + 1) == "\\" and not self.arrives(below, column + 1):
                ends.add(self.rightwards(below, column + 1))
            if "*" in self.rows[below]:
                break
        return ends

    def passes(self, row: int, column: int) -> bool:
        """Whether a `/` is the second half of an edge that crosses lanes."""
        return self.at(row - 1, column + 2) in "/_" and self.at(row, column + 1) == "|"

    def arrives(self, row: int, column: int) -> bool:
        """The same of a `\\`."""
        return self.at(row - 1, column - 2) in "\\_" and self.at(row, column - 1) == "|"

    def fall(self, row: int, column: int) -> tuple[int, int]:
        """Follow a lane from a place on it down to a commit, or to the end of the picture."""
        while self.at(row, column) == "|":
            below = row + 1
            if self.at(below, column) in "|*":
                row = below
            elif self.at(below, column - 1) == "/":
                return self.leftwards(below, column - 1)
            elif self.at(below, column + 1) == "\\":
                return self.rightwards(below, column + 1)
            else:
                return below, column
        return row, column

    def leftwards(self, row: int, column: int) -> tuple[int, int]:
        while self.at(row, column - 2) == "_":
            column -= 2
        crossed = self.at(row + 1, column - 1) == "|" and self.at(row, column - 1) != " "
        if self.at(row + 1, column - 2) == "/" and crossed:
            row, column = row + 1, column - 2
        return self.land(row, column - 1)

    def rightwards(self, row: int, column: int) -> tuple[int, int]:
        while self.at(row, column + 2) == "_":
            column += 2
        crossed = self.at(row + 1, column + 1) == "|" and self.at(row, column + 1) != " "
        if self.at(row + 1, column + 2) == "\\" and crossed:
            row, column = row + 1, column + 2
        return self.land(row, column + 1)

    def land(self, row: int, column: int) -> tuple[int, int]:
        """A lane entered from the side goes on in the row below."""
        below = row + 1
        if self.at(below, column) == "|":
            return self.fall(below, column)
        if self.at(below, column) == "*":
            return below, column
        if self.at(below, column - 1) == "/":
            return self.leftwards(below, column - 1)
        if self.at(below, column + 1) == "\\":
            return self.rightwards(below, column + 1)
        return below, column


@st.composite
def histories(draw: st.DrawFn) -> History:
    count = draw(st.integers(1, 12))
    names = [chr(ord("a") + n) for n in range(count)]
    history = []
    for at in range(count - 1, -1, -1):
        below = names[max(0, at - 6) : at]
        parents = draw(st.lists(st.sampled_from(below), max_size=3, unique=True)) if below else []
        history.append((names[at], "".join(parents)))
    return history


@given(histories())
def test_lines_lead_to_parents(history: History) -> None:
    assert follow(history)


@pytest.mark.parametrize("count", [1, 5])
def test_every_row_is_of_one_width(count: int) -> None:
    graph = Graph()
    rows = graph.draw(b"m", [bytes([n]) for n in range(count)])
    assert len({len(row) for row in rows}) == 1
