"""Which documents a question means, and in which order.

A document must have every term. A term is worth log(1 + (N - n + ½) / (n + ½)), where n of the N
documents of the version have it, times the points of its best match: the grade (3 as asked,
2 another form or a longer word, 1 or ½ misspelled) and, of a class, 1 for its own name and ½ for
one above it; of a text the saturation of BM25, t / (t + 1.2 (¼ + ¾ length / 16)) < 1, for t times
in a document of that length. So what was asked comes before other forms, and those before
misspellings, which count only where nothing closer is in the version, or for `word~`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voyager.search.class_words import ClassWords, Points
from voyager.search.text_query import EXACT, PREFIX, STEM, TYPO, Term, TextQuery
from voyager.search.text_segment import Segment

_SPARSE: Final = 16
"""Entries fewer than one in so many documents are counted one by one."""

Mask = NDArray[np.bool_]
Scores = NDArray[np.float32]


class Meant(NamedTuple):
    """A term as it was taken, with the classes that it means."""

    term: Term
    classes: Points


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best documents as (segment, document, score), how many there are, and what was meant."""

    best: list[tuple[int, int, float]]
    matches: int
    meant: list[Meant]


def rank(
    segments: Sequence[Segment],
    members: Sequence[Mask],
    query: TextQuery,
    classes: ClassWords,
    k: int,
    keep: Sequence[Mask] | None = None,
) -> Ranked:
    """The `k` best of the members that are kept."""
    allowed = [mask.copy() for mask in (members if keep is None else keep)]
    if keep is not None:
        allowed = [one & other for one, other in zip(allowed, members, strict=True)]
    total = sum(int(np.count_nonzero(mask)) for mask in members)
    scores = [np.zeros(len(segment), np.float32) for segment in segments]
    meant = []
    for term in query.terms:
        taken, points, having = _taken(segments, members, Meant(term, classes.find(term)), classes)
        meant.append(taken)
        worth = np.float32(log(1 + (total - having + 0.5) / (having + 0.5)))
        for at, point in enumerate(points):
            allowed[at] &= point > 0
            scores[at] += point * worth
    for at, mask in enumerate(unwanted(segments, query, classes)):
        allowed[at] &= ~mask
    return Ranked(*_best(scores, allowed, k), meant)


def unwanted(segments: Sequence[Segment], query: TextQuery, classes: ClassWords) -> list[Mask]:
    """The documents of each segment that have a term which the query excludes."""
    terms = [Meant(term, classes.find(term)) for term in query.without]
    masks = []
    for segment in segments:
        mask = np.zeros(len(segment), np.bool_)
        for meant in terms:
            mask |= _points(segment, meant) > 0
        masks.append(mask)
    return masks


def _taken(
    segments: Sequence[Segment], members: Sequence[Mask], meant: Meant, classes: ClassWords
) -> tuple[Meant, list[Scores], int]:
    """A term with its points in each segment; with misspellings where nothing is closer."""
    points = [_points(segment, meant) for segment in segments]
    having = _having(points, members)
    if having or meant.term.with_typos:
        return meant, points, having
    term = meant.term.matching_typos()
    meant = Meant(term, classes.find(term))
    points = [_points(segment, meant) for segment in segments]
    return meant, points, _having(points, members)


def _having(points: Sequence[Scores], members: Sequence[Mask]) -> int:
    pairs = zip(points, members, strict=True)
    return sum(int(np.count_nonzero((point > 0) & mask)) for point, mask in pairs)


