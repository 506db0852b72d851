"""What a query can read: the tables of versions, and tables of other things by name.

`FUNCTIONS` and `WHOLE` are where another kind of table is added: a name, and what opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.revisions import resolve
from voyager.repo.snapshot import read_snapshot
from voyager.repo.sql_text import Call
from voyager.repo.staging import read_staging
from voyager.repo.table_building import Progress
from voyager.repo.table_columns import TABLES
from voyager.repo.table_frame import store_of
from voyager.repo.table_pixels import PIXEL_COLUMNS, PixelTable
from voyager.repo.table_plan import META
from voyager.repo.table_runs import METRIC_COLUMNS, RUN_COLUMNS, RunTable
from voyager.repo.table_view import TableView, ViewColumn
from voyager.repo.tables import ColumnInfo
from voyager.store.history import read_commit
from voyager.store.objectstore import Store

if TYPE_CHECKING:
    import pyarrow as pa

STAGED: Final = "staged"
"""How a query names the version that the next commit would hold."""


class Source(Protocol):
    """A table that a query reads: its columns are known before any of them is made."""

    def columns(self, *, with_meta: bool) -> Sequence[ViewColumn]:
        """All columns; that of meta is costly to know, and left out unless asked for."""
        ...

    def read(self, names: Collection[str]) -> tuple[int, list[pa.Array]]:
        """How many rows there are, and some columns in this order."""
        ...


class _Described(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def about(self) -> str: ...


class VersionTable:
    """A table of a version."""

    def __init__(self, view: TableView, name: str) -> None:
        self._view = view
        self._name = name

    def columns(self, *, with_meta: bool) -> list[ViewColumn]:
        if self._name == "taxonomy":
            return [ViewColumn(column.name, column.type) for column in TABLES["taxonomy"].columns]
        found = self._view.columns(self._name, with_meta=with_meta)
        return [column for column in found if not column.name.startswith("__")]

    def read(self, names: Collection[str]) -> tuple[int, list[pa.Array]]:
        if self._name == "taxonomy":
            table = self._view.version.tables.read("taxonomy").combine_chunks()
            return len(table), [table[name].combine_chunks() for name in names]
        self._view.fetch({self._name: [*names, *self._view.least(self._name)]})
        columns = [self._view.column(self._name, name) for name in names]
        return self._view.rows(self._name), columns


class Sources:
    """The tables that queries over a version can name."""

    def __init__(self, version: Dataset, progress: Progress) -> None:
        self.version = version
        self.progress = progress
        self._views: dict[str | None, TableView] = {}

    def open(self, call: Call) -> Source:
        """What a call names; NotFoundError for an unknown version or set."""
        if call.table in TABLES:
            return VersionTable(self.view(call.argument), call.table)
        if call.argument is None:
            return WHOLE[call.table](self)
        return FUNCTIONS[call.table](self, call.argument)

    def view(self, revision: str | None = None) -> TableView:
        """The tables of a version, None for the one that the query is about."""
        found = self._views.get(revision)
        if found is None:
            version = self.version if revision is None else version_at(self.store, revision)
            found = self._views[revision] = TableView(version, self.progress)
        return found

    @property
    def others(self) -> list[Dataset]:
        """The versions that were asked for by name."""
        return [view.version for revision, view in self._views.items() if revision is not None]

    @cached_property
    def store(self) -> Store:
        """The store of the version; UsageError for one in memory."""
        store = store_of(self.version)
        if store is None:
            raise UsageError("this version is in no repository: there are no others to name")
        return store


def version_at(store: Store, revision: str) -> Dataset:
    """The version of a revision, or the staged one by its name."""
    if revision == STAGED:
        staging = read_staging(store)
        return Dataset(store, staging.roots, staging.overlay)
    commit = resolve(store, revision)
    snapshot = read_commit(store, commit).snapshot_id
    return Dataset(store, read_snapshot(store, snapshot), commit=commit)


def _open_predictions(sources: Sources, name: str) -> Source:
    from voyager.repo.table_predictions import PredictedTable

    return PredictedTable(sources.view(), sources.store, name)


FUNCTIONS: Final[dict[str, Callable[[Sources, str], Source]]] = {
    "pixels": lambda sources, revision: PixelTable(sources.view(revision)),
    "predictions": _open_predictions,
}
"""Tables with a text in brackets: name → what opens the one of that argument."""

WHOLE: Final[dict[str, Callable[[Sources], Source]]] = {
    "pixels": lambda sources: PixelTable(sources.view()),
    "runs": lambda sources: RunTable(lambda: sources.store, RUN_COLUMNS),
    "run_metrics": lambda sources: RunTable(lambda: sources.store, METRIC_COLUMNS),
}
"""Tables that are named alone: name → what opens it."""

_COLUMNS: Final[dict[str, Sequence[_Described]]] = {
    "pixels": PIXEL_COLUMNS,
    "runs": RUN_COLUMNS,
    "run_metrics": METRIC_COLUMNS,
}


def other_columns() -> Iterator[ColumnInfo]:
    """The columns of the tables that are not those of a version, as `vgr ls --columns` has them."""
    for table, columns in _COLUMNS.items():
        for column in columns:
            yield ColumnInfo(table, column.name, column.type, column.about)


__all__ = [
    "FUNCTIONS",
    "META",
    "STAGED",
    "WHOLE",
    "Source",
    "Sources",
    "other_columns",
    "version_at",
]
