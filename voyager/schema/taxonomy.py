"""Taxonomies: trees of classes with stable ids, addressed by paths like a file system (spec 9.7).

A node keeps its id when it is renamed or moved, so that no label has to be rewritten. Deleted and
merged nodes stay as tombstones, so that labels of older versions can be read, and so that a merge
of histories knows what became of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from msgspec import field
from msgspec.structs import force_setattr

from voyager.schema.ids import node_id
from voyager.schema.sample import Part
from voyager.schema.values import EMPTY, BadValueError, Id16, as_tuple

NodeId = bytes
"""16 bytes."""

_SEPARATOR = re.compile(r"(?<!\\)((?:\\\\)*)/")
_ESCAPED = re.compile(r"\\([\\/])")
_HEX = re.compile("[0-9a-f]{32}")
_TAXONOMY_NAME = re.compile(r"[^\W_][\w.-]{0,99}")


class Node(Part, frozen=True, kw_only=True):
    """One class of a taxonomy, or its root (the one with an empty name)."""

    aliases: tuple[str, ...] = field(default=(), name="a")
    dead: bool = field(default=False, name="d")
    """Deleted, or merged into `redirect`; it stays as a tombstone."""
    minted: str = field(name="m")
    """The path at which the node was made: with their number it makes the id.

    Of a root: the name under which ids are minted, empty for the taxonomy's own (`minted_as`).
    """
    name: str = field(name="n")
    order: int = field(default=0, name="o")
    """The place among the classes of the taxonomy; exports list classes in this order."""
    parent: Id16 | None = field(default=None, name="p")
    """None for a node right below the root."""
    redirect: Id16 | None = field(default=None, name="r")
    extra: dict[str, Any] = field(default=EMPTY, name="x")

    def _settle(self) -> None:
        if self.redirect is not None and not self.dead:
            raise BadValueError("redirect: only a dead node has one")
        aliases = tuple(sorted(set(as_tuple(self.aliases, "aliases"))))
        force_setattr(self, "aliases", aliases or ())
        if not self.extra:
            force_setattr(self, "extra", EMPTY)


def split_path(text: str) -> list[str]:
    r"""The names of a path; `\/` is a slash inside a name. BadValueError for an empty name."""
    names = []
    start = 0
    for found in _SEPARATOR.finditer(text):
        names.append(text[start : found.end() - 1])
        start = found.end()
    names.append(text[start:])
    names = [_ESCAPED.sub(r"\1", name) for name in names]
    if not all(name.strip() for name in names):
        raise BadValueError(f"'{text}' is no path of a class: a name in it is empty")
    return names


def join_path(names: Iterable[str]) -> str:
    r"""Names as a path, with the slashes and backslashes inside them escaped."""
    return "/".join(
        name.replace("\\", "\\\\").replace("/", "\\/") if "/" in name or "\\" in name else name
        for name in names
    )


def check_taxonomy_name(name: str) -> str:
    """The name of a taxonomy; BadValueError for one that cannot stand first in a path."""
    if _TAXONOMY_NAME.fullmatch(name) is None:
        raise BadValueError(f"'{name}' cannot name a taxonomy: letters, digits and _ . - can")
    return name


class Taxonomy:
    """A taxonomy as one version has it: read-only, with look-ups both ways."""

    def __init__(self, name: str, nodes: Mapping[NodeId, Node], root: Node | None = None) -> None:
        self.name = name
        self.nodes = dict(nodes)
        """Every node ever made, the dead ones too."""
        self.root = root or Node(name="", minted="")

    def __len__(self) -> int:
        """The number of live nodes."""
        return len(self._ordered)

    def __iter__(self) -> Iterator[NodeId]:
        """Live nodes by `order`, then name."""
        return iter(self._ordered)

    def __contains__(self, node: object) -> bool:
        """Whether the id is one of a live node."""
        found = self.nodes.get(node) if isinstance(node, bytes) else None
        return found is not None and not found.dead

    @property
    def dead(self) -> bool:
        """Whether the taxonomy was removed: nothing in it lives."""
        return self.root.dead

    @property
    def minted_as(self) -> str:
        """The name under which ids are minted: that of the taxonomy before any renaming."""
        return self.root.minted or self.name

    @cached_property
    def _ordered(self) -> list[NodeId]:
        live = [(node.order, node.name, key) for key, node in self.nodes.items() if not node.dead]
        return [key for _, _, key in sorted(live)]

    @cached_property
    def _children(self) -> dict[NodeId | None, list[NodeId]]:
        found: dict[NodeId | None, list[NodeId]] = {}
        for key in self._ordered:
            found.setdefault(self.nodes[key].parent, []).append(key)
        return found

    @cached_property
    def _paths(self) -> dict[NodeId, str]:
        return {key: join_path(self.names_of(key)) for key in self._ordered}

    @cached_property
    def _by_path(self) -> dict[str, NodeId]:
        return {path: key for key, path in reversed(list(self._paths.items()))}

    @cached_property
    def _by_alias(self) -> dict[str, NodeId]:
        return {alias: key for key in reversed(self._ordered) for alias in self.nodes[key].aliases}

    @cached_property
    def _by_name(self) -> dict[str, NodeId | None]:
        """Name → the only live node of that name, None where there are several."""
        found: dict[str, NodeId | None] = {}
        for key in self._ordered:
            name = self.nodes[key].name
            found[name] = None if name in found else key
        return found

    @cached_property
    def _last_order(self) -> int:
        return max((node.order for node in self.nodes.values()), default=-1)

    @cached_property
    def _minted(self) -> Counter[str]:
        return Counter(node.minted for node in self.nodes.values())

    def add(self, key: NodeId, node: Node) -> None:
        """Add a new live node that comes after all others; only for who owns this taxonomy.

        The look-ups grow with it, where dropping them would make a thousand classes slow.
        """
        self.nodes[key] = node
        self._last_order = max(self._last_order, node.order)
        if "_ordered" in vars(self):
            self._ordered.append(key)
        if "_children" in vars(self):
            self._children.setdefault(node.parent, []).append(key)
        if "_paths" in vars(self):
            path = self._paths[key] = join_path(self.names_of(key))
            self._by_path.setdefault(path, key)
        for alias in node.aliases if "_by_alias" in vars(self) else ():
            self._by_alias.setdefault(alias, key)
        if "_by_name" in vars(self):
            self._by_name[node.name] = None if node.name in self._by_name else key
        if "_minted" in vars(self):
            self._minted[node.minted] += 1

    def names_of(self, node: NodeId) -> list[str]:
        """The names from the root down to a node; a cycle (after a bad merge) is cut."""
        names: list[str] = []
        seen: set[NodeId] = set()
        at: NodeId | None = node
        while at is not None and at not in seen and at in self.nodes:
            seen.add(at)
            names.append(self.nodes[at].name)
            at = self.nodes[at].parent
        return names[::-1]

    def live(self, node: NodeId) -> NodeId | None:
        """The node itself, or the one that it was merged into; None when it is gone."""
        seen: set[NodeId] = set()
        at: NodeId | None = node
        while at is not None and at not in seen:
            seen.add(at)
            found = self.nodes.get(at)
            if found is None:
                return None
            if not found.dead:
                return at
            at = found.redirect
        return None

    def path(self, node: NodeId) -> str | None:
        """The path of a node below the root (of what it was merged into); None when it is gone."""
        path = self._paths.get(node)
        if path is not None:
            return path
        live = self.live(node)
        return None if live is None else self._paths[live]

    def find(self, text: str) -> NodeId | None:
        """The live node of a path, alias, id in hex, or name that only one node has."""
        return (
            self._by_path.get(text)
            or self._by_alias.get(text)
            or self._by_name.get(text)
            or self._find_further(text)
        )

    def _find_further(self, text: str) -> NodeId | None:
        if _HEX.fullmatch(text):
            return self.live(bytes.fromhex(text))
        rest = text.removeprefix(self.name + "/")
        return self.find(rest) if rest != text else None

    def at_path(self, path: str) -> NodeId | None:
        """The live node of exactly this path."""
        return self._by_path.get(path)

    def by_alias(self, alias: str) -> NodeId | None:
        """The live node that has an alias."""
        return self._by_alias.get(alias)

    def child(self, parent: NodeId | None, name: str) -> NodeId | None:
        """The live node of that name right below another (None: below the root)."""
        if parent is None:  # flat taxonomies have thousands of them
            return self._by_path.get(join_path([name]))
        return next((key for key in self.children(parent) if self.nodes[key].name == name), None)

    def children(self, parent: NodeId | None = None) -> list[NodeId]:
        """Live nodes right below another, by order (None: below the root)."""
        return self._children.get(parent, [])

    def below(self, node: NodeId | None) -> list[NodeId]:
        """All live nodes below another, parents first; not the node itself."""
        found: dict[NodeId, None] = {}
        left = self.children(node)[::-1]
        while left:
            key = left.pop()
            if key not in found and key != node:  # as in a circle, after a bad merge
                found[key] = None
                left += self.children(key)[::-1]
        return list(found)

    def above(self, node: NodeId) -> list[NodeId]:
        """The ancestors of a node, the nearest first."""
        found: list[NodeId] = []
        at = self.nodes[node].parent if node in self.nodes else None
        while at is not None and at not in found and at in self.nodes:
            found.append(at)
            at = self.nodes[at].parent
        return found

    def class_name(self, node: NodeId) -> str | None:
        """What flat formats call a node: its own name where `find` knows it by that, else its path.

        None when the node is gone.
        """
        live = self.live(node)
        if live is None:
            return None
        name = self.nodes[live].name
        return name if self.find(name) == live else self._paths[live]

    @property
    def next_order(self) -> int:
        """The `order` of a node that comes after all others."""
        return self._last_order + 1

    def mint_id(self, path: str) -> NodeId:
        """The id of the next node made at a path (spec 9.2)."""
        return node_id(self.minted_as, path, self._minted[path])