def _points(segment: Segment, meant: Meant) -> Scores:
    """The points of every document, 0 where it has no match."""
    term, lexicon = meant.term, segment.lexicon
    points = np.zeros(len(segment), np.float32)
    if len(term.words) > 1:
        _raise_phrase(points, segment, term)
    else:
        word = term.words[0]
        exact = lexicon.find(word)
        if exact is not None:
            _raise(points, segment, segment.documents([exact]), EXACT)
        if term.is_prefix:
            _raise(points, segment, segment.documents(lexicon.beginning(word)), PREFIX)
        forms = lexicon.forms(word)
        if forms != [exact]:
            _raise(points, segment, segment.documents(forms), STEM)
        for number, wrong in lexicon.misspelled(word) if term.with_typos else ():
            _raise(points, segment, segment.documents([number]), TYPO / wrong)
    _raise_classes(points, segment, meant.classes)
    return points


def _raise(points: Scores, segment: Segment, documents: NDArray[Any], grade: float) -> None:
    """Give documents the points of a match in their text, an entry for each occurrence."""
    if not len(documents):
        return
    if len(documents) * _SPARSE < len(points):
        found, times = np.unique(documents, return_counts=True)
    else:
        counts = np.bincount(documents, minlength=len(points))
        found = np.flatnonzero(counts)
        times = counts[found]
    times = times.astype(np.float32)
    raised = grade + times / (times + segment.damping[found])
    points[found] = np.maximum(points[found], raised)


def _raise_phrase(points: Scores, segment: Segment, term: Term) -> None:
    lexicon = segment.lexicon
    asked = [lexicon.find(word) for word in term.words]
    exact = [[] if number is None else [number] for number in asked]
    alike = [
        sorted({*lexicon.forms(word), *same}) for word, same in zip(term.words, exact, strict=True)
    ]
    if term.is_prefix:
        alike[-1] = sorted({*alike[-1], *lexicon.beginning(term.words[-1])})
    _raise(points, segment, _phrase(segment, exact), EXACT)
    if alike != exact:
        _raise(points, segment, _phrase(segment, alike), STEM)


def _phrase(segment: Segment, words: Sequence[Sequence[int]]) -> NDArray[Any]:
    """The documents in which one of each of these words stands after the other, as often."""
    there = [segment.occurrences(numbers) for numbers in words]
    rarest = min(range(len(there)), key=lambda place: len(there[place]))
    at = there[rarest]
    for place, others in enumerate(there):
        if place != rarest:
            at = at[_among(at + np.uint32(place) - np.uint32(rarest), others)]
    return at >> np.uint32(16)


def _among(asked: NDArray[np.uint32], known: NDArray[np.uint32]) -> Mask:
    """Which of some numbers are among others, both in order."""
    if not len(known):
        return np.zeros(len(asked), np.bool_)
    same: Mask = known[np.minimum(np.searchsorted(known, asked), len(known) - 1)] == asked
    return same


def _raise_classes(points: Scores, segment: Segment, classes: Points) -> None:
    by_points: dict[float, list[int]] = {}
    if len(classes) < len(segment.nodes):
        pairs = [(segment.nodes.get(node), value) for node, value in classes.items()]
    else:
        pairs = [(number, classes.get(node, 0.0)) for node, number in segment.nodes.items()]
    for number, value in pairs:
        if number is not None and value:
            by_points.setdefault(value, []).append(number)
    for value, numbers in by_points.items():
        documents = segment.documents_of(numbers)
        points[documents] = np.maximum(points[documents], np.float32(value))


def _best(
    scores: Sequence[Scores], allowed: Sequence[Mask], k: int
) -> tuple[list[tuple[int, int, float]], int]:
    """The best `k`, of equal ones those that were indexed first; and how many there are."""
    found = []
    matches = 0
    for number, (score, mask) in enumerate(zip(scores, allowed, strict=True)):
        there = np.flatnonzero(mask)
        matches += len(there)
        if len(there) > k:
            least = np.partition(score[there], len(there) - k)[len(there) - k]
            above, equal = there[score[there] > least], there[score[there] == least]
            there = np.concatenate([above, equal[: k - len(above)]])
        found += [(number, int(at), float(score[at])) for at in there]
    return sorted(found, key=lambda each: (-each[2], each[0], each[1]))[:k], matches
