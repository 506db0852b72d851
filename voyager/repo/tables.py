"""Arrow tables of a version: samples, regions, labels, answers, links, taxonomy (docs/tables.md).

Only the columns that somebody asks for are made: one that is not wanted is not even decoded. Those
of a large version are kept (`table_frame`); of a small one, and of some samples of any, they are
built in one pass over the rows, a record batch at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from voyager.errors import MissingExtraError, NotFoundError
from voyager.repo.conflicts import conflicted_keys
from voyager.repo.keys import KeyPattern, shown
from voyager.repo.snapshot import SAMPLES
from voyager.repo.table_answers import Answers
from voyager.repo.table_coding import decoded
from voyager.repo.table_columns import TABLES
from voyager.repo.table_frame import LEAST_KEPT
from voyager.repo.table_meta import Meta
from voyager.repo.table_plan import ANSWERS, META, SAMPLE, JoinedPlan, Plan, TablePlan, Wanted
from voyager.repo.table_rows import Stretch
from voyager.repo.table_stretches import iter_stretches, loader
from voyager.repo.table_view import TableView
from voyager.schema.taxonomy import Node, NodeId
from voyager.store.bulk import paused_gc

if TYPE_CHECKING:
    import pyarrow as pa

    from voyager.repo.dataset import Dataset

Progress: TypeAlias = Callable[[int, int | None], None]

_MOST_KEPT = 20_000_000
"""Samples up to which whole columns are made: those of more go by in batches."""


class ColumnInfo(NamedTuple):
    """A column as `vgr ls --columns` lists it; one in a STRUCT is dotted."""

    table: str
    name: str
    type: str
    about: str

    def as_dict(self) -> dict[str, str]:
        """The shape that `--json` prints."""
        return {
            "table": self.table,
            "column": self.name,
            "type": self.type,
            "about": self.about,
        }


class ClassRow(NamedTuple):
    """A row of the table `taxonomy`."""

    taxonomy: str
    id: NodeId
    node: Node
    path: str | None
    depth: int


class Tables:
    """The tables of a version, or of the samples that keys, folders and globs name in it.

    `tables["regions"]` is a pyarrow.Table; `reader` gives the batches without keeping them.
    """

    def __init__(
        self,
        version: Dataset,
        *,
        patterns: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        needs_arrow()
        self.version = version
        self._patterns = patterns
        self._progress = progress or (lambda done, total: None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(TABLES)

    def __getitem__(self, name: str) -> pa.Table:
        return self.read(name)

    def read(self, name: str, columns: Iterable[str] | None = None) -> pa.Table:
        """A whole table, or some columns of it; NotFoundError for a name that there is not."""
        chosen = None if columns is None else list(columns)
        reader = self.reader(name, None if chosen is None else set(chosen).__contains__)
        with paused_gc():
            table = _plain(reader.read_all())
        if chosen is None:
            return table
        missing = sorted(set(chosen) - set(table.column_names))
        if missing:
            raise NotFoundError(f"'{name}' has no column '{missing[0]}'", hint="vgr ls --columns")
        return table.select(chosen)

    def reader(self, name: str, wanted: Wanted | None = None) -> pa.RecordBatchReader:
        """The record batches of a table, made as they are read; `wanted` says which columns.

        `meta` takes the pass at once, since its type is that of all the values.
        """
        import pyarrow as pa

        plan = self._plan(name, wanted)
        if name != "taxonomy" and self._are_kept:
            return self._kept(name, wanted).to_reader()
        if name != "taxonomy":
            return self._reader_of(plan)
        return pa.RecordBatchReader.from_batches(
            plan.schema, iter([plan.batch(class_rows(self.version))])
        )

    def regions_with_samples(
        self, wanted: Wanted, of_samples: Wanted, *, whole: bool
    ) -> pa.RecordBatchReader:
        """The table `regions` with columns of their samples beside, and as the STRUCT `sample`."""
        if self._are_kept:
            return self._kept_with_samples(wanted, of_samples, whole=whole).to_reader()
        samples = self._plan("samples", of_samples)
        return self._reader_of(JoinedPlan(self._plan("regions", wanted), samples, whole=whole))

    # -- of large versions -------------------------------------------------------------------------

    @property
    def _are_kept(self) -> bool:
        """Whether columns are taken from those that are kept."""
        return not self._patterns and LEAST_KEPT <= len(self.version) <= _MOST_KEPT

    @cached_property
    def _view(self) -> TableView:
        return TableView(self.version, self._progress)

    def _kept(self, name: str, wanted: Wanted | None) -> pa.Table:
        return self._view.read(name, self._kept_names(name, wanted))

    def _kept_names(self, name: str, wanted: Wanted | None) -> list[str]:
        wants = wanted or _is_shown
        columns = self._view.columns(name, with_meta=wants(META))
        return [column.name for column in columns if wants(column.name)]

    def _kept_with_samples(self, wanted: Wanted, of_samples: Wanted, *, whole: bool) -> pa.Table:
        import pyarrow as pa

        names = self._kept_names("regions", wanted)
        others = self._kept_names("samples", of_samples)
        self._view.fetch({"regions": names, "samples": others})
        places = self._view.places("regions")
        columns = {name: self._view.column("regions", name) for name in names}
        of_sample = {name: self._view.column("samples", name).take(places) for name in others}
        taken = {name.lower() for name in names}
        columns |= {name: one for name, one in of_sample.items() if name.lower() not in taken}
        if whole:
            columns[SAMPLE] = pa.StructArray.from_arrays(list(of_sample.values()), others)
        return pa.table(columns)

    # -- of small ones, and of some samples --------------------------------------------------------

    def _reader_of(self, plan: Plan) -> pa.RecordBatchReader:
        import pyarrow as pa

        if plan.meta is not None:
            return self._reader_with_meta(plan)
        batches = (plan.batch(plan.rows(stretch)) for stretch in self._stretches(plan.needs))
        return pa.RecordBatchReader.from_batches(plan.schema, batches)

    def columns(self, name: str) -> list[ColumnInfo]:
        """All columns of a table: those of every version, of its tasks and of its meta."""
        plan = self._plan(name, None)
        found = [
            ColumnInfo(name, column.name, column.type, column.about)
            for column in plan.columns
            if not column.is_hidden
        ]
        for task in plan.tasks:
            called = task.name if task in plan.direct else f"{ANSWERS}.{task.name}"
            found.append(ColumnInfo(name, called, task.type, f"the answer to {task.task}"))
        return found if plan.meta is None else found + self._meta_columns()

    def _plan(self, name: str, wanted: Wanted | None) -> TablePlan:
        if name not in TABLES:
            raise NotFoundError(f"no table '{name}': there are {', '.join(TABLES)}")
        return TablePlan(name, self._answers, wanted)

    @cached_property
    def _answers(self) -> Answers:
        return Answers(self.version.vocabulary)

    def _stretches(self, needs: Iterable[str]) -> Iterator[Stretch]:
        done, total = 0, None if self._patterns else len(self.version)
        for stretch in iter_stretches(
            iter_rows(self.version, self._patterns),
            needs,
            answers=self._answers,
            load=loader(self.version),
            purged=self.version.purged,
            conflicted=self._conflicted,
        ):
            yield stretch
            done += len(stretch.keys)
            self._progress(done, total)

    @cached_property
    def _conflicted(self) -> frozenset[str]:
        return conflicted_keys(self.version)

    def _meta_columns(self) -> list[ColumnInfo]:
        gathered = Meta()
        with paused_gc():
            for stretch in self._stretches(["uid", META]):
                gathered.add(stretch)
        return [
            ColumnInfo("samples", f"{META}.{called}", word, f"meta {name}")
            for name, called, word in gathered.columns
        ]

    def _reader_with_meta(self, plan: Plan) -> pa.RecordBatchReader:
        import pyarrow as pa

        gathered = Meta(plan.meta)
        batches = []
        with paused_gc():
            for stretch in self._stretches(plan.needs):
                rows = plan.rows(stretch)
                gathered.add(stretch, plan.places(rows))
                batches.append(plan.batch(rows))
        if not gathered.columns:
            return pa.RecordBatchReader.from_batches(plan.schema, batches)
        schema = plan.schema.append(pa.field(META, gathered.type))
        columns = zip(batches, gathered.arrays(), strict=True)
        joined = (
            pa.RecordBatch.from_arrays([*batch.columns, meta], schema=schema)
            for batch, meta in columns
        )
        return pa.RecordBatchReader.from_batches(schema, joined)


def _is_shown(name: str) -> bool:
    return not name.startswith("__")


def _plain(table: pa.Table) -> pa.Table:
    """The table without dictionaries, as its columns are documented."""
    import pyarrow as pa

    columns = [
        pa.chunked_array([decoded(chunk) for chunk in column.chunks], type=None)
        if column.num_chunks
        else column
        for column in table.columns
    ]
    return pa.table(columns, table.column_names)


def needs_arrow() -> None:
    """Raise MissingExtraError unless pyarrow is installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "tables need pyarrow, which is not installed", hint="pip install 'voyager-vgr[sql]'"
        ) from None


