"""What differs between the tasks and taxonomies of two versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows, counts, diff
from voyager.repo.snapshot import POLICIES, TASKS, TAXONOMIES
from voyager.schema.guard_rows import GUARD_KEY, policy_words
from voyager.schema.task import Task
from voyager.schema.taxonomy import Node, NodeId, Taxonomy, join_path
from voyager.schema.vocabulary import Vocabulary
from voyager.schema.vocabulary_rows import decode_task, parse_node_key

Scope: TypeAlias = Literal["task", "taxonomy", "class", "guard"]
Kind: TypeAlias = Literal["added", "removed", "renamed", "moved", "merged", "changed"]


@dataclass(frozen=True, slots=True)
class VocabularyChange:
    """One task, taxonomy or class that differs, by its name or path before and after.

    `parts` names the fields that a changed one differs in. Of the guard, sides are words for its
    policy, or for a pair that it let go; `parts` says which.
    """

    scope: Scope
    kind: Kind
    before: str | None
    after: str | None
    parts: tuple[str, ...] = ()


def vocabulary_diff(before: Dataset, after: Dataset) -> list[VocabularyChange]:
    """The changes of tasks, then of taxonomies and classes, then of the guard.

    Cost follows the changes.
    """
    return [*_tasks(before, after), *_classes(before, after), *_guard(before, after)]


def count_changes(before: Dataset, after: Dataset) -> dict[str, int]:
    """How many keys changed, by kind as `counts` has them, and how many tasks and classes."""
    return {**counts(diff(before, after)), "vocabulary": len(vocabulary_diff(before, after))}


def _tasks(before: Dataset, after: Dataset) -> Iterator[VocabularyChange]:
    for key, old, new in changed_rows(before, after, TASKS):
        name = key.decode()
        if old is None:
            yield VocabularyChange("task", "added", None, name)
        elif new is None:
            yield VocabularyChange("task", "removed", name, None)
        else:
            parts = _parts(decode_task(old), decode_task(new))
            yield VocabularyChange("task", "changed", name, name, parts)


def _guard(before: Dataset, after: Dataset) -> Iterator[VocabularyChange]:
    for key, old, new in changed_rows(before, after, POLICIES):
        kind: Kind = "added" if old is None else "removed" if new is None else "changed"
        was, now = (None if row is None else policy_words(key, row) for row in (old, new))
        part = "policy" if key == GUARD_KEY else "release"
        yield VocabularyChange("guard", kind, was, now, (part,))


def _parts(old: Task | Node, new: Task | Node) -> tuple[str, ...]:
    names = old.__struct_fields__
    return tuple(name for name in names if getattr(old, name) != getattr(new, name))


def _classes(before: Dataset, after: Dataset) -> Iterator[VocabularyChange]:
    names = {parse_node_key(key)[0] for key, _, _ in changed_rows(before, after, TAXONOMIES)}
    if not names:
        return
    old, new = before.vocabulary, after.vocabulary
    renamed = dict(_renamed(old, new, names))
    for name in sorted(names):
        was, now = _living(old, name), _living(new, name)
        if name in renamed:
            now = new.taxonomies[renamed[name]]
            yield VocabularyChange("taxonomy", "renamed", name, now.name)
        elif name in renamed.values():
            continue
        elif was is None and now is not None:
            yield VocabularyChange("taxonomy", "added", None, name)
        elif was is not None and now is None:
            yield VocabularyChange("taxonomy", "removed", name, None)
            continue
        if now is not None:
            yield from _changed_nodes(was or Taxonomy(name, {}), now)


def _living(vocabulary: Vocabulary, name: str) -> Taxonomy | None:
    found = vocabulary.taxonomies.get(name)
    return None if found is None or found.dead else found


def _renamed(old: Vocabulary, new: Vocabulary, names: set[str]) -> Iterator[tuple[str, str]]:
    """Old and new names of taxonomies that mint the same ids under another name."""
    come = {
        now.minted_as: name
        for name in names
        if (now := _living(new, name)) is not None and _living(old, name) is None
    }
    for name in names:
        was = _living(old, name)
        if was is not None and _living(new, name) is None and was.minted_as in come:
            yield name, come[was.minted_as]


def _changed_nodes(old: Taxonomy, new: Taxonomy) -> Iterator[VocabularyChange]:
    nodes: Mapping[NodeId, Node] = {**old.nodes, **new.nodes}
    found = (_change(old, new, key) for key in nodes if old.nodes.get(key) != new.nodes.get(key))
    yield from sorted(
        (change for change in found if change is not None),
        key=lambda change: change.before or change.after or "",
    )


def _change(old: Taxonomy, new: Taxonomy, key: NodeId) -> VocabularyChange | None:
    was, now = old.nodes.get(key), new.nodes.get(key)
    lived, lives = was is not None and not was.dead, now is not None and not now.dead
    if was is None or not lived:
        return VocabularyChange("class", "added", None, _path(new, key)) if lives else None
    before = _path(old, key)
    if now is None or not lives:
        heir = None if now is None else new.live(key)
        if heir is not None:
            return VocabularyChange("class", "merged", before, _path(new, heir))
        return VocabularyChange("class", "removed", before, None)
    after, parts = _path(new, key), _parts(was, now)
    kind: Kind = "moved" if "parent" in parts else "renamed" if "name" in parts else "changed"
    rest = tuple(part for part in parts if part not in ("parent", "name"))
    return VocabularyChange("class", kind, before, after, rest)


def _path(taxonomy: Taxonomy, node: NodeId) -> str:
    return join_path([taxonomy.name, *taxonomy.names_of(node)])
