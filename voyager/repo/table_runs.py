"""The tables of trainings: `runs`, and `run_metrics` with all that was measured of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from voyager.errors import CorruptError
from voyager.repo.table_types import column_array
from voyager.repo.table_view import ViewColumn
from voyager.store.history import read_run
from voyager.store.objectstore import Store
from voyager.store.refs import RUNS, iter_refs

if TYPE_CHECKING:
    import pyarrow as pa


class _Column(NamedTuple):
    name: str
    type: str
    about: str


RUN_COLUMNS: Final = (
    _Column("run", "VARCHAR", "the id"),
    _Column("name", "VARCHAR", "what it was called"),
    _Column("commit", "VARCHAR", "the commit that it was trained on, in hex"),
    _Column("state", "VARCHAR", "finished, stopped or failed"),
    _Column("kind", "VARCHAR", "network, or frozen for a head on vectors"),
    _Column("author", "VARCHAR", "who trained it"),
    _Column("message", "VARCHAR", "why"),
    _Column("started", "VARCHAR", "when, as 2026-01-05T08:00:00Z: cast it to TIMESTAMP"),
    _Column("seconds", "DOUBLE", "how long it took"),
    _Column("samples", "BIGINT", "how many samples it was trained on"),
    _Column("steps", "BIGINT", "how many steps it took"),
    _Column("parameters", "BIGINT", "how many numbers its weights are"),
    _Column("weights", "VARCHAR", "the hash of the weights, in hex"),
    _Column("predictions", "VARCHAR", "the commit of its prediction set, in hex"),
    _Column("config", "VARCHAR", "the settings as JSON: json_extract_string(config, 'model')"),
)
METRIC_COLUMNS: Final = (
    _Column("run", "VARCHAR", "the id of the run"),
    _Column("split", "VARCHAR", "the split that was looked at"),
    _Column("commit", "VARCHAR", "the commit that the samples are of: its first 12 digits"),
    _Column("condition", "VARCHAR", "of which samples alone, null for all"),
    _Column("task", "VARCHAR", "the task"),
    _Column("measure", "VARCHAR", "accuracy, balanced_accuracy, map, mae, count, …"),
    _Column("value", "DOUBLE", "the value"),
)

_SHORT: Final = 12


class RunTable:
    """A table about the runs of a store; it is read when a query asks for its columns."""

    def __init__(self, store: Callable[[], Store], columns: tuple[_Column, ...]) -> None:
        self._store = store
        self._columns = columns
        self._rows = _run_rows if columns is RUN_COLUMNS else _metric_rows

    def columns(self, *, with_meta: bool) -> list[ViewColumn]:
        return [ViewColumn(column.name, column.type) for column in self._columns]

    def read(self, names: Collection[str]) -> tuple[int, list[pa.Array]]:
        rows = list(self._rows(_runs(self._store())))
        types = {column.name: column.type for column in self._columns}
        columns = [column_array([row[name] for row in rows], types[name]) for name in names]
        return len(rows), columns


def _runs(store: Store) -> Iterator[dict[str, Any]]:
    """The records of all runs, with the commit of their prediction set."""
    for ref, object_id in sorted(iter_refs(store, RUNS).items()):
        found = read_run(store, object_id)
        try:
            record = json.loads(found.record)
            said = None if found.predictions is None else bytes(found.predictions.data).hex()
            yield {**record, "run": ref.removeprefix(RUNS), "predictions": said}
        except (ValueError, TypeError) as error:
            raise CorruptError(f"{ref} does not decode: {error}", hint="vgr fsck") from error


def _run_rows(runs: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for run in runs:
        started = datetime.fromtimestamp(run.get("started", 0) / 1000, UTC)
        yield {
            **{column.name: run.get(column.name) for column in RUN_COLUMNS},
            "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "config": json.dumps(run.get("config", {}), ensure_ascii=False, sort_keys=True),
        }


def _metric_rows(runs: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each number; what a training measured itself is of its own commit."""
    for run in runs:
        for name, tasks in run.get("metrics", {}).items():
            place, _, where = name.partition(" where ")
            split, _, commit = place.partition("@")
            about = {
                "run": run["run"],
                "split": split,
                "commit": commit or run["commit"][:_SHORT],
                "condition": where or None,
            }
            for task, measure, value in _flat(tasks):
                yield {**about, "task": task, "measure": measure, "value": value}


def _flat(tasks: Any) -> Iterator[tuple[str, str, float]]:
    """Each number by task and measure."""
    for task, measures in tasks.items() if isinstance(tasks, dict) else ():
        for measure, value in measures.items() if isinstance(measures, dict) else ():
            if isinstance(value, int | float):
                yield task, measure, float(value)
