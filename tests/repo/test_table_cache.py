"""Kept columns: however a table came to be, it is the one that its samples make."""

from __future__ import annotations

from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from schema_strategies import samples
from table_versions import blood, shop, version_of

from voyager.repo.dataset import Dataset
from voyager.repo.table_coding import decoded
from voyager.repo.table_columns import TABLES
from voyager.repo.table_plan import TablePlan
from voyager.repo.table_view import TableView
from voyager.repo.tables import Tables
from voyager.schema import Sample

KEPT = [name for name in TABLES if name != "taxonomy"]
MEASURED = {"x0", "y0", "x1", "y1", "width", "height", "area"}


def built(version: Dataset, table: str, names: list[str]) -> dict[str, list[Any]]:
    """Columns of a table, made in one pass without anything kept."""
    tables = Tables(version)
    plan = TablePlan(table, tables._answers, {*names, *version.vocabulary.tasks}.__contains__)
    found = tables._reader_of(plan).read_all()
    return {name: found[name].to_pylist() for name in names}


def names_of(version: Dataset, table: str, without: set[str]) -> list[str]:
    columns = TableView(version).columns(table)
    return [column.name for column in columns if column.name not in without]


def assert_same_tables(version: Dataset, without: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    view = TableView(version)
    for table in KEPT:
        names = names_of(version, table, without)
        kept = view.read(table, names)
        expected = built(version, table, names)
        for name in names:
            found = decoded(kept[name].chunk(0)).to_pylist() if kept.num_rows else []
            if name.endswith("classes") and name.startswith("__"):
                assert list(map(set, found)) == list(map(set, expected[name]))
            else:
                assert found == expected[name], (table, name)


@pytest.mark.parametrize("version", [shop, blood], ids=["shop", "blood"])
def test_kept_columns_are_the_columns(version: Any) -> None:
    assert_same_tables(version())


@given(st.lists(samples, max_size=4))
@examples(40, deep=400)
def test_of_any_samples(found: list[Sample]) -> None:
    version = version_of((f"{n}.jpg", sample) for n, sample in enumerate(found))
    assert_same_tables(version, MEASURED)  # masks are in no blob here
