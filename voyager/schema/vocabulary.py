"""The vocabulary of a version: its tasks and taxonomies together; a draft of changes to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from voyager.schema.sample import Label
from voyager.schema.task import Answer, Task, answer, check_task_name
from voyager.schema.taxonomy import (
    Node,
    NodeId,
    Taxonomy,
    check_taxonomy_name,
    join_path,
    split_path,
)
from voyager.schema.values import BadValueError

CATEGORY = "category"
"""The task, and its taxonomy, of formats that know one question: what is this?"""


class Vocabulary:
    """Tasks and taxonomies by name, read-only.

    `resolve` and `find` have the shapes that the JSON form of samples asks for.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task] | None = None,
        taxonomies: Mapping[str, Taxonomy] | None = None,
    ) -> None:
        self.tasks = dict(tasks or {})
        self.taxonomies = dict(taxonomies or {})

    def taxonomy_of(self, task: str) -> Taxonomy | None:
        """The taxonomy of a task; that of its own name for a task that was not defined."""
        known = self.tasks.get(task)
        name = task if known is None else known.taxonomy
        return None if name is None else self.taxonomies.get(name)

    def resolve(self, task: str, node: NodeId) -> str | None:
        """The path of a node of a task's taxonomy, None where nobody knows it."""
        taxonomy = self.taxonomy_of(task)
        return None if taxonomy is None else taxonomy.path(node)

    def former_path(self, task: str, node: NodeId) -> str | None:
        """The last path of a class that was removed, None where nobody knows it."""
        taxonomy = self.taxonomy_of(task)
        known = taxonomy is not None and node in taxonomy.nodes
        return join_path(taxonomy.names_of(node)) if taxonomy is not None and known else None

    def told(self, task: str, node: NodeId) -> str:
        """What people are told of a class: its path, `PATH (removed)`, or its id in hex."""
        path = self.resolve(task, node)
        if path is not None:
            return path
        former = self.former_path(task, node)
        return node.hex() if former is None else f"{former} (removed)"

    def find(self, task: str, text: str) -> NodeId | None:
        """The node of a path, alias, unique name or id, None for a task of plain values.

        BadValueError for a category task that has no such class.
        """
        taxonomy = self.taxonomy_of(task)
        found = None if taxonomy is None else taxonomy.find(text)
        if found is None and task in self.tasks and self.tasks[task].kind == "category":
            raise BadValueError(f"task '{task}' has no class '{text}'")
        return found

    def class_name(self, task: str, node: NodeId) -> str | None:
        """What flat formats call a node, None when it is gone."""
        taxonomy = self.taxonomy_of(task)
        return None if taxonomy is None else taxonomy.class_name(node)

    def answer(self, task: str, labels: tuple[Label, ...]) -> Answer:
        """What the task's policy makes of labels."""
        return answer(task, self.tasks.get(task), labels)

    def word(self, label: Label) -> str:
        """A label's value as data: the path of its node, else hex, or its value."""
        if label.node is not None:
            return self.resolve(label.task, label.node) or label.node.hex()
        if isinstance(label.value, bool):
            return "yes" if label.value else "no"
        return f"{label.value:g}" if isinstance(label.value, float) else str(label.value)

    def spoken(self, label: Label) -> str:
        """A label's value as people read it: as `word`, a class as `told`."""
        return self.word(label) if label.node is None else self.told(label.task, label.node)


