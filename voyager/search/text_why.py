"""Why a sample was found, in words, and in which of its regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from voyager.schema import Label, Sample
from voyager.schema.vocabulary import Vocabulary
from voyager.search.text_document import REJECTED, Said, meta_texts
from voyager.search.text_ranking import Meant
from voyager.search.words import words_of

_SHOWN: Final = 60
"""Letters of a text that are shown."""


class _Claim(NamedTuple):
    """Something of a sample that a term may have met, the words of it or its class."""

    region: bytes | None
    why: str
    words: tuple[str, ...] = ()
    node: bytes = b""


class Why(NamedTuple):
    """The reasons for which a region was found, or a sample as a whole."""

    region: bytes | None
    reasons: tuple[str, ...]


def explain(key: str, sample: Sample, meant: Sequence[Meant], vocabulary: Vocabulary) -> list[Why]:
    """The best reason for each term: of every region that meets most of them, if any does.

    Of regions in the order of the sample; of the sample alone where the terms are met elsewhere.
    """
    claims = list(_claims(key, sample, vocabulary))
    met = [_met(each, claims) for each in meant]
    counts: Counter[bytes] = Counter()
    for each in met:
        counts.update({claim.region for claim, _ in each if claim.region})
    most = max(counts.values(), default=0)
    best: list[bytes | None] = [
        region.id for region in sample.regions if most and counts[region.id] == most
    ]
    return [
        Why(region, tuple(dict.fromkeys(_reason(each, region) for each in met if each)))
        for region in best or [None]
    ]


def _met(meant: Meant, claims: Sequence[_Claim]) -> list[tuple[_Claim, float]]:
    found = []
    for claim in claims:
        points = meant.classes.get(claim.node, 0.0) if claim.node else meant.term.grade(claim.words)
        if points:
            found.append((claim, points))
    return found


def _reason(met: Sequence[tuple[_Claim, float]], best: bytes | None) -> str:
    """The reason with most points, of equal ones that in the best region."""
    return max(met, key=lambda each: (each[1], each[0].region == best))[0].why


def _claims(key: str, sample: Sample, vocabulary: Vocabulary) -> Iterator[_Claim]:
    yield from _labels(sample.labels, None, vocabulary)
    yield from _texts(meta_texts(sample.meta, "meta."), None)
    for region in sample.regions:
        if region.state != REJECTED:
            yield from _labels(region.labels, region.id, vocabulary)
            yield from _texts(meta_texts(region.attrs, "attrs."), region.id)
    yield _Claim(None, f"key {key}", words_of(key))


def _labels(
    labels: Iterable[Label], region: bytes | None, vocabulary: Vocabulary
) -> Iterator[_Claim]:
    for label in labels:
        if label.state == REJECTED:
            continue
        if label.node is not None:
            guess = " (proposed)" if label.state == "proposed" else ""
            path = vocabulary.told(label.task, label.node)
            yield _Claim(region, f"class {path}{guess}", node=label.node)
        elif isinstance(label.value, str):
            yield from _texts([Said(label.task, label.value)], region)


def _texts(texts: Iterable[Said], region: bytes | None) -> Iterator[_Claim]:
    for where, text in texts:
        shown = " ".join(text.split())
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN].rstrip()}…"
        yield _Claim(region, f'{where} "{shown}"', words_of(text))
