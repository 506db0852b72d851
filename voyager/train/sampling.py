"""Sampling that favours the rare: how often a row stands in an epoch, as a pure function too."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voyager.train.order import Rows, permute


class Positions(Protocol):
    """What says which row stands at a position of an epoch, 0 to count - 1."""

    @property
    def count(self) -> int: ...

    def at(self, epoch: int, positions: Rows) -> Rows: ...


@dataclass(frozen=True, slots=True, eq=False)
class Balanced:
    """Rows by groups, each group with its share of the positions of an epoch.

    A group of g rows with n positions shows each of its rows n // g or n // g + 1 times an epoch,
    in another order each time round.
    """

    count: int
    seed: int
    members: NDArray[np.int64]
    """The rows, group by group."""
    starts: NDArray[np.int64]
    """Where each group begins in `members`, and the end of the last."""
    bounds: NDArray[np.int64]
    """Where the positions of each group begin before they are mixed, and the count."""

    def at(self, epoch: int, positions: Rows) -> Rows:
        """The rows at some positions of an epoch."""
        place = permute(positions, self.count, self.seed, epoch, 4)
        group = np.searchsorted(self.bounds, place, side="right") - 1
        number = place - self.bounds[group]
        size = np.diff(self.starts)[group]
        lap, inside = np.divmod(number, size)
        rows = np.empty_like(place)
        for one in np.unique(group).tolist():
            here = group == one
            first, last = self.starts[one : one + 2].tolist()
            moved = permute(inside[here], last - first, self.seed, epoch, 5 + one, lap[here])
            rows[here] = self.members[first + moved]
        return rows


def balanced(
    groups: Sequence[NDArray[np.int64]], seed: int, *, count: int | None = None
) -> Balanced:
    """Groups of rows with equal shares of an epoch.

    An epoch has `count` positions, as many as there are rows unless it is said. A row may be in
    several groups (an image with several classes). Groups without rows get nothing.
    """
    listed = [np.asarray(rows, np.int64) for rows in groups if len(rows)]
    total = len(np.unique(np.concatenate(listed))) if count is None else count
    bounds = np.rint(np.arange(len(listed) + 1) / len(listed) * total).astype(np.int64)
    starts = np.concatenate(([0], np.cumsum([len(rows) for rows in listed]))).astype(np.int64)
    return Balanced(total, seed, np.concatenate(listed), starts, bounds)


def by_value(values: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rows of each value from 0 on; those with a negative value (no answer) are in none."""
    order = np.argsort(values, kind="stable")
    known = order[values[order] >= 0]
    highest = int(values.max(initial=-1))
    edges = np.searchsorted(values[known], np.arange(highest + 2))
    return [known[first:last] for first, last in itertools.pairwise(edges)]
