"""Words of a text: how they are cut, what stands for their inflected forms, how far two differ.

The same for what is indexed and what is asked. Case, accents and underscores do not count; a sign
of Chinese or Japanese is a word, so that a run of them is found as a phrase.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import Final

PART_END: Final = "\x01"
DOCUMENT_END: Final = "\x02"

LONGEST: Final = 64
"""Letters of a word that count."""

_SIGNS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{PART_END}{DOCUMENT_END}]|[{_SIGNS}]|[^\\W_{_SIGNS}]+")
_ENDS = re.compile(f"[{PART_END}{DOCUMENT_END}]")

_COMMON = "a an and are as at be by for from in is it of on or the to with"
COMMON_WORDS: Final = frozenset(_COMMON.split())
"""Words that are left out of a question that has others."""

_IRREGULAR: Final = {
    "buses": "bus",
    "calves": "calf",
    "children": "child",
    "dice": "die",
    "feet": "foot",
    "gases": "gas",
    "geese": "goose",
    "halves": "half",
    "knives": "knife",
    "leaves": "leaf",
    "loaves": "loaf",
    "men": "man",
    "mice": "mouse",
    "oxen": "ox",
    "people": "person",
    "scarves": "scarf",
    "shelves": "shelf",
    "teeth": "tooth",
    "wolves": "wolf",
    "wives": "wife",
    "women": "woman",
}
_LONG_FORM: Final = 6
"""Letters of an irregular form that is one at the end of longer words too: bookshelves."""
_VOWELS = frozenset("aeiou")


def fold(text: str) -> str:
    """A text without case and accents."""
    if text.isascii():
        return text.lower()
    spread = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in spread if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", bare)


def cut(folded: str) -> list[str]:
    """The words of a folded text; ends of parts and documents are words too."""
    return _WORD.findall(folded)


def without_ends(text: str) -> str:
    """A text in which nothing is taken for an end."""
    return _ENDS.sub(" ", text) if PART_END in text or DOCUMENT_END in text else text


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text as they are indexed."""
    return tuple(word[:LONGEST] for word in cut(fold(without_ends(text))))


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """What stands for the inflected forms of an English word; other words are their own stem.

    Steps 1 and 5 of Porter's algorithm: plurals, -ed, -ing, -y and a silent -e. Derived words
    (`photographer`, `photograph`) stay apart: in vision they are different things.
    """
    word = _regular(word)
    if len(word) < 3 or not word.isascii() or not word.isalpha():
        return word
    return _without_e(_y_as_i(_without_verb_ending(_without_plural(word))))


def inflected(stemmed: str) -> list[str]:
    """The forms of a stem that do not begin like it."""
    ends = [(form, stem(regular)) for form, regular in _IRREGULAR.items()]
    forms = [stemmed.removesuffix(end) + form for form, end in ends if stemmed.endswith(end)]
    return [form for form in forms if stem(form) == stemmed]


def _regular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for form, regular in _IRREGULAR.items():
        if len(form) >= _LONG_FORM and word.endswith(form):
            return word.removesuffix(form) + regular
    return word


def _without_plural(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith(("xes", "ches", "shes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us")):
        return word[:-1]
    return word


def _without_verb_ending(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for ending in ("ed", "ing"):
        root = word.removesuffix(ending)
        if root != word and _has_vowel(root):
            return _mended(root)
    return word


def _mended(root: str) -> str:
    """What is left of a verb, with the -e that it lost, or without the letter that it doubled."""
    if root.endswith(("at", "bl", "iz")):
        return root + "e"
    if len(root) > 1 and root[-1] == root[-2] and root[-1] not in "aeioulsz":
        return root[:-1]
    return root + "e" if _measure(root) == 1 and _is_short(root) else root


def _y_as_i(word: str) -> str:
    return word[:-1] + "i" if word.endswith("y") and _has_vowel(word[:-1]) else word


def _without_e(word: str) -> str:
    root = word.removesuffix("e")
    if root == word:
        return word
    measure = _measure(root)
    return root if measure > 1 or (measure == 1 and not _is_short(root)) else word


def _consonant(word: str, at: int) -> bool:
    if word[at] == "y":
        return at == 0 or not _consonant(word, at - 1)
    return word[at] not in _VOWELS


def _measure(word: str) -> int:
    """How often a vowel is followed by a consonant."""
    kinds = [_consonant(word, at) for at in range(len(word))]
    return sum(not one and other for one, other in pairwise(kinds))


def _has_vowel(word: str) -> bool:
    return any(not _consonant(word, at) for at in range(len(word)))


def _is_short(word: str) -> bool:
    """Whether a word ends in consonant, vowel, consonant, the last not w, x or y."""
    if len(word) < 3 or word[-1] in "wxy":
        return False
    end = len(word)
    kinds = [_consonant(word, at) for at in (end - 3, end - 2, end - 1)]
    return kinds == [True, False, True]


def allowed_typos(word: str) -> int:
    """How many letters of a word may be wrong."""
    if len(word) < 4 or not word.isalpha():
        return 0
    return 1 if len(word) < 8 else 2


def distance(one: str, other: str, most: int) -> int:
    """Letters to add, drop, replace or swap with the next; `most` + 1 where it is more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one):
        earlier, before = before, row
        row = [at + 1]
        for place, wanted in enumerate(other):
            cost = min(before[place] + (letter != wanted), before[place + 1] + 1, row[place] + 1)
            if at and place and letter == other[place - 1] and wanted == one[at - 1]:
                cost = min(cost, earlier[place - 1] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)
