"""Merging classes of taxonomies, and their roots, field by field, with no look at the tree."""

from __future__ import annotations

from collections.abc import Sequence

from voyager import wire
from voyager.merge.fields import merge_set
from voyager.merge.flat_vocabulary import Flat, Place
from voyager.merge.terms import Rules
from voyager.schema.conflict import ABSENT, Terms
from voyager.schema.taxonomy import Node, split_path
from voyager.schema.vocabulary_fields import LIFE, NODE, REMOVED
from voyager.schema.vocabulary_rows import encode_node


def _decide(path: str, new: bool, before: bytes, values: Sequence[bytes]) -> bytes | None:
    """Places among the classes are no matter of conflict: the first that a side gave wins.

    What one side made and took away again, and another made and kept, is there.
    """
    if path == "order":
        orders = [int(wire.decode(value)) for value in values if new or value != before]
        return wire.encode(min(orders)) if orders else None
    if path == LIFE and new:
        kept = set(values) - {REMOVED}
        merged = kept - {ABSENT}
        if ABSENT in kept and len(merged) <= 1:
            return merged.pop() if merged else ABSENT
    return None


def _bind(_first: Node, _changes: dict[str, bytes], _conflicts: dict[str, Terms]) -> None:
    """No fields of a class are bound to each other."""


def _join(merged: Node, base: Node | None, sides: Sequence[Node]) -> Node:
    aliases = merge_set(() if base is None else base.aliases, [side.aliases for side in sides])
    if aliases == set(merged.aliases):
        return merged
    return merged.replace(aliases=tuple(aliases))


NODES: Rules[Node] = Rules(
    whole=NODE,
    encode=encode_node,
    decide=_decide,
    bind=_bind,
    join=_join,
    optional=frozenset({LIFE, "extra", "unknown"}),
)


def birth_of(place: Place, sides: Sequence[Flat]) -> dict[str, bytes]:
    """What a class was like when it was made: its id says where, so only what came later differs.

    What it was made in is the parent of that path that a side has it in, where there is just one.
    """
    rows = [(side, row) for side in sides if (row := side.get(place)) is not None]
    minted = min(row.minted for _, row in rows)
    if place.node is None:
        return {LIFE: ABSENT, "name": wire.encode(minted.partition("/")[0])}
    *way, name = split_path(minted)
    born = {LIFE: ABSENT, "name": wire.encode(name)}
    parents = {row.parent for side, row in rows if _minted_at(side, place, row) == way}
    return {**born, "parent": wire.encode(parents.pop())} if len(parents) == 1 else born


def _minted_at(side: Flat, place: Place, row: Node) -> list[str] | None:
    """The path at which the parent of a class was made, on one side."""
    if row.parent is None:
        return []
    parent = side.get(Place(place.taxonomy, row.parent))
    return None if parent is None else split_path(parent.minted)
