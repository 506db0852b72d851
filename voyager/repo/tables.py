"""Arrow tables of a version: samples, regions, labels, answers, links, taxonomy (docs/tables.md).

They are built in one pass over the rows, a record batch at a time, and only the columns that
somebody asks for: a column that is not wanted is not even decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from voyager.errors import MissingExtraError, NotFoundError
from voyager.repo.keys import KeyPattern, shown
from voyager.repo.snapshot import SAMPLES
from voyager.repo.table_answers import Answers, TaskColumn, distinct_names, task_columns
from voyager.repo.table_columns import TABLES, Table
from voyager.repo.table_rows import Stretch
from voyager.repo.table_types import arrow_type, joined_type, meta_array, shared_type
from voyager.schema.partial import partial_decoder
from voyager.schema.taxonomy import Node, NodeId
from voyager.store.bulk import paused_gc
from voyager.store.ids import Kind

if TYPE_CHECKING:
    import pyarrow as pa

    from voyager.repo.dataset import Dataset

Wanted: TypeAlias = Callable[[str], bool]
"""Whether somebody asks for a column of that name."""

Progress: TypeAlias = Callable[[int, int | None], None]

META = "meta"
ANSWERS = "answers"
_STRETCH_SAMPLES = 4096
_STRETCH_BYTES = 8 << 20
_GEOMETRIES = "regions.geometries"


class ColumnInfo(NamedTuple):
    """A column as `vgr ls --columns` lists it; one in a STRUCT is dotted."""

    table: str
    name: str
    type: str
    about: str


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
        if name == "taxonomy":
            batches = iter([plan.batch(class_rows(self.version))])
        elif plan.meta is not None:
            return self._reader_with_meta(plan)
        else:
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
        found += [
            ColumnInfo(name, f"{ANSWERS}.{task.name}", task.type, f"the answer to {task.task}")
            for task in plan.tasks
        ]
        if plan.meta is not None:
            found += [
                ColumnInfo(name, f"{META}.{called}", word, f"meta {meta}")
                for meta, called, word in self._meta_columns()
            ]
        return found

    def _plan(self, name: str, wanted: Wanted | None) -> _Plan:
        table = TABLES.get(name)
        if table is None:
            raise NotFoundError(f"no table '{name}': there are {', '.join(TABLES)}")
        return _Plan(name, table, self._answers, wanted)

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
                load=self._load,
            )
            done += len(part)
            self._progress(done, total)

    def _load(self, blob: bytes) -> bytes:
        return self.version.objects.get(blob, Kind.BLOB)

    def _meta_columns(self) -> list[tuple[str, str, str]]:
        """(name, what it is called in SQL, type) of all meta."""
        found: dict[str, str] = {}
        with paused_gc():
            for stretch in self._stretches(["uid", META]):
                _join_types(found, _meta_arrays(stretch, None))
        called = distinct_names(sorted(found))
        return [(name, called[name], found[name]) for name in sorted(found)]

    def _reader_with_meta(self, plan: _Plan) -> pa.RecordBatchReader:
        import pyarrow as pa

        types: dict[str, str] = {}
        kept: list[tuple[pa.RecordBatch, dict[str, pa.Array]]] = []
        words: list[dict[str, str]] = []
        with paused_gc():
            for stretch in self._stretches(plan.needs):
                arrays = _meta_arrays(stretch, plan.meta)
                _join_types(types, arrays)
                words.append({name: word for name, (word, _) in arrays.items()})
                rows = plan.rows(stretch)
                kept.append((plan.batch(rows), {name: a for name, (_, a) in arrays.items()}))
        called = distinct_names(sorted(types))
        if not types:
            return pa.RecordBatchReader.from_batches(plan.schema, [batch for batch, _ in kept])
        struct = pa.struct([(called[name], arrow_type(types[name])) for name in sorted(types)])
        schema = plan.schema.append(pa.field(META, struct))

        def batches() -> Iterator[pa.RecordBatch]:
            for (batch, arrays), said in zip(kept, words, strict=True):
                parts = [
                    _as_type(arrays.get(name), said.get(name), types[name], len(batch))
                    for name in sorted(types)
                ]
                column = pa.StructArray.from_arrays(parts, fields=list(struct))
                yield pa.RecordBatch.from_arrays([*batch.columns, column], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())


class _Plan:
    """Which columns of a table are made, and the fields of samples that this takes."""

    def __init__(self, name: str, table: Table, answers: Answers, wanted: Wanted | None) -> None:
        wants = wanted or (lambda name: not name.startswith("__"))
        self.rows = table.rows
        fixed = {column.name for column in table.columns} | {META, ANSWERS, "sample"}
        self.columns = [column for column in table.columns if wants(column.name)]
        tasks = task_columns(answers.vocabulary, table.scope) if table.scope else []
        named = [task for task in tasks if wants(task.name)]
        self.tasks = named or (tasks if wants(ANSWERS) else [])
        self.direct = [task for task in self.tasks if task.name.lower() not in fixed]
        """Tasks whose answer is a column of its own, beside being one in `answers`."""
        self.meta = wants if name == "samples" and wants(META) else None
        self._answers = answers
        self.needs = {need for column in self.columns for need in column.needs} | set(table.needs)
        if self.tasks:
            self.needs.add("labels" if table.scope == "image" else "regions.labels")
        if self.meta is not None:
            self.needs.add(META)

    @cached_property
    def schema(self) -> pa.Schema:
        import pyarrow as pa

        fields = [(column.name, arrow_type(column.type)) for column in self.columns]
        fields += [(task.name, arrow_type(task.type)) for task in self.direct]
        if self.tasks:
            fields.append((ANSWERS, self._struct))
        return pa.schema(fields)

    @cached_property
    def _struct(self) -> pa.DataType:
        import pyarrow as pa

        return pa.struct([(task.name, arrow_type(task.type)) for task in self.tasks])

    def batch(self, rows: Any) -> pa.RecordBatch:
        """The rows as a record batch, without meta."""
        import pyarrow as pa

        arrays = [
            pa.array(column.take(rows), arrow_type(column.type), from_pandas=True)
            for column in self.columns
        ]
        if self.tasks:
            by_task = {task: self._task_array(rows, task) for task in self.tasks}
            arrays += [by_task[task] for task in self.direct]
            parts = list(by_task.values())
            arrays.append(pa.StructArray.from_arrays(parts, fields=list(self._struct)))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _task_array(self, rows: Any, task: TaskColumn) -> pa.Array:
        import pyarrow as pa

        return pa.array(self._answers.column(rows.answered, task), arrow_type(task.type))


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
    exact = {text for text in patterns if version.row(SAMPLES, text.encode()) is not None}
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
    from heapq import merge

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


def _meta_arrays(stretch: Stretch, wanted: Wanted | None) -> dict[str, tuple[str, pa.Array]]:
    """Name → (type, values) of the meta of some samples; all of it where no name is asked for."""
    names = sorted({name for sample in stretch.samples for name in sample.meta})
    named = [name for name in names if wanted is None or wanted(name)] or names
    found = {}
    for name in named:
        values = [sample.meta.get(name) for sample in stretch.samples]
        word = shared_type(values)
        if word is not None:
            word = word if word != "[]" else "VARCHAR[]"
            found[name] = word, meta_array(values, word)
    return found


def _join_types(types: dict[str, str], arrays: dict[str, tuple[str, pa.Array]]) -> None:
    for name, (word, _) in arrays.items():
        types[name] = joined_type(types.get(name), word) or word


def _as_type(array: pa.Array | None, word: str | None, wanted: str, count: int) -> pa.Array:
    import pyarrow as pa

    if array is None:
        return pa.nulls(count, arrow_type(wanted))
    return array if word == wanted else meta_array(array.to_pylist(), wanted)
