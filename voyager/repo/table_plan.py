"""Which columns of a table are made, from which fields of samples, and the batches of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from voyager.repo.table_answers import Answers, TaskColumn, task_columns
from voyager.repo.table_columns import TABLES
from voyager.repo.table_rows import RegionRows, SampleRows, Stretch
from voyager.repo.table_types import arrow_type, column_array

if TYPE_CHECKING:
    import pyarrow as pa

Wanted: TypeAlias = Callable[[str], bool]
"""Whether somebody asks for a column of that name."""

META = "meta"
ANSWERS = "answers"
SAMPLE = "sample"
"""The columns of the sample that go with a region, as one STRUCT."""


class Plan(Protocol):
    """How stretches of samples become the record batches of a table."""

    needs: set[str]
    meta: Wanted | None
    """Which meta is wanted beside the columns; None for none of it."""

    @property
    def schema(self) -> pa.Schema:
        """The columns, without meta."""

    def rows(self, stretch: Stretch) -> Any:
        """The rows that a stretch of samples has in the table."""

    def batch(self, rows: Any) -> pa.RecordBatch:
        """The columns of these rows."""

    def places(self, rows: Any) -> pa.Array | None:
        """The sample in the stretch of each row; None where the samples are the rows."""


class TablePlan:
    """Which columns of a table are made, and the fields of samples that this takes."""

    def __init__(self, name: str, answers: Answers, wanted: Wanted | None) -> None:
        table = TABLES[name]
        wants = wanted or (lambda name: not name.startswith("__"))
        self.rows = table.rows
        fixed = {column.name for column in table.columns} | {META, ANSWERS, SAMPLE}
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

        arrays = [column_array(column.take(rows), column.type) for column in self.columns]
        if self.tasks:
            by_task = {task: self._task_array(rows, task) for task in self.tasks}
            arrays += [by_task[task] for task in self.direct]
            parts = list(by_task.values())
            arrays.append(pa.StructArray.from_arrays(parts, fields=list(self._struct)))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _task_array(self, rows: Any, task: TaskColumn) -> pa.Array:
        array: pa.Array = rows.spread(
            lambda answered: self._answers.column(answered, task), task.type
        )
        return array

    def places(self, rows: Any) -> None:
        """Only samples are asked for meta, and they are the rows."""


class JoinedPlan:
    """Regions, and with each the wanted columns of its sample.

    Those are columns of their own where regions have none of that name, and with `whole` all
    together in one STRUCT.
    """

    def __init__(self, regions: TablePlan, samples: TablePlan, *, whole: bool) -> None:
        self._regions = regions
        self._samples = samples
        self._whole = whole
        self.needs = regions.needs | samples.needs
        self.meta = samples.meta
        taken = {name.lower() for name in regions.schema.names}
        names = samples.schema.names
        self._added = [at for at, name in enumerate(names) if name.lower() not in taken]

    @cached_property
    def schema(self) -> pa.Schema:
        import pyarrow as pa

        own, fields = list(self._regions.schema), list(self._samples.schema)
        whole = [pa.field(SAMPLE, pa.struct(fields))] if self._whole else []
        return pa.schema([*own, *(fields[at] for at in self._added), *whole])

    def rows(self, stretch: Stretch) -> tuple[RegionRows, SampleRows]:
        return RegionRows(stretch), SampleRows(stretch)

    def batch(self, rows: tuple[RegionRows, SampleRows]) -> pa.RecordBatch:
        import pyarrow as pa

        regions, samples = rows
        places = self.places(rows)
        arrays = [array.take(places) for array in self._samples.batch(samples).columns]
        columns = [*self._regions.batch(regions).columns, *(arrays[at] for at in self._added)]
        if self._whole:
            struct = pa.StructArray.from_arrays(arrays, fields=list(self._samples.schema))
            columns.append(struct)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def places(self, rows: tuple[RegionRows, SampleRows]) -> pa.Array:
        import pyarrow as pa

        return pa.array(rows[0].sample_places, pa.int32())
