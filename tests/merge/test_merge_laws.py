"""Laws that every merge obeys, over all kinds of fields."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from merge_strategies import families, vocabulary

from voyager.merge.rules import Rules
from voyager.merge.samples import merge_sample
from voyager.schema import Sample, encode_sample
from voyager.schema.codec import is_canonical_sample
from voyager.schema.conflict import conflict_key, encode_conflicts, is_canonical_conflicts
from voyager.schema.fields import decode_field

RULES = Rules(vocabulary(), lambda blob: b"")

laws = examples(20, deep=1000)
KINDS = pytest.mark.parametrize("rich", [False, True], ids=["colliding", "rich"])


def told(base: Sample | None, *sides: Sample) -> tuple[bytes, dict[str, Any]]:
    merged, notes = merge_sample(base, sides, RULES)
    return encode_sample(merged), notes.conflicts


@KINDS
@laws
@given(st.data())
def test_one_side_unchanged(rich: bool, data: st.DataObject) -> None:
    base, side = data.draw(families(1, rich))
    assert told(base, base, side) == (encode_sample(side), {})
    assert told(base, side, base) == (encode_sample(side), {})
    assert told(base, base, side, base) == (encode_sample(side), {})


@KINDS
@laws
@given(st.data())
def test_equal_sides(rich: bool, data: st.DataObject) -> None:
    base, side = data.draw(families(1, rich))
    assert told(base, side, side) == (encode_sample(side), {})
    assert told(None, side, side) == (encode_sample(side), {})


@KINDS
@laws
@given(st.data())
def test_order_of_sides(rich: bool, data: st.DataObject) -> None:
    base, *sides = data.draw(families(data.draw(st.integers(2, 3)), rich))
    for start in (base, None):
        found = [told(start, *order) for order in permutations(sides)]
        assert all(each == found[0] for each in found)


@KINDS
@laws
@given(st.data())
def test_what_is_merged_is_canonical(rich: bool, data: st.DataObject) -> None:
    base, *sides = data.draw(families(data.draw(st.integers(2, 3)), rich))
    for start in (base, None):
        row, conflicts = told(start, *sides)
        assert is_canonical_sample(row)
        if conflicts:
            assert is_canonical_conflicts(
                conflict_key("samples", b"key"), encode_conflicts(conflicts, b"key")
            )
        for path, terms in conflicts.items():
            for term in (*terms.adds, *terms.removes):
                decode_field(path, term)
