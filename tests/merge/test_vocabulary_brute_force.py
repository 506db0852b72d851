"""Merges of vocabularies against two models, for every pair of steps on a tiny tree.

The first model knows nothing of fields: steps that can be done one after the other in any order,
and come to the same, must merge to just that. The second is a plain table of classes, in which the
rules of the decision are written once more in the dullest way, without looking at what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, product
from random import Random
from typing import Any

import pytest
from vocabulary_edits import content

from voyager.errors import VoyagerError
from voyager.merge.vocabulary import MergedVocabulary, merge_vocabulary
from voyager.schema.taxonomy import Node, Taxonomy, join_path
from voyager.schema.taxonomy_merge import merge
from voyager.schema.taxonomy_paths import Place
from voyager.schema.taxonomy_verbs import add_aliases, bury, make, move
from voyager.schema.vocabulary import Draft, Vocabulary

Step = Callable[[Draft], object]


def tiny() -> Vocabulary:
    """Classes a, a/b, a/b/c and d, with a task."""
    draft = Draft(Vocabulary())
    draft.define("t")
    draft.mint_path("t", "a/b/c")
    draft.mint_path("t", "d")
    return Vocabulary(draft.tasks, draft.taxonomies)


BASE = tiny()
IDS = {node.name: key for key, node in BASE.taxonomies["t"].nodes.items()}


def home(draft: Draft) -> Taxonomy:
    return next(known for known in draft.taxonomies.values() if known.minted_as == "t")


def path(draft: Draft, name: str) -> str:
    """Where the class that the base calls `name` is now; StateError's kin when it is gone."""
    taxonomy = home(draft)
    if not name:
        return taxonomy.name
    if IDS[name] not in taxonomy:
        raise VoyagerError("gone")
    return join_path([taxonomy.name, *taxonomy.names_of(IDS[name])])


def parent(draft: Draft, name: str) -> str:
    return path(draft, name).rpartition("/")[0]


def rename(one: str, new: str) -> Step:
    return lambda draft: move(draft, [path(draft, one)], f"{parent(draft, one)}/{new}")


def go(one: str, into: str) -> Step:
    return lambda draft: move(draft, [path(draft, one)], path(draft, into) + "/")


def remove(one: str) -> Step:
    def step(draft: Draft) -> None:
        path(draft, one)
        place = Place(home(draft).name, IDS[one] if one else None)
        bury(draft, [place], recursive=True)

    return step


def join(one: str, into: str) -> Step:
    return lambda draft: merge(draft, [path(draft, one)], path(draft, into))


def add(into: str, new: str) -> Step:
    return lambda draft: make(draft, f"{path(draft, into)}/{new}")


def alias(one: str) -> Step:
    return lambda draft: add_aliases(draft, path(draft, one), [f"al{one}"])


def rename_all(new: str) -> Step:
    return lambda draft: move(draft, [path(draft, "")], new)


NAMES = tuple(IDS)
STEPS: dict[str, Step] = {
    **{f"rename {one} {new}": rename(one, new) for one in NAMES for new in ("d", "b", "x")},
    **{f"move {one} {into}": go(one, into) for one in NAMES for into in ("", *NAMES)},
    **{f"rm {one or 't'}": remove(one) for one in ("", *NAMES)},
    **{f"merge {one} {into}": join(one, into) for one in NAMES for into in NAMES},
    **{f"add {into}/{new}": add(into, new) for into in ("", *NAMES) for new in ("b", "x")},
    **{f"alias {one}": alias(one) for one in NAMES},
    "rename t u": rename_all("u"),
    "rename t v": rename_all("v"),
}


def done(*steps: Step) -> Vocabulary | None:
    """The base after steps, None where one of them cannot be done."""
    draft = Draft(BASE)
    try:
        for step in steps:
            step(draft)
    except VoyagerError:
        return None
    return Vocabulary(draft.tasks, draft.taxonomies)


SINGLE = {name: found for name, step in STEPS.items() if (found := done(step)) is not None}


def unordered(vocabulary: Vocabulary | None) -> Any:
    """All that a vocabulary says but for the order of classes, which depends on who is first."""
    if vocabulary is None:
        return None
    tasks, taxonomies = content(vocabulary)
    return tasks, {
        name: (root, {key: node.replace(order=0) for key, node in nodes.items()})
        for name, (root, nodes) in taxonomies.items()
    }


