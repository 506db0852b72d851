"""The text of a `--where`: its words, `has(…)` written out, and places in it found again."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeAlias

from voyager.errors import UsageError
from voyager.repo.rewritten_text import TOKEN, RewrittenText
from voyager.repo.sql_text import Call, iter_calls, listed_texts
from voyager.repo.table_answers import ClassNumbers, known_classes
from voyager.repo.table_columns import ASKED
from voyager.repo.table_view import quoted
from voyager.schema.vocabulary import Vocabulary

_CLASS = re.compile(r"\s*\(\s*'(?P<name>(?:[^']|'')*)'\s*\)")


_OpenTables: TypeAlias = Callable[[Mapping[str, Call]], Sequence[Vocabulary]]


def _no_tables(_calls: Mapping[str, Call]) -> Sequence[Vocabulary]:
    return ()


class WhereText(RewrittenText):
    """A boolean expression as it was typed, and as the SQL that stands for it.

    `open_tables` is called with the tables that sub-queries read beside those of the version; it
    gives the vocabularies of other versions among them. `tables` may be named alone, `functions`
    with a text in brackets.
    """

    def __init__(
        self,
        text: str,
        vocabulary: Vocabulary,
        *,
        tables: Collection[str] = (),
        functions: Collection[str] = (),
        open_tables: _OpenTables = _no_tables,
    ) -> None:
        super().__init__(text)
        self._folded = text.lower()
        self._vocabulary = vocabulary
        self._asked: set[str] = set()
        self._words = {(token["word"] or "").lower() for token in TOKEN.finditer(text)}
        self._spoken = list(iter_calls(text, tables, functions)) if self.reads_tables else []
        self._others = open_tables({one.call.name: one.call for one in self._spoken})
        self._write_out()

    def mentions(self, name: str) -> bool:
        """Whether a column may be meant: true for some that are not, and for all that are."""
        if name in self._asked or name.startswith("__"):
            return name in self._asked
        return name.lower() in self._folded or '"' in name

    def compares_with(self, name: str) -> bool:
        """Whether something is compared with the bare name, as with a text without its quotes."""
        return re.search(rf"(?:=|<>|\blike)\s*{re.escape(name)}\b", self.text, re.I) is not None

    @property
    def reads_tables(self) -> bool:
        """Whether there may be a sub-query."""
        return not self._words.isdisjoint(("from", "join", "table"))

    def mentions_in(self, name: str) -> bool:
        """The same for a column of a sub-query, where `*` means all of them."""
        return self.mentions(name) or ("*" in self.text and not name.startswith("__"))

    def _write_out(self) -> None:
        named = [
            (one.start, one.end, quoted(one.call.name))
            for one in self._spoken
            if one.is_written_out
        ]
        at = 0
        for start, end, sql in sorted([*named, *self._questions()]):
            if start >= at:
                self.add(at, self.text[at:start])
                self.add(start, sql)
                at = end
        self.add(at, self.text[at:])

    def _questions(self) -> Iterator[tuple[int, int, str]]:
        for token in TOKEN.finditer(self.text):
            word = (token["word"] or "").lower()
            if word not in ASKED:
                continue
            call = _CLASS.match(self.text, token.end())
            if call is not None:
                sql = self._asking(word, call["name"].replace("''", "'"))
                yield token.start(), call.end(), sql
            elif self.text[token.end() :].lstrip().startswith("("):
                raise self._refused(f"{word}() takes one class in quotes: {word}('chair')")

    def _asking(self, function: str, name: str) -> str:
        """The question for a class: by paths where other versions are read, which count otherwise.

        A column of numbers would be that of the row which a sub-query is about.
        """
        paths, numbers = ASKED[function]
        if self._others:
            column = paths
            wanted = listed_texts(classes_below(name, [self._vocabulary, *self._others]))
        else:
            column, wanted = numbers, str(ClassNumbers(self._vocabulary).find(name))
        if wanted == "[]":
            raise self._refused(*no_class(name, self._vocabulary))
        self._asked.add(column)
        return f"list_has_any({column}, {wanted})"

    def _refused(self, why: str, near: list[str] | None = None) -> UsageError:
        hint = f"did you mean {' or '.join(near)}?" if near else "vgr taxonomy tree"
        return UsageError(f"{why} in --where {self.text}", hint=hint)


def classes_below(name: str, vocabularies: Iterable[Vocabulary]) -> list[str]:
    """The paths of a class and of those below it, in any of some vocabularies."""
    found: dict[str, None] = {}
    for vocabulary in vocabularies:
        for taxonomy in vocabulary.taxonomies.values():
            node = taxonomy.find(name)
            for each in [node, *taxonomy.below(node)] if node is not None else ():
                found[taxonomy.path(each) or each.hex()] = None
    return list(found)


def no_class(name: str, vocabulary: Vocabulary) -> tuple[str, list[str]]:
    """Why a name means no class, and the classes that may have been meant."""
    taxonomies = vocabulary.taxonomies.values()
    same = [
        path
        for taxonomy in taxonomies
        for path in map(taxonomy.path, taxonomy)
        if path is not None and path.endswith(f"/{name}")
    ]
    near = same or get_close_matches(name, known_classes(taxonomies), 3)
    return f"several classes are called '{name}'" if same else f"no class '{name}'", near


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Up to three names that are nearly this one, whatever their case."""
    by_fold = {each.lower(): each for each in known}
    return [by_fold[near] for near in get_close_matches(name.lower(), by_fold, 3)]
