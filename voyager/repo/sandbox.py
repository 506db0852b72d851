"""A DuckDB that reads what it is given and nothing else: no file, no network, no variable."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from voyager.errors import MissingExtraError
from voyager.store.cores import cores

if TYPE_CHECKING:
    import duckdb

_SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
_MOST_THREADS = 16
_UNKNOWN = re.compile(r'(?:column named|key|table) "([^"]+)"')
_QUOTED = re.compile(r'"([^"]+)"')
_LOCKS = ("errors_as_json = true", "lock_configuration = true")


Result = TypeVar("Result")


class Fault(NamedTuple):
    """What DuckDB found wrong: its kind of error, a sentence, a place in the SQL in bytes.

    `name` is the column, field, table or function that it does not know, `near` what it has.
    """

    kind: str
    message: str
    place: int | None = None
    name: str | None = None
    near: tuple[str, ...] = ()


def open_sandbox(memory: str = "1GB") -> duckdb.DuckDBPyConnection:
    """A new, empty, locked DuckDB in memory; MissingExtraError when it is not installed."""
    needs_sql()
    import duckdb

    threads = str(cores(_MOST_THREADS))
    connection = duckdb.connect(
        ":memory:", config={**_SETTINGS, "memory_limit": memory, "threads": threads}
    )
    for lock in _LOCKS:
        connection.execute(f"SET {lock}")
    return connection


def interruptibly(connection: duckdb.DuckDBPyConnection, work: Callable[[], Result]) -> Result:
    """What `work` makes of a connection; Ctrl-C ends it, to which DuckDB is deaf or answers oddly.

    Signals reach the main thread, so another one waits for the query.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="sql") as pool:
        done = pool.submit(work)
        try:
            return done.result()
        except KeyboardInterrupt:
            connection.interrupt()
            wait([done])
            raise


def needs_sql() -> None:
    """Raise MissingExtraError unless duckdb is installed."""
    try:
        import duckdb  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "SQL needs duckdb, which is not installed", hint="pip install 'voyager-vgr[sql]'"
        ) from None


def fault_of(error: Exception) -> Fault:
    """An error of a sandbox, read."""
    kind, _, text = str(error).partition(" Error: ")
    try:
        told = json.loads(text)
    except ValueError:
        return Fault(kind, _first_line(text or kind))
    message, place = str(told.get("exception_message", "")), str(told.get("position", ""))
    unknown = _UNKNOWN.search(message)
    return Fault(
        kind,
        _first_line(message),
        int(place) if place.isdecimal() else None,
        told.get("name") or (unknown[1] if unknown else None),
        tuple(_QUOTED.findall(message.partition("\nCandidate")[2])),
    )


def reason_of(fault: Fault) -> str:
    """What is wrong, as people are told."""
    if fault.kind == "Permission":
        return "there are no files and no network"
    if fault.kind == "Out of Memory":
        return "this takes too much memory"
    if fault.kind == "Parser":
        return "this is no SQL"
    if fault.name is not None and "column" in fault.message:
        return f"no column '{fault.name}'"
    if fault.name is not None and "find key" in fault.message:
        return f"no field '{fault.name}'"
    if fault.name is not None and "does not exist" in fault.message:
        what = "function" if "unction" in fault.message else "table"
        return f"no {what} '{fault.name}'"
    return fault.message


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0].rstrip(".!")
    return line if line[:2].isupper() else line[:1].lower() + line[1:]
