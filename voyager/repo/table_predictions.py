"""The table of a prediction set: a row for each label that a model gives, with where it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from voyager.repo.dataset import Dataset
from voyager.repo.predictions import find_set, predicted_rows
from voyager.repo.snapshot import SAMPLES, TASKS, TAXONOMIES
from voyager.repo.table_columns import TABLES
from voyager.repo.table_frame import Frame
from voyager.repo.table_view import TableView, ViewColumn
from voyager.store.objectstore import Store

if TYPE_CHECKING:
    import pyarrow as pa

_OF_LABEL: Final = ("uid", "region", "task", "value", "node", "number", "source", "state")
_OF_REGION: Final = ("geometry", "x0", "y0", "x1", "y1", "area")


class _PredictedRows(Dataset):
    """The rows of a set as if they were samples, with their uids in hex as keys.

    Tasks and classes are those of the version that the query is about.
    """

    def __init__(self, version: Dataset, store: Store, name: str) -> None:
        words = {
            space: version.roots[space] for space in (TASKS, TAXONOMIES) if space in version.roots
        }
        overlay = {
            key: row for key, row in version.overlay.items() if key[0] in (TASKS, TAXONOMIES)
        }
        super().__init__(store, words, overlay)
        self._store = store
        self._set = find_set(store, name)

    def rows(self, space: str, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        if space != SAMPLES:
            return super().rows(space, start)
        found = predicted_rows(self._store, self._set)
        return ((uid.hex().encode(), row) for uid, row in found)

    def count(self, space: str) -> int:
        return sum(1 for _ in self.rows(space)) if space == SAMPLES else super().count(space)


class PredictedTable:
    """The rows of a prediction set; `key` is that of the sample in the version, if it is there."""

    def __init__(self, samples: TableView, store: Store, name: str) -> None:
        self._samples = samples
        version = _PredictedRows(samples.version, store, name)
        self._said = TableView(version, frame=Frame(version))

    def columns(self, *, with_meta: bool) -> list[ViewColumn]:
        labels = {column.name: column.type for column in TABLES["labels"].columns}
        regions = {column.name: column.type for column in TABLES["regions"].columns}
        return [
            ViewColumn("key", "VARCHAR"),
            *(ViewColumn(name, labels[name]) for name in _OF_LABEL),
            ViewColumn("score", "DOUBLE"),
            *(ViewColumn(name, regions[name]) for name in _OF_REGION),
        ]

    def read(self, names: Collection[str]) -> tuple[int, list[pa.Array]]:
        of_label = [name for name in (*_OF_LABEL, "score") if name in names]
        of_region = [name for name in (*_OF_REGION, "score") if name in names]
        ids = ("uid", "region")
        self._said.fetch({"labels": [*ids, *of_label], "regions": [*ids, *of_region]})
        columns = {name: self._said.column("labels", name) for name in of_label}
        if of_region:
            columns |= self._of_regions(of_region, columns.get("score"))
        if "key" in names:
            columns["key"] = self._keys()
        return self._said.rows("labels"), [columns[name] for name in names]

    def _of_regions(self, names: list[str], score: pa.Array | None) -> dict[str, pa.Array]:
        """Columns of the regions that labels are of; scores where labels have none."""
        import pyarrow.compute as pc

        places = pc.index_in(self._places("labels"), value_set=self._places("regions"))
        found = {name: self._said.column("regions", name).take(places) for name in names}
        if score is not None:
            found["score"] = pc.coalesce(score, found["score"])
        return found

    def _places(self, table: str) -> pa.Array:
        import pyarrow.compute as pc

        return pc.binary_join_element_wise(
            self._said.column(table, "uid"), self._said.column(table, "region"), "#"
        )

    def _keys(self) -> pa.Array:
        import pyarrow.compute as pc

        self._samples.fetch({"samples": ["key", "uid"]})
        keys, uids = (self._samples.column("samples", name) for name in ("key", "uid"))
        return keys.take(pc.index_in(self._said.column("labels", "uid"), value_set=uids))
