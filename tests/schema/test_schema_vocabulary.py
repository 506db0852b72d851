"""Tasks and taxonomies as rows (the vectors of the spec), and drafts that change them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema_strategies import extras, ids, unknowns, words

from voyager.errors import CorruptError
from voyager.schema import BadValueError, Label, node_id
from voyager.schema.task import Skeleton, Task
from voyager.schema.taxonomy import Node, Taxonomy
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.schema.vocabulary_rows import (
    decode_node,
    decode_task,
    encode_node,
    encode_task,
    is_canonical_node,
    is_canonical_task,
    node_key,
    parse_node_key,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "vocabulary.json").read_text("utf-8"))


def each(kind: str) -> Any:
    """One test for each vector of a kind."""
    return pytest.mark.parametrize("vector", VECTORS[kind], ids=lambda vector: vector["name"])


def fields_of(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a vector, ids as bytes."""
    named = ("parent", "redirect", "applies_to")
    found = {name: bytes.fromhex(row[name]) if name in named else row[name] for name in row}
    if "skeleton" in found:
        found["skeleton"] = Skeleton(**found["skeleton"])
    return found


@each("nodes")
def test_node(vector: dict[str, Any]) -> None:
    data, node = bytes.fromhex(vector["hex"]), Node(**fields_of(vector["row"]))
    assert encode_node(node) == data
    assert decode_node(data) == node
    assert is_canonical_node(data)
    assert msgpack.packb(msgpack.unpackb(data)) == data
    taxonomy, key = parse_node_key(vector["key"].encode())
    assert node_key(taxonomy, key).decode() == vector["key"]


@each("tasks")
def test_task(vector: dict[str, Any]) -> None:
    data, task = bytes.fromhex(vector["hex"]), Task(**fields_of(vector["row"]))
    assert encode_task(task) == data
    assert decode_task(data) == task
    assert is_canonical_task(data)


@each("refused_nodes")
def test_refused_node(vector: dict[str, Any]) -> None:
    assert not is_canonical_node(bytes.fromhex(vector["hex"]))


@each("refused_tasks")
def test_refused_task(vector: dict[str, Any]) -> None:
    assert not is_canonical_task(bytes.fromhex(vector["hex"]))


nodes = st.booleans().flatmap(
    lambda dead: st.builds(
        Node,
        name=words,
        minted=words,
        parent=st.none() | ids,
        order=st.integers(-(2**63), 2**63 - 1),
        aliases=st.lists(words, max_size=3),
        dead=st.just(dead),
        redirect=st.none() | ids if dead else st.none(),
        extra=extras,
        unknown=unknowns,
    )
)
tasks = st.sampled_from(["category", "text", "number", "bool"]).flatmap(
    lambda kind: st.builds(
        Task,
        kind=st.just(kind),
        taxonomy=words if kind == "category" else st.none(),
        many=st.booleans(),
        ordered=st.booleans(),
        scope=st.sampled_from(["image", "region", "both"]),
        overlap=st.sampled_from(["allowed", "forbidden", "partition"]),
        applies_to=st.none() | ids,
        answer=st.lists(st.sampled_from(["human", "import", "model:a", "verified-human"])),
        description=st.text(max_size=8),
        extra=extras,
        unknown=unknowns,
    )
)


@given(nodes)
def test_any_node(node: Node) -> None:
    data = encode_node(node)
    assert decode_node(data) == node
    assert is_canonical_node(data)


@given(tasks)
def test_any_task(task: Task) -> None:
    data = encode_task(task)
    assert decode_task(data) == task
    assert is_canonical_task(data)


@given(st.binary(max_size=40))
def test_other_bytes(data: bytes) -> None:
    for decode in (decode_node, decode_task):
        try:
            decode(data)
        except CorruptError:
            continue


@pytest.mark.parametrize("key", [b"", b"/00", b"fashion/", b"fashion/XY", b"a/" + b"0A" * 16])
def test_keys_of_no_node(key: bytes) -> None:
    with pytest.raises(ValueError, match="no key of a taxonomy"):
        parse_node_key(key)


