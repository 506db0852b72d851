"""Dividing things into parts of asked shares, so that every class comes in these shares too.

Things that go together are one unit. Units are placed one after the other, those that are hardest
to place first, each where it leads least away from what is asked; then single units move while that
helps. How far a part is away is its chi-square: for each class, and for the number of things, the
squared difference from what is asked over what is asked. So rare classes weigh as much as common
ones, and a small part as much as a large one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from blake3 import blake3

Amounts = Mapping[Hashable, int]

SIZE = None
"""The class that every thing is of."""

_WORK = 2_000_000
"""So many places of units are tried, at most."""

_TRIES = 16


@dataclass(frozen=True, slots=True)
class Unit:
    """Things that go together: how many of each class, and under SIZE how many in all.

    `order` puts units that are alike into an order by chance; `fixed` is the part where a unit is.
    """

    order: bytes
    amounts: Amounts
    fixed: str | None = None


@dataclass(slots=True)
class _Part:
    """A part, what is asked of each class, and what it has."""

    name: str
    share: float
    asked: dict[Hashable, float] = field(default_factory=dict)
    has: Counter[Hashable] = field(default_factory=Counter)

    @property
    def distance(self) -> float:
        """How far the part is away from what is asked."""
        away = ((self.has[name] - asked) ** 2 / asked for name, asked in self.asked.items())
        return math.fsum(away)  # exact, so that the order of classes has no say

    def cost_of(self, amounts: Amounts, sign: int = 1) -> float:
        """How much further away the part would be with a unit more, or one less."""
        cost = 0.0
        for name, amount in amounts.items():
            asked = self.asked[name]
            cost += amount * (sign * 2 * (self.has[name] - asked) + amount) / asked
        return cost

    def take(self, amounts: Amounts, sign: int = 1) -> None:
        for name, amount in amounts.items():
            self.has[name] += sign * amount


def divide(units: Sequence[Unit], shares: Mapping[str, float]) -> list[str]:
    """The part of each unit. Shares add up to 1; the result does not depend on the order of units.

    What is fixed in one of the parts counts there, what is fixed elsewhere does not count. Of
    several draws the best is taken.
    """
    total: Counter[Hashable] = Counter()
    for unit in units:
        if unit.fixed is None or unit.fixed in shares:
            total.update(unit.amounts)
    free = [unit for unit in units if unit.fixed is None]
    tries = max(1, min(_TRIES, _WORK // max(1, 10 * len(free) * len(shares))))
    drawn = [_draw(units, shares, total, draw) for draw in range(tries)]
    _, _, placed = min(drawn, key=itemgetter(0, 1))
    where = {id(unit): name for unit, name in placed}
    return [unit.fixed or where[id(unit)] for unit in units]


def _draw(
    units: Sequence[Unit], shares: Mapping[str, float], total: Amounts, draw: int
) -> tuple[float, int, list[tuple[Unit, str]]]:
    """How far one draw is away, its number, and the part of each unit that is not fixed."""
    parts = [_Part(name, share) for name, share in shares.items() if share > 0]
    for part in parts:
        part.asked = {name: part.share * amount for name, amount in total.items()}
        for unit in units:
            if unit.fixed == part.name:
                part.take(unit.amounts)
    order = draw.to_bytes(1, "big")
    free = sorted(
        (unit for unit in units if unit.fixed is None),
        key=lambda unit: (_ease(unit, total), blake3(order + unit.order).digest()),
    )
    placed = _improve(free, parts, _place(free, parts))
    names = [(unit, part.name) for unit, part in zip(free, placed, strict=True)]
    return math.fsum(part.distance for part in parts), draw, names


def _ease(unit: Unit, total: Amounts) -> int:
    """How easily a unit is placed: low for what holds much of a class, in steps of two."""
    share = max((amount / total[name] for name, amount in unit.amounts.items()), default=0)
    return -math.frexp(share)[1]


def _place(units: Sequence[Unit], parts: Sequence[_Part]) -> list[_Part]:
    placed = []
    for unit in units:
        best = min(parts, key=lambda part: part.cost_of(unit.amounts))
        best.take(unit.amounts)
        placed.append(best)
    return placed


def _improve(units: Sequence[Unit], parts: Sequence[_Part], placed: list[_Part]) -> list[_Part]:
    """Move single units while that brings the parts nearer to what is asked."""
    left = _WORK
    moved = True
    while moved and left > 0:
        moved = False
        for place, unit in enumerate(units):
            here = placed[place]
            gain = here.cost_of(unit.amounts, -1)
            there = min(
                (part for part in parts if part is not here),
                key=lambda part: part.cost_of(unit.amounts),
                default=here,
            )
            left -= len(parts)
            if there is not here and gain + there.cost_of(unit.amounts) < -1e-9:
                here.take(unit.amounts, -1)
                there.take(unit.amounts)
                placed[place] = there
                moved = True
    return placed
