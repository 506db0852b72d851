"""The vocabulary of a version, read from its rows and staged as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voyager.errors import CorruptError
from voyager.repo.snapshot import POLICIES, TASKS, TAXONOMIES
from voyager.repo.staging import RowChange
from voyager.schema.guard_rows import GUARD_KEY
from voyager.schema.taxonomy import Node, NodeId, Taxonomy
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.schema.vocabulary_rows import (
    decode_node,
    decode_task,
    encode_node,
    encode_task,
    node_key,
    parse_node_key,
)

if TYPE_CHECKING:
    from voyager.repo.dataset import Dataset


def read_vocabulary(version: Dataset) -> Vocabulary:
    """All tasks and taxonomies of a version."""
    tasks = {key.decode(): decode_task(row) for key, row in version.rows(TASKS)}
    nodes: dict[str, dict[NodeId, Node]] = {}
    roots: dict[str, Node] = {}
    for key, row in version.rows(TAXONOMIES):
        name, node = _read_key(key)
        if node is None:
            roots[name] = decode_node(row)
        else:
            nodes.setdefault(name, {})[node] = decode_node(row)
    names = {*roots, *nodes}
    taxonomies = {name: Taxonomy(name, nodes.get(name, {}), roots.get(name)) for name in names}
    return Vocabulary(tasks, taxonomies)


def _read_key(key: bytes) -> tuple[str, NodeId | None]:
    try:
        return parse_node_key(key)
    except ValueError as error:
        raise CorruptError(str(error), hint="vgr fsck") from None


def row_name(space: str, key: bytes) -> str:
    """What messages call a row: its key, or which task or taxonomy it is of."""
    name = key.decode(errors="replace")
    if space == TASKS:
        return f"task {name}"
    if space == POLICIES:
        return "the guard's policy" if key == GUARD_KEY else f"the guard's {name}"
    return f"taxonomy {name.partition('/')[0]}" if space == TAXONOMIES else name


def vocabulary_changes(draft: Draft) -> list[RowChange]:
    """The rows that lead from the base of a draft to it."""
    changes: list[RowChange] = [
        (TASKS, name.encode(), None if task is None else encode_task(task))
        for name, task in draft.changed_tasks()
    ]
    changes += [
        (TAXONOMIES, node_key(name, key), None if node is None else encode_node(node))
        for name, key, node in draft.changed_nodes()
    ]
    return changes


def vocabulary_rows(draft: Draft) -> dict[str, list[tuple[bytes, bytes | None]]]:
    """The same by space, in key order: what `stage_sorted` takes."""
    found: dict[str, list[tuple[bytes, bytes | None]]] = {}
    for space, key, row in vocabulary_changes(draft):
        found.setdefault(space, []).append((key, row))
    return {space: sorted(changes) for space, changes in found.items()}
