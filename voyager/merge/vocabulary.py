"""Merging vocabularies: tasks and taxonomies of any number of versions and what they came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from voyager import wire
from voyager.merge.flat_vocabulary import (
    Flat,
    Place,
    Standing,
    renamed_terms,
    stored_root,
    stored_terms,
    with_taxonomy,
)
from voyager.merge.tasks import TASKS
from voyager.merge.taxonomy import Forest, mend
from voyager.merge.terms import merge_row
from voyager.repo.staging import RowChange
from voyager.repo.vocabulary import vocabulary_changes
from voyager.schema.conflict import ABSENT, Conflicts, Terms
from voyager.schema.task import Task
from voyager.schema.taxonomy import Node, NodeId, Taxonomy
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.schema.vocabulary_fields import NODE
from voyager.schema.vocabulary_rows import node_key


@dataclass(frozen=True, slots=True)
class MergedVocabulary:
    """What a merge made of vocabularies: always one that can be, with what is in conflict.

    `conflicts` are by (space, row key) as the merged version has it, then by field path.
    """

    vocabulary: Vocabulary
    conflicts: Mapping[tuple[str, bytes], Mapping[str, Terms]]

    def changes(self, side: Vocabulary) -> list[RowChange]:
        """The rows that lead from a side to the merged vocabulary."""
        draft = Draft(side)
        draft.tasks = dict(self.vocabulary.tasks)
        draft.taxonomies = dict(self.vocabulary.taxonomies)
        return vocabulary_changes(draft)


def merge_vocabulary(
    base: Vocabulary, sides: Sequence[Vocabulary], standing: Sequence[Standing] = ()
) -> MergedVocabulary:
    """What sides make of a base, all at once; their order does not matter.

    `standing` holds the conflicts that stand in the base and in each side, in that order.
    """
    known = [*standing] or [{}] * (1 + len(sides))
    flat = Flat(base, known[0])
    flats = [Flat(side, own, flat) for side, own in zip(sides, known[1:], strict=True)]
    tasks, task_conflicts = _merge_tasks(flat, flats)
    forest = Forest(flat, flats)
    mend(forest, _asked_for(flat, flats, forest))
    _bequeath(forest)
    return _stored(forest, tasks, task_conflicts)


def _merge_tasks(
    base: Flat, sides: Sequence[Flat]
) -> tuple[dict[str, Task], dict[str, dict[str, Terms]]]:
    tasks, conflicts = dict(base.tasks), {}
    for name in {
        *base.tasks_unlike(base),
        *(one for side in sides for one in side.tasks_unlike(base)),
    }:
        given = [side.given_task(name) for side in sides]
        task, found = merge_row(TASKS, base.given_task(name), given)
        if task is None:
            tasks.pop(name, None)
        else:
            tasks[name] = task
        if found:
            conflicts[name] = found
    return tasks, conflicts


def _asked_for(base: Flat, sides: Sequence[Flat], forest: Forest) -> Iterator[Place]:
    """The taxonomies and classes that a side lets a task ask for, where they were removed."""
    for side in sides:
        for name in side.tasks_unlike(base):
            task, old = side.tasks.get(name), base.tasks.get(name)
            if task is None or task == old:
                continue
            if task.taxonomy is not None and (old is None or old.taxonomy != task.taxonomy):
                yield from _removed(side, forest, [Place(task.taxonomy)])
            if task.applies_to is not None and (old is None or old.applies_to != task.applies_to):
                places = [Place(minted, task.applies_to) for minted in side.taxonomies]
                yield from _removed(side, forest, places)


def _removed(side: Flat, forest: Forest, places: Sequence[Place]) -> Iterator[Place]:
    for place in places:
        node = forest.get(place)
        if side.lives(place) and (node is None or (node.dead and node.redirect is None)):
            yield place


def _bequeath(forest: Forest) -> None:
    """Let classes be found by the aliases that another side gave to what was merged into them."""
    for place in sorted(forest.joined, key=lambda one: (one.taxonomy, one.node or b"")):
        node = forest.get(place)
        if node is None or node.redirect is None or not node.aliases or _was_dead(forest, place):
            continue
        heir = _live(forest, place)
        if heir is not None:
            there = forest.get(heir)
            assert there is not None
            forest.nodes[place] = node.replace(aliases=())
            aliases = (*there.aliases, *node.aliases)
            forest.nodes[heir] = there.replace(aliases=aliases)


def _was_dead(forest: Forest, place: Place) -> bool:
    base = forest.base.get(place)
    return base is not None and base.dead


def _live(forest: Forest, place: Place) -> Place | None:
    seen: set[Place] = set()
    node = forest.get(place)
    while node is not None and node.dead and node.redirect is not None and place not in seen:
        seen.add(place)
        place = Place(place.taxonomy, node.redirect)
        node = forest.get(place)
    return None if node is None or node.dead else place


# -- back to names --------------------------------------------------------------------------------


def _stored(
    forest: Forest,
    tasks: Mapping[str, Task],
    task_conflicts: Mapping[str, dict[str, Terms]],
) -> MergedVocabulary:
    homes = _homes(forest)
    gone = {
        minted: taxonomy.name
        for flat in (*forest.sides, forest.base)
        for minted, taxonomy in flat.taxonomies.items()
    }

    def name_of(minted: str) -> str:
        home = homes.get(minted)
        return gone.get(minted, minted[1:]) if home is None else home[1].name

    named: dict[str, Task] = {}
    conflicts: dict[tuple[str, bytes], Mapping[str, Terms]] = {}
    for name, task in sorted(tasks.items()):
        found = renamed_terms(task_conflicts.get(name, {}), name_of)
        kept = {path: terms for path, terms in found.items() if terms.settled is None}
        named[name] = _named(task, name_of, found)
        if kept:
            conflicts["tasks", name.encode()] = kept
    for place, found in forest.conflicts.items():
        home, root = homes.get(place.taxonomy, (None, None))
        if root is None or forest.get(place) is None:
            continue
        if place.node is not None:
            conflicts["taxonomies", node_key(root.name, place.node)] = found
        elif home == place.taxonomy:
            whole = {NODE: stored_terms(found[NODE])} if NODE in found else {}
            conflicts["taxonomies", node_key(root.name, None)] = {**found, **whole}
    return MergedVocabulary(
        Vocabulary(named, _taxonomies(forest, homes)), dict(sorted(conflicts.items()))
    )


def _homes(forest: Forest) -> dict[str, tuple[str, Node]]:
    """For what taxonomies mint under: that of the one that has their classes now, and its root.

    A removed taxonomy whose name another has is one with it, as when one is renamed to it.
    """
    by_name: dict[str, list[tuple[bool, str, Node]]] = defaultdict(list)
    for place in forest.roots():
        root = forest.get(place)
        assert root is not None
        by_name[root.name].append((root.dead, place.taxonomy, root))
    homes = {}
    for found in by_name.values():
        _, home, root = min(found, key=lambda one: one[:2])
        homes.update({minted: (home, root) for _, minted, _ in found})
    return homes


def _taxonomies(forest: Forest, homes: Mapping[str, tuple[str, Node]]) -> dict[str, Taxonomy]:
    changed: dict[str, dict[NodeId, Node | None]] = defaultdict(dict)
    for place, node in forest.nodes.items():
        if place.node is not None:
            changed[place.taxonomy][place.node] = node
    nodes: dict[str, dict[NodeId, Node]] = defaultdict(dict)
    for minted, (home, _) in sorted(homes.items(), key=lambda one: one[0] == one[1][0]):
        known = forest.base.taxonomies.get(minted)
        nodes[home].update({} if known is None else known.nodes)
        for key, found in changed[minted].items():
            if found is None:
                nodes[home].pop(key, None)
            else:
                nodes[home][key] = found
    made = {}
    for home, root in sorted(homes.values(), key=lambda one: one[0]):
        made[root.name] = Taxonomy(root.name, nodes[home], stored_root(root))
    return made


def _named(task: Task, name_of: Callable[[str], str], conflicts: Conflicts) -> Task:
    """A task with the name of its taxonomy, also where that settles a conflict."""
    terms = conflicts.get("taxonomy")
    if terms is not None and terms.settled not in (None, ABSENT):
        return with_taxonomy(task, wire.decode(terms.settled or ABSENT))
    return task if task.taxonomy is None else with_taxonomy(task, name_of(task.taxonomy))
