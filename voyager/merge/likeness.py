"""Which regions that different sides added are one thing, and which may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from voyager.schema import Region
from voyager.schema.codec import encode_geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voyager.merge.rules import Rules

SAME: Final = 0.9
"""Regions as similar are one."""

MAYBE: Final = 0.5
"""Regions of one class that are as similar may be one."""

Drawn = Mapping[bytes, tuple[Region, set[int]]]
"""Region id → the region, and the sides that have it."""


@dataclass(slots=True)
class Alike:
    """Groups of ids that are one region, and pairs (lower id first) that may be."""

    same: list[set[bytes]] = field(default_factory=list)
    maybe: list[tuple[bytes, bytes]] = field(default_factory=list)


def find_alike(drawn: Drawn, rules: Rules) -> Alike:
    """Compare what different sides drew; two regions of one side are two."""
    sides = [side for _, own in drawn.values() for side in own]
    if len(set(sides)) < 2 or len(drawn) < 2:
        return Alike()
    ids = [own for own, (region, _) in drawn.items() if _has_shape(region, rules)]
    ids.sort(key=lambda own: (min(drawn[own][1]), own))
    groups = _Groups(ids, [drawn[own][1] for own in ids])
    scores = _scores([drawn[own][0] for own in ids], groups, rules)
    classes = [_classes(drawn[own][0]) for own in ids]
    kin = [[bool(a & b) or a == b for b in classes] for a in classes]
    groups.join(scores, SAME, lambda a, b: kin[a][b])
    groups.join(scores, SAME, lambda a, b: True)
    found = Alike([{ids[at] for at in group} for group in groups.all() if len(group) > 1])
    found.maybe = sorted(
        (min(ids[a], ids[b]), max(ids[a], ids[b]))
        for a, b in groups.pairs(scores, MAYBE, lambda a, b: kin[a][b])
        if groups.is_alone(a) and groups.is_alone(b)
    )
    return found


def _has_shape(region: Region, rules: Rules) -> bool:
    return region.geometry is not None and not rules.is_broken(region.geometry)


def _classes(region: Region) -> set[tuple[Any, ...]]:
    return {(label.task, label.node, label.value) for label in region.labels}


def _scores(regions: list[Region], groups: _Groups, rules: Rules) -> NDArray[Any]:
    """The similarity of every two regions of different sides, 0 for all else; symmetric."""
    import numpy as np

    from voyager.schema.similarity import similarity_matrix

    # In one order of their bytes, so that rounding does not depend on who is called ours.
    order = sorted(range(len(regions)), key=lambda at: _shape_bytes(regions[at]))
    shapes = [shape for at in order if (shape := regions[at].geometry) is not None]
    upper = np.triu(similarity_matrix(shapes, shapes, load=rules.load), 1)
    scores = np.zeros(upper.shape)
    scores[np.ix_(order, order)] = upper + upper.T
    for a in range(len(regions)):
        for b in range(len(regions)):
            if groups.share(a, b):
                scores[a, b] = 0.0
    return scores


def _shape_bytes(region: Region) -> bytes:
    return b"" if region.geometry is None else encode_geometry(region.geometry)


class _Groups:
    """Regions, by place, that are joined step by step; no group holds two of one side."""

    def __init__(self, ids: list[bytes], sides: list[set[int]]) -> None:
        self._ids = ids
        self._sides = sides
        self._group = {at: {at} for at in range(len(ids))}

    def all(self) -> list[set[int]]:
        """Every group once, by its first member."""
        return list({min(group): group for group in self._group.values()}.values())

    def is_alone(self, at: int) -> bool:
        """Whether a region was joined with none."""
        return len(self._group[at]) == 1

    def share(self, a: int, b: int) -> bool:
        """Whether two regions are of one side."""
        return bool(self._sides[a] & self._sides[b])

    def join(self, scores: Any, least: float, fits: Callable[[int, int], bool]) -> None:
        """Join what is similar enough."""
        for a, b in self.pairs(scores, least, fits):
            merged = self._group[a] | self._group[b]
            if self._free(a, b):
                for at in merged:
                    self._group[at] = merged

    def _free(self, a: int, b: int) -> bool:
        if self._group[a] is self._group[b]:
            return False
        return not any(self.share(x, y) for x in self._group[a] for y in self._group[b])

    def pairs(
        self, scores: Any, least: float, fits: Callable[[int, int], bool]
    ) -> list[tuple[int, int]]:
        """The best pairs of groups: an optimal assignment of two sides, greedy among more."""
        alone = [at for at in range(len(self._ids)) if self.is_alone(at)]
        if len({side for own in self._sides for side in own}) == 2:
            return self._assigned(alone, scores, least, fits)
        found = sorted(
            (-scores[a, b], min(self._ids[a], self._ids[b]), max(self._ids[a], self._ids[b]), a, b)
            for a in range(len(self._ids))
            for b in range(a)
            if scores[a, b] >= least and fits(a, b)
        )
        return [(a, b) for *_, a, b in found if self._free(a, b)]

    def _assigned(
        self, alone: list[int], scores: Any, least: float, fits: Callable[[int, int], bool]
    ) -> list[tuple[int, int]]:
        import numpy as np

        from voyager.schema.assignment import assign

        sides = sorted({side for own in self._sides for side in own})
        rows, columns = ([at for at in alone if self._sides[at] == {side}] for side in sides)
        if not rows or not columns:
            return []
        if self._ids[columns[0]] < self._ids[rows[0]]:  # not by who is called ours
            rows, columns = columns, rows
        allowed = np.array([[fits(a, b) for b in columns] for a in rows])
        values = np.where(allowed, scores[np.ix_(rows, columns)], 0.0)
        return [(rows[a], columns[b]) for a, b in assign(values, least)]
