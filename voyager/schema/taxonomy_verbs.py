"""What can be done to taxonomies, as changes of a draft: make, move, copy, bury, alias.

No verb touches a sample: labels name classes by ids, which stay with whatever is moved. Merging
has a module of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from voyager.errors import ExistsError, NotFoundError, StateError, UsageError
from voyager.schema.taxonomy import Node, NodeId, Taxonomy, check_taxonomy_name, join_path
from voyager.schema.taxonomy_paths import (
    Place,
    ends_in_slash,
    find_place,
    living,
    match_places,
    not_found,
    path_of,
    place_at,
    read_names,
)
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import Draft, Vocabulary

StepKind = Literal["made", "renamed", "moved", "copied", "merged", "removed"]


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one class, by its path before and after (None: there was, or is, none).

    `nodes` are the classes that read differently now: its own and those below it.
    """

    kind: StepKind
    before: str | None
    after: str | None
    nodes: tuple[NodeId, ...] = ()


def make(draft: Draft, path: str, *, parents: bool = False) -> list[Step]:
    """Make a class, or with a path of one name a taxonomy; `parents` makes those above it too.

    Raises ExistsError for one that exists (not with `parents`), NotFoundError without its parent.
    """
    names = read_names(path)
    if living(draft, names[0]) is not None and place_at(draft, names) is not None:
        if parents:
            return []
        raise ExistsError(f"'{path}' exists already", hint=f"vgr taxonomy ls '{path}'")
    above = range(1, len(names))
    missing = [depth for depth in above if not _is_there(draft, names[:depth])]
    if missing and not parents:
        lacking = join_path(names[: missing[0]])
        raise NotFoundError(
            f"there is no '{lacking}' to make it in", hint=f"vgr taxonomy mkdir -p '{path}'"
        )
    return [_make_one(draft, names[:depth]) for depth in (*missing, len(names))]


def _is_there(draft: Draft, names: Sequence[str]) -> bool:
    return living(draft, names[0]) is not None and place_at(draft, names) is not None


def _make_one(draft: Draft, names: list[str]) -> Step:
    path = join_path(names)
    if len(names) == 1:
        _check_taxonomy(path)
        draft.add_taxonomy(path)
        return Step("made", None, path)
    return Step("made", None, path, (draft.mint(names[0], names[1:]),))


def _check_taxonomy(name: str) -> str:
    try:
        return check_taxonomy_name(name)
    except BadValueError as error:
        raise UsageError(error.message) from None


# -- move and copy --------------------------------------------------------------------------------


def move(draft: Draft, sources: Sequence[str], target: str) -> list[Step]:
    """Rename a class, or move classes into one that exists (or a target that ends in '/').

    A taxonomy can be renamed. Raises ExistsError for a name that is taken, UsageError for a move
    below itself or out of the taxonomy.
    """
    places = match_places(draft, sources)
    _refuse_nested(draft, places)
    if places[0].node is None or any(place.node is None for place in places):
        return [_rename_taxonomy(draft, places, target)]
    into, name = _destination(draft, places, target)
    return [_move_one(draft, place, into, name) for place in places]


def _rename_taxonomy(draft: Draft, places: list[Place], target: str) -> Step:
    old, names = places[0].taxonomy, read_names(target)
    if len(places) > 1 or len(names) > 1:
        raise UsageError(
            f"the taxonomy '{old}' cannot lie in another",
            hint=f"vgr taxonomy cp -r '{old}/*' '{target}'",
        )
    new = _check_taxonomy(names[0])
    if living(draft, new) is not None:
        raise ExistsError(f"there is a taxonomy '{new}' already", hint="vgr taxonomy ls")
    nodes = tuple(draft.taxonomies[old])
    draft.rename_taxonomy(old, new)
    return Step("renamed", old, new, nodes)


def _destination(draft: Draft, places: list[Place], target: str) -> tuple[Place, str | None]:
    """The place that sources go into, and the new name of the only one, None to keep names."""
    names = _from_top(draft, target, home=places[0].taxonomy)
    there = place_at(draft, names)
    if there is not None:
        return there, None
    if len(places) > 1 or ends_in_slash(target):
        raise _no_destination(draft, names)
    parent = place_at(draft, names[:-1])
    if parent is None:
        raise _no_destination(draft, names[:-1])
    return parent, names[-1]


def _from_top(draft: Draft, target: str, *, home: str) -> list[str]:
    """The names of a target; one that begins with no taxonomy is meant in that of the sources."""
    names = read_names(target)
    return names if living(draft, names[0]) is not None else [home, *names]


def _no_destination(draft: Draft, names: list[str]) -> NotFoundError:
    path = join_path(names)
    error = not_found(draft, path)
    return NotFoundError(error.message, hint=f"vgr taxonomy mkdir -p '{path}'")


