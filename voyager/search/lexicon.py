"""Words in order: exact ones, those that begin alike, other forms of one, misspellings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voyager.search.words import allowed_typos, distance, inflected, stem

_AFTER: Final = b"\xff"
"""Comes after every byte of UTF-8."""
_BITS: Final = np.array(
    [1 << (byte % 26 if byte > 57 else 26 + byte % 6) for byte in range(256)], np.uint32
)
"""A bit for each letter; digits have their own, so that numbers are no misspelled words."""


def lengths_of(ends: NDArray[np.uint32]) -> NDArray[np.int64]:
    """How long the pieces are that end there."""
    lengths = ends.astype(np.int64)
    lengths[1:] -= lengths[:-1].copy()
    return lengths


class Lexicon:
    """Distinct words by number, in the order of their UTF-8."""

    def __init__(self, letters: bytes, ends: NDArray[np.uint32]) -> None:
        self.letters = letters
        self.ends = ends

    @classmethod
    def of(cls, words: Iterable[bytes]) -> Lexicon:
        """The lexicon of words that are distinct and in order."""
        listed = list(words)
        lengths = np.fromiter(map(len, listed), np.int64, len(listed))
        return cls(b"".join(listed), np.cumsum(lengths).astype(np.uint32))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> bytes:
        if number >= len(self.ends):
            raise IndexError(number)
        start = int(self.ends[number - 1]) if number else 0
        return self.letters[start : int(self.ends[number])]

    def __iter__(self) -> Iterator[bytes]:
        start = 0
        for end in self.ends.tolist():
            yield self.letters[start:end]
            start = end

    def find(self, word: str) -> int | None:
        """The number of a word."""
        wanted = word.encode()
        at = bisect_left(self, wanted)
        return at if at < len(self) and self[at] == wanted else None

    def beginning(self, prefix: str) -> range:
        """The words that begin like this."""
        wanted = prefix.encode()
        return range(bisect_left(self, wanted), bisect_left(self, wanted + _AFTER))

    def forms(self, word: str) -> list[int]:
        """The words that are other forms of this one, or it."""
        stemmed = stem(word)
        # A stem is how all its forms begin, but for the end of pon-ies and siz-ing.
        near = self.beginning(stemmed[:-1] if stemmed.endswith(("e", "i")) else stemmed)
        found = [at for at in near if stem(self[at].decode()) == stemmed]
        others = (self.find(form) for form in inflected(stemmed))
        return [*found, *(at for at in others if at is not None and at not in near)]

    def misspelled(self, word: str) -> list[tuple[int, int]]:
        """(number, wrong letters) of the words that are nearly this one."""
        most = allowed_typos(word)
        if not most or not len(self):
            return []
        letters = np.frombuffer(word.encode(), np.uint8)
        differing = np.bitwise_count(self._masks ^ np.bitwise_or.reduce(_BITS[letters]))
        near = (differing <= 2 * most) & (abs(self._lengths - len(letters)) <= 2 * most)
        found = []
        for at in np.flatnonzero(near).tolist():
            apart = distance(self[at].decode(), word, most)
            if 0 < apart <= most:
                found.append((at, apart))
        return found

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return lengths_of(self.ends)

    @cached_property
    def _masks(self) -> NDArray[np.uint32]:
        """Which letters each word has."""
        bits = _BITS[np.frombuffer(self.letters, np.uint8)]
        starts = self.ends.astype(np.int64) - self._lengths
        masks: NDArray[np.uint32] = np.bitwise_or.reduceat(bits, starts)
        return masks