# -- in any order ---------------------------------------------------------------------------------


def test_steps_that_come_to_the_same_in_any_order_merge_to_that() -> None:
    same = 0
    for one, other in combinations(SINGLE, 2):
        both = unordered(done(STEPS[one], STEPS[other]))
        if both is None or both != unordered(done(STEPS[other], STEPS[one])):
            continue
        merged = merge_vocabulary(BASE, [SINGLE[one], SINGLE[other]])
        if "merge" in one + other and merged.conflicts:
            continue  # what merging classes moves may be in conflict with where a side moved it
        assert unordered(merged.vocabulary) == both, (one, other)
        assert not merged.conflicts, (one, other)
        same += 1
    assert same > 400


# -- a table of classes ---------------------------------------------------------------------------


class Table:
    """The rules once more, over (life, parent, name) of every class by id; None is the root."""

    def __init__(self, sides: list[Vocabulary]) -> None:
        self.base = rows(BASE)
        self.sides = [rows(side) for side in sides]
        self.conflicts: set[tuple[bytes | None, str]] = set()
        self.now: dict[bytes | None, dict[str, Any]] = {}
        for key in {key for side in self.sides for key in side}:
            known = [side[key] for side in self.sides if key in side]
            old = self.base.get(key) or born(key, known[0], self.sides)
            self.now[key] = {name: self.choose(key, name, old, known) for name in old}
        self.settle()

    def choose(self, key: Any, name: str, old: Any, known: Any) -> Any:
        said = {repr(row[name]): row[name] for row in known if row[name] != old[name]}
        if name == "aliases":
            return set().union(*(row[name] for row in known))  # no step here takes one away
        if name == "life" and key not in self.base and any(row[name] is None for row in known):
            said.pop("False", None)  # made twice and removed once
        if len(said) > 1:
            self.conflicts.add((key, name))
            return old[name]
        return next(iter(said.values()), old[name])

    def settle(self) -> None:
        for key in self.needed():
            self.revive(key)
        steps = [self.bring_up, self.lead_on, self.unloop, self.part]
        while any(self.changes(step) for step in steps):
            pass

    def changes(self, step: Callable[[], None]) -> bool:
        before = {key: dict(row) for key, row in self.now.items()}
        step()
        return before != self.now

    def needed(self) -> Iterator[Any]:
        for side, key in [(known, key) for known in self.sides for key in known]:
            row, old = side[key], self.base.get(key)
            if row["life"] is None and old is not None and self.means(key, row, old):
                yield from self.dead(key)
            if (
                row["life"] is None
                and key is not None
                and (old or {}).get("parent", 0) != row["parent"]
            ):
                yield from self.dead(row["parent"])
            heir = row["life"]
            if heir and heir != (old or {}).get("life") and side[heir]["life"] is None:
                yield from (gone for gone in self.dead(heir) if self.now[gone]["life"] is False)

    def means(self, key: Any, row: Any, old: Any) -> bool:
        names = ["parent", "name"] + ["aliases"] * (self.now[key]["life"] is False)
        return any(row[name] != old[name] for name in names)

    def dead(self, key: Any) -> list[Any]:
        return [] if self.alive(key) else [key]

    def alive(self, key: Any) -> bool:
        return self.now[key]["life"] is None

    def revive(self, key: Any) -> None:
        if not self.alive(key):
            self.conflicts.add((key, "life"))
            self.now[key]["life"] = None

    def bring_up(self) -> None:
        for key in list(self.now):
            row, old = self.now[key], self.base.get(key)
            if key is not None and self.alive(key):
                self.revive(row["parent"])
            removed = old is not None and row["life"] is False and key is not None
            kept = any(side.get(key, row)["life"] is None for side in self.sides)
            if removed and kept and (old["parent"], "life") in self.conflicts:
                self.revive(key)

    def lead_on(self) -> None:
        for key in list(self.now):
            at, seen = key, []
            while self.now[at]["life"] and at not in seen:
                seen.append(at)
                at = self.now[at]["life"]
            if at in seen:
                for one in seen[seen.index(at) :]:
                    self.revive(one)

    def unloop(self) -> None:
        held = set()
        for key in self.now:
            at, seen = key, []
            while at is not None and self.alive(at) and at not in seen:
                seen.append(at)
                at = self.now[at]["parent"]
            if at in seen:
                held |= set(seen[seen.index(at) :])
        for key in held:
            self.hold(key, "parent")

    def hold(self, key: Any, name: str) -> bool:
        old = self.base.get(key)
        if old is None or old[name] == self.now[key][name]:
            return False
        self.conflicts.add((key, name))
        self.now[key][name] = old[name]
        return True

    def part(self) -> None:
        places: dict[Any, list[Any]] = {}
        for key, row in self.now.items():
            if key is not None and row["life"] is None:
                places.setdefault((row["parent"], row["name"]), []).append(key)
        for keys in places.values():
            if len(keys) < 2:
                continue
            moved = [self.hold(key, field) for key in keys for field in ("name", "parent")]
            new = sorted(key for key in keys if key not in self.base)
            if any(moved):
                continue
            for key in new[1:]:
                self.fold(key, new[0])
            if len(new) < 2:
                self.conflicts.add((new[0], "name"))
                self.now[new[0]]["name"] += f"~{new[0].hex()[:8]}"

    def fold(self, key: Any, into: Any) -> None:
        self.now[key]["life"] = into
        for row in self.now.values():
            if row["parent"] == key:
                row["parent"] = into


