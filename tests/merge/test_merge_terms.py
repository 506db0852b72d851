"""Two answers to one recorded conflict (spec 9.12)."""

from __future__ import annotations

from voyager.merge.terms import merge_terms
from voyager.schema.conflict import Terms

RECORDED = Terms((b"x", b"y"), (b"b",))


def test_two_answers_are_the_only_ones_to_choose_from() -> None:
    found = merge_terms(RECORDED, [Terms((b"r",)), Terms((b"s",))])
    assert found == Terms((b"r", b"s"), (b"b",))


def test_going_back_to_the_base_is_an_answer() -> None:
    assert merge_terms(RECORDED, [Terms((b"b",)), Terms((b"s",))]).adds == (b"b", b"s")


def test_one_answer_settles_it() -> None:
    assert merge_terms(RECORDED, [Terms((b"r",)), RECORDED]).settled == b"r"
    assert merge_terms(RECORDED, [Terms((b"r",)), Terms((b"r",))]).settled == b"r"
