"""Merging classes of taxonomies, and their roots, field by field, with no look at the tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from voyager import wire
from voyager.merge.fields import merge_set
from voyager.merge.terms import Rules
from voyager.schema.conflict import ABSENT, Terms
from voyager.schema.taxonomy import Node, split_path
from voyager.schema.vocabulary_fields import LIFE, NODE, REMOVED
from voyager.schema.vocabulary_rows import encode_node


def _birth_of_node(rows: Sequence[Node]) -> Mapping[str, bytes]:
    """A class as it was made: its id says where, so a side that renamed it since did that alone."""
    names = split_path(min(row.minted for row in rows))
    born = {LIFE: ABSENT, "name": wire.encode(names[-1])}
    return born if len(names) > 1 else {**born, "parent": ABSENT}


def _birth_of_root(rows: Sequence[Node]) -> Mapping[str, bytes]:
    name = min(row.minted for row in rows).partition("/")[0]
    return {LIFE: ABSENT, "name": wire.encode(name)}


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


def _rules(birth: Callable[[Sequence[Node]], Mapping[str, bytes]]) -> Rules[Node]:
    return Rules(
        whole=NODE,
        encode=encode_node,
        birth=birth,
        decide=_decide,
        bind=_bind,
        join=_join,
        optional=frozenset({LIFE, "extra", "unknown"}),
    )


NODES = _rules(_birth_of_node)
ROOTS = _rules(_birth_of_root)
