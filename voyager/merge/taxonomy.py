"""Merging trees of classes: each class alone, then what of that cannot stand together.

Every class is merged field by field. Then, until nothing is left to mend:

- A class that one side removed or merged away lives on where another changed it or put something
  into it, and so does what lies around it and what was removed along with it (`life`).
- Redirects that run in a circle are not followed: those classes live on (`life`).
- Classes that would lie in each other stay where the base has them (`parent`).
- Of two living classes of one parent and name those that were moved or renamed stay as the base has
  them (`parent`, `name`). Two new ones become one; a new one that stands where an old one had to
  stay has the start of its id behind its name (`name`).

Whatever is kept from what a side said is in conflict. Each step looks at all that is wrong at once,
so that the order of the sides means nothing, and goes one way only, so that it ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from voyager.merge.flat_vocabulary import Flat, Place
from voyager.merge.nodes import NODES, birth_of
from voyager.merge.terms import merge_row, stand_off
from voyager.schema.conflict import ABSENT, Terms
from voyager.schema.taxonomy import Node, NodeId
from voyager.schema.vocabulary_fields import LIFE, NODE, life_of, read_part, write_part
from voyager.schema.vocabulary_rows import encode_node

_TOP = Place("")
"""What taxonomies lie in."""


class Forest:
    """The taxonomies of a merge while it is made: what differs from the base, and the conflicts."""

    def __init__(self, base: Flat, sides: Sequence[Flat]) -> None:
        self.base = base
        self.sides = sides
        self.nodes: dict[Place, Node | None] = {}
        """What may be unlike the base."""
        self.conflicts: dict[Place, dict[str, Terms]] = {}
        self.joined: set[Place] = set()
        """The classes that more than one side has a say in."""
        self._names: dict[str, dict[tuple[NodeId | None, str], NodeId]] = {}
        places = {place for side in sides for place in side.places_unlike(base)}
        for place in sorted(places | set(base.places_unlike(base)), key=_in_order):
            self._merge_one(place)

    def _merge_one(self, place: Place) -> None:
        given = [side.given(place) for side in self.sides]
        born = partial(birth_of, place, self.sides)
        node, conflicts = merge_row(NODES, self.base.given(place), given, born)
        self.nodes[place] = node
        if conflicts:
            self.conflicts[place] = conflicts
        rows = [each.row for each in given if each.row is not None]
        if any(row != node for row in rows):
            self.joined.add(place)

    def get(self, place: Place) -> Node | None:
        """The merged class or root at a place."""
        return self.nodes[place] if place in self.nodes else self.base.get(place)

    def lives(self, place: Place) -> bool:
        """Whether there is a class at a place, and it lives."""
        found = self.get(place)
        return found is not None and not found.dead

    def living(self) -> Iterator[tuple[Place, Node]]:
        """The classes and roots that live and may be unlike the base."""
        for place, node in list(self.nodes.items()):
            if node is not None and not node.dead:
                yield place, node

    def roots(self) -> list[Place]:
        """Every taxonomy there is, the removed ones too, in order."""
        minted = {*self.base.taxonomies, *(place.taxonomy for place in self.nodes)}
        places = [Place(name) for name in sorted(minted)]
        return [place for place in places if self.get(place) is not None]

    def is_new(self, place: Place) -> bool:
        """Whether the base knows nothing of a place."""
        return self.base.get(place) is None

    def ways_up(self, place: Place) -> Iterator[Place]:
        """What a class lies in, the nearest first, the root last; endless in a circle."""
        while place.node is not None:
            node = self.get(place)
            place = Place(place.taxonomy, None if node is None else node.parent)
            yield place

    def unchanged_at(self, parent: Place, name: str) -> Place | None:
        """The living class of that name in a place, if it is as in the base."""
        if parent == _TOP:
            found = [Place(minted) for minted in self.base.named(name)]
        else:
            known = self._base_names(parent.taxonomy).get((parent.node, name))
            found = [] if known is None else [Place(parent.taxonomy, known)]
        left = (place for place in found if place not in self.nodes and self.base.lives(place))
        return next(left, None)

    def _base_names(self, taxonomy: str) -> dict[tuple[NodeId | None, str], NodeId]:
        if taxonomy not in self._names:
            known = self.base.taxonomies.get(taxonomy)
            self._names[taxonomy] = {
                (node.parent, node.name): key
                for key, node in ({} if known is None else known.nodes).items()
                if not node.dead
            }
        return self._names[taxonomy]

    def hold(self, place: Place, path: str, node: Node) -> None:
        """Let a place have `node`, and be in conflict about a field of which it keeps another."""
        now = self.get(place)
        assert now is not None
        terms = stand_off(read_part(node, path), read_part(now, path))
        self.conflicts.setdefault(place, {}).setdefault(path, terms)
        self.nodes[place] = node

    def revive(self, place: Place) -> None:
        """Let what was removed or merged away live on, in conflict."""
        node = self.get(place)
        if node is None:
            node = self.base.get(place)
            if node is None:
                return  # a side led to what nobody has
            terms = stand_off(encode_node(node), ABSENT)
            self.conflicts.setdefault(place, {}).setdefault(NODE, terms)
            self.nodes[place] = node
        if node.dead:
            self.hold(place, LIFE, node.replace(dead=False, redirect=None))


def _in_order(place: Place) -> tuple[str, bytes]:
    return place.taxonomy, place.node or b""


def above(place: Place, node: Node) -> Place:
    """What a class lies in: another, or the root."""
    return Place(place.taxonomy, node.parent)


def mend(forest: Forest, claimed: Iterable[Place]) -> None:
    """Make a forest of trees that can be; what is `claimed` must live."""
    wanted = set(claimed) | set(_claimed(forest))
    while True:
        _keep_alive(forest, wanted)
        wanted = set(_in_circles_of_redirects(forest))
        if not (wanted or _part_circles(forest) or _part_names(forest)):
            break


# -- what one side took away and another needs ----------------------------------------------------


def _claimed(forest: Forest) -> Iterator[Place]:
    """What died or went, though a side on which it lives changed it, or leads or moved to it."""
    for place in forest.nodes:
        base = forest.base.get(place)
        for side in forest.sides:
            node = side.get(place)
            if node is None or (base is not None and node == base):
                continue
            if node.dead:
                heir = Place(place.taxonomy, node.redirect)
                if heir.node is None or (base is not None and base.redirect == heir.node):
                    continue
                if side.lives(heir) and _is_removed(forest, heir):
                    yield heir
                continue
            if base is not None and not forest.lives(place) and _is_meant(forest, place, node):
                yield place
            parent = above(place, node)
            moved = base is None or base.dead or base.parent != node.parent
            if place.node is not None and moved and not forest.lives(parent):
                yield parent


def _is_removed(forest: Forest, place: Place) -> bool:
    """Whether a class went without anything that it leads to."""
    node = forest.get(place)
    return node is None or (node.dead and node.redirect is None)


def _is_meant(forest: Forest, place: Place, node: Node) -> bool:
    """Whether a side that changed a class to `node` said more of it than its place in lists."""
    base = forest.base.get(place)
    assert base is not None
    if _is_removed(forest, place) and node.aliases != base.aliases:
        return True
    return (node.name, node.parent, node.extra, node.unknown) != (
        base.name,
        base.parent,
        base.extra,
        base.unknown,
    )


def _keep_alive(forest: Forest, wanted: set[Place]) -> None:
    """Revive what is wanted, what living classes lie in, and what was removed along with those."""
    removed: dict[Place, list[Place]] = defaultdict(list)
    for place in forest.nodes:
        base = forest.base.get(place)
        if base is None or base.dead or place.node is None:
            continue
        if _is_removed(forest, place) and any(side.lives(place) for side in forest.sides):
            removed[above(place, base)].append(place)
    left = [place for place in wanted if not forest.lives(place)]
    for place, node in forest.living():
        if place.node is not None and not forest.lives(above(place, node)):
            left.append(above(place, node))
    while left:
        place = left.pop()
        if forest.lives(place):
            continue
        forest.revive(place)
        left += removed.get(place, [])
        revived = forest.get(place)
        if revived is not None and place.node is not None:
            left.append(above(place, revived))


def _in_circles_of_redirects(forest: Forest) -> Iterator[Place]:
    for start, node in list(forest.nodes.items()):
        seen: list[Place] = []
        place: Place = start
        now = node
        while now is not None and now.redirect is not None and place not in seen:
            seen.append(place)
            place = Place(place.taxonomy, now.redirect)
            now = forest.get(place)
        if place == start and seen:
            base = forest.base.get(start)
            if base is None or life_of(base) != life_of(forest.get(start) or base):
                yield start


# -- what cannot stand together -------------------------------------------------------------------


def _part_circles(forest: Forest) -> bool:
    """Let classes that lie in each other stay where the base has them; whether there were any."""
    circles = {frozenset(circle) for circle in _circles(forest)}
    for circle in circles:
        movable = []
        for place in circle:
            base, node = forest.base.get(place), forest.get(place)
            if base is not None and node is not None and base.parent != node.parent:
                movable.append((place, node.replace(parent=base.parent)))
        if not movable:
            place = min(circle, key=lambda one: (not forest.is_new(one), _in_order(one)))
            node = forest.get(place)
            assert node is not None
            movable = [(place, node.replace(parent=None))]
        for place, node in movable:
            forest.hold(place, "parent", node)
    return bool(circles)


def _circles(forest: Forest) -> Iterator[list[Place]]:
    fine: set[Place] = set()
    for start, _ in forest.living():
        way = [start]
        on_it = {start}
        for place in forest.ways_up(start):
            if place in fine:
                break
            if place in on_it:
                yield way[way.index(place) :]
                break
            way.append(place)
            on_it.add(place)
        fine.update(on_it)


def _part_names(forest: Forest) -> bool:
    """Let no two living classes of one parent have one name; whether any had."""
    found: dict[tuple[Place, str], list[Place]] = defaultdict(list)
    for place, node in forest.living():
        found[_slot(place, node)].append(place)
    for slot, places in found.items():
        unchanged = forest.unchanged_at(*slot)
        if unchanged is not None:
            places.append(unchanged)
    groups = [sorted(places, key=_in_order) for places in found.values() if len(places) > 1]
    for places in sorted(groups):
        _part(forest, places)
    return bool(groups)


def _slot(place: Place, node: Node) -> tuple[Place, str]:
    return (_TOP if place.node is None else above(place, node)), node.name


def _part(forest: Forest, places: list[Place]) -> None:
    movable = [(place, path) for place in places for path in _moved(forest, place)]
    for place, path in movable:
        node, base = forest.get(place), forest.base.get(place)
        assert node is not None and base is not None
        forest.hold(place, path, write_part(node, path, read_part(base, path)))
    if movable:
        return
    new = [place for place in places if forest.is_new(place)]
    if len(new) > 1 and new[0].node is not None:
        for place in new[1:]:
            _fold(forest, place, new[0])
        return
    known = [place for place in places if place not in new]
    keeps = (known or new)[0]
    for place in places:
        if place != keeps:
            _rename(forest, place)


def _moved(forest: Forest, place: Place) -> list[str]:
    """The fields in which a class is elsewhere than in the base."""
    node, base = forest.get(place), forest.base.get(place)
    if node is None or base is None:
        return []
    return [path for path in ("name", "parent") if read_part(node, path) != read_part(base, path)]


def _fold(forest: Forest, place: Place, into: Place) -> None:
    """Let a new class be one with another that was made at the same path: it leads there."""
    node = forest.get(place)
    assert node is not None
    forest.joined.add(place)
    forest.nodes[place] = node.replace(dead=True, redirect=into.node)
    for child, below in forest.living():
        if child.node is not None and above(child, below) == place:
            forest.nodes[child] = below.replace(parent=into.node)


def _rename(forest: Forest, place: Place) -> None:
    """Give a class a name that nothing has, in conflict with the one that it should have."""
    node = forest.get(place)
    assert node is not None
    forest.hold(place, "name", node.replace(name=_free_name(forest, place, node)))


def _free_name(forest: Forest, place: Place, node: Node) -> str:
    if place.node is not None:
        return f"{node.name}~{place.node.hex()[:8]}"
    taken = {root.name for root in map(forest.get, forest.roots()) if root is not None}
    number = 2
    while f"{node.name}-{number}" in taken:
        number += 1
    return f"{node.name}-{number}"