def _move_one(draft: Draft, place: Place, into: Place, name: str | None) -> Step:
    assert place.node is not None
    taxonomy = draft.taxonomies[place.taxonomy]
    node, path = taxonomy.nodes[place.node], path_of(draft, place)
    if into.taxonomy != place.taxonomy:
        raise UsageError(
            f"'{path}' cannot leave its taxonomy: labels would lose it",
            hint=f"vgr taxonomy cp -r '{path}' '{path_of(draft, into)}'",
        )
    _refuse_below_itself(taxonomy, place.node, into.node, path)
    name = node.name if name is None else name
    if into.node == node.parent and name == node.name:
        raise UsageError(f"'{path}' is there already")
    _refuse_taken(draft, into, name, hint=f"vgr taxonomy merge '{path}'")
    draft.put_nodes(place.taxonomy, {place.node: node.replace(parent=into.node, name=name)})
    now = draft.taxonomies[place.taxonomy]
    touched = (place.node, *now.below(place.node))
    kind: StepKind = "renamed" if into.node == node.parent else "moved"
    return Step(kind, path, path_of(draft, place), touched)


def _refuse_below_itself(taxonomy: Taxonomy, node: NodeId, into: NodeId | None, path: str) -> None:
    if into is not None and (into == node or node in taxonomy.above(into)):
        raise UsageError(f"cannot move '{path}' into itself")


def _refuse_taken(draft: Draft, into: Place, name: str, *, hint: str) -> None:
    taken = draft.taxonomies[into.taxonomy].child(into.node, name)
    if taken is not None:
        path = path_of(draft, Place(into.taxonomy, taken))
        raise ExistsError(f"'{path}' exists already", hint=f"{hint} '{path}'")


def _refuse_nested(draft: Draft, places: Sequence[Place]) -> None:
    """UsageError when one of the places lies in another."""
    known = set(places)
    for place in places:
        for outer in _around(draft, place):
            if outer in known:
                raise UsageError(
                    f"'{path_of(draft, outer)}' and '{path_of(draft, place)}' in it cannot both go"
                )


def _around(draft: Draft, place: Place) -> Iterator[Place]:
    """What a place lies in, the nearest first, the taxonomy last."""
    if place.node is not None:
        for node in draft.taxonomies[place.taxonomy].above(place.node):
            yield Place(place.taxonomy, node)
        yield Place(place.taxonomy)


def copy(
    draft: Draft, sources: Sequence[str], target: str, *, recursive: bool = False
) -> list[Step]:
    """Copy classes, with `recursive` all that lies below them; the copies have ids of their own.

    The target is as that of `move`, and may lie in another taxonomy. Nothing is labeled with a
    copy yet.
    """
    places = match_places(draft, sources)
    _refuse_nested(draft, places)
    trees = [_Branch.of(draft, place) for place in places]
    if any(tree.children for tree in trees) and not recursive:
        tree = next(tree for tree in trees if tree.children)
        raise UsageError(f"'{tree.path}' has classes below it", hint="vgr taxonomy cp -r")
    if any(place.node is None for place in places):
        return [_copy_taxonomy(draft, trees, target)]
    into, name = _destination(draft, places, target)
    return [_copy_one(draft, tree, into, name) for tree in trees]


@dataclass(frozen=True, slots=True)
class _Branch:
    """A class with what lies below it, as it was when copying began."""

    place: Place
    path: str
    node: Node
    children: tuple[_Branch, ...]

    @classmethod
    def of(cls, vocabulary: Vocabulary, place: Place) -> _Branch:
        taxonomy = vocabulary.taxonomies[place.taxonomy]
        node = taxonomy.root if place.node is None else taxonomy.nodes[place.node]
        below = (Place(place.taxonomy, key) for key in taxonomy.children(place.node))
        children = tuple(cls.of(vocabulary, child) for child in below)
        return cls(place, path_of(vocabulary, place), node, children)


def _copy_taxonomy(draft: Draft, trees: list[_Branch], target: str) -> Step:
    names = read_names(target)
    if len(trees) > 1 or len(names) > 1:
        raise UsageError(
            f"the taxonomy '{trees[0].path}' cannot lie in another",
            hint=f"vgr taxonomy cp -r '{trees[0].path}/*' '{target}'",
        )
    new = _check_taxonomy(names[0])
    if living(draft, new) is not None:
        raise ExistsError(f"there is a taxonomy '{new}' already", hint="vgr taxonomy ls")
    draft.add_taxonomy(new)
    made = [node for tree in trees[0].children for node in _plant(draft, tree, [new], None)]
    return Step("copied", trees[0].path, new, tuple(made))