# -- drafts ---------------------------------------------------------------------------------------


def test_define_makes_a_task_with_its_taxonomy_and_widens_it() -> None:
    draft = Draft(Vocabulary())
    assert draft.define("color", scope="region") == Task(taxonomy="color", scope="region")
    assert list(draft.taxonomies) == ["color"]
    assert draft.define("color", scope="region").scope == "region"
    assert draft.define("color", scope="image").scope == "both"
    assert draft.define("note", kind="text").taxonomy is None
    with pytest.raises(BadValueError, match="task 'note' is a text task, not category"):
        draft.define("note", kind="category")
    with pytest.raises(BadValueError, match="task 'note' has no classes"):
        draft.category("note", "x")


def test_category_finds_or_mints() -> None:
    draft = Draft(Vocabulary())
    first = draft.category("kind", "tv/monitor", order=7, extra={"id": 1})
    assert draft.category("kind", "tv/monitor") == first == node_id("kind", "tv\\/monitor")
    assert draft.taxonomies["kind"].nodes[first].order == 7
    assert draft.mint_path("kind", "a/b") == draft.category("kind", "b")
    assert draft.category("kind", "a/b") == draft.mint_path("kind", "a/b")
    assert draft.taxonomies["kind"].next_order == 10
    with pytest.raises(BadValueError, match="empty"):
        draft.mint("kind", [])


def test_what_changed_is_what_differs_from_the_base() -> None:
    draft = Draft(Vocabulary())
    hat = draft.category("kind", "hat")
    base = Vocabulary(draft.tasks, draft.taxonomies)
    later = Draft(base)
    assert list(later.changed_tasks()) == []
    assert later.category("kind", "hat") == hat
    assert list(later.changed_nodes()) == []
    cap = later.category("kind", "cap")
    later.put_task("kind", None)
    assert list(later.changed_tasks()) == [("kind", None)]
    node = Node(name="cap", minted="cap", order=1)
    assert list(later.changed_nodes()) == [("kind", cap, node)]
    assert cap not in base.taxonomies["kind"].nodes


def test_words_of_labels() -> None:
    draft = Draft(Vocabulary())
    hat = draft.mint_path("kind", "worn/hat")
    draft.define("kind")
    assert draft.word(Label(task="kind", node=hat)) == "worn/hat"
    assert draft.word(Label(task="kind", node=bytes(16))) == "00" * 16
    assert draft.word(Label(task="n", value=2.0)) == "2"
    assert draft.word(Label(task="b", value=True)) == "yes"
    assert draft.find("kind", "hat") == draft.find("kind", "worn/hat") == hat
    assert draft.find("note", "hat") is None
    with pytest.raises(BadValueError, match="task 'kind' has no class 'cap'"):
        draft.find("kind", "cap")


def test_a_grown_taxonomy_finds_as_a_new_one_does() -> None:
    draft = Draft(Vocabulary())
    for path in ("a", "a/x", "b", "b/x", "c/y"):
        draft.mint_path("t", path)
        grown = draft.taxonomies["t"]
        fresh = Taxonomy("t", grown.nodes)
        assert list(grown) == list(fresh)
        for text in ("a", "x", "a/x", "b/x", "y", "c/y", "t/a"):
            assert grown.find(text) == fresh.find(text)
        assert grown.below(None) == fresh.below(None)
        assert grown.mint_id("a/x") == fresh.mint_id("a/x")


def test_a_circle_of_parents_or_redirects_is_cut() -> None:
    one, two = node_id("t", "one"), node_id("t", "two")
    living = Taxonomy(
        "t",
        {
            one: Node(name="one", minted="one", parent=two),
            two: Node(name="two", minted="two", parent=one),
        },
    )
    assert living.names_of(one) == ["two", "one"]
    assert living.above(one) == [two, one]
    assert living.below(one) == [two]
    dead = {"dead": True}
    taxonomy = Taxonomy(
        "t",
        {
            one: Node(name="one", minted="one", redirect=two, **dead),
            two: Node(name="two", minted="two", redirect=one, **dead),
        },
    )
    assert taxonomy.live(one) is None
