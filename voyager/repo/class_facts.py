"""Facts of tasks, taxonomies and classes: what is asked, and what classes are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voyager.repo.dataset import Dataset
from voyager.repo.label_facts import Fact
from voyager.repo.vocabulary_diff import VocabularyChange, vocabulary_diff
from voyager.schema.task import Task
from voyager.schema.taxonomy import NodeId, Taxonomy
from voyager.schema.vocabulary import Vocabulary

CHEAP: Final = 5_000
"""Samples whose labels are counted without being asked."""


def class_facts(before: Dataset, after: Dataset) -> list[Fact]:
    """What differs between vocabularies and guards of two versions; cost follows the changes."""
    changes = vocabulary_diff(before, after)
    if not changes:
        return []
    old, new = before.vocabulary, after.vocabulary
    found: list[Fact] = []
    for change in changes:
        if change.scope == "task":
            found += _task_facts(change, old, new)
        elif change.scope == "taxonomy":
            name = change.after or change.before
            found.append(
                Fact("taxonomy", change.kind, before=change.before, after=change.after, name=name)
            )
        elif change.scope == "guard":
            part, was, now = change.parts[0], change.before, change.after
            found.append(Fact("guard", change.kind, before=was, after=now, name=part))
        else:
            found += _class_facts(change, old, new)
    return [*found, *_renumbered(changes, old, new)]


def label_counts(version: Dataset, nodes: set[NodeId]) -> dict[NodeId, int]:
    """How many labels each of some classes has, in one walk over the version."""
    from voyager.repo.class_use import label_counts as count_labels

    counts = count_labels(version) if nodes else {}
    return {node: counts.get(node, 0) for node in nodes}


# -- tasks ----------------------------------------------------------------------------------------


def _task_facts(change: VocabularyChange, old: Vocabulary, new: Vocabulary) -> Iterator[Fact]:
    name = change.after or change.before or ""
    was, now = old.tasks.get(name), new.tasks.get(name)
    if was is None or now is None:
        yield Fact("task", change.kind, task=name, before=was, after=now)
        return
    for part in change.parts:
        if part == "answer":
            yield Fact("policy", "changed", task=name, before=was.policy, after=now.policy)
        else:
            sides = _part_of(was, part, old), _part_of(now, part, new)
            yield Fact("task", "changed", task=name, name=part, before=sides[0], after=sides[1])


def _part_of(task: Task, part: str, vocabulary: Vocabulary) -> object:
    value: object = getattr(task, part)
    if part == "applies_to" and isinstance(value, bytes):
        return node_path(vocabulary, value)
    return value


def node_path(vocabulary: Vocabulary, node: NodeId) -> str:
    """The path of a class of any taxonomy, the taxonomy first; hex of one that nobody knows."""
    for taxonomy in vocabulary.taxonomies.values():
        path = taxonomy.path(node) if node in taxonomy.nodes else None
        if path is not None:
            return f"{taxonomy.name}/{path}"
    return node.hex()


# -- classes --------------------------------------------------------------------------------------


def _class_facts(change: VocabularyChange, old: Vocabulary, new: Vocabulary) -> Iterator[Fact]:
    fact = Fact(
        "class",
        change.kind,
        node=_node_of(change, old, new),
        before=change.before,
        after=change.after,
        name=(change.after or change.before or "").partition("/")[0],
    )
    if change.kind != "changed":
        yield fact  # an alias or detail that comes with it is no change of its own
        return
    was, now = _nodes_of(fact, old, new)
    if "aliases" in change.parts and was is not None and now is not None:
        yield fact._replace(kind="aliased", before=was, after=now)
    if set(change.parts) - {"aliases", "order"}:
        yield fact._replace(kind="changed", before=change.before, after=change.after)


def _node_of(change: VocabularyChange, old: Vocabulary, new: Vocabulary) -> NodeId | None:
    """The class that a change is of, found by its path on the side where it lives."""
    path, vocabulary = (change.before, old) if change.before is not None else (change.after, new)
    name, _, rest = (path or "").partition("/")
    taxonomy = vocabulary.taxonomies.get(name)
    return None if taxonomy is None else taxonomy.at_path(rest)


def _nodes_of(
    fact: Fact, old: Vocabulary, new: Vocabulary
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The aliases of a class on both sides."""
    sides = []
    for vocabulary in (old, new):
        found = (
            taxonomy.nodes[fact.node].aliases
            for taxonomy in vocabulary.taxonomies.values()
            if fact.node in taxonomy.nodes
        )
        sides.append(next(found, None))
    return sides[0], sides[1]


def _renumbered(
    changes: list[VocabularyChange], old: Vocabulary, new: Vocabulary
) -> Iterator[Fact]:
    """Taxonomies whose classes stand in another order, those that came and went left out."""
    names = {
        (change.after or "").partition("/")[0]
        for change in changes
        if change.scope == "class" and "order" in change.parts
    }
    for name in sorted(names):
        now = new.taxonomies[name]
        was = next((one for one in old.taxonomies.values() if _same(one, now)), None)
        if was is None:
            continue
        before = [node for node in was if node in now]
        after = [node for node in now if node in was]
        if before != after:
            sides = [[now.path(node) for node in order] for order in (before, after)]
            yield Fact("class", "renumbered", before=sides[0], after=sides[1], name=name)


def _same(one: Taxonomy, other: Taxonomy) -> bool:
    return one.minted_as == other.minted_as
