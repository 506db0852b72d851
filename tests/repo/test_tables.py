"""Tables of a version: every column holds what it says, for any sample there may be."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from schema_strategies import samples
from table_versions import blood, shop, version_of

from voyager.errors import MissingExtraError, NotFoundError
from voyager.repo.table_columns import TABLES
from voyager.repo.tables import Tables
from voyager.schema import Image, Sample
from voyager.schema.measures import area, bounds

DOCS = Path(__file__).parents[2] / "docs" / "tables.md"
ZEROS = "00" * 15
MEASURED = {"x0", "y0", "x1", "y1", "width", "height", "area"}


def rows_of(name: str, *columns: str) -> list[Any]:
    """Rows of a table of the shop: tuples of some columns, or values of one."""
    found = shop().tables.read(name, columns).to_pylist()
    return [row[columns[0]] if len(columns) == 1 else tuple(row.values()) for row in found]


# -- samples --------------------------------------------------------------------------------------


def test_samples() -> None:
    assert rows_of("samples", "key", "split") == [
        ("a.jpg", "train"),
        ("é/b.png", "val"),
        ("é/c[1].png", None),
    ]
    assert rows_of("samples", "uid")[0] == "61" * 16
    assert rows_of("samples", "state", "blob") == [
        ("stored", "62" * 32),
        ("pending", None),
        ("purged", None),
    ]
    assert rows_of("samples", "type", "width", "height", "bytes", "orientation", "uri")[:2] == [
        ("jpeg", 640, 480, 9, 1, None),
        (None, 100, 200, None, 6, "http://x/2.png"),
    ]
    assert rows_of("samples", "group_id", "group_view", "group_index", "group_time") == [
        ("drive", "left", 4, 0.5),
        (None,) * 4,
        (None,) * 4,
    ]
    assert rows_of("samples", "held") == [None, "near", None]
    assert rows_of("samples", "labels", "regions") == [(6, 2), (2, 1), (0, 0)]
    assert rows_of("samples", "negatives") == [["person"], [], []]
    assert rows_of("samples", "exhaustive") == [["category", "colour:blue"], [], []]


def test_classes_are_answers() -> None:
    """A proposed label is no answer, a tie neither; the classes above count with has() alone."""
    assert rows_of("samples", "classes") == [
        ["blue", "furniture/chair", "furniture/stool", "red"],
        ["person"],
        [],
    ]


def test_an_answer_is_a_column_where_its_name_is_free() -> None:
    columns = shop().tables["samples"].column_names
    assert columns[-7:] == [
        *("caption", "category", "indoor", "price_seen", "scene"),
        *("answers", "meta"),
    ]
    assert columns.count("width") == 1
    assert rows_of("samples", "scene") == ["furniture/chair", None, None]
    assert rows_of("samples", "price_seen", "indoor")[0] == (12.5, True)
    assert rows_of("samples", "caption")[0] == "a chair\na dog"
    assert rows_of("samples", "answers")[0]["Width"] == "wide"


def test_meta_has_one_type_for_each_name() -> None:
    assert rows_of("samples", "meta") == [
        {"Size": 1, "ok": "true", "price": 3.0, "size_2": None, "tags": ["new", "blue"]},
        {"Size": None, "ok": "no", "price": 10.5, "size_2": 2, "tags": None},
        {"Size": None, "ok": None, "price": None, "size_2": None, "tags": []},
    ]


@pytest.mark.parametrize(
    ("values", "type_", "seen"),
    [
        ([1, 2.5], "DOUBLE", [1.0, 2.5]),
        ([1, True], "VARCHAR", ["1", "true"]),
        ([1, "x"], "VARCHAR", ["1", "x"]),
        ([[1], [2.5]], "DOUBLE[]", [[1.0], [2.5]]),
        ([[1], ["x"]], "VARCHAR[]", [["1"], ["x"]]),
        ([[], ["x"]], "VARCHAR[]", [[], ["x"]]),
        ([[], []], "VARCHAR[]", [[], []]),
        ([[], [True]], "BOOLEAN[]", [[], [True]]),
        ([[1, "a"], "x"], "VARCHAR", ['[1, "a"]', "x"]),
        ([2**64 - 1, 3], "DOUBLE", [float(2**64 - 1), 3.0]),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_types_of_meta(
    values: list[Any], type_: str, seen: list[Any], apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the values come in batches of their own."""
    monkeypatch.setattr("voyager.repo.table_stretches.STRETCH_SAMPLES", 1 if apart else 9)
    version = version_of(
        (f"{n}.jpg", Sample(uid=n.to_bytes(16), image=Image(uri="x"), meta={"m": value}))
        for n, value in enumerate(values)
    )
    found = [column for column in version.tables.columns("samples") if column.name == "meta.m"]
    assert [column.type for column in found] == [type_]
    assert [row["meta"]["m"] for row in version.tables["samples"].to_pylist()] == seen