class Draft(Vocabulary):
    """A vocabulary that grows: what an import or an edit mints and defines, and what changed."""

    def __init__(self, base: Vocabulary) -> None:
        super().__init__(base.tasks, base.taxonomies)
        self.base = base
        self._known: dict[tuple[str, str], NodeId] = {}

    def define(
        self,
        name: str,
        *,
        scope: Literal["image", "region"] | None = None,
        **fields: Any,
    ) -> Task:
        """The task of that name; made when there is none (a category task with its taxonomy).

        A known task is widened to `scope` where it was asked of the other one only; BadValueError
        when it is of another kind.
        """
        known = self.tasks.get(name)
        if known is None:
            if fields.get("kind", CATEGORY) == CATEGORY:
                fields.setdefault("taxonomy", name)
                self.add_taxonomy(fields["taxonomy"])
            known = Task(scope=scope or "both", **fields)
            self.tasks[check_task_name(name)] = known
        elif fields.get("kind", known.kind) != known.kind:
            raise BadValueError(f"task '{name}' is a {known.kind} task, not {fields['kind']}")
        elif scope is not None and not known.asks(scope):
            known = self.tasks[name] = known.replace(scope="both")
        return known

    def put_task(self, name: str, task: Task | None) -> None:
        """Set a task, or with None take it out."""
        if task is None:
            self.tasks.pop(name, None)
        else:
            self.tasks[check_task_name(name)] = task

    def add_taxonomy(self, name: str) -> Taxonomy:
        """The taxonomy of that name, made when there is none, or none that lives."""
        known = self.taxonomies.get(name)
        if known is None:
            known = Taxonomy(check_taxonomy_name(name), {}, self._new_root(name))
        elif known.dead:
            known = Taxonomy(name, known.nodes, known.root.replace(dead=False))
        self.taxonomies[name] = known
        return known

    def _new_root(self, name: str) -> Node:
        """A root whose ids nobody else mints, also where another taxonomy once had this name."""
        taken = {other.minted_as for other in self.taxonomies.values()}
        minted, number = name, 2
        while minted in taken:
            minted, number = f"{name}/{number}", number + 1
        return Node(name="", minted="" if minted == name else minted)

    def rename_taxonomy(self, old: str, new: str) -> None:
        """Give a taxonomy a name that no living one has; tasks follow it, ids stay."""
        taxonomy, buried = self.taxonomies.pop(old), self.taxonomies.get(new)
        nodes = {**(buried.nodes if buried is not None else {}), **taxonomy.nodes}
        minted = taxonomy.minted_as
        root = taxonomy.root.replace(minted="" if minted == new else minted)
        self.taxonomies[check_taxonomy_name(new)] = Taxonomy(new, nodes, root)
        for name, task in self.tasks.items():
            if task.taxonomy == old:
                self.tasks[name] = task.replace(taxonomy=new)
        self._known.clear()

    def bury_taxonomy(self, name: str) -> None:
        """Let a taxonomy and all its nodes die; one that never had a node leaves no trace."""
        old = self.taxonomies.pop(name)
        if old.nodes:
            nodes = {key: node.replace(dead=True) for key, node in old.nodes.items()}
            self.taxonomies[name] = Taxonomy(name, nodes, old.root.replace(dead=True))
        self._known.clear()

    def put_nodes(self, taxonomy: str, nodes: Mapping[NodeId, Node]) -> None:
        """Set some nodes of a taxonomy."""
        old = self.add_taxonomy(taxonomy)
        self.taxonomies[taxonomy] = Taxonomy(taxonomy, {**old.nodes, **nodes}, old.root)
        self._known.clear()

    def put_root(self, taxonomy: str, extra: Mapping[str, Any]) -> None:
        """Set what is kept with a taxonomy as a whole."""
        old = self.add_taxonomy(taxonomy)
        root = old.root.replace(extra=dict(extra))
        self.taxonomies[taxonomy] = Taxonomy(taxonomy, old.nodes, root)

    def category(self, task: str, name: str, **fields: Any) -> NodeId:
        """The node that a task calls `name` (one flat class name, not a path), minted if new.

        `fields` (order, aliases, extra) are for a node that is minted now.
        """
        found = self._known.get((task, name))
        if found is None:
            found = self._known[task, name] = self._category(task, name, fields)
        return found

    def _category(self, task: str, name: str, fields: dict[str, Any]) -> NodeId:
        taxonomy_name = self.define(task).taxonomy
        if taxonomy_name is None:
            raise BadValueError(
                f"task '{task}' has no classes: it is a {self.tasks[task].kind} task"
            )
        taxonomy = self.add_taxonomy(taxonomy_name)
        found = taxonomy.find(join_path([name])) or taxonomy.find(name)
        return found or self.mint(taxonomy_name, [name], **fields)

    def named(self, task: str) -> set[NodeId]:
        """The nodes that `category` was asked for, of a task."""
        return {node for (asked, _), node in self._known.items() if asked == task}

    def rename(self, taxonomy: str, node: NodeId, *, into: NodeId) -> None:
        """Give a node the name of one that was minted here, which goes; the old name is an alias.

        Labels of the old node need no change then, and it keeps its place among the classes.
        """
        nodes = dict(self.taxonomies[taxonomy].nodes)
        old, new = nodes[node], nodes.pop(into)
        nodes[node] = old.replace(
            name=new.name,
            parent=new.parent,
            aliases=(*old.aliases, *new.aliases, old.name),
            extra={**old.extra, **new.extra},
        )
        self.taxonomies[taxonomy] = Taxonomy(taxonomy, nodes, self.taxonomies[taxonomy].root)

    def mint_path(self, taxonomy: str, path: str) -> NodeId:
        """The node at a path, it and those above it minted where they are missing."""
        return self.mint(taxonomy, split_path(path))

    def mint(self, taxonomy: str, names: list[str], **fields: Any) -> NodeId:
        """The node of these names from the root down, minted where missing; fields of the last."""
        parent: NodeId | None = None
        for depth, name in enumerate(names, 1):
            now = self._own(taxonomy)
            found = now.child(parent, name)
            if found is None:
                path = join_path(names[:depth])
                found = now.mint_id(path)
                given = {"order": now.next_order, **(fields if depth == len(names) else {})}
                node = Node(minted=path, name=name, parent=parent, **given)
                if node.order == now.next_order:
                    now.add(found, node)
                else:
                    self.put_nodes(taxonomy, {found: node})
            parent = found
        if parent is None:
            raise BadValueError("an empty path names no class")
        return parent

    def _own(self, name: str) -> Taxonomy:
        """The taxonomy as a copy that may grow in place."""
        taxonomy = self.add_taxonomy(name)
        if taxonomy is self.base.taxonomies.get(name):
            taxonomy = self.taxonomies[name] = Taxonomy(name, taxonomy.nodes, taxonomy.root)
        return taxonomy

    def changed_tasks(self) -> Iterator[tuple[str, Task | None]]:
        """(name, task or None) of tasks that are not as in the base."""
        yield from _changed(self.base.tasks, self.tasks)

    def changed_nodes(self) -> Iterator[tuple[str, NodeId | None, Node | None]]:
        """(taxonomy, id or None for its root, node or None) of what is not as in the base."""
        for name in sorted({*self.base.taxonomies, *self.taxonomies}):
            old, new = self.base.taxonomies.get(name), self.taxonomies.get(name)
            if old is new:
                continue
            root, old_root = None if new is None else new.root, None if old is None else old.root
            if root != old_root:
                yield name, None, root
            nodes = {} if new is None else new.nodes
            for key, node in _changed({} if old is None else old.nodes, nodes):
                yield name, key, node


def _changed(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield key, new.get(key)
