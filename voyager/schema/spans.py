"""Sets of numbers as sorted edges: start, end, start, end, …; the algebra under masks and areas.

A span is half open. Positions are pixels of a mask read column by column, or points of a bundle of
vertical lines laid end to end; nothing here knows which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

Edges: TypeAlias = "NDArray[Any]"
"""Positions where the set begins and ends, in turn: an even number of them, rising."""


def overlay(spans: Sequence[tuple[Edges, Edges]], least: int = 1) -> Edges:
    """The edges of what at least `least` of the spans (starts, ends) cover."""
    import numpy as np

    starts = np.concatenate([start for start, _ in spans])
    ends = np.concatenate([end for _, end in spans])
    positions = np.concatenate([starts, ends])
    steps = np.repeat(np.array([1, -1]), [len(starts), len(ends)])
    order = np.argsort(positions, kind="stable")
    positions = positions[order]
    depth = np.cumsum(steps[order])
    last = np.ones(len(positions), bool)  # of those at one position: spans that touch are one
    last[:-1] = positions[1:] != positions[:-1]
    inside = depth[last] >= least
    turns = inside.copy()
    turns[1:] ^= inside[:-1]
    return positions[last][turns]


def union(sets: Sequence[Edges]) -> Edges:
    """What any of the sets holds."""
    return overlay([(edges[0::2], edges[1::2]) for edges in sets])


def intersection(sets: Sequence[Edges]) -> Edges:
    """What all of the sets hold."""
    return overlay([(edges[0::2], edges[1::2]) for edges in sets], len(sets))


def length(edges: Edges) -> float:
    """How much the set holds."""
    return float((edges[1::2] - edges[0::2]).sum())


def shared_length(a: Edges, b: Edges) -> float:
    """How much both hold, without building what they share; exact for whole numbers to 2⁵³."""
    import numpy as np

    if not len(a) or not len(b):
        return 0.0
    before = np.zeros(len(b))  # how much b holds before each of its edges
    before[1::2] = np.cumsum(b[1::2] - b[0::2])
    before[2::2] = before[1:-1:2]
    held = np.interp(a, b, before)
    return float((held[1::2] - held[0::2]).sum())
