"""Merging rows field by field: terms of sides against terms of a base, conflicts among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from voyager.schema.conflict import ABSENT, Conflicts, Terms, combine
from voyager.schema.fields import parse_path
from voyager.schema.task import Task
from voyager.schema.taxonomy import Node
from voyager.schema.vocabulary_fields import iter_parts, write_parts

_T = TypeVar("_T", bound=Node | Task)


def merge_terms(base: Terms, sides: Sequence[Terms]) -> Terms:
    """What sides make of a base: `combine`, but for two answers to one question.

    Sides that settle a conflict of the base differently would take each other's answer out of it
    and leave what it began with, which nobody wants: they are in conflict.
    """
    changed = [side for side in sides if side != base]
    if not changed:
        return base
    if all(side == changed[0] for side in changed):
        return changed[0]
    plain = Terms((base.held,))
    # Of a base in conflict that every side settled, only what it held is of interest: its own
    # terms, which nobody says any more, would come up as further answers.
    all_settled = all(side.settled is not None for side in changed)
    for known in (plain,) if all_settled and base.settled is None else (base, plain):
        found = combine(known, changed)
        if _holds_answers(found, base, changed):
            return found
    return Terms(tuple(sorted({add for side in changed for add in side.adds})))


def _holds_answers(found: Terms, base: Terms, changed: Sequence[Terms]) -> bool:
    """Whether what sides settled, and what they brought in, is among the terms."""
    return all(
        set(side.adds if side.settled is not None else set(side.adds) - set(base.adds))
        <= set(found.adds)
        for side in changed
    )


def stand_off(held: bytes, wanted: bytes) -> Terms:
    """The conflict of a value that the sides agree on with the one that had to stay.

    Nothing is removed: the held value is one of those to choose from.
    """
    return Terms(tuple(sorted((held, wanted))))


@dataclass(slots=True)
class Given(Generic[_T]):
    """One row as a base or side has it, and what of it is in conflict there."""

    row: _T | None
    standing: Conflicts = field(default_factory=dict)

    def terms(self, path: str, term: bytes) -> Terms:
        """The terms of a field that holds `term`."""
        return self.standing.get(path) or Terms((term,))


@dataclass(frozen=True, slots=True)
class Rules(Generic[_T]):
    """How rows of one kind are merged.

    `whole` is the path of a row as a whole. `decide` settles fields whose values need not be in
    conflict, by the path, whether the row is new, and the terms of base and sides. `bind` holds
    fields that only go together. `join` merges what has no path. What is `optional` may be absent.
    """

    whole: str
    encode: Callable[[_T], bytes]
    decide: Callable[[str, bool, bytes, Sequence[bytes]], bytes | None]
    bind: Callable[[_T, dict[str, bytes], dict[str, Terms]], None]
    join: Callable[[_T, _T | None, Sequence[_T]], _T]
    optional: frozenset[str]


def merge_row(
    rules: Rules[_T],
    base: Given[_T],
    sides: Sequence[Given[_T]],
    born: Callable[[], Mapping[str, bytes]] = dict,
) -> tuple[_T | None, dict[str, Terms]]:
    """The row that sides make of a base's, and what of it is in conflict.

    Where the base has none, `born` tells what fields were like when the sides made it.
    """
    everyone: list[Given[_T]] = [base, *sides]
    known = [given for given in everyone if given.standing]
    changed = [side.row for side in sides if side.row is not None and side.row != base.row]
    gone = base.row is not None and any(side.row is None for side in sides)
    conflicts: dict[str, Terms] = {}
    if gone or any(rules.whole in given.standing for given in known):
        terms = merge_terms(_whole(rules, base), [_whole(rules, side) for side in sides])
        if terms.settled == ABSENT:
            return None, {}
        if terms.settled is None:
            conflicts[rules.whole] = terms
    elif not known and (not changed or all(row == changed[0] for row in changed)):
        return (changed[0] if changed else base.row), {}
    present = [side for side in sides if side.row is not None]
    row, found = _merge_fields(rules, base, present, born)
    if gone:  # held as the base has it, but what stands in conflict stands on
        found = {path: terms for path, terms in found.items() if _stands(path, known)}
        return base.row, {**found, **conflicts}
    return row, {**found, **conflicts}


def _stands(path: str, known: Sequence[Given[_T]]) -> bool:
    return any(path in given.standing for given in known)


def _whole(rules: Rules[_T], given: Given[_T]) -> Terms:
    return given.terms(rules.whole, ABSENT if given.row is None else rules.encode(given.row))


def _merge_fields(
    rules: Rules[_T],
    base: Given[_T],
    sides: Sequence[Given[_T]],
    born: Callable[[], Mapping[str, bytes]],
) -> tuple[_T, dict[str, Terms]]:
    rows = [side.row for side in sides if side.row is not None]
    before = born() if base.row is None else dict(iter_parts(base.row))
    first = min(rows, key=rules.encode) if base.row is None else base.row
    own = dict(iter_parts(first))
    parts = [dict(iter_parts(row)) for row in rows]
    everyone: list[Given[_T]] = [base, *sides]
    paths = {path for some in (before, *parts) for path in some}
    paths.update(path for given in everyone for path in given.standing)
    changes: dict[str, bytes] = {}
    conflicts: dict[str, Terms] = {}
    for path in sorted(paths - {rules.whole}):
        old, values = before.get(path, ABSENT), [part.get(path, ABSENT) for part in parts]
        terms = merge_terms(
            base.terms(path, old),
            [side.terms(path, value) for side, value in zip(sides, values, strict=True)],
        )
        value = terms.settled
        if value is None or base.row is None:
            value = rules.decide(path, base.row is None, old, values) or value
        if value is None:
            conflicts[path] = terms
            value = _held(terms, path, sides, values, old)
            if value == ABSENT and not (path in before or parse_path(path)[0] in rules.optional):
                value = own.get(path, ABSENT)
        if value != own.get(path, ABSENT):
            changes[path] = value
    rules.bind(first, changes, conflicts)
    return rules.join(write_parts(first, changes), base.row, rows), conflicts


def _held(
    terms: Terms, path: str, sides: Sequence[Given[_T]], values: Sequence[bytes], old: bytes
) -> bytes:
    """What a field in conflict holds: as where it stands like that already, else the base."""
    pairs = zip(sides, values, strict=True)
    found = [value for side, value in pairs if side.standing.get(path) == terms]
    if found:
        return min(found)
    return terms.held if terms.removes else old
