"""SQL as it was typed and as it is run: words of our own written out, places found again."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

from voyager.errors import UsageError

TOKEN: Final = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|(?P<word>[^\W\d]\w*)""",
    re.DOTALL,
)
"""A text, a quoted name, a comment or a word; what lies between them is none of ours."""


class RewrittenText:
    """A text, and the SQL that pieces of it and others make: `add` them in order."""

    def __init__(self, text: str) -> None:
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UsageError("SQL is text in UTF-8, and this is not")
        self.text = text
        self._pieces: list[str] = []
        self._places: list[tuple[int, int]] = [(0, 0)]
        """(place in the SQL, place in the text) where pieces begin, in characters."""

    def add(self, place: int, piece: str) -> None:
        """Go on with a piece that stands for what begins at a place of the text."""
        self._places.append((sum(map(len, self._pieces)), place))
        self._pieces.append(piece)

    @property
    def sql(self) -> str:
        """What is run."""
        return "".join(self._pieces)

    def place(self, sql_bytes: int) -> int | None:
        """The character of the text, from 1, behind a byte of the SQL; None for one outside it."""
        data = self.sql.encode()
        if not 0 <= sql_bytes <= len(data):
            return None
        at = len(data[:sql_bytes].decode(errors="ignore"))
        start, told = self._places[bisect_right(self._places, (at, len(self.text))) - 1]
        return min(told + at - start, len(self.text)) + 1