def born(key: Any, row: Any, sides: list[Any]) -> dict[str, Any]:
    """A class that the base lacks as it was made, which only later steps can have changed."""
    way, _, name = row["minted"].rpartition("/")
    found = {side[key]["parent"] for side in sides if key in side}
    made = [one for one in found if way == next(s[one]["minted"] for s in sides if one in s)]
    return {**row, "life": None, "name": name, "parent": made[0] if made else row["parent"]}


def rows(vocabulary: Vocabulary) -> dict[bytes | None, dict[str, Any]]:
    taxonomy = next(known for known in vocabulary.taxonomies.values() if known.minted_as == "t")
    found: dict[bytes | None, dict[str, Any]] = {None: row(taxonomy.root, taxonomy.name)}
    return found | {key: row(node, node.name) for key, node in taxonomy.nodes.items()}


def row(node: Node, name: str) -> dict[str, Any]:
    life = (node.redirect or False) if node.dead else None
    return {
        "life": life,
        "parent": node.parent,
        "name": name,
        "minted": node.minted,
        "aliases": set(node.aliases),
    }


def conflicts_of(merged: MergedVocabulary) -> set[tuple[bytes | None, str]]:
    return {
        (bytes.fromhex(key.decode().partition("/")[2]) or None, field)
        for (_, key), found in merged.conflicts.items()
        for field in found
    }


def compared(found: dict[bytes | None, dict[str, Any]]) -> Any:
    """A table but for aliases, which go to what a class was merged into, and what rows derive."""
    return {
        key: {name: value for name, value in row.items() if name not in ("aliases", "minted")}
        for key, row in found.items()
    }


def compare(one: Vocabulary, other: Vocabulary, said: object) -> None:
    merged = merge_vocabulary(BASE, [one, other])
    table = Table([one, other])
    assert compared(rows(merged.vocabulary)) == compared(table.now), said
    assert conflicts_of(merged) == table.conflicts, said


def test_every_pair_of_steps_against_the_table() -> None:
    for one, other in product(SINGLE, SINGLE):
        compare(SINGLE[one], SINGLE[other], (one, other))


def two_steps() -> dict[tuple[str, str], Vocabulary]:
    pairs = product(STEPS, STEPS)
    found = ((pair, done(*(STEPS[name] for name in pair))) for pair in pairs)
    return {pair: side for pair, side in found if side is not None}


@pytest.mark.parametrize(
    "count", [1_000, pytest.param(40_000, marks=pytest.mark.deep)], ids=["some", "many"]
)
def test_pairs_of_two_steps_against_the_table(count: int) -> None:
    double = two_steps()
    names, random = list(double), Random(7)
    for _ in range(count):
        one, other = random.choice(names), random.choice(names)
        compare(double[one], double[other], (one, other))
