"""Trees of names drawn with lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voyager.commands.reports import quoted


@dataclass(frozen=True, slots=True)
class Tree:
    """A class or taxonomy with what lies below it; `count` of labels, those below included."""

    name: str
    path: str
    id: bytes | None
    aliases: tuple[str, ...]
    count: int | None
    children: tuple[Tree, ...]


def tree_lines(tree: Tree, depth: int | None = None) -> Iterator[str]:
    """The lines of a tree, its path first, down to some levels below."""
    yield _words(tree, tree.path)
    yield from _below(tree, depth, "")


def _below(tree: Tree, depth: int | None, indent: str) -> Iterator[str]:
    if depth == 0:
        return
    deeper = None if depth is None else depth - 1
    for child in tree.children:
        last = child is tree.children[-1]
        yield f"{indent}{'└── ' if last else '├── '}{_words(child, child.name)}"
        yield from _below(child, deeper, indent + ("    " if last else "│   "))


def _words(tree: Tree, name: str) -> str:
    aliases = f" ({', '.join(map(quoted, tree.aliases))})" if tree.aliases else ""
    count = "" if tree.count is None else f"  {tree.count:,}"
    return f"{quoted(name)}{aliases}{count}"
