"""What must not be in a tree of classes: only merges and writes of single fields can bring it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from voyager.schema.taxonomy import NodeId, Taxonomy, join_path
from voyager.schema.vocabulary import Vocabulary

FaultKind: TypeAlias = Literal["same-name", "circle", "in-no-class", "circle-of-merges"]


class Fault(NamedTuple):
    """One class that cannot be where it is (None: the root): which, and in words."""

    kind: FaultKind
    taxonomy: str
    node: NodeId | None
    message: str


def iter_faults(vocabulary: Vocabulary) -> Iterator[Fault]:
    """Everything that is wrong with the trees of a vocabulary, by taxonomy."""
    for _, taxonomy in sorted(vocabulary.taxonomies.items()):
        yield from _of_one(taxonomy)


def _of_one(taxonomy: Taxonomy) -> Iterator[Fault]:
    taken: set[tuple[NodeId | None, str]] = set()
    for key in taxonomy:
        node = taxonomy.nodes[key]
        path = join_path([taxonomy.name, *taxonomy.names_of(key)])
        if (node.parent, node.name) in taken:
            message = f"there are two classes '{path}'"
            yield Fault("same-name", taxonomy.name, key, message)
        taken.add((node.parent, node.name))
        if not _is_in_a_living(taxonomy, node.parent):
            message = f"what '{path}' lies in was removed"
            yield Fault("in-no-class", taxonomy.name, key, message)
        elif _goes_in_circle(taxonomy, key):
            yield Fault("circle", taxonomy.name, key, f"'{path}' lies in itself")
    for key, node in sorted(taxonomy.nodes.items()):
        if node.redirect is not None and _leads_in_circle(taxonomy, key):
            message = f"'{taxonomy.name}/{node.minted}' was merged into itself"
            yield Fault("circle-of-merges", taxonomy.name, key, message)


def _is_in_a_living(taxonomy: Taxonomy, parent: NodeId | None) -> bool:
    return not taxonomy.dead if parent is None else parent in taxonomy


def _goes_in_circle(taxonomy: Taxonomy, node: NodeId) -> bool:
    above = taxonomy.above(node)
    return bool(above) and taxonomy.nodes[above[-1]].parent is not None


def _leads_in_circle(taxonomy: Taxonomy, node: NodeId) -> bool:
    seen: set[NodeId] = set()
    at: NodeId | None = node
    while at is not None and at in taxonomy.nodes:
        if at in seen:
            return True
        seen.add(at)
        at = taxonomy.nodes[at].redirect
    return False
