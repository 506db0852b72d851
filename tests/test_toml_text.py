"""Editing TOML leaves every other line alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voyager.errors import InvalidDataError
from voyager.toml_text import Value, edit, parse

HERE = Path("settings.toml")
NAMES = st.from_regex(r"[a-c]\.[a-c_]{1,3}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)
VALUES: st.SearchStrategy[Value] = st.integers(0, 10**9) | st.booleans() | TEXTS


def test_flat_and_nested_names_are_the_same() -> None:
    flat = parse('a.b = 1\na.c = "x"', HERE)
    nested = parse('[a]\nb = 1\nc = "x"', HERE)
    assert flat == nested == {"a.b": 1, "a.c": "x"}


def test_a_new_name_joins_its_table() -> None:
    text = "# top\n[a]\n# first\nb = 1\n\n[c]\nd = 2\n"
    assert edit(text, "a.x", True) == "# top\n[a]\nx = true\n# first\nb = 1\n\n[c]\nd = 2\n"
    assert edit(text, "e.x", "y") == '# top\ne.x = "y"\n[a]\n# first\nb = 1\n\n[c]\nd = 2\n'


def test_replacing_and_removing_touch_one_line() -> None:
    text = "[a]\n  b = 1 # why\nc = 2\n[d]\nb = 3\n"
    assert edit(text, "a.b", 4) == "[a]\nb = 4\nc = 2\n[d]\nb = 3\n"
    assert edit(text, "d.b", None) == "[a]\n  b = 1 # why\nc = 2\n[d]\n"


@given(st.dictionaries(NAMES, VALUES), NAMES, VALUES | st.none(), st.booleans())
def test_edit_changes_what_it_says(
    before: dict[str, Value], name: str, value: Value | None, nested: bool
) -> None:
    text = ""
    for key in sorted(before):
        table, _, last = key.partition(".")
        if nested and f"[{table}]\n" not in text:
            text += f"[{table}]\n"
        text = edit(text, key, before[key]) if not nested else text + edit("", last, before[key])
    assert parse(text, HERE) == before
    after = {**before, name: value}
    assert parse(edit(text, name, value), HERE) == {
        key: kept for key, kept in after.items() if kept is not None
    }


def test_what_is_not_toml_is_placed() -> None:
    with pytest.raises(InvalidDataError, match="not TOML") as caught:
        parse("a = 1\nb = = 2\n", HERE)
    assert (caught.value.path, caught.value.line) == ("settings.toml", 2)