def needs_pandas() -> None:
    """Raise MissingExtraError unless pandas is installed."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "data frames need pandas, which is not installed", hint="pip install pandas"
        ) from None


def iter_rows(
    version: Dataset, patterns: Sequence[str] | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """(key, row) of the samples that keys, folders or globs name, each once, in key order.

    NotFoundError, at the end, for one that names none. An existing key wins over a glob.
    """
    if not patterns:
        yield from version.rows(SAMPLES)
        return
    asked = sorted({text.encode() for text in patterns})
    exact = {key.decode() for key, row in version.rows_at(SAMPLES, asked) if row is not None}
    globs = [KeyPattern(text) for text in patterns if text not in exact]
    unmet = set(globs)
    for key, row in _rows_near(version, sorted(exact), globs):
        name = key.decode()
        met = [glob for glob in globs if glob.matches(name)]
        unmet.difference_update(met)
        if met or name in exact:
            yield key, row
    if unmet:
        text = min(glob.text for glob in unmet)
        raise NotFoundError(f"no key matches '{shown(text) or '.'}'", hint="vgr ls")


def _rows_near(
    version: Dataset, keys: list[str], globs: list[KeyPattern]
) -> Iterator[tuple[bytes, bytes]]:
    """The rows at keys and those with the fixed beginning of a glob, in key order."""
    stems = sorted({glob.fixed.encode() for glob in globs})
    stems = [
        stem
        for place, stem in enumerate(stems)
        if not any(stem.startswith(other) for other in stems[:place])
    ]
    left = [key for key in map(str.encode, keys) if not key.startswith(tuple(stems))]
    singles = ((key, row) for key, row in version.rows_at(SAMPLES, left) if row is not None)
    yield from merge(singles, *(version.rows_below(SAMPLES, stem) for stem in stems))


def class_rows(version: Dataset) -> list[ClassRow]:
    """Every node of every taxonomy, live ones in order, then the dead."""
    rows = []
    for name, taxonomy in sorted(version.vocabulary.taxonomies.items()):
        live = list(taxonomy)
        for node in [*live, *sorted(set(taxonomy.nodes) - set(live))]:
            depth = len(taxonomy.above(node)) + 1
            rows.append(ClassRow(name, node, taxonomy.nodes[node], taxonomy.path(node), depth))
    return rows
