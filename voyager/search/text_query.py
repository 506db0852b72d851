"""What people type to search texts: words, "phrases", -exclusions, prefix* and word~ with typos.

Everything else is no operator and separates words: no text is a syntax error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from voyager.errors import UsageError
from voyager.search.words import COMMON_WORDS, allowed_typos, distance, stem, words_of

EXACT, STEM, PREFIX, TYPO = 3.0, 2.0, 2.0, 1.0
"""How good a match is: what was asked, another form of it, a longer word, a misspelling."""

_ITEM = re.compile(r'(?:(?<!\S)(?P<minus>-))?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+)|")')


@dataclass(frozen=True, slots=True)
class Term:
    """A word or, of several words, a phrase; the last may be the beginning of one (`is_prefix`)."""

    words: tuple[str, ...]
    is_prefix: bool = False
    with_typos: bool = False

    @property
    def is_common(self) -> bool:
        return len(self.words) == 1 and not self.is_prefix and self.words[0] in COMMON_WORDS

    def matching_typos(self) -> Term:
        """The same with misspellings."""
        return Term(self.words, self.is_prefix, True)

    def grade(self, words: tuple[str, ...]) -> float:
        """How well a text matches, 0 where it does not."""
        best = 0.0
        for start in range(len(words) - len(self.words) + 1):
            found = words[start : start + len(self.words)]
            best = max(best, min(map(self.grade_of, range(len(self.words)), found)))
        return best

    def grade_of(self, place: int, word: str) -> float:
        """How well a word matches the one at a place."""
        asked = self.words[place]
        if word == asked:
            return EXACT
        if self.is_prefix and place == len(self.words) - 1 and word.startswith(asked):
            return PREFIX
        if stem(word) == stem(asked):
            return STEM
        most = allowed_typos(asked) if self.with_typos and len(self.words) == 1 else 0
        apart = distance(word, asked, most) if most else 1
        return TYPO / apart if apart <= most else 0.0


@dataclass(frozen=True, slots=True)
class TextQuery:
    """What a text must all have, and what it must not."""

    terms: tuple[Term, ...]
    without: tuple[Term, ...] = ()


def parse_text_query(text: str) -> TextQuery:
    """A typed query; UsageError for one without words to look for."""
    terms: list[Term] = []
    without: list[Term] = []
    for item in _ITEM.finditer(text):
        term = _term(item["phrase"], item["word"])
        if term is not None:
            (without if item["minus"] else terms).append(term)
    if not terms:
        what = "says only what to leave out" if without else "has no word"
        raise UsageError(f"the text to search for {what}", hint="vgr search 'red shoes -heels'")
    rare = [term for term in terms if not term.is_common]
    return TextQuery(tuple(dict.fromkeys(rare or terms)), tuple(dict.fromkeys(without)))


def spoken(text: str) -> str:
    """A typed query as a sentence, for a model that knows words: without exclusions and marks."""
    items = [item for item in _ITEM.finditer(text) if not item["minus"]]
    return " ".join((item["phrase"] or item["word"] or "").strip("*~ ") for item in items).strip()


def _term(phrase: str | None, word: str | None) -> Term | None:
    typed = phrase if phrase is not None else word or ""
    words = words_of(typed)
    if not words:
        return None
    if phrase is not None:
        return Term(words)
    return Term(words, is_prefix=typed.endswith("*"), with_typos=typed.endswith("~"))
