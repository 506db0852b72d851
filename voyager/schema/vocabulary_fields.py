"""Fields of taxonomy nodes and tasks by path: what merges of vocabularies speak of.

    taxonomies  node   name  parent  order  minted  life  unknown  extra/NAME
    tasks       task   kind  taxonomy  scope  many  overlap  ordered  applies_to  answer  skeleton
                description  unknown  extra/NAME

`node` and `task` are the row as a whole: its bytes, ABSENT where there is none. `life` is ABSENT of
a living class, false of a removed one, and of a merged one the id of what it was merged into, so
that no class has a redirect and lives. `parent` is ABSENT right below the root. Aliases are a set,
merged member by member and never in conflict, so they have no path.

The `name` of a root is that of its taxonomy. It stands in keys, not in the row: `read_term` and
`write_term` know nothing of it, `find_term` and `put_term` do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from voyager import wire
from voyager.errors import CorruptError, ExistsError
from voyager.schema.codec import RowKind, decode_as, encode_as
from voyager.schema.conflict import ABSENT, join_field
from voyager.schema.fields import parse_path
from voyager.schema.task import Skeleton, Task
from voyager.schema.taxonomy import Node, NodeId, Taxonomy
from voyager.schema.values import Unknown
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.schema.vocabulary_rows import (
    decode_node,
    decode_task,
    encode_node,
    encode_task,
    parse_node_key,
)

NODE: Final = "node"
"""The path of a class or root as a whole: its row is there, or it is not."""

TASK: Final = "task"
"""The path of a task as a whole."""

LIFE: Final = "life"
"""The path of whether a class lives, was removed, or was merged into another."""

REMOVED: Final = wire.encode(False)
"""The term of `life` of a class that was removed."""

_NODE_FIELDS = ("minted", "name", "order", "parent")
_TASK_FIELDS = (
    "applies_to",
    "description",
    "skeleton",
    "kind",
    "many",
    "overlap",
    "ordered",
    "scope",
    "taxonomy",
    "answer",
)
_SKELETON: RowKind[Skeleton] = RowKind(Skeleton, "a skeleton")


def read_term(space: str, row: bytes | None, path: str) -> bytes:
    """The value of a field of a row as a term, ABSENT where it or the row is not there."""
    if row is None:
        return ABSENT
    if path in (NODE, TASK):
        return row
    value = decode_task(row) if space == "tasks" else decode_node(row)
    return read_part(value, path)


def write_term(space: str, row: bytes | None, path: str, term: bytes) -> bytes | None:
    """A row with a field set to the value of a term; None where no row is left.

    BadValueError for a task that would have a taxonomy and be of another kind than `category`, or
    the reverse.
    """
    if path in (NODE, TASK):
        return None if term == ABSENT else term
    if row is None:
        return None
    if space == "tasks":
        return encode_task(write_part(decode_task(row), path, term))
    return encode_node(write_part(decode_node(row), path, term))


def read_part(value: Node | Task, path: str) -> bytes:
    """The term of a field of a node or task (not of it as a whole)."""
    parts = parse_path(path)
    if parts[0] == "extra":
        return wire.encode(value.extra.get(parts[1]))
    if parts[0] == "unknown":
        return ABSENT if value.unknown is None else wire.encode(value.unknown.value)
    if parts[0] == LIFE and isinstance(value, Node):
        return life_of(value)
    found = getattr(value, parts[0], None)
    return encode_as(found, _SKELETON) if isinstance(found, Skeleton) else wire.encode(found)


def life_of(node: Node) -> bytes:
    """The term of `life` of a node."""
    if not node.dead:
        return ABSENT
    return REMOVED if node.redirect is None else wire.encode(node.redirect)


def write_parts(value: Any, terms: dict[str, bytes]) -> Any:
    """A node or task with several fields set at once, which may be bound to each other."""
    changes: dict[str, Any] = {}
    for path, term in terms.items():
        parts = parse_path(path)
        if parts[0] == "extra":
            extra = changes.setdefault("extra", dict(value.extra))
            extra.pop(parts[1], None)
            if term != ABSENT:
                extra[parts[1]] = wire.decode(term)
        elif parts[0] == LIFE:
            life = wire.decode(term)
            changes.update(dead=life is not None, redirect=life or None)
        elif parts[0] == "unknown":
            changes["unknown"] = None if term == ABSENT else Unknown(wire.decode(term))
        elif parts[0] == "skeleton":
            changes["skeleton"] = None if term == ABSENT else decode_as(term, _SKELETON)
        else:
            changes[_known(value, parts[0])] = _plain(term)
    return value.replace(**changes) if changes else value


def write_part(value: Any, path: str, term: bytes) -> Any:
    """A node or task with one field set to the value of a term."""
    return write_parts(value, {path: term})


def _plain(term: bytes) -> Any:
    found = wire.decode(term)
    return tuple(found) if isinstance(found, list) else found


def _known(value: Node | Task, name: str) -> str:
    if name not in (_NODE_FIELDS if isinstance(value, Node) else _TASK_FIELDS):
        raise CorruptError(f"'{name}' is no field of a task or class", hint="vgr fsck")
    return name


def iter_parts(value: Node | Task) -> Iterator[tuple[str, bytes]]:
    """Every field that a node or task has, as (path, term), in the order of paths."""
    own = (LIFE, *_NODE_FIELDS) if isinstance(value, Node) else _TASK_FIELDS
    paths = [*own, "unknown", *(join_field(["extra", name]) for name in value.extra)]
    for path in sorted(paths):
        term = read_part(value, path)
        if term != ABSENT:
            yield path, term


# -- of a vocabulary ------------------------------------------------------------------------------


def find_term(other: Vocabulary, own: Vocabulary, space: str, key: bytes, path: str) -> bytes:
    """The term that another version has for a field of a row of `own`.

    A taxonomy is the same where it has another name; terms that name one have the name of `own`.
    """
    if space == "tasks":
        task = other.tasks.get(key.decode())
        if task is None:
            return ABSENT
        row = encode_task(_with_names_of(own, other, task))
        return read_term(space, row, path)
    name, node = parse_node_key(key)
    taxonomy = _counterpart(other, own, name)
    if taxonomy is None:
        return ABSENT
    if node is None and path == "name":
        return wire.encode(taxonomy.name)
    found = taxonomy.root if node is None else taxonomy.nodes.get(node)
    return ABSENT if found is None else read_term(space, encode_node(found), path)


def _counterpart(other: Vocabulary, own: Vocabulary, name: str) -> Taxonomy | None:
    known = own.taxonomies.get(name)
    minted = name if known is None else known.minted_as
    return next((each for each in other.taxonomies.values() if each.minted_as == minted), None)


def _with_names_of(own: Vocabulary, other: Vocabulary, task: Task) -> Task:
    known = None if task.taxonomy is None else other.taxonomies.get(task.taxonomy)
    found = None if known is None else _counterpart(own, other, known.name)
    return task if found is None else task.replace(taxonomy=found.name)


def put_term(draft: Draft, space: str, key: bytes, path: str, term: bytes) -> None:
    """Set a field of a row of a draft; the `name` of a root renames its taxonomy.

    Keys name taxonomies, so who sets many fields sets names of roots last, and the `kind` of a task
    before its `taxonomy`, which it takes away or, by the task's name, brings. Nothing looks at the
    tree: see `iter_faults`. ExistsError for the name of another taxonomy.
    """
    if space == "tasks":
        _put_task(draft, key.decode(), path, term)
        return
    name, node = parse_node_key(key)
    if node is None and path == "name":
        _rename(draft, name, wire.decode(term))
    else:
        _put_node(draft, name, node, path, term)


def _put_task(draft: Draft, name: str, path: str, term: bytes) -> None:
    known = draft.tasks.get(name)
    if path == TASK:
        draft.put_task(name, None if term == ABSENT else decode_task(term))
    elif known is not None:
        terms = {path: term}
        if path == "kind":  # which says whether there is a taxonomy
            taxonomy = known.taxonomy or name if wire.decode(term) == "category" else None
            terms["taxonomy"] = wire.encode(taxonomy)
        draft.put_task(name, write_parts(known, terms))


def _rename(draft: Draft, name: str, new: str) -> None:
    if new == name:
        return
    taken = draft.taxonomies.get(new)
    if taken is not None and not taken.dead:
        raise ExistsError(f"there is a taxonomy '{new}' already", hint="vgr taxonomy ls")
    draft.rename_taxonomy(name, new)


def _put_node(draft: Draft, name: str, node: NodeId | None, path: str, term: bytes) -> None:
    known = draft.taxonomies.get(name)
    taxonomy = Taxonomy(name, {}) if known is None else known
    old = taxonomy.nodes.get(node) if node is not None else known and known.root
    row = write_term("taxonomies", encode_node(old) if old else None, path, term)
    found = None if row is None else decode_node(row)
    if node is None:
        draft.taxonomies.pop(name, None)
        if found is not None:
            draft.taxonomies[name] = Taxonomy(name, taxonomy.nodes, found)
        return
    nodes = {key: each for key, each in taxonomy.nodes.items() if key != node}
    if found is not None:
        nodes[node] = found
    draft.taxonomies[name] = Taxonomy(name, nodes, taxonomy.root)
