"""Merges of vocabularies by example: every outcome that docs/decisions/0016 names."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest
from vocabulary_edits import Edit, edited, paths_of, told

from voyager import wire
from voyager.errors import CorruptError, ExistsError
from voyager.merge.vocabulary import MergedVocabulary, merge_vocabulary
from voyager.schema.conflict import ABSENT, Terms
from voyager.schema.task import Skeleton, Task
from voyager.schema.taxonomy import Node, Taxonomy
from voyager.schema.taxonomy_faults import iter_faults
from voyager.schema.taxonomy_paths import find_place
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.schema.vocabulary_fields import (
    REMOVED,
    find_term,
    put_term,
    read_term,
    write_term,
)
from voyager.schema.vocabulary_rows import encode_node, encode_task, node_key, parse_node_key


def fashion() -> Vocabulary:
    draft = Draft(Vocabulary())
    draft.define("style", taxonomy="fashion")
    for path in ("shoes/heels", "shoes/boots", "bags"):
        draft.mint_path("fashion", path)
    return Vocabulary(draft.tasks, draft.taxonomies)


BASE = fashion()


def merged(*sides: Sequence[Edit]) -> MergedVocabulary:
    """What sides make of the base, in any order."""
    found = [edited(BASE, side) for side in sides]
    one, other = merge_vocabulary(BASE, found), merge_vocabulary(BASE, found[::-1])
    assert told(one) == told(other)
    assert list(iter_faults(one.vocabulary)) == []
    return one


def key(path: str, vocabulary: Vocabulary = BASE) -> tuple[str, bytes]:
    place = find_place(vocabulary, path)
    return "taxonomies", node_key(place.taxonomy, place.node)


def text(*values: object) -> tuple[bytes, ...]:
    return tuple(sorted(wire.encode(value) for value in values))


def node(path: str, vocabulary: Vocabulary = BASE) -> bytes:
    found = find_place(vocabulary, path).node
    assert found is not None
    return found


# -- what merges ----------------------------------------------------------------------------------


def test_a_rename_and_a_move_of_one_class() -> None:
    found = merged(
        [("move", "fashion/shoes/heels", "fashion/shoes/pumps")],
        [("into", "fashion/shoes/heels", "fashion/bags")],
        [("move", "fashion/shoes", "fashion/footwear")],
    )
    assert not found.conflicts
    assert paths_of(found.vocabulary) == [
        "fashion",
        "fashion/bags",
        "fashion/bags/pumps",
        "fashion/footwear",
        "fashion/footwear/boots",
    ]


def test_merges_of_classes_lead_on() -> None:
    found = merged(
        [("merge", "fashion/shoes/heels", "fashion/shoes/boots")],
        [("merge", "fashion/shoes/boots", "fashion/bags")],
    )
    assert not found.conflicts
    taxonomy = found.vocabulary.taxonomies["fashion"]
    assert taxonomy.live(node("fashion/shoes/heels")) == node("fashion/bags")
    assert taxonomy.nodes[node("fashion/bags")].aliases == ("boots", "heels")
    assert paths_of(found.vocabulary) == ["fashion", "fashion/bags", "fashion/shoes"]


def test_aliases_go_to_what_a_class_was_merged_into() -> None:
    found = merged(
        [("alias", "fashion/shoes/heels", "p")],
        [("merge", "fashion/shoes/heels", "fashion/bags")],
    )
    assert not found.conflicts
    taxonomy = found.vocabulary.taxonomies["fashion"]
    assert taxonomy.find("pp") == node("fashion/bags")


def test_a_renamed_taxonomy_takes_classes_and_tasks_along() -> None:
    found = merged(
        [("move", "fashion", "clothes")],
        [("make", "fashion/hats", ""), ("move", "fashion/bags", "fashion/sacks")],
    )
    assert not found.conflicts
    assert list(found.vocabulary.taxonomies) == ["clothes"]
    assert "clothes/hats" in paths_of(found.vocabulary)
    assert "clothes/sacks" in paths_of(found.vocabulary)
    assert found.vocabulary.tasks["style"].taxonomy == "clothes"
    side = edited(BASE, [("make", "fashion/hats", "")])
    gone = [row for space, at, row in found.changes(side) if at.startswith(b"fashion")]
    assert gone == [None] * 6


def test_classes_made_twice_are_one() -> None:
    found = merged(
        [("make", "fashion/x", ""), ("make", "fashion/hats", "")],
        [("make", "fashion/hats", ""), ("move", "fashion/hats", "fashion/caps")],
    )
    assert not found.conflicts
    assert paths_of(found.vocabulary)[2] == "fashion/caps"
    side = edited(BASE, [("make", "fashion/hats", "")])
    hats = found.vocabulary.taxonomies["fashion"].nodes[node("fashion/hats", side)]
    assert (hats.name, hats.order) == ("caps", 4)


def test_two_new_classes_of_one_path_become_one() -> None:
    made: Edit = ("make", "fashion/q", "")
    twice: list[Edit] = [made, ("bury", "fashion/q", ""), made]
    found = merged(twice, [made], [("make", "fashion/q/z", "")])
    assert not found.conflicts
    first, last = node("fashion/q", edited(BASE, [made])), node("fashion/q", edited(BASE, twice))
    taxonomy = found.vocabulary.taxonomies["fashion"]
    assert taxonomy.live(first) == taxonomy.live(last) == min(first, last)
    assert taxonomy.at_path("q/z") is not None


def test_tasks_made_twice() -> None:
    one, other = Draft(BASE), Draft(BASE)
    one.define("colour", scope="image")
    other.define("colour", scope="region")
    found = merge_vocabulary(BASE, [one, other])
    assert not found.conflicts
    assert found.vocabulary.tasks["colour"] == Task(taxonomy="colour", scope="both")


# -- what is in conflict --------------------------------------------------------------------------


def test_two_names() -> None:
    found = merged(
        [("move", "fashion/bags", "fashion/sacks")],
        [("move", "fashion/bags", "fashion/totes")],
        [("move", "fashion/shoes/boots", "fashion/bags")],
    )
    assert found.conflicts == {
        key("fashion/bags"): {"name": Terms(text("sacks", "totes"), text("bags"))},
    }
    assert "fashion/bags/boots" in paths_of(found.vocabulary)


@pytest.mark.parametrize(
    "other",
    [
        ("move", "fashion/shoes", "fashion/footwear"),
        ("into", "fashion/shoes", "fashion/bags"),
        ("make", "fashion/shoes/flats", ""),
        ("alias", "fashion/shoes", "s"),
        ("extra", "fashion/shoes", "red"),
        ("merge", "fashion/bags", "fashion/shoes"),
    ],
)
def test_removed_and_needed(other: Edit) -> None:
    found = merged([("bury", "fashion/shoes", "")], [other])
    stand = {"life": Terms(text(None, False))}
    names = ("shoes", "shoes/heels", "shoes/boots")
    assert found.conflicts == {key(f"fashion/{name}"): stand for name in names}
    side = edited(BASE, [other])
    assert paths_of(found.vocabulary) == paths_of(side)


def test_removed_and_led_to_by_another() -> None:
    found = merged(
        [("merge", "fashion/shoes/heels", "fashion/bags")], [("bury", "fashion/bags", "")]
    )
    assert found.conflicts == {key("fashion/bags"): {"life": Terms(text(None, False))}}


def test_merged_away_and_renamed() -> None:
    found = merged(
        [("merge", "fashion/shoes/heels", "fashion/bags")],
        [("move", "fashion/shoes/heels", "fashion/shoes/pumps")],
    )
    stand = {"life": Terms(text(None, node("fashion/bags")))}
    assert found.conflicts == {key("fashion/shoes/heels"): stand}
    assert "fashion/shoes/pumps" in paths_of(found.vocabulary)


def test_merged_into_each_other() -> None:
    heels, boots = "fashion/shoes/heels", "fashion/shoes/boots"
    found = merged([("merge", heels, boots)], [("merge", boots, heels)])
    assert found.conflicts == {
        key(heels): {"life": Terms(text(None, node(boots)))},
        key(boots): {"life": Terms(text(None, node(heels)))},
    }
    assert paths_of(found.vocabulary) == paths_of(BASE)


def test_moved_into_each_other() -> None:
    found = merged(
        [("into", "fashion/shoes", "fashion/bags")], [("into", "fashion/bags", "fashion/shoes")]
    )
    assert found.conflicts == {
        key("fashion/shoes"): {"parent": Terms(text(None, node("fashion/bags")))},
        key("fashion/bags"): {"parent": Terms(text(None, node("fashion/shoes")))},
    }
    assert paths_of(found.vocabulary) == paths_of(BASE)


def test_equal_names_in_one_place() -> None:
    found = merged(
        [("move", "fashion/bags", "fashion/x")],
        [("move", "fashion/shoes/heels", "fashion/x")],
        [("make", "fashion/x", "")],
    )
    assert found.conflicts == {
        key("fashion/bags"): {"name": Terms(text("bags", "x"))},
        key("fashion/shoes/heels"): {
            "name": Terms(text("heels", "x")),
            "parent": Terms(text(None, node("fashion/shoes"))),
        },
    }
    assert paths_of(found.vocabulary) == sorted([*paths_of(BASE), "fashion/x"])


def test_a_new_class_where_an_old_one_has_to_stay() -> None:
    found = merged(
        [("bury", "fashion/bags", ""), ("make", "fashion/bags", "")],
        [("make", "fashion/bags/totes", "")],
    )
    new = node_of_second_bags()
    held = f"bags~{new.hex()[:8]}"
    assert found.conflicts == {
        key("fashion/bags"): {"life": Terms(text(None, False))},
        ("taxonomies", node_key("fashion", new)): {"name": Terms(text("bags", held))},
    }
    assert {f"fashion/{held}", "fashion/bags/totes"} <= set(paths_of(found.vocabulary))


def node_of_second_bags() -> bytes:
    return node(
        "fashion/bags", edited(BASE, [("bury", "fashion/bags", ""), ("make", "fashion/bags", "")])
    )


def test_two_names_of_a_taxonomy_and_one_name_of_two() -> None:
    found = merged([("move", "fashion", "clothes")], [("move", "fashion", "wear")])
    terms = Terms(text("clothes", "wear"), text("fashion"))
    assert found.conflicts == {("taxonomies", b"fashion"): {"name": terms}}
    found = merged([("move", "fashion", "clothes")], [("make", "clothes/x", "")])
    terms = Terms(text("clothes", "fashion"))
    assert found.conflicts == {("taxonomies", b"fashion"): {"name": terms}}
    assert {"fashion/bags", "clothes/x"} <= set(paths_of(found.vocabulary))


def test_a_removed_taxonomy_that_another_side_uses() -> None:
    draft = Draft(BASE)
    draft.add_taxonomy("empty")
    base = Vocabulary(draft.tasks, draft.taxonomies)
    asking = Draft(base)
    asking.put_task("asks", Task(taxonomy="empty"))
    found = merge_vocabulary(base, [BASE, asking])
    row = encode_node(Node(name="", minted=""))
    assert found.conflicts == {("taxonomies", b"empty"): {"node": Terms(text_of(row, ABSENT))}}
    assert "empty" in found.vocabulary.taxonomies
    gone = merge_vocabulary(base, [BASE, base])
    assert not gone.conflicts
    assert "empty" not in gone.vocabulary.taxonomies


def text_of(*terms: bytes) -> tuple[bytes, ...]:
    return tuple(sorted(terms))


def test_a_task_that_was_removed_and_changed() -> None:
    gone, changed = Draft(BASE), Draft(BASE)
    gone.put_task("style", None)
    new = Task(taxonomy="fashion", many=True)
    changed.put_task("style", new)
    found = merge_vocabulary(BASE, [gone, changed])
    old = BASE.tasks["style"]
    terms = Terms(text_of(ABSENT, encode_task(new)), (encode_task(old),))
    assert found.conflicts == {("tasks", b"style"): {"task": terms}}
    assert found.vocabulary.tasks["style"] == old


def test_kind_and_taxonomy_of_a_task_stay_together() -> None:
    one, other = Draft(BASE), Draft(BASE)
    one.put_task("style", Task(kind="text"))
    other.add_taxonomy("wear")
    other.put_task("style", Task(taxonomy="wear"))
    found = merge_vocabulary(BASE, [one, other])
    assert found.conflicts == {
        ("tasks", b"style"): {
            "kind": Terms(text("category", "text")),
            "taxonomy": Terms(text(None, "wear"), text("fashion")),
        }
    }
    assert found.vocabulary.tasks["style"] == BASE.tasks["style"]
    for side in (one, other):
        draft = Draft(found.vocabulary)
        for path in sorted(found.conflicts["tasks", b"style"]):
            term = find_term(side, found.vocabulary, "tasks", b"style", path)
            put_term(draft, "tasks", b"style", path, term)
        assert draft.tasks == side.tasks


# -- merges of merges -----------------------------------------------------------------------------


def test_terms_of_conflicted_sides_are_kept_and_answers_count() -> None:
    first = merged(
        [("move", "fashion/bags", "fashion/sacks")], [("move", "fashion/bags", "fashion/totes")]
    )
    third = edited(BASE, [("move", "fashion/bags", "fashion/purses")])
    now = first.vocabulary
    found = merge_vocabulary(BASE, [now, third], standing=[{}, first.conflicts, {}])
    terms = Terms(text("purses", "sacks", "totes"), text("bags", "bags"))
    assert found.conflicts == {key("fashion/bags"): {"name": terms}}

    sacks = edited(now, [("move", "fashion/bags", "fashion/sacks")])
    totes = edited(now, [("move", "fashion/bags", "fashion/totes")])
    stands = first.conflicts
    found = merge_vocabulary(now, [sacks, now], standing=[stands, {}, stands])
    assert not found.conflicts
    assert "fashion/sacks" in paths_of(found.vocabulary)
    # Two answers to one conflict are a conflict, where their terms alone would cancel out.
    found = merge_vocabulary(now, [sacks, totes], standing=[stands, {}, {}])
    assert told(found) == told(first)


# -- fields of rows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "x"),
        ("parent", bytes(16)),
        ("order", 7),
        ("minted", "y/z"),
        ("life", False),
        ("life", bytes(16)),
        ("extra/a\\/b", {"k": [1, 2.5]}),
        ("unknown", {"zz": 1}),
    ],
)
def test_fields_of_nodes(path: str, value: object) -> None:
    row = encode_node(Node(name="a", minted="a", extra={"a/b": 1}))
    term = wire.encode(value)
    changed = write_term("taxonomies", row, path, term)
    assert changed != row
    assert read_term("taxonomies", changed, path) == term
    old = read_term("taxonomies", row, path)
    assert write_term("taxonomies", changed, path, old) == row


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("many", True),
        ("ordered", True),
        ("scope", "region"),
        ("overlap", "partition"),
        ("taxonomy", "u"),
        ("applies_to", bytes(16)),
        ("answer", ["human", "model:x"]),
        ("description", "words"),
        ("extra/a", 1),
    ],
)
def test_fields_of_tasks(path: str, value: object) -> None:
    row = encode_task(Task(taxonomy="t"))
    term = wire.encode(value)
    changed = write_term("tasks", row, path, term)
    assert changed != row
    assert read_term("tasks", changed, path) == term
    assert write_term("tasks", changed, path, read_term("tasks", row, path)) == row


def test_whole_rows_skeletons_and_what_is_no_field() -> None:
    row = encode_task(Task(taxonomy="t", skeleton=Skeleton(names=("a", "b"), edges=((0, 1),))))
    term = read_term("tasks", row, "skeleton")
    bare = write_term("tasks", row, "skeleton", ABSENT)
    assert bare == encode_task(Task(taxonomy="t"))
    assert write_term("tasks", bare, "skeleton", term) == row
    assert read_term("tasks", row, "task") == row
    assert read_term("tasks", None, "task") == read_term("tasks", None, "many") == ABSENT
    assert write_term("tasks", None, "task", row) == row
    assert write_term("tasks", row, "task", ABSENT) is None
    assert write_term("taxonomies", None, "name", term) is None
    with pytest.raises(BadValueError, match="a category task has one"):
        write_term("tasks", row, "kind", wire.encode("text"))
    with pytest.raises(CorruptError, match="'nosuch' is no field"):
        write_term("tasks", row, "nosuch", ABSENT)


@pytest.mark.parametrize("parent", [0, 1])
def test_a_conflict_is_resolved_by_the_terms_of_a_parent(parent: int) -> None:
    edits: list[list[Edit]] = [
        [("move", "fashion", "clothes"), ("move", "clothes/bags", "clothes/sacks")],
        [("bury", "fashion/shoes", ""), ("move", "fashion/bags", "fashion/totes")],
        [("move", "fashion", "wear"), ("move", "wear/shoes", "wear/x")],
    ]
    sides = [edited(BASE, some) for some in edits]
    merge = merge_vocabulary(BASE, sides)
    assert [name for name, _ in merge.conflicts] == ["taxonomies"] * 5
    draft = Draft(merge.vocabulary)
    roots_last = sorted(
        merge.conflicts.items(), key=lambda one: parse_node_key(one[0][1])[1] is None
    )
    for (space, at), found in roots_last:
        for path in found:
            term = find_term(sides[parent], merge.vocabulary, space, at, path)
            put_term(draft, space, at, path, term)
    assert list(iter_faults(draft)) == []
    expected = {
        0: ["clothes", "clothes/sacks", "clothes/x", "clothes/x/boots", "clothes/x/heels"],
        1: ["fashion", "fashion/totes"],
    }
    assert paths_of(draft) == expected[parent]


def test_terms_put_into_a_draft() -> None:
    draft = Draft(BASE)
    put_term(draft, "tasks", b"style", "task", ABSENT)
    assert draft.tasks == {}
    put_term(draft, "taxonomies", b"other", "node", encode_node(Node(name="", minted="")))
    with pytest.raises(ExistsError, match="there is a taxonomy 'fashion' already"):
        put_term(draft, "taxonomies", b"other", "name", wire.encode("fashion"))
    put_term(draft, "taxonomies", b"other", "node", ABSENT)
    assert list(draft.taxonomies) == ["fashion"]
    put_term(draft, *key("fashion/bags"), "life", REMOVED)
    assert "fashion/bags" not in paths_of(draft)
    put_term(draft, *key("fashion/bags"), "node", ABSENT)
    assert node("fashion/bags") not in draft.taxonomies["fashion"].nodes
    task = Task(taxonomy="clothes")
    here = edited(BASE, [("move", "fashion", "clothes")])
    assert find_term(BASE, here, "tasks", b"style", "task") == encode_task(task)
    assert find_term(BASE, here, "tasks", b"nosuch", "task") == ABSENT
    assert find_term(BASE, here, "taxonomies", b"nosuch", "node") == ABSENT


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        ([("a", None, None), ("a", None, None)], "same-name"),
        ([("a", 1, None), ("b", 0, None)], "circle"),
        ([("a", 7, None)], "in-no-class"),
        ([("a", None, 1), ("b", None, 0)], "circle-of-merges"),
    ],
)
def test_faults_of_trees(nodes: list[tuple[str, int | None, int | None]], kind: str) -> None:
    def name(number: int | None) -> bytes | None:
        return None if number is None else bytes([number]) * 16

    made = {
        bytes([at]) * 16: Node(
            name=own, minted=own, parent=name(up), redirect=name(on), dead=on is not None
        )
        for at, (own, up, on) in enumerate(nodes)
    }
    found = list(iter_faults(Vocabulary({}, {"t": Taxonomy("t", made)})))
    assert {fault.kind for fault in found} == {kind}
    assert "'t/" in found[0].message


# -- speed ----------------------------------------------------------------------------------------


def test_cost_follows_the_changes() -> None:
    draft = Draft(Vocabulary())
    draft.define("style", taxonomy="fashion")
    for at in range(10_000):
        draft.mint_path("fashion", f"{at % 100}/{at}")
    base = Vocabulary(draft.tasks, draft.taxonomies)

    def side(first: int, change: Callable[[Node], Node]) -> Vocabulary:
        own = Draft(base)
        nodes = dict(sorted(base.taxonomies["fashion"].nodes.items())[first : first + 100])
        own.put_nodes("fashion", {key: change(found) for key, found in nodes.items()})
        return Vocabulary(own.tasks, own.taxonomies)

    sides = [
        side(0, lambda found: found.replace(name=f"{found.name}x")),
        side(5_000, lambda found: found.replace(order=found.order + 1)),
    ]
    start = time.perf_counter()
    found = merge_vocabulary(base, sides)
    assert len(found.changes(sides[0])) == 100
    assert time.perf_counter() - start < 1  # 0.03 s on a quiet machine
    assert not found.conflicts
