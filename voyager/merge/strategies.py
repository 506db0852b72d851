"""Strategies: what decides conflicts instead of people. A new one is a function and a line.

A strategy sees one field in conflict and gives what was in dispute with the field decided, or
UNDECIDED: the conflict stands then. None guesses. `choices` says which one is asked for what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, TypeAlias

from voyager.merge.fields import UNDECIDED
from voyager.merge.question import Question, is_label
from voyager.merge.vote import vote
from voyager.schema import Label, Region
from voyager.schema.conflict import ABSENT
from voyager.schema.fields import (
    decode_field,
    label_path,
    pair_of,
    read_field,
    region_of,
    write_field,
)
from voyager.schema.vocabulary_fields import LIFE

Strategy: TypeAlias = Callable[[Question], Any]


def manual(question: Question) -> Any:
    """Decide nothing: people will."""
    return UNDECIDED


def ours(question: Question) -> Any:
    """What our side has; of two regions that may be one, ours."""
    return question.take(question.said()[0])


def theirs(question: Question) -> Any:
    """What the other side has; only where there is one other side."""
    said = question.said()
    return question.take(said[1]) if len(said) == 2 else UNDECIDED


def newest(question: Question) -> Any:
    """What the side has whose tip was written last, of those that changed it."""
    voices = question.voices()
    times = {side: question.sides[side].time for side, _ in voices}
    if {term for _, term in voices} != {*question.terms.adds}:
        return UNDECIDED  # whose it is, and so of when, cannot be told
    last = max(times.values())
    found = {term for side, term in voices if times[side] == last}
    return question.take(found.pop()) if len(found) == 1 else UNDECIDED


def union(question: Question) -> Any:
    """Both, where both can be: what one side took out and another changed stays, changed.

    Two regions that may be one are two; of two texts at one place the second comes after the last.
    """
    if pair_of(question.path) is not None:
        return question.dispute.merged
    if question.path == LIFE and question.dispute.space == "taxonomies":
        return question.take(ABSENT) if ABSENT in question.terms.adds else UNDECIDED
    there = sorted({*question.terms.adds} - {ABSENT})
    if len(there) == 1 and question.path not in ("parent", "taxonomy", "applies_to"):
        return question.take(there[0])
    return _in_a_row(question, there)


def human_over_model(question: Question) -> Any:
    """What a person verified, then what a person said, then an import, then a model."""
    return _best(question, _authority)


def highest_score(question: Question) -> Any:
    """What has the highest score of its label or region."""
    return _best(question, lambda said: None if said.score is None else -said.score)


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "manual": manual,
    "ours": ours,
    "theirs": theirs,
    "union": union,
    "newest": newest,
    "human-over-model": human_over_model,
    "highest-score": highest_score,
    "vote": vote,
}


_KINDS = {"human": 0, "import": 1, "model": 2}
_STATES = {"verified": 0, "accepted": 1, "rejected": 1, "proposed": 2}


def _authority(said: Label | Region) -> float:
    """Who goes first, by the kind of source and then the state: taking in or out weigh the same."""
    kind = _KINDS.get(said.source.partition(":")[0], len(_KINDS))
    return kind * len(_STATES) + _STATES[said.state]


def _best(question: Question, rank: Callable[[Label | Region], float | None]) -> Any:
    """The one term whose speakers rank first; every term has to have one that can be ranked."""
    ranks: dict[bytes, float] = {}
    for term in {*question.terms.adds}:
        found = [place for said in question.speakers(term) if (place := rank(said)) is not None]
        if not found:
            return UNDECIDED
        ranks[term] = min(found)
    first = min(ranks.values())
    best = [term for term, place in ranks.items() if place == first]
    return question.take(best[0]) if len(best) == 1 else UNDECIDED


def _in_a_row(question: Question, terms: list[bytes]) -> Any:
    """All of several new texts with an ordinal, each with one of its own."""
    sample, path = question.dispute.merged, question.path
    if question.dispute.space != "samples" or not is_label(path) or sample is None:
        return UNDECIDED
    labels: list[Label] = [decode_field(path, term) for term in terms]
    if question.terms.held != ABSENT or any(label.ordinal is None for label in labels):
        return UNDECIDED
    if len({label.value for label in labels}) < len(labels):
        return UNDECIDED
    first, *further = labels
    sample = write_field(sample, path, first)
    for label in further:
        for ordinal in count(1 + (first.ordinal or 0)):
            moved = label.replace(ordinal=ordinal)
            own = label_path(moved, many=False, region=region_of(path))
            if read_field(sample, own) is None:
                sample = write_field(sample, own, moved)
                break
    return sample