# -- regions, labels, answers, links, taxonomy ----------------------------------------------------


def test_regions() -> None:
    assert rows_of("regions", "key", "region", "n") == [
        ("a.jpg", f"{ZEROS}01", 1),
        ("a.jpg", f"{ZEROS}02", 2),
        ("é/b.png", f"{ZEROS}03", 1),
    ]
    assert rows_of("regions", "role", "geometry", "parts") == [
        ("mask", "polygon", 2),
        ("box", "box", None),
        ("mask", "mask", None),
    ]
    assert rows_of("regions", "x0", "y0", "x1", "y1", "width", "height", "area")[:2] == [
        (0.0, 0.0, 9.0, 9.0, 9.0, 9.0, 6.5),
        (0.0, 0.0, 10.0, 10.0, 10.0, 10.0, 100.0),
    ]
    assert rows_of("regions", "flags", "source", "score", "state")[:2] == [
        (["crowd"], "model:yolo", 0.75, "accepted"),
        ([], "human", None, "proposed"),
    ]
    assert rows_of("regions", "track", "frame_state")[1] == ("t1", "keyframe")
    assert dict(rows_of("regions", "attrs")[0]) == {"age": "3", "pose": "left", "wet": "true"}
    link = {"kind": "same", "uid": "62" * 16, "region": f"{ZEROS}03"}
    assert rows_of("regions", "links") == [[link], [], []]
    assert rows_of("regions", "category", "colour") == [
        ("furniture/stool", ["red", "blue"]),
        (None, None),
        ("person", None),
    ]


def test_labels_and_answers() -> None:
    columns = ("key", "region", "task", "value", "number", "kind", "source_name", "score")
    assert rows_of("labels", *columns)[1:7] == [
        ("a.jpg", None, "price_seen", "12.5", 12.5, "human", None, None),
        ("a.jpg", None, "indoor", "yes", 1.0, "human", None, None),
        ("a.jpg", None, "caption", "a dog", None, "import", None, None),
        ("a.jpg", None, "caption", "a chair", None, "import", None, None),
        ("a.jpg", None, "Width", "wide", None, "human", None, None),
        ("a.jpg", f"{ZEROS}01", "category", "furniture/stool", None, "model", "yolo", 0.5),
    ]
    assert rows_of("labels", "origin_id", "origin_annotator")[6] == ("7", "Bo")
    assert rows_of("labels", "language", "ordinal")[3:5] == [("en", 1), (None, 0)]
    ties = [row for row in rows_of("answers", "key", "task", "value", "disagree") if row[3]]
    assert ties == [
        ("é/b.png", "scene", "furniture/stool", True),
        ("é/b.png", "scene", "person", True),
    ]
    assert "proposed" not in rows_of("labels", "state")[:5]
    assert (f"{ZEROS}02", "person") not in rows_of("answers", "region", "value")


def test_links_and_taxonomy() -> None:
    assert rows_of("links", "key", "region", "kind", "to_uid", "to_region") == [
        ("a.jpg", f"{ZEROS}01", "same", "62" * 16, f"{ZEROS}03")
    ]
    assert rows_of("taxonomy", "taxonomy", "path", "name", "depth", "order", "dead") == [
        ("category", "furniture", "furniture", 1, 0, False),
        ("category", "furniture/chair", "chair", 2, 1, False),
        ("category", "furniture/stool", "stool", 2, 2, False),
        ("category", "person", "person", 1, 3, False),
        ("palette", "red", "red", 1, 0, False),
        ("palette", "blue", "blue", 1, 1, False),
    ]
    nodes = rows_of("taxonomy", "node")
    assert rows_of("taxonomy", "parent") == [None, nodes[0], nodes[0], None, None, None]


# -- the whole of it ------------------------------------------------------------------------------


