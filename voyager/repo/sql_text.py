"""The text of a query: the tables it speaks of, `samples('v1')` and `has(…)` written out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from voyager.repo.rewritten_text import TOKEN, RewrittenText
from voyager.repo.table_view import quoted

_CALL = re.compile(r"\s*\(\s*'(?P<argument>(?:[^']|'')*)'\s*\)")
_HAS = re.compile(r"\s*\(\s*(?:(?P<alias>[^\W\d]\w*)\s*,)?\s*'(?P<argument>(?:[^']|'')*)'\s*\)")
_HAS_WORD: Final = "has"


class Call(NamedTuple):
    """A table that a query names: `argument` is the version or set it is of, None for none."""

    table: str
    argument: str | None = None

    @property
    def name(self) -> str:
        """What the table is called in the SQL that is run."""
        return self.table if self.argument is None else f"{self.table}('{self.argument}')"


class SqlText(RewrittenText):
    """A query as it was typed, and as it is run.

    `tables` may be named alone, `functions` with a text in brackets; a word that happens to be one
    of them does no harm.
    """

    def __init__(self, text: str, *, tables: Collection[str], functions: Collection[str]) -> None:
        super().__init__(text)
        self._tables = tables
        self._functions = functions
        self._asked: list[tuple[int, int, str, str]] = []
        self.calls: dict[str, Call] = {}
        """Name → call of every table that the query may speak of."""
        self._find()

    def _find(self) -> None:
        for token in TOKEN.finditer(self.text):
            word = (token["word"] or "").lower()
            call = _CALL.match(self.text, token.end())
            if word in self._functions and call is not None:
                found = Call(word, call["argument"].replace("''", "'"))
                self._note(token.start(), call.end(), quoted(found.name))
                self.calls[found.name] = found
            elif word in self._tables:
                self.calls[word] = Call(word)
            elif token[0].startswith('"') and token[0][1:-1].lower() in self._tables:
                self.calls[token[0][1:-1].lower()] = Call(token[0][1:-1].lower())

    def _note(self, start: int, end: int, sql: str) -> None:
        self._asked.append((start, end, sql, ""))

    def write_out(self, classes_below: Callable[[str], Sequence[str]]) -> None:
        """Make the SQL; `classes_below` are the paths of a class and of those below it."""
        found = [*self._asked, *self._questions(classes_below)]
        at = 0
        for start, end, sql, _ in sorted(found):
            if start >= at:
                self.add(at, self.text[at:start])
                self.add(start, sql)
                at = end
        self.add(at, self.text[at:])

    def _questions(
        self, classes_below: Callable[[str], Sequence[str]]
    ) -> list[tuple[int, int, str, str]]:
        found = []
        for token in TOKEN.finditer(self.text):
            asked = _HAS.match(self.text, token.end())
            if (token["word"] or "").lower() != _HAS_WORD or asked is None:
                continue
            paths = classes_below(asked["argument"].replace("''", "'"))
            listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
            of = f"{quoted(asked['alias'])}." if asked["alias"] else ""
            sql = f"list_has_any({of}classes, [{listed}])"
            found.append((token.start(), asked.end(), sql, ""))
        return found
