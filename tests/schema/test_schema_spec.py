"""The tables of the spec are the fields of the code, and its vectors are the tested ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import structs

from voyager.schema import (
    FLAGS,
    GEOMETRIES,
    MASK_INLINE_LIMIT,
    Asset,
    FileRow,
    Group,
    Held,
    Image,
    Label,
    Link,
    Origin,
    Region,
    Sample,
)
from voyager.schema.guard import GuardPolicy, Release
from voyager.schema.task import Skeleton, Task
from voyager.schema.taxonomy import Node

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "spec.md").read_text("utf-8")
ROWS = TEXT[TEXT.index("\n## 9. Rows") :]
VECTORS = "".join(
    (ROOT / "tests" / "vectors" / name).read_text("utf-8")
    for name in (
        "rows.json",
        "vocabulary.json",
        "guard.json",
        "conflicts.json",
        "runs.json",
        "remote.json",
    )
)


def table_after(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    rest = ROWS[ROWS.index(heading) :]
    lines = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[0].splitlines()[2:]]


@pytest.mark.parametrize(
    ("struct", "heading"),
    [
        *((part, f"#### {part.__name__}\n") for part in (Sample, Image, Region, Label, Link)),
        *((part, f"#### {part.__name__}\n") for part in (Group, Asset, Held, Origin)),
        (FileRow, "### 9.6"),
        (Node, "### 9.7"),
        (Task, "#### Task\n"),
        (Skeleton, "#### Skeleton\n"),
        (GuardPolicy, "#### GuardPolicy\n"),
        (Release, "#### Release\n"),
    ],
)
def test_fields(struct: type, heading: str) -> None:
    told = [(cells[0], cells[1], cells[2].endswith("!")) for cells in table_after(heading)]
    fields = [field for field in structs.fields(struct) if field.name != "unknown"]
    assert told == [
        (f"`{field.encode_name}`", field.name.rstrip("_"), field.required) for field in fields
    ]
    assert [field.encode_name for field in fields] == sorted(field.encode_name for field in fields)
    assert all(len(field.encode_name) == 1 for field in fields)


def test_geometries() -> None:
    told = {int(tag): word for tag, word, _ in table_after("### 9.4")}
    assert told == {tag: shape.name for tag, shape in GEOMETRIES.items()}
    for tag, _, fields in table_after("### 9.4"):
        words = [fields.find(name) for name in GEOMETRIES[int(tag)].__struct_fields__]
        assert words == sorted(words)
        assert words[0] == 0


def test_words() -> None:
    assert all(f"`{flag}`" in ROWS for flag in FLAGS)
    assert f"up to {MASK_INLINE_LIMIT:,} bytes" in re.sub(r"\s+", " ", ROWS)


def test_vectors_are_the_tested_ones() -> None:
    told = re.findall(r"[0-9a-f]{24,}", ROWS)
    assert len(told) >= 8
    assert all(line in VECTORS for line in told)
