"""The first line of a jsonl file: tasks and taxonomies as JSON, and into a draft.

A class that lives stands under its `path`, with its id where it has one; a dead one has its id and
name. Ids are hex. A hand-written header needs no more than `{"vgr": "jsonl", "version": 1}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from voyager.errors import InvalidDataError, VoyagerError
from voyager.schema.ids import ID_BYTES
from voyager.schema.jsonvalues import Json, read_free, read_hex, read_list, read_object, write_free
from voyager.schema.task import Skeleton, Task
from voyager.schema.taxonomy import Node, NodeId, Taxonomy, join_path, split_path
from voyager.schema.values import Unknown
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.schema.vocabulary_rows import decode_node, decode_task, encode_node, encode_task

VERSION: Final = 1

_TASK_FIELDS = ("kind", "taxonomy", "scope", "many", "overlap", "ordered", "answer", "description")
_SKELETON_FIELDS = ("names", "edges", "flips", "sigmas")

Classes = dict[tuple[str, str], NodeId]
"""(taxonomy, path in the file) → node."""


def header_json(vocabulary: Vocabulary) -> dict[str, Json]:
    """The header of a version."""
    return {
        "vgr": "jsonl",
        "version": VERSION,
        "tasks": {name: _task_json(task) for name, task in sorted(vocabulary.tasks.items())},
        "taxonomies": {
            name: _taxonomy_json(taxonomy)
            for name, taxonomy in sorted(vocabulary.taxonomies.items())
        },
    }


def is_header(value: Json) -> bool:
    """Whether a line is a header, not a sample."""
    return isinstance(value, dict) and value.get("vgr") == "jsonl"


def read_header(value: Json, draft: Draft) -> Classes:
    """Take a header's tasks and taxonomies into a draft; the nodes that its paths mean there.

    What the draft knows already stays as it is there. InvalidDataError begins with a JSON path.
    """
    fields = read_object(value, "header")
    if fields.get("version") != VERSION:
        raise InvalidDataError(
            f"version: expected {VERSION}, got {fields.get('version')!r}", hint="update vgr"
        )
    for name in fields.keys() - {"vgr", "version", "tasks", "taxonomies"}:
        raise InvalidDataError(f"{name}: there is no such field")
    classes: Classes = {}
    for name, taxonomy in read_object(fields.get("taxonomies", {}), "taxonomies").items():
        _at(f"taxonomies.{name}", _TaxonomyReader(name, taxonomy, draft, classes).read)
    for name, task in read_object(fields.get("tasks", {}), "tasks").items():
        _at(f"tasks.{name}", lambda name=name, task=task: _read_task(name, task, draft))
    return classes


def _at(path: str, read: Any) -> None:
    """Run a reader; an error of the schema gets the path in front."""
    try:
        read()
    except (VoyagerError, TypeError) as error:
        message = getattr(error, "message", str(error))
        text = message if message.startswith(path) else f"{path}: {message}"
        raise InvalidDataError(text) from None


# -- tasks ---------------------------------------------------------------------------------------


def _task_json(task: Task) -> dict[str, Json]:
    written: dict[str, Json] = {}
    for name in _TASK_FIELDS:
        value = getattr(task, name)
        if name == "kind" or value not in (None, "", (), False):
            written[name] = list(value) if isinstance(value, tuple) else value
    if task.applies_to is not None:
        written["applies_to"] = task.applies_to.hex()
    if task.skeleton is not None:
        written["skeleton"] = _skeleton_json(task.skeleton)
    return written | _rest_json(task)


def _skeleton_json(skeleton: Skeleton) -> dict[str, Json]:
    written = {
        name: write_free(getattr(skeleton, name))
        for name in _SKELETON_FIELDS
        if getattr(skeleton, name)
    }
    return {"names": [], **written} | _unknown_json(skeleton)


def _rest_json(part: Task | Node) -> dict[str, Json]:
    extra = {"extra": write_free(part.extra)} if part.extra else {}
    return extra | _unknown_json(part)


def _unknown_json(part: Task | Node | Skeleton) -> dict[str, Json]:
    return {} if part.unknown is None else {"unknown": write_free(part.unknown.value)}


def _read_task(name: str, value: Json, draft: Draft) -> None:
    fields = _read_rest(read_object(value, ""))
    if "applies_to" in fields:
        fields["applies_to"] = read_hex(fields["applies_to"], ID_BYTES, "applies_to")
    if "skeleton" in fields:
        fields["skeleton"] = Skeleton(**_read_rest(read_object(fields["skeleton"], "skeleton")))
    if fields.get("kind", "category") == "category":
        fields.setdefault("taxonomy", name)
    task = decode_task(encode_task(Task(**fields)))  # refuses fields of a wrong type
    known = draft.tasks.get(name)
    if known is not None:
        draft.define(name, kind=task.kind)  # refuses another kind
        return
    if task.taxonomy is not None:
        draft.add_taxonomy(task.taxonomy)
    draft.put_task(name, task)


def _read_rest(fields: dict[str, Json]) -> dict[str, Any]:
    if "extra" in fields:
        fields["extra"] = read_free(read_object(fields["extra"], "extra"), "extra")
    if "unknown" in fields:
        fields["unknown"] = Unknown(read_free(read_object(fields["unknown"], "unknown"), "unknown"))
    return fields


# -- taxonomies ----------------------------------------------------------------------------------


def _taxonomy_json(taxonomy: Taxonomy) -> dict[str, Json]:
    root = taxonomy.root
    written: dict[str, Json] = {"minted": root.minted} if root.minted else {}
    if root.dead:
        written["dead"] = True
    live = [_class_json(taxonomy, key) for key in taxonomy]
    gone = [_dead_json(key, node) for key, node in sorted(taxonomy.nodes.items()) if node.dead]
    return written | _rest_json(root) | {"classes": live + gone}


def _class_json(taxonomy: Taxonomy, key: NodeId) -> dict[str, Json]:
    """A live class; its parent is that of its path, unless the path does not lead there."""
    node, path = taxonomy.nodes[key], taxonomy.path(key)
    written: dict[str, Json] = {"path": path, "id": key.hex(), "order": node.order}
    if node.minted != path:
        written["minted"] = node.minted
    if node.parent is not None and taxonomy.find(_above(path)) != node.parent:
        written["parent"] = node.parent.hex()
    return written | _aliases_json(node) | _rest_json(node)


def _above(path: str | None) -> str:
    return join_path(split_path(path or "")[:-1])


def _dead_json(key: NodeId, node: Node) -> dict[str, Json]:
    written: dict[str, Json] = {"id": key.hex(), "name": node.name, "dead": True}
    written |= {"minted": node.minted, "order": node.order}
    if node.parent is not None:
        written["parent"] = node.parent.hex()
    if node.redirect is not None:
        written["redirect"] = node.redirect.hex()
    return written | _aliases_json(node) | _rest_json(node)


def _aliases_json(node: Node) -> dict[str, Json]:
    return {"aliases": list(node.aliases)} if node.aliases else {}


class _TaxonomyReader:
    """Takes one taxonomy of a header into a draft."""

    def __init__(self, name: str, value: Json, draft: Draft, classes: Classes) -> None:
        self.name = name
        self.fields = read_object(value, "")
        self.draft = draft
        self.classes = classes

    def read(self) -> None:
        entries = [
            (f"classes[{n}]", read_object(entry, f"classes[{n}]"))
            for n, entry in enumerate(read_list(self.fields.pop("classes", []), "classes"))
        ]
        is_new = self.name not in self.draft.taxonomies
        if not is_new and self.fields.get("dead") is True:
            return  # removed there, in use here
        self.draft.add_taxonomy(self.name)
        if is_new:
            self._set_root()
        known = [(place, entry) for place, entry in entries if "id" in entry]
        paths = dict(self._paths(known))
        nodes: dict[NodeId, Node] = {}
        for place, entry in known:
            key = read_hex(entry["id"], ID_BYTES, f"{place}.id")
            if key in nodes:
                raise InvalidDataError(f"{place}.id: two classes have it")
            nodes[key] = self._node(place, entry, paths)
        self._put(nodes)
        for place, entry in entries:
            if "id" not in entry:
                self._mint(place, entry)

    def _set_root(self) -> None:
        rest = _read_rest({n: v for n, v in self.fields.items() if n in ("extra", "unknown")})
        for name in self.fields.keys() - {"minted", "dead", "extra", "unknown"}:
            raise InvalidDataError(f"{name}: there is no such field")
        dead = self.fields.get("dead", False) is True
        root = Node(name="", minted=self.fields.get("minted", ""), dead=dead, **rest)
        self.draft.taxonomies[self.name] = Taxonomy(self.name, {}, decode_node(encode_node(root)))

    def _paths(self, entries: list[tuple[str, dict[str, Json]]]) -> Iterator[tuple[str, NodeId]]:
        for place, entry in entries:
            if "path" in entry:
                names = _read_path(entry["path"], place)
                yield join_path(names), read_hex(entry["id"], ID_BYTES, f"{place}.id")

    def _node(self, place: str, entry: dict[str, Json], paths: dict[str, NodeId]) -> Node:
        """The node of an entry with an id."""
        fields = _read_rest({name: item for name, item in entry.items() if name != "id"})
        for name in ("parent", "redirect"):
            if name in fields:
                fields[name] = read_hex(fields[name], ID_BYTES, f"{place}.{name}")
        path = fields.pop("path", None)
        if path is not None:
            names = _read_path(path, place)
            fields["name"] = names[-1]
            fields.setdefault("minted", path)
            if len(names) > 1 and "parent" not in fields:
                above = join_path(names[:-1])
                found = paths.get(above) or self.draft.mint_path(self.name, above)
                fields["parent"] = found
        try:
            return decode_node(encode_node(Node(**fields)))
        except (VoyagerError, TypeError) as error:
            raise InvalidDataError(f"{place}: {getattr(error, 'message', error)}") from None

    def _put(self, nodes: dict[NodeId, Node]) -> None:
        """Take the nodes that the draft lacks, and note what each path of the file means."""
        old = self.draft.taxonomies[self.name]
        file = Taxonomy(self.name, nodes)
        new: dict[NodeId, Node] = {}
        for key, node in nodes.items():
            path = file.path(key)
            same = None if node.dead or path is None else old.find(path)
            if key not in old.nodes and same is None:
                new[key] = node
            if not node.dead and path is not None:
                known = old.live(key) if key in old.nodes else same or key
                if known is not None:
                    self.classes[self.name, path] = known
        if new:
            # Put as a whole: put_nodes would call a removed taxonomy back to life.
            merged = {**old.nodes, **new}
            self.draft.taxonomies[self.name] = Taxonomy(self.name, merged, old.root)

    def _mint(self, place: str, entry: dict[str, Json]) -> None:
        """Make a class that has no id."""
        fields = _read_rest(dict(entry))
        names = _read_path(fields.pop("path", None), place)
        if fields.keys() - {"order", "aliases", "extra"}:
            raise InvalidDataError(f"{place}: a class without an id has path, order and aliases")
        decode_node(encode_node(Node(name=names[-1], minted="", **fields)))  # checks the types
        self.draft.mint(self.name, names, **fields)


def _read_path(value: Json, place: str) -> list[str]:
    if not isinstance(value, str):
        raise InvalidDataError(f"{place}.path: expected text")
    return split_path(value)
