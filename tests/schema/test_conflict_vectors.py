"""The vectors of conflicts (spec 9.12), and the algebra of terms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voyager.schema.conflict import (
    Terms,
    combine,
    conflict_key,
    decode_conflicts,
    encode_conflicts,
    is_canonical_conflicts,
    join_field,
    parse_conflict_key,
    split_field,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "conflicts.json").read_text("utf-8"))


def terms_of(field: dict[str, list[str]]) -> Terms:
    adds, removes = (tuple(bytes.fromhex(term) for term in field[name]) for name in "ar")
    return Terms(adds, removes)


@pytest.mark.parametrize("vector", VECTORS["conflicts"], ids=lambda vector: vector["name"])
def test_conflicts(vector: dict[str, Any]) -> None:
    space, key = vector["space"], vector["key"].encode()
    at, row = bytes.fromhex(vector["at"]), bytes.fromhex(vector["row"])
    found = {path: terms_of(field) for path, field in vector["fields"].items()}
    assert conflict_key(space, key) == at
    assert parse_conflict_key(at, row) == (space, key)
    assert encode_conflicts(found, key) == row
    assert decode_conflicts(row) == found
    assert is_canonical_conflicts(at, row)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["name"])
def test_refused(vector: dict[str, Any]) -> None:
    assert not is_canonical_conflicts(bytes.fromhex(vector["at"]), bytes.fromhex(vector["row"]))


values = st.sampled_from([b"\xc0", b"\x01", b"\x02", b"\x03"])
plain = values.map(lambda value: Terms((value,)))


@given(plain, st.lists(plain, min_size=1, max_size=4), st.randoms())
def test_terms_do_not_depend_on_the_order_of_sides(base: Terms, sides: list[Terms], r: Any) -> None:
    shuffled = list(sides)
    r.shuffle(shuffled)
    assert combine(base, sides) == combine(base, shuffled)


@given(plain, plain, plain)
def test_one_side_unchanged_gives_the_other(base: Terms, ours: Terms, theirs: Terms) -> None:
    assert combine(base, [ours, base]).settled == ours.settled
    assert combine(base, [ours, ours]).settled == ours.settled
    found = combine(base, [ours, theirs])
    if len({base, ours, theirs}) == 3:
        assert found.settled is None
        assert found.held == base.settled


@given(plain, plain, plain, plain)
def test_terms_add_up_in_any_order(base: Terms, one: Terms, two: Terms, three: Terms) -> None:
    at_once = combine(base, [one, two, three])
    assert combine(base, [combine(base, [one, two]), three]) == at_once
    assert combine(base, [one, combine(base, [two, three])]) == at_once


@given(plain, plain, plain)
def test_a_conflict_that_one_side_resolved_is_resolved(a: Terms, b: Terms, chosen: Terms) -> None:
    conflict = combine(Terms((b"\xc0",)), [a, b])
    assert combine(conflict, [conflict, chosen]).settled == chosen.settled


@given(st.lists(st.text(max_size=6), min_size=1, max_size=4))
def test_paths_keep_their_words(words: list[str]) -> None:
    assert split_field(join_field(words)) == words
