"""Arrow tables of a version: samples, regions, labels, answers, links, taxonomy (docs/tables.md).

They are built in one pass over the rows, a record batch at a time, and only the columns that
somebody asks for: a column that is not wanted is not even decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from voyager.errors import MissingExtraError, NotFoundError
from voyager.repo.conflicts import conflicted_keys
from voyager.repo.keys import KeyPattern, shown
from voyager.repo.snapshot import SAMPLES
from voyager.repo.table_answers import Answers
from voyager.repo.table_columns import TABLES
from voyager.repo.table_meta import Meta
from voyager.repo.table_plan import ANSWERS, META, JoinedPlan, Plan, TablePlan, Wanted
from voyager.repo.table_rows import Stretch
from voyager.schema.partial import partial_decoder
from voyager.schema.taxonomy import Node, NodeId
from voyager.store.bulk import paused_gc
from voyager.store.ids import Kind

if TYPE_CHECKING:
    import pyarrow as pa

    from voyager.repo.dataset import Dataset

Progress: TypeAlias = Callable[[int, int | None], None]

_STRETCH_SAMPLES = 4096
_STRETCH_BYTES = 8 << 20
_GEOMETRIES = "regions.geometries"


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
            table = reader.read_all()
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
        if name != "taxonomy":
            return self._reader_of(plan)
        return pa.RecordBatchReader.from_batches(
            plan.schema, iter([plan.batch(class_rows(self.version))])
        )

    def regions_with_samples(
        self, wanted: Wanted, of_samples: Wanted, *, whole: bool
    ) -> pa.RecordBatchReader:
        """The table `regions` with columns of their samples beside, and as the STRUCT `sample`."""
        samples = self._plan("samples", of_samples)
        return self._reader_of(JoinedPlan(self._plan("regions", wanted), samples, whole=whole))

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
        wanted = frozenset(needs)
        decode = partial_decoder(wanted, raw=wanted & {_GEOMETRIES})
        rows = iter_rows(self.version, self._patterns)
        done, total = 0, None if self._patterns else len(self.version)
        while part := _some_rows(rows):
            yield Stretch(
                [key.decode() for key, _ in part],
                [decode(row) for _, row in part],
                answers=self._answers,
                purged=self.version.purged,
                conflicted=self._conflicted,
                load=self._load,
            )
            done += len(part)
            self._progress(done, total)

    @cached_property
    def _conflicted(self) -> frozenset[str]:
        return conflicted_keys(self.version)

    def _load(self, blob: bytes) -> bytes:
        return self.version.objects.get(blob, Kind.BLOB)

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


def needs_arrow() -> None:
    """Raise MissingExtraError unless pyarrow is installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "tables need pyarrow, which is not installed", hint="pip install 'voyager-vgr[sql]'"
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


def _some_rows(rows: Iterator[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    part: list[tuple[bytes, bytes]] = []
    size = 0
    for key, row in islice(rows, _STRETCH_SAMPLES):
        part.append((key, row))
        size += len(row)
        if size > _STRETCH_BYTES:
            break
    return part


def class_rows(version: Dataset) -> list[ClassRow]:
    """Every node of every taxonomy, live ones in order, then the dead."""
    rows = []
    for name, taxonomy in sorted(version.vocabulary.taxonomies.items()):
        live = list(taxonomy)
        for node in [*live, *sorted(set(taxonomy.nodes) - set(live))]:
            depth = len(taxonomy.above(node)) + 1
            rows.append(ClassRow(name, node, taxonomy.nodes[node], taxonomy.path(node), depth))
    return rows
