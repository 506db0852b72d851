"""Deciding one value: what several sides make of a base, or that they do not agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from voyager import wire
from voyager.schema.sample import Label, Origin, Region

_T = TypeVar("_T")


class _Undecided:
    """The type of UNDECIDED."""


UNDECIDED: Final[Any] = _Undecided()
"""Sides changed a value to different ones."""

_STATES = {"verified": 0, "accepted": 1, "proposed": 2, "rejected": 3}
_KINDS = {"human": 0, "import": 1, "model": 2}


def decide(base: Any, sides: Iterable[Any]) -> Any:
    """What all sides that changed a value agree on (the base when none did), else UNDECIDED."""
    found = base
    changed = False
    for side in sides:
        if side is base or side == base:
            continue
        if not changed:
            found, changed = side, True
        elif side is not found and side != found:
            return UNDECIDED
    return found


def decide_plain(base: Any, sides: Sequence[Any]) -> Any:
    """As `decide`, for plain values, of which 1, 1.0 and true are three."""
    encode = wire.encoder.encode
    encoded = [encode(side) for side in sides]
    choice = decide(encode(base), encoded)
    if choice is UNDECIDED:
        return UNDECIDED
    return sides[encoded.index(choice)] if choice in encoded else base


def merge_set(base: Iterable[_T], sides: Sequence[Iterable[_T]]) -> set[_T]:
    """Member by member: what any side added is there, what any took out is not."""
    old = set(base)
    news = [set(side) for side in sides]
    added = set().union(*news) - old
    return added | old.intersection(*news)


def merge_order(
    base: Iterable[_T], sides: Sequence[Iterable[_T]], wanted: Mapping[_T, Any]
) -> list[_T]:
    """The names of `wanted` in order: those of the base, then the added ones.

    What one side alone added stays in its order; what several did is sorted.
    """
    known = [name for name in base if name in wanted]
    old = set(known)
    lists = [[name for name in side if name in wanted and name not in old] for side in sides]
    added = {name for names in lists for name in names}
    whole = next((names for names in lists if len(names) == len(added)), None)
    if whole is None or any(names and names != whole for names in lists):
        ordered: list[Any] = list(added)
        whole = sorted(ordered)
    return [*known, *whole]


def rank(said: Label | Region) -> tuple[int, int]:
    """Whose voice goes first: by state, then by kind of source."""
    return _STATES[said.state], _KINDS.get(said.source.partition(":")[0], 3)


def merge_origin(base: Origin | None, sides: Sequence[Origin | None]) -> Origin | None:
    """Where a thing came from is no matter of conflict: the first in byte order that is new."""
    found: Origin | None = decide(base, sides)
    if found is UNDECIDED:
        changed = [side for side in sides if side is not None and side != base]
        found = min(changed, key=wire.encoder.encode)
    return found
