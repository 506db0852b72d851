"""The text of a `--where`: its words, `has(…)` written out, and places in it found again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from voyager.errors import UsageError
from voyager.repo.rewritten_text import TOKEN, RewrittenText
from voyager.repo.table_answers import ClassNumbers, known_classes
from voyager.repo.table_columns import CLASSES, IMAGE_CLASSES, REGION_CLASSES
from voyager.schema.vocabulary import Vocabulary

_ASKS = {"has": CLASSES, "has_image": IMAGE_CLASSES, "has_region": REGION_CLASSES}
"""Function → the column of class numbers that it looks into."""

_CLASS = re.compile(r"\s*\(\s*'(?P<name>(?:[^']|'')*)'\s*\)")


class WhereText(RewrittenText):
    """A boolean expression as it was typed, and as the SQL that stands for it."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        super().__init__(text)
        self._folded = text.lower()
        self._vocabulary = vocabulary
        self._asked: set[str] = set()
        self._words: set[str] = set()
        self._read()

    def mentions(self, name: str) -> bool:
        """Whether a column may be meant: true for some that are not, and for all that are."""
        if name.startswith("__"):
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

    def _read(self) -> None:
        at = 0
        for token in TOKEN.finditer(self.text):
            word = (token["word"] or "").lower()
            self._words.add(word)
            if token.start() < at or word not in _ASKS:
                continue
            call = _CLASS.match(self.text, token.end())
            if call is None:
                if self.text[token.end() :].lstrip().startswith("("):
                    raise self._refused(f"{word}() takes one class in quotes: {word}('chair')")
                continue
            self.add(at, self.text[at : token.start()])
            numbers = self._numbers(call["name"].replace("''", "'"))
            self.add(token.start(), f"list_has_any({_ASKS[word]}, {numbers})")
            self._asked.add(_ASKS[word])
            at = call.end()
        self.add(at, self.text[at:])

    def _numbers(self, name: str) -> list[int]:
        found = ClassNumbers(self._vocabulary).find(name)
        if not found:
            raise self._refused(*no_class(name, self._vocabulary))
        return found

    def _refused(self, why: str, near: list[str] | None = None) -> UsageError:
        hint = f"did you mean {' or '.join(near)}?" if near else "vgr taxonomy tree"
        return UsageError(f"{why} in --where {self.text}", hint=hint)


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
