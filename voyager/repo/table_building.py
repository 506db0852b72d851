"""Kept columns made of the rows of samples: as many as are lacking in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from voyager.repo.table_coding import Coder, Kept, listed
from voyager.repo.table_columns import TABLES
from voyager.repo.table_rows import RegionRows, SampleRows
from voyager.repo.table_stretches import iter_stretches
from voyager.repo.table_types import column_array
from voyager.repo.table_units import ROWS, NeutralAnswers, Unit
from voyager.schema.rle import Load
from voyager.store.bulk import paused_gc

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with how many samples are read, and of how many."""


def build_units(
    rows: Iterator[tuple[bytes, bytes]],
    units: Sequence[Unit],
    *,
    answers: NeutralAnswers,
    load: Load,
    progress: Progress = lambda *_: None,
    total: int | None = None,
) -> dict[str, Kept]:
    """Unit id → its column of the samples of (key, row)."""
    tables = [_Table(name, units) for name in dict.fromkeys(unit.table for unit in units)]
    needs = {need for unit in units for need in unit.needs}
    needs.update(need for table in tables for need in TABLES[table.name].needs)
    done = 0
    with paused_gc():
        for stretch in iter_stretches(rows, needs, answers=answers, load=load):
            for table in tables:
                table.add(TABLES[table.name].rows(stretch), stretch.keys)
            done += len(stretch.keys)
            progress(done, total)
        return {unit: kept for table in tables for unit, kept in table.finish()}


class _Table:
    """The columns of one table while they grow."""

    def __init__(self, name: str, units: Sequence[Unit]) -> None:
        self.name = name
        mine = [unit for unit in units if unit.table == name]
        self._rows = [unit for unit in mine if unit.name == ROWS]
        self._columns = [_Growing(unit) for unit in mine if unit.name != ROWS]
        self._counts: list[NDArray[Any]] = []

    def add(self, rows: Any, keys: Sequence[str]) -> None:
        for column in self._columns:
            column.add(rows)
        if not isinstance(rows, SampleRows):
            self._counts.append(_counts(rows, keys))

    def finish(self) -> Iterator[tuple[str, Kept]]:
        import numpy as np
        import pyarrow as pa

        nested = self.name != "samples"
        counts = np.concatenate([np.zeros(0, np.int32), *self._counts])
        for unit in self._rows:
            yield unit.id, Kept(pa.array(counts))
        for column in self._columns:
            values, words = column.finish()
            yield column.unit.id, Kept(listed(values, counts) if nested else values, words)


class _Growing:
    """A column while it grows."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._coder = Coder() if unit.is_coded else None
        self._parts: list[pa.Array] = []

    def add(self, rows: Any) -> None:
        array = column_array(self.unit.take(rows), self.unit.type)
        self._parts.append(array if self._coder is None else self._coder.encode(array))

    def finish(self) -> Kept:
        import pyarrow as pa

        if not self._parts:
            nothing = column_array([], self.unit.type)
            self._parts.append(nothing if self._coder is None else self._coder.encode(nothing))
        words = None if self._coder is None else self._coder.words
        return Kept(pa.concat_arrays(self._parts), words)


def _counts(rows: Any, keys: Sequence[str]) -> NDArray[Any]:
    """How many rows of a table each sample has."""
    import numpy as np

    if isinstance(rows, RegionRows):
        return np.array(rows.counts, np.int32)
    found = dict.fromkeys(keys, 0)
    for place in rows.places:
        found[place[0]] += 1
    return np.fromiter(found.values(), np.int32, len(found))
