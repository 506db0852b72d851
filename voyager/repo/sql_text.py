"""The text of a query: the tables it speaks of, `samples('v1')` and `has(…)` written out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from voyager.repo.rewritten_text import TOKEN, RewrittenText
from voyager.repo.table_columns import ASKED
from voyager.repo.table_view import quoted

_CALL = re.compile(r"\s*\(\s*'(?P<argument>(?:[^']|'')*)'\s*\)")
_HAS = re.compile(r"\s*\(\s*(?:(?P<alias>[^\W\d]\w*)\s*,)?\s*'(?P<argument>(?:[^']|'')*)'\s*\)")


class Call(NamedTuple):
    """A table that a query names: `argument` is the version or set it is of, None for none."""

    table: str
    argument: str | None = None

    @property
    def name(self) -> str:
        """What the table is called in the SQL that is run."""
        return self.table if self.argument is None else f"{self.table}('{self.argument}')"


class Spoken(NamedTuple):
    """A call, and where in a text it stands if it has an argument: it is written out then."""

    call: Call
    start: int
    end: int

    @property
    def is_written_out(self) -> bool:
        return self.call.argument is not None


def iter_calls(text: str, tables: Collection[str], functions: Collection[str]) -> Iterator[Spoken]:
    """The tables that SQL speaks of: by name alone, or as functions of a text."""
    for token in TOKEN.finditer(text):
        name = token["word"] or (token[0][1:-1] if token[0].startswith('"') else "")
        word = name.lower()
        found = _CALL.match(text, token.end())
        if token["word"] and word in functions and found is not None:
            argument = found["argument"].replace("''", "'")
            yield Spoken(Call(word, argument), token.start(), found.end())
        elif word in tables:
            yield Spoken(Call(word), token.start(), token.end())


def listed_texts(texts: Sequence[str]) -> str:
    """Texts as a list in SQL."""
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"


class SqlText(RewrittenText):
    """A query as it was typed, and as it is run.

    `tables` may be named alone, `functions` with a text in brackets; a word that happens to be one
    of them does no harm.
    """

    def __init__(self, text: str, *, tables: Collection[str], functions: Collection[str]) -> None:
        super().__init__(text)
        self._asked: list[tuple[int, int, str]] = []
        self.calls: dict[str, Call] = {}
        """Name → call of every table that the query may speak of."""
        for spoken in iter_calls(text, tables, functions):
            self.calls[spoken.call.name] = spoken.call
            if spoken.is_written_out:
                self._asked.append((spoken.start, spoken.end, quoted(spoken.call.name)))

    def write_out(self, classes_below: Callable[[str], Sequence[str]]) -> None:
        """Make the SQL; `classes_below` are the paths of a class and of those below it."""
        found = [*self._asked, *self._questions(classes_below)]
        at = 0
        for start, end, sql in sorted(found):
            if start >= at:
                self.add(at, self.text[at:start])
                self.add(start, sql)
                at = end
        self.add(at, self.text[at:])

    def _questions(
        self, classes_below: Callable[[str], Sequence[str]]
    ) -> Iterator[tuple[int, int, str]]:
        for token in TOKEN.finditer(self.text):
            asked = _HAS.match(self.text, token.end())
            word = (token["word"] or "").lower()
            if word not in ASKED or asked is None:
                continue
            paths = listed_texts(classes_below(asked["argument"].replace("''", "'")))
            of = f"{quoted(asked['alias'])}." if asked["alias"] else ""
            sql = f"list_has_any({of}{ASKED[word][0]}, {paths})"
            yield token.start(), asked.end(), sql