def test_real_boxes() -> None:
    version = blood()
    table = version.tables["regions"]
    assert table.num_rows == sum(len(sample.regions) for sample in version.values()) == 4888
    classes = Counter(table["category"].to_pylist())
    assert classes == {"RBC": 4155, "WBC": 372, "Platelets": 361}
    for row in table.slice(0, 300).to_pylist():
        shape = version[row["key"]].regions[row["n"] - 1].geometry
        assert shape is not None
        assert (row["x0"], row["y0"], row["x1"], row["y1"]) == bounds(shape)
        assert row["area"] == area(shape)


@given(st.lists(samples, max_size=4))
@examples(10, deep=400)
def test_any_sample_has_its_rows(found: list[Sample]) -> None:
    version = version_of((f"{n}.jpg", sample) for n, sample in enumerate(found))
    tables = Tables(version)
    regions = [region for sample in found for region in sample.regions]
    labeled = [thing for sample in found for thing in (sample, *sample.regions)]
    readable = set(tables.reader("regions").schema.names) - MEASURED  # masks are in no blob here
    sizes = {
        name: tables.read(name, readable if name == "regions" else None).num_rows
        for name in tables.names
    }
    assert sizes["samples"] == len(found)
    assert sizes["regions"] == len(regions)
    assert sizes["labels"] == sum(len(thing.labels) for thing in labeled)
    assert sizes["links"] == sum(len(region.links) for region in regions)
    assert tables["samples"]["uid"].to_pylist() == [sample.uid.hex() for sample in found]
    assert tables["labels"]["state"].to_pylist() == [
        label.state for thing in labeled for label in thing.labels
    ]


def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voyager.repo.table_stretches.STRETCH_SAMPLES", 2)
    assert [len(batch) for batch in Tables(shop()).reader("samples", {"key"}.__contains__)] == [
        2,
        1,
    ]
    whole = Tables(shop())["regions"]
    monkeypatch.undo()
    assert whole.equals(Tables(shop())["regions"].combine_chunks().cast(whole.schema))


def test_progress_counts_samples() -> None:
    seen: list[tuple[int, int | None]] = []
    Tables(shop(), progress=lambda done, total: seen.append((done, total)))["labels"]
    assert seen == [(3, 3)]


def test_an_empty_version_has_all_columns() -> None:
    tables = version_of([]).tables
    for name, table in TABLES.items():
        names = [column.name for column in table.columns if not column.is_hidden]
        assert tables[name].column_names == names
        assert tables[name].num_rows == 0


# -- choosing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "keys"),
    [
        (["a.jpg"], ["a.jpg"]),
        (["é"], ["é/b.png", "é/c[1].png"]),
        (["**/*.png", "é/b.png"], ["é/b.png", "é/c[1].png"]),
        (["é/c[1].png"], ["é/c[1].png"]),
        (["*"], ["a.jpg", "é/b.png", "é/c[1].png"]),
        (["é/*", "a.jpg", "é"], ["a.jpg", "é/b.png", "é/c[1].png"]),
        ([""], ["a.jpg", "é/b.png", "é/c[1].png"]),
    ],
)
def test_patterns(patterns: list[str], keys: list[str]) -> None:
    tables = Tables(shop(), patterns=patterns)
    assert tables.read("samples", ["key"])["key"].to_pylist() == keys


def test_a_pattern_that_names_nothing() -> None:
    with pytest.raises(NotFoundError, match="no key matches 'train'"):
        Tables(shop(), patterns=["a.jpg", "train"]).read("samples")


def test_unknown_names() -> None:
    with pytest.raises(NotFoundError, match="no table 'sample'"):
        shop().tables["sample"]
    with pytest.raises(NotFoundError, match="'samples' has no column 'splt'"):
        shop().tables.read("samples", ["splt"])


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError) as caught:
        Tables(shop())
    assert caught.value.hint == "pip install 'voyager-vgr[sql]'"


# -- the page -------------------------------------------------------------------------------------


def test_the_page_lists_the_columns(update: bool) -> None:
    """`pytest --update` writes the lists of docs/tables.md anew."""
    told = DOCS.read_text()
    seen = told
    for name, table in TABLES.items():
        lines = [
            f"| `{column.name}` | {column.type} | {column.about.replace('|', '/')} |\n"
            for column in table.columns
            if not column.is_hidden
        ]
        seen = re.sub(
            rf"(## `{name}`\n.*?\n\| --- \| --- \| --- \|\n)(?:\|[^\n]*\n)*",
            lambda found, lines=lines: found[1] + "".join(lines),
            seen,
            count=1,
            flags=re.DOTALL,
        )
        assert f"## `{name}`\n" in seen
    if update:
        DOCS.write_text(seen)
    assert seen == (seen if update else told)
