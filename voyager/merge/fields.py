"""Deciding one value: what several sides make of a base, or that they do not agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from voyager.schema.codec import bytes_of
from voyager.schema.sample import Label, Origin, Region

_T = TypeVar("_T")


class _Undecided:
    """The type of UNDECIDED."""


UNDECIDED: Final[Any] = _Undecided()
"""Sides changed a value to different ones."""

_STATES = {"verified": 0, "accepted": 1, "proposed": 2, "rejected": 3}
_KINDS = {"human": 0, "import": 1, "model": 2}


_ONE_BY_NATURE = frozenset({bytes, str, type(None)})


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are one to the byte: 1, 1.0 and true are three."""
    if one is other:
        return True
    return bool(one == other) and (type(one) in _ONE_BY_NATURE or bytes_of(one) == bytes_of(other))


def decide(base: Any, sides: Iterable[Any]) -> Any:
    """What all sides that changed a value agree on (the base when none did), else UNDECIDED."""
    found = base
    changed = False
    for side in sides:
        if is_same(side, base):
            continue
        if not changed:
            found, changed = side, True
        elif not is_same(side, found):
            return UNDECIDED
    return found


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
        found = min(changed, key=bytes_of)
    return found
