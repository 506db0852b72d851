"""Queries in SQL over the tables of versions (docs/tables.md): they read, and nothing else.

A query is planned over empty tables first. The plan tells which columns it reads, and only those
are made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from voyager.errors import UsageError
from voyager.repo.sandbox import Fault, Result, fault_of, interruptibly, open_sandbox, reason_of
from voyager.repo.sql_tables import FUNCTIONS, WHOLE, Source, Sources
from voyager.repo.sql_text import SqlText
from voyager.repo.table_building import Progress
from voyager.repo.table_columns import TABLES
from voyager.repo.table_plan import META
from voyager.repo.table_view import ViewColumn, quoted
from voyager.repo.tables import needs_arrow
from voyager.repo.where_text import classes_below, near_names, no_class
from voyager.store.bulk import paused_gc

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from voyager.repo.dataset import Dataset

_MEMORY: Final = "60%"
_EXPLAIN: Final = "EXPLAIN (FORMAT json) "
_READ = re.compile(r"vgr:(\d+):(\d+)")
"""A column as DuckDB is given it: the number of its table, and its place there."""

_SHOW = re.compile(r"\s*show\b", re.I)
_NOT_READ: Final = "vgr: a column that was not read"
_HINT: Final = "vgr ls --columns lists the tables and their columns"


def sql(version: Dataset, query: str, *, progress: Progress = lambda *_: None) -> pa.Table:
    """The rows that a query gives; `samples`, `regions`, … are those of the version.

    `samples('v1')` is the table of another version, `samples('staged')` that of the staged one,
    `predictions('NAME')` that of a prediction set; `runs` and `run_metrics` are those of the
    repository. UsageError for what does not read, NotFoundError for an unknown version.
    """
    needs_arrow()
    if not query.strip():
        raise UsageError("the query is empty", hint='vgr sql "SELECT count(*) FROM samples"')
    with borrowed_sandbox() as connection, paused_gc():
        return _Query(connection, Sources(version, progress), query).run()


class _Query:
    """One query in a sandbox that nobody else uses meanwhile."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sources: Sources, query: str) -> None:
        self._connection = connection
        self._sources = sources
        self._text = SqlText(query, tables=[*TABLES, *WHOLE], functions=[*TABLES, *FUNCTIONS])
        self._tables: list[tuple[str, Source]] = [
            (name, sources.open(call)) for name, call in self._text.calls.items()
        ]
        self._text.write_out(self._classes_below)

    def run(self) -> pa.Table:
        self._refuse_all_but_one_reading()
        with_meta = META in self._text.text.lower()
        columns = self._columns(with_meta=with_meta)
        read = self._plan(columns)
        if not with_meta and self._reads_meta(columns, read):
            columns = self._columns(with_meta=True)
            read = self._plan(columns)
        try:
            return self._run(columns, read)
        except UsageError as error:
            if _NOT_READ not in error.message:
                raise
        return self._run(columns, [set(range(len(table))) for table in columns])

    # -- planning ----------------------------------------------------------------------------------

    def _refuse_all_but_one_reading(self) -> None:
        with self._reading_errors(0):
            statements = self._connection.extract_statements(self._text.sql)
        if len(statements) != 1:
            raise UsageError(f"a query is one statement, not {len(statements)}")
        kind = str(statements[0].type).rpartition(".")[2]
        if kind == "MULTI":
            raise UsageError(
                "PIVOT needs to be told its columns", hint="PIVOT … ON split IN ('train', 'test')"
            )
        if kind == "SELECT" and _SHOW.match(self._text.sql):  # which is one to DuckDB
            raise UsageError("SHOW knows nothing of the tables of a version", hint=_HINT)
        if kind != "SELECT":
            raise UsageError(
                f"vgr sql only reads: {kind} is refused", hint="begin with SELECT, FROM or WITH"
            )

    def _columns(self, *, with_meta: bool) -> list[list[ViewColumn]]:
        """The columns of every table; meta stands for itself as long as its type is not known."""
        found = []
        for name, source in self._tables:
            columns = list(source.columns(with_meta=with_meta))
            if not with_meta and self._text.calls[name].table == "samples":
                columns.append(ViewColumn(META, "VARCHAR"))
            found.append(columns)
        return found

    def _plan(self, columns: list[list[ViewColumn]]) -> list[set[int]]:
        """Which columns of each table the query reads."""
        import pyarrow as pa

        for number, ((name, _), table) in enumerate(zip(self._tables, columns, strict=True)):
            fields = [(f"vgr:{number}:rows", pa.bool_())]
            fields += [(f"vgr:{number}:{at}", one.arrow_type) for at, one in enumerate(table)]
            self._give(number, name, pa.schema(fields).empty_table(), table, range(len(table)))
        explain = _EXPLAIN + self._text.sql
        with self._reading_errors(len(_EXPLAIN)):
            plan = self._do(lambda: self._connection.execute(explain).fetchall())
        read: list[set[int]] = [set() for _ in columns]
        for table, column in _READ.findall(plan[0][1]):
            if int(table) < len(read) and int(column) < len(columns[int(table)]):
                read[int(table)].add(int(column))
        return read

    def _reads_meta(self, columns: list[list[ViewColumn]], read: list[set[int]]) -> bool:
        return any(
            columns[number][at].name == META for number, found in enumerate(read) for at in found
        )

    # -- running -----------------------------------------------------------------------------------

    def _run(self, columns: list[list[ViewColumn]], read: list[set[int]]) -> pa.Table:
        import pyarrow as pa

        for number, (name, source) in enumerate(self._tables):
            places = sorted(read[number])
            size, arrays = source.read([columns[number][at].name for at in places])
            # What only counts rows reads the first column there is.
            given = [pa.nulls(size, pa.bool_()), *arrays]
            names = [f"vgr:{number}:rows", *(f"vgr:{number}:{at}" for at in places)]
            self._give(number, name, pa.table(given, names), columns[number], places)
        with self._reading_errors(0):
            found = self._do(lambda: self._connection.sql(self._text.sql).to_arrow_table())
        return found.rename_columns(list(_numbered(found.column_names)))

    def _do(self, work: Callable[[], Result]) -> Result:
        return interruptibly(self._connection, work)

    def _give(
        self,
        number: int,
        name: str,
        table: pa.Table,
        columns: Sequence[ViewColumn],
        places: Sequence[int],
    ) -> None:
        """Let the query read a table by a name; columns that are not there raise when read."""
        self._connection.register(f"__vgr_{number}", table)
        known = set(places)
        parts = [
            f'"vgr:{number}:{at}" AS {quoted(column.name)}'
            if at in known
            else f"CAST(error('{_NOT_READ}') AS {column.sql_type}) AS {quoted(column.name)}"
            for at, column in enumerate(columns)
        ]
        self._connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS "
            f"SELECT {', '.join(parts)} FROM __vgr_{number}"
        )

    # -- words -------------------------------------------------------------------------------------

    def _classes_below(self, name: str) -> list[str]:
        """The paths of a class and of those below it, in all versions that the query names."""
        own = self._sources.version.vocabulary
        found = classes_below(name, [own, *(one.vocabulary for one in self._sources.others)])
        if not found:
            why, near = no_class(name, own)
            hint = f"did you mean {' or '.join(near)}?" if near else "vgr taxonomy tree"
            raise UsageError(f"{why} in the query", hint=hint)
        return found

    @contextmanager
    def _reading_errors(self, offset: int) -> Iterator[None]:
        """Errors of DuckDB as ours; the query begins at that byte of what is run."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise self._as_usage_error(fault_of(error), offset) from None

    def _as_usage_error(self, fault: Fault, offset: int) -> UsageError:
        place = None if fault.place is None else self._text.place(fault.place - offset)
        at = " in" if place is None else f" at {_line_and_character(self._text.text, place)} of"
        if fault.kind == "Parser" and place is None:
            at = " at the end of"
        return UsageError(f"{reason_of(fault)}{at} the query", hint=self._meant(fault))

    def _meant(self, fault: Fault) -> str:
        """What may have been meant, or where to look."""
        if fault.kind == "Permission":
            return f"a query reads {', '.join([*TABLES, *WHOLE])}, and predictions('NAME')"
        if fault.name is None:
            return _HINT
        known: list[str] = [*TABLES, *WHOLE, *FUNCTIONS]
        if "column" in fault.message:
            columns = (column.name for table in TABLES.values() for column in table.columns)
            names = [name for name in columns if not name.startswith("__")]
            known = [*fault.near, *names, *self._sources.version.vocabulary.tasks]
        near = near_names(fault.name, known)
        return f"did you mean {' or '.join(near)}? {_HINT}" if near else _HINT


def _numbered(names: Sequence[str]) -> Iterator[str]:
    """Names of columns, of which a second one is told apart: key, key_2."""
    taken: set[str] = set()
    for name in names:
        called, number = name, 1
        while called in taken:
            number += 1
            called = f"{name}_{number}"
        taken.add(called)
        yield called


def _line_and_character(text: str, place: int) -> str:
    before = text[: place - 1]
    line = before.count("\n")
    if not line:
        return f"character {place}"
    return f"line {line + 1}, character {place - before.rfind(chr(10)) - 1}"


# -- sandboxes ------------------------------------------------------------------------------------

_IDLE: list[tuple[int, Any]] = []
"""(process, sandbox) of those that nobody uses: opening one takes longer than a query."""


@contextmanager
def borrowed_sandbox() -> Iterator[duckdb.DuckDBPyConnection]:
    """A sandbox in which nothing is left of other queries: all that they can do is read."""
    connection = _idle_sandbox() or open_sandbox(_MEMORY)
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    _forget_tables(connection)
    if not _IDLE:
        _IDLE.append((os.getpid(), connection))
    else:
        connection.close()


def _idle_sandbox() -> duckdb.DuckDBPyConnection | None:
    with suppress(IndexError):
        process, connection = _IDLE.pop()
        if process == os.getpid():  # one does not outlive a fork
            found: duckdb.DuckDBPyConnection = connection
            return found
    return None


def _forget_tables(connection: duckdb.DuckDBPyConnection) -> None:
    views = "SELECT view_name FROM duckdb_views() WHERE NOT internal"
    for (name,) in connection.execute(views).fetchall():
        if name.startswith("__vgr_"):
            connection.unregister(name)
        else:
            connection.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
