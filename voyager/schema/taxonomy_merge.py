"""Merging classes of a taxonomy: they die, and whatever names them means another from then on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voyager.errors import UsageError
from voyager.schema.taxonomy import Node, NodeId, Taxonomy, join_path
from voyager.schema.taxonomy_paths import Place, find_place, is_glob, match_path, path_of
from voyager.schema.taxonomy_verbs import Step
from voyager.schema.vocabulary import Draft


def merge(draft: Draft, sources: Sequence[str], target: str) -> list[Step]:
    """Merge classes into another; no label is rewritten, since the dead ones lead to it.

    What lies below a source moves below the target; where that has a class of the same name, the
    two are merged in turn. Names and aliases of what died become aliases. UsageError for a class
    and itself, or what lies below it.
    """
    there = find_place(draft, target)
    places = [
        place
        for source in sources
        for place in match_path(draft, source)
        if place != there or not is_glob(source)
    ]
    if there.node is None or any(place.node is None for place in places):
        raise UsageError("only classes can be merged, not taxonomies", hint="vgr taxonomy ls")
    steps: list[Step] = []
    for place in dict.fromkeys(places):
        steps += _merge_one(draft, place, there)
    return steps


def _merge_one(draft: Draft, place: Place, there: Place) -> list[Step]:
    path, target = path_of(draft, place), path_of(draft, there)
    if place.taxonomy != there.taxonomy:
        hint = f"vgr taxonomy cp -r '{path}' '{there.taxonomy}'"
        raise UsageError(f"'{path}' and '{target}' are of two taxonomies", hint=hint)
    assert place.node is not None and there.node is not None
    before = draft.taxonomies[there.taxonomy]
    if place.node == there.node:
        raise UsageError(f"'{path}' cannot be merged into itself")
    if before.live(place.node) == there.node:
        return []  # merged along with what it lay in
    if place.node in before.above(there.node):
        raise UsageError(
            f"'{path}' cannot be merged into '{target}', which lies below it",
            hint=f"vgr taxonomy mv '{target}' '{there.taxonomy}'",
        )
    changes: dict[NodeId, Node] = {}
    pairs = list(_fuse(before, place.node, there.node, changes))
    for dying, heir in pairs:
        _bequeath(before, changes, dying, heir)
    draft.put_nodes(there.taxonomy, changes)
    return list(_steps(before, draft.taxonomies[there.taxonomy], pairs))


def _fuse(
    taxonomy: Taxonomy, source: NodeId, target: NodeId, changes: dict[NodeId, Node]
) -> Iterator[tuple[NodeId, NodeId]]:
    """Note what merging two classes changes; the pairs that become one, the outermost first."""
    left = [(source, target)]
    while left:
        dying, heir = left.pop(0)
        yield dying, heir
        changes[dying] = taxonomy.nodes[dying].replace(dead=True, redirect=heir)
        for child in taxonomy.children(dying):
            other = taxonomy.child(heir, taxonomy.nodes[child].name)
            if other is None or other == source:  # which dies, so its name is free
                changes[child] = taxonomy.nodes[child].replace(parent=heir)
            else:
                left.append((child, other))


def _bequeath(taxonomy: Taxonomy, changes: dict[NodeId, Node], dying: NodeId, heir: NodeId) -> None:
    """Let the heir be found by the aliases of what dies, and by its name if that found it."""
    gone = changes[dying]
    changes[dying] = gone.replace(aliases=())
    node = changes.get(heir, taxonomy.nodes[heir])
    aliases = {*node.aliases, *gone.aliases}
    if gone.name != node.name and taxonomy.find(join_path([gone.name])) == dying:
        aliases.add(gone.name)
    changes[heir] = node.replace(aliases=tuple(aliases))


def _steps(before: Taxonomy, after: Taxonomy, pairs: list[tuple[NodeId, NodeId]]) -> Iterator[Step]:
    for dying, heir in pairs:
        yield Step("merged", _path(before, dying), _path(after, heir), (dying,))
        for child in before.children(dying):
            if not after.nodes[child].dead:
                below = (child, *before.below(child))
                yield Step("moved", _path(before, child), _path(after, child), below)


def _path(taxonomy: Taxonomy, node: NodeId) -> str:
    return join_path([taxonomy.name, *taxonomy.names_of(node)])
