"""A vocabulary by what stays: classes by id in taxonomies by the name that they mint under.

A taxonomy that is renamed keeps that name, so that its classes, and the tasks that ask for them,
are the same in a version where it was renamed and in one where it was not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from voyager import wire
from voyager.merge.terms import Given
from voyager.schema.conflict import ABSENT, Conflicts, Terms, combine
from voyager.schema.task import Task
from voyager.schema.taxonomy import Node, NodeId, Taxonomy
from voyager.schema.vocabulary import Vocabulary
from voyager.schema.vocabulary_fields import NODE, TASK
from voyager.schema.vocabulary_rows import (
    decode_node,
    decode_task,
    encode_node,
    encode_task,
    parse_node_key,
)

Standing = Mapping[tuple[str, bytes], Conflicts]
"""(space, row key) → the conflicts of that row."""


class Place(NamedTuple):
    """A class of a taxonomy (by the name that it mints under), or with None its root."""

    taxonomy: str
    node: NodeId | None = None


_NOWHERE: Mapping[NodeId, Node] = {}


class Flat:
    """A vocabulary with its conflicts, by places; roots have the name of their taxonomy."""

    def __init__(
        self, vocabulary: Vocabulary, standing: Standing | None = None, base: Flat | None = None
    ) -> None:
        self._base = base
        self.taxonomies: dict[str, Taxonomy] = {}
        self._minted: dict[str, str] = {}
        for name in sorted(vocabulary.taxonomies):
            minted = vocabulary.taxonomies[name].minted_as
            if minted in self.taxonomies:  # as no verb makes it
                minted = f"{minted}\0{name}"
            self.taxonomies[minted] = vocabulary.taxonomies[name]
            self._minted[name] = minted
        self._roots = {
            minted: flat_root(taxonomy.root, minted, taxonomy.name)
            for minted, taxonomy in self.taxonomies.items()
        }
        self.tasks = {name: self._flat(task) for name, task in vocabulary.tasks.items()}
        self._standing: dict[Place, Conflicts] = {}
        self._task_standing: dict[str, Conflicts] = {}
        for (space, key), conflicts in (standing or {}).items():
            self._stand(space, key, conflicts)

    def _flat(self, task: Task) -> Task:
        return task if task.taxonomy is None else with_taxonomy(task, self.minted(task.taxonomy))

    def minted(self, name: str) -> str:
        """What the taxonomy of a name mints under; of one that went, what it did in the base.

        A name that is of no taxonomy is kept behind a NUL.
        """
        found = self._minted.get(name)
        if found is None and self._base is not None:
            gone = self._base.minted(name)
            found = None if gone in self.taxonomies else gone
        return f"\0{name}" if found is None else found

    def _stand(self, space: str, key: bytes, conflicts: Conflicts) -> None:
        if space == "tasks":
            self._task_standing[key.decode()] = renamed_terms(conflicts, self.minted)
        else:
            name, node = parse_node_key(key)
            minted = self._minted.get(name, name)
            if node is None and NODE in conflicts:
                conflicts = {**conflicts, NODE: _flat_terms(conflicts[NODE], minted, name)}
            self._standing[Place(minted, node)] = conflicts

    def get(self, place: Place) -> Node | None:
        """The class or root at a place, None where there is none."""
        if place.node is None:
            return self._roots.get(place.taxonomy)
        known = self.taxonomies.get(place.taxonomy)
        return None if known is None else known.nodes.get(place.node)

    def named(self, name: str) -> list[str]:
        """What the taxonomies of that name mint under."""
        return [minted for minted, known in self.taxonomies.items() if known.name == name]

    def lives(self, place: Place) -> bool:
        """Whether a place is one of a living class, or of a taxonomy that was not removed."""
        found = self.get(place)
        return found is not None and not found.dead

    def given(self, place: Place) -> Given[Node]:
        """What a merge takes from this version of a place."""
        return Given(self.get(place), dict(self._standing.get(place, {})))

    def given_task(self, name: str) -> Given[Task]:
        """What a merge takes from this version of a task."""
        return Given(self.tasks.get(name), dict(self._task_standing.get(name, {})))

    def places_unlike(self, other: Flat) -> Iterator[Place]:
        """The places that are not as in another, or in conflict here."""
        yield from self._standing
        for minted in {*self.taxonomies, *other.taxonomies}:
            if self.taxonomies.get(minted) is other.taxonomies.get(minted):
                continue
            root = Place(minted)
            if self.get(root) != other.get(root):
                yield root
            own, others = self._nodes(minted), other._nodes(minted)
            for key, node in own.items():
                if others.get(key) != node:
                    yield Place(minted, key)
            if len(own) != len(others) or own.keys() != others.keys():
                yield from (Place(minted, key) for key in others if key not in own)

    def _nodes(self, minted: str) -> Mapping[NodeId, Node]:
        known = self.taxonomies.get(minted)
        return _NOWHERE if known is None else known.nodes

    def tasks_unlike(self, other: Flat) -> Iterator[str]:
        """The tasks that are not as in another, or in conflict here."""
        yield from self._task_standing
        for name in {*self.tasks, *other.tasks}:
            if self.tasks.get(name) != other.tasks.get(name):
                yield name


def flat_root(root: Node, minted: str, name: str) -> Node:
    """A root with the name of its taxonomy, and what that mints under."""
    return root.replace(name=name, minted=minted)


def stored_root(root: Node) -> Node:
    """A root as it stands in a row (spec 9.7)."""
    minted = root.minted.partition("\0")[0]
    return root.replace(name="", minted="" if minted == root.name else minted)


def stored_terms(terms: Terms) -> Terms:
    """Terms of whole roots as they stand in rows."""
    return _each_root(terms, stored_root)


def _flat_terms(terms: Terms, minted: str, name: str) -> Terms:
    return _each_root(terms, lambda root: flat_root(root, minted, name))


def _each_root(terms: Terms, change: Callable[[Node], Node]) -> Terms:
    def changed(term: bytes) -> bytes:
        return term if term == ABSENT else encode_node(change(decode_node(term)))

    return Terms(*(tuple(sorted(map(changed, some))) for some in terms))


def with_taxonomy(task: Task, name: str) -> Task:
    """A task of another taxonomy."""
    return task if task.taxonomy == name else task.replace(taxonomy=name)


def renamed_terms(conflicts: Conflicts, rename: Callable[[str], str]) -> dict[str, Terms]:
    """The conflicts of a task with its taxonomies called by other names."""

    def renamed(path: str, term: bytes) -> bytes:
        if term == ABSENT or path not in (TASK, "taxonomy"):
            return term
        if path == "taxonomy":
            return wire.encode(rename(wire.decode(term)))
        task = decode_task(term)
        if task.taxonomy is None:
            return term
        return encode_task(with_taxonomy(task, rename(task.taxonomy)))

    found = {
        path: Terms(*(tuple(renamed(path, term) for term in some) for some in terms))
        for path, terms in conflicts.items()
    }
    return {path: combine(terms, [terms]) for path, terms in found.items()}
