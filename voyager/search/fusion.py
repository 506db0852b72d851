"""One order from several: of words, of looks, and of what a model makes of words.

Scores of different kinds cannot be added, so places are: a thing at place r of a list (from 1) is
worth 1 / (60 + r) there, and nothing where it does not stand (reciprocal rank fusion; Cormack,
Clarke and Büttcher, SIGIR 2009). The sum is divided by that of a thing that is first in every list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voyager.search.query import Hit, Item, Of

_SMOOTHING: Final = 60


def fused(lists: Sequence[Sequence[Hit]], k: int, of: Of) -> list[Hit]:
    """The best `k` of several lists, each best first; a list alone keeps its scores."""
    if len(lists) == 1:
        return list(lists[0][:k])
    worth: dict[Item, float] = {}
    found: dict[Item, list[Hit]] = {}
    for hits in lists:
        for place, hit in enumerate(hits, 1):
            item = Item(hit.key, hit.region if of == "regions" else None)
            worth[item] = worth.get(item, 0.0) + 1 / (_SMOOTHING + place)
            found.setdefault(item, []).append(hit)
    best = len(lists) / (_SMOOTHING + 1)
    order = sorted(worth, key=lambda item: (-worth[item], item.key, item.region or b""))
    return [_together(found[item], worth[item] / best) for item in order[:k]]


def _together(hits: Sequence[Hit], score: float) -> Hit:
    region = next((hit.region for hit in hits if hit.region is not None), None)
    return Hit(hits[0].key, region, score, tuple(why for hit in hits for why in hit.why))
