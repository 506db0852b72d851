"""Samples and regions for which a SQL expression is true (docs/tables.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from voyager.errors import UsageError, VoyagerError
from voyager.repo.sandbox import Fault, fault_of, interruptibly, open_sandbox, reason_of
from voyager.repo.sql_tables import FUNCTIONS, WHOLE, Source, Sources
from voyager.repo.sql_text import Call
from voyager.repo.table_columns import CLASSES, TABLES
from voyager.repo.table_pixels import PIXEL_COLUMNS
from voyager.repo.table_plan import META, SAMPLE, Wanted
from voyager.repo.tables import Progress, Tables
from voyager.repo.where_text import WhereText, near_names
from voyager.schema.vocabulary import Vocabulary
from voyager.store.bulk import paused_gc

if TYPE_CHECKING:
    import pyarrow as pa

    from voyager.repo.dataset import Dataset

_MOST_LOOKED = 10_000  # samples whose meta is looked at for a name
_COLUMNS_HINT = "vgr ls --columns lists the columns"


def keys_where(
    version: Dataset,
    expression: str,
    *,
    patterns: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """The keys, in order, of the samples for which the expression is true.

    With `patterns` only of those that these keys, folders and globs name (NotFoundError for one
    that names none). UsageError for what is no expression.
    """
    with _query(version, expression, patterns, progress) as query:
        return [key for (key,) in query.run("key", query.give_samples(), "key")]


def regions_where(
    version: Dataset,
    expression: str,
    *,
    patterns: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[tuple[str, bytes]]:
    """(key, region id), in the order of keys and of each sample, of the regions it is true for.

    The columns are those of the table `regions` and those of the samples; where both have one of
    that name it is the region's, and `sample.width` is the sample's.
    """
    with _query(version, expression, patterns, progress) as query:
        found = query.run("key, region", query.give_regions(), "key, n")
        return [(key, bytes.fromhex(region)) for key, region in found]


@contextmanager
def _query(
    version: Dataset,
    expression: str,
    patterns: Sequence[str] | None,
    progress: Progress | None,
) -> Iterator[_Query]:
    query = _Query(version, expression, patterns, progress)
    try:
        yield query
    finally:
        query.close()


class _Query:
    """One expression over one version, in a sandbox of its own."""

    def __init__(
        self,
        version: Dataset,
        expression: str,
        patterns: Sequence[str] | None,
        progress: Progress | None,
    ) -> None:
        self._connection = open_sandbox()
        self._sources = Sources(version, progress or (lambda done, total: None))
        self._text = WhereText(
            expression,
            version.vocabulary,
            tables=WHOLE,
            functions=[*TABLES, *FUNCTIONS],
            open_tables=self._open,
        )
        self._whole = Tables(version)
        self._chosen = Tables(version, patterns=patterns, progress=progress)
        self._failure: VoyagerError | None = None
        self._refuse_all_but_one_expression()
        for name in TABLES if self._text.reads_tables else ():
            if self._text.mentions(name):
                with paused_gc():
                    table = self._whole.reader(name, self._text.mentions_in).read_all()
                self._connection.register(name, table)

        for name, source in self._others.items():
            self._connection.register(name, self._read(source))

    def _open(self, calls: Mapping[str, Call]) -> list[Vocabulary]:
        """Open what is read beside the version; the vocabularies of other versions among it."""
        self._others = {name: self._sources.open(call) for name, call in calls.items()}
        return [version.vocabulary for version in self._sources.others]

    def _read(self, source: Source) -> pa.Table:
        """The columns of a table that may be meant."""
        import pyarrow as pa

        columns = source.columns(with_meta=self._text.mentions_in(META))
        names = [one.name for one in columns if self._text.mentions_in(one.name)]
        size, arrays = source.read(names)
        return pa.table([pa.nulls(size, pa.bool_()), *arrays], ["__rows", *names])

    def close(self) -> None:
        self._connection.close()

    def give_samples(self) -> str:
        """Let the query read the samples; what to read from."""
        return self._give(self._chosen.reader("samples", self._wants(("key",))), "samples")

    def give_regions(self) -> str:
        """Let the query read the regions, with what it says of their samples."""
        mentions, whole = self._text.mentions, self._text.mentions(SAMPLE)
        own = {column.name for column in TABLES["regions"].columns}
        reader = self._chosen.regions_with_samples(
            self._wants(("key", "region", "n")),
            lambda name: mentions(name) and (name not in own or (whole and name != CLASSES)),
            whole=whole,
        )
        return self._give(reader, "regions")

    def _wants(self, names: Sequence[str]) -> Wanted:
        return lambda name: name in names or self._text.mentions(name)

    def _give(self, reader: pa.RecordBatchReader, called: str) -> str:
        import pyarrow as pa

        watched = pa.RecordBatchReader.from_batches(reader.schema, self._watched(reader))
        self._connection.register("__rows", watched)
        return f"__rows AS {called}"

    def run(self, columns: str, source: str, order: str) -> list[Any]:
        """Those columns of the rows for which the expression is true."""
        described = self._execute("DESCRIBE SELECT (\n", f") FROM {source}")
        self._refuse_other_types([str(row[1]) for row in described])
        with paused_gc():
            return self._execute(f"SELECT {columns} FROM {source} WHERE (\n", f") ORDER BY {order}")

    def _execute(self, before: str, after: str) -> list[Any]:
        """All rows of a query around the expression."""
        connection, sql = self._connection, f"{before}{self._text.sql}\n{after}"
        with self._reading_errors(len(before)):
            return interruptibly(connection, lambda: connection.execute(sql).fetchall())

    def _refuse_other_types(self, types: list[str]) -> None:
        if types != ["BOOLEAN"]:
            raise UsageError(
                f"--where wants true or false, not {' and '.join(types)}: {self._text.text}",
                hint="compare it with something: width > 400, split = 'train'",
            )

    def _refuse_all_but_one_expression(self) -> None:
        import duckdb

        sql = self._text.sql
        if not sql.strip():
            raise UsageError("--where is empty", hint=_COLUMNS_HINT)
        try:
            duckdb.SQLExpression(sql)
        except duckdb.Error:
            with self._reading_errors(len("SELECT (\n")):
                self._connection.extract_statements(f"SELECT (\n{sql}\n)")
            raise UsageError(
                f"--where takes one expression: {self._text.text}", hint=_COLUMNS_HINT
            ) from None

    def _watched(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        """The batches, with our own errors kept: DuckDB makes text of them."""
        try:
            yield from reader
        except VoyagerError as error:
            self._failure = error
            raise

    @contextmanager
    def _reading_errors(self, offset: int) -> Iterator[None]:
        """Errors of DuckDB as ours; the expression begins at that byte of the SQL."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise (self._failure or self._as_usage_error(fault_of(error), offset)) from None

    def _as_usage_error(self, fault: Fault, offset: int) -> UsageError:
        place = None if fault.place is None else self._text.place(fault.place - offset)
        at = "" if place is None else f" at character {place}"
        if fault.kind == "Parser" and place is None:
            at = " at the end"
        hint = self._meant(fault) or _COLUMNS_HINT
        of = "of" if at else "in"
        return UsageError(f"{reason_of(fault)}{at} {of} --where {self._text.text}", hint=hint)

    def _meant(self, fault: Fault) -> str | None:
        """What may have been meant by a name that is not there."""
        name = fault.name
        if name is None:
            return None
        if self._text.compares_with(name):
            return f"a text is in quotes: '{name}'. {_COLUMNS_HINT}"
        samples = islice(self._whole.version.items(), _MOST_LOOKED)
        if any(name in sample.meta for _, sample in samples):
            return f"did you mean meta.{name}? {_COLUMNS_HINT}"
        if name in (column.name for column in TABLES["regions"].columns):
            return f"regions have it: key in (select key from regions where {name} …)"
        if name in (column.name for column in PIXEL_COLUMNS):
            return f"pixels have it: key in (select key from pixels where {name} …)"
        near = near_names(name, self._known(fault))
        return f"did you mean {' or '.join(near)}? {_COLUMNS_HINT}" if near else None

    def _known(self, fault: Fault) -> list[str]:
        """The names of fields and columns that somebody may have meant."""
        columns = [column for table in TABLES.values() for column in table.columns]
        names = {column.name for column in columns if not column.is_hidden}
        return [*fault.near, *sorted(names | set(self._whole.version.vocabulary.tasks))]