def _copy_one(draft: Draft, tree: _Branch, into: Place, name: str | None) -> Step:
    if into.taxonomy == tree.place.taxonomy and tree.place.node is not None:
        taxonomy = draft.taxonomies[into.taxonomy]
        _refuse_below_itself(taxonomy, tree.place.node, into.node, tree.path)
    name = tree.node.name if name is None else name
    _refuse_taken(draft, into, name, hint=f"vgr taxonomy merge '{tree.path}'")
    around = [] if into.node is None else draft.taxonomies[into.taxonomy].names_of(into.node)
    made = _plant(draft, tree, [into.taxonomy, *around], name)
    return Step("copied", tree.path, path_of(draft, Place(into.taxonomy, made[0])), tuple(made))


def _plant(draft: Draft, tree: _Branch, above: list[str], name: str | None) -> list[NodeId]:
    """Mint a copy of a branch below some names; the ids, its own first.

    Aliases go along only into another taxonomy: in one, they name one class.
    """
    names = [*above, tree.node.name if name is None else name]
    aliases = () if names[0] == tree.place.taxonomy else tree.node.aliases
    known = draft.taxonomies[names[0]]
    free = tuple(alias for alias in aliases if known.find(alias) is None)
    made = [draft.mint(names[0], names[1:], aliases=free, extra=tree.node.extra)]
    for child in tree.children:
        made += _plant(draft, child, names, None)
    return made


# -- remove, alias --------------------------------------------------------------------------------


def bury(draft: Draft, places: Iterable[Place], *, recursive: bool = False) -> list[Step]:
    """Let classes die, with `recursive` all that lies below them; whole taxonomies too.

    What still names them then names a dead class. StateError for a class with others below it.
    """
    chosen = list(places)
    steps = [_removal(draft, place) for place in chosen if not _is_inside(draft, place, chosen)]
    named = {place.node for place in chosen}
    for step in steps if not recursive else ():
        if not named.issuperset(step.nodes):
            raise StateError(f"'{step.before}' has classes below it", hint="vgr taxonomy rm -r")
    for place in chosen:
        taxonomy = living(draft, place.taxonomy)
        if place.node is None and taxonomy is not None:
            draft.bury_taxonomy(place.taxonomy)
        elif place.node is not None and taxonomy is not None:
            dying = (place.node, *taxonomy.below(place.node))
            nodes = {key: taxonomy.nodes[key].replace(dead=True) for key in dying}
            draft.put_nodes(place.taxonomy, nodes)
    return steps


def _removal(draft: Draft, place: Place) -> Step:
    below = draft.taxonomies[place.taxonomy].below(place.node)
    own = () if place.node is None else (place.node,)
    return Step("removed", path_of(draft, place), None, (*own, *below))


def _is_inside(draft: Draft, place: Place, others: Sequence[Place]) -> bool:
    return any(outer in others for outer in _around(draft, place))


def add_aliases(draft: Draft, path: str, names: Iterable[str]) -> Place:
    """Let a class be found by other names too; ExistsError for one that finds another class."""
    place, node = _class_at(draft, path)
    taxonomy = draft.taxonomies[place.taxonomy]
    added = []
    for name in names:
        other = taxonomy.at_path(name) or taxonomy.by_alias(name)
        if other is not None and other != place.node:
            taken = path_of(draft, Place(place.taxonomy, other))
            raise ExistsError(f"'{name}' means '{taken}' already", hint="vgr taxonomy ls -l")
        if not name.strip():
            raise UsageError("an alias is empty", hint="vgr taxonomy alias PATH NAME")
        added.append(name)
    _put_aliases(draft, place, node, {*node.aliases, *added})
    return place


def drop_aliases(draft: Draft, path: str, names: Iterable[str]) -> Place:
    """Let a class go by some aliases no longer; NotFoundError for one that it has not."""
    place, node = _class_at(draft, path)
    dropped = set(names)
    unknown = dropped.difference(node.aliases)
    if unknown:
        known = ", ".join(node.aliases) or "none"
        raise NotFoundError(
            f"'{path}' has no alias '{min(unknown)}', only {known}", hint="vgr taxonomy ls -l"
        )
    _put_aliases(draft, place, node, set(node.aliases) - dropped)
    return place


def _class_at(draft: Draft, path: str) -> tuple[Place, Node]:
    place = find_place(draft, path)
    if place.node is None:
        raise UsageError(f"'{path}' is a taxonomy, which has no aliases", hint="vgr taxonomy tree")
    return place, draft.taxonomies[place.taxonomy].nodes[place.node]


def _put_aliases(draft: Draft, place: Place, node: Node, aliases: set[str]) -> None:
    assert place.node is not None
    draft.put_nodes(place.taxonomy, {place.node: node.replace(aliases=tuple(aliases))})
