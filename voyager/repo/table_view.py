"""The tables of a version out of its frame: flat columns, in the words of its classes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from voyager.repo.conflicts import conflicted_keys
from voyager.repo.table_answers import ClassNumbers, TaskColumn, distinct_names, task_columns
from voyager.repo.table_building import Progress
from voyager.repo.table_coding import Kept, innermost, listed, rewrapped, used_codes
from voyager.repo.table_columns import (
    CLASSES,
    IMAGE_CLASSES,
    OF_IMAGE,
    OF_REGIONS,
    REGION_CLASSES,
    TABLES,
)
from voyager.repo.table_frame import Frame, frame_of, made_columns
from voyager.repo.table_plan import ANSWERS, META, SAMPLE
from voyager.repo.table_types import arrow_type, joined_type, meta_array, shared_type
from voyager.repo.table_units import IMAGE_CLASSES as IMAGE_UNIT
from voyager.repo.table_units import (
    META_NAMES,
    META_VALUES,
    ROWS,
    NeutralAnswers,
    Unit,
    node_of,
    spoken,
    task_unit,
    unit_of,
)
from voyager.repo.table_units import REGION_CLASSES as REGION_UNIT

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from voyager.repo.dataset import Dataset

_MOST_WORDS: Final = 50_000
"""A column of more words is given as texts: DuckDB reads a dictionary again for every batch.

So are lists, in which it takes no dictionaries.
"""

_SIDES: Final = {"width": ("x0", "x1"), "height": ("y0", "y1")}
_NUMBERS: Final = {CLASSES: "classes", IMAGE_CLASSES: IMAGE_UNIT, REGION_CLASSES: REGION_UNIT}
_PATHS: Final = {"classes": "classes", OF_IMAGE: IMAGE_UNIT, OF_REGIONS: REGION_UNIT}
"""Column → the unit of the classes that it tells by number, or by path."""


class ViewColumn(NamedTuple):
    """A column that a table has in this version; `parts` are the fields of a STRUCT."""

    name: str
    type: str
    parts: tuple[tuple[str, str], ...] = ()

    @property
    def sql_type(self) -> str:
        """The type as SQL has it."""
        if not self.parts:
            return self.type
        return f"STRUCT({', '.join(f'{quoted(name)} {word}' for name, word in self.parts)})"

    @property
    def arrow_type(self) -> pa.DataType:
        import pyarrow as pa

        if not self.parts:
            return arrow_type(self.type)
        return pa.struct([(name, arrow_type(word)) for name, word in self.parts])


class TableView:
    """Flat columns of a version's tables, made of what its frame keeps when they are asked for."""

    def __init__(
        self,
        version: Dataset,
        progress: Progress = lambda *_: None,
        *,
        frame: Frame | None = None,
    ) -> None:
        self.version = version
        self.frame = frame or frame_of(version)
        self._progress = progress
        self._answers = NeutralAnswers(version.vocabulary)
        self._made: dict[tuple[str, str], pa.Array] = made_columns(version)

    def columns(self, table: str, *, with_meta: bool = True) -> list[ViewColumn]:
        """The columns of a table; that of meta, which takes a pass to know, only if asked for."""
        found = [ViewColumn(column.name, column.type) for column in TABLES[table].columns]
        tasks = self._tasks(table)
        found += [ViewColumn(task.name, task.type) for task in self._direct(table)]
        if tasks:
            parts = tuple((task.name, task.type) for task in tasks)
            found.append(ViewColumn(ANSWERS, "STRUCT", parts))
        if table == "samples" and with_meta and self._meta_types:
            parts = tuple((called, word) for _, called, word in self._meta_types)
            found.append(ViewColumn(META, "STRUCT", parts))
        return found

    def read(self, table: str, names: Collection[str]) -> pa.Table:
        """Some columns of a table, in this order."""
        import pyarrow as pa

        self.fetch({table: names})
        return pa.table([self.column(table, name) for name in names], list(names))

    def fetch(self, wanted: dict[str, Collection[str]]) -> None:
        """Have the columns of several tables at hand, after one pass at most."""
        units = {
            unit.id: unit
            for table, names in wanted.items()
            for name in names
            for unit in self._units(table, name)
        }
        self.frame.fetch(list(units.values()), self._answers, self._progress)

    def least(self, table: str) -> tuple[str, ...]:
        """What is fetched to know how many rows a table has."""
        return () if table == "samples" else (ROWS,)

    def rows(self, table: str) -> int:
        """How many rows a table has; after `fetch` of anything of it."""
        return len(self.frame) if table == "samples" else int(self._counts(table).sum())

    def column(self, table: str, name: str) -> pa.Array:
        """A column that was fetched."""
        found = self._made.get((table, name))
        if found is None:
            found = self._made[table, name] = self._make(table, name)
        return found

    # -- what columns are made of ------------------------------------------------------------------

    def _units(self, table: str, name: str) -> list[Unit]:
        """The units behind a column."""
        vocabulary = self.version.vocabulary
        own = [unit_of(table, ROWS, vocabulary)] if table != "samples" else []
        by_name = partial(unit_of, table, vocabulary=vocabulary)
        if table != "samples" and name in ("key", "uid"):
            return [*own, unit_of("samples", name, vocabulary)]
        if name in ("n", ROWS):
            return own
        if name == "conflicted":
            return [by_name("key")]
        if name == "state" and table == "samples":
            return [by_name("state"), by_name("blob")]
        if name in _NUMBERS or name in _PATHS:
            return [*own, by_name((_NUMBERS | _PATHS)[name])]
        if table == "regions" and name in _SIDES:
            return [*own, *map(by_name, _SIDES[name])]
        if name == META:
            return [by_name(META_NAMES), by_name(META_VALUES)]
        if name == ANSWERS:
            return [*own, *(self._task_unit(table, task) for task in self._tasks(table))]
        asked = self._task_named(table, name)
        return [*own, self._task_unit(table, asked) if asked is not None else by_name(name)]

    def _make(self, table: str, name: str) -> pa.Array:
        if table != "samples" and name in ("key", "uid"):
            return self.column("samples", name).take(self.places(table))
        if name == "n":
            return self._numbers_in_sample(table)
        if table == "regions" and name in _SIDES:
            import pyarrow.compute as pc

            low, high = (self._flat(table, side).entries for side in _SIDES[name])
            return pc.subtract(high, low)
        if name in _NUMBERS:
            return self._class_numbers(self._flat(table, _NUMBERS[name]))
        if name in _PATHS:
            return self._classes(self._flat(table, _PATHS[name]))
        special = self._special.get((table, name))
        if special is not None:
            return special()
        if name == ANSWERS:
            return self._struct(table)
        asked = self._task_named(table, name)
        if asked is not None:
            return self._task_array(table, asked)
        unit = unit_of(table, name, self.version.vocabulary)
        return self._worded(self._flat(table, name), is_said=unit.is_said)

    @cached_property
    def _special(self) -> dict[tuple[str, str], Callable[[], pa.Array]]:
        return {
            ("samples", "conflicted"): self._conflicted,
            ("samples", "state"): self._states,
            ("samples", "blob"): self._blobs,
            ("samples", META): self._meta,
        }

    def _flat(self, table: str, name: str) -> Kept:
        """A value for each row of a table; texts as codes."""
        return self._flattened(unit_of(table, name, self.version.vocabulary))

    def _flattened(self, unit: Unit) -> Kept:
        column = self.frame.column(unit)
        return column if unit.table == "samples" else column._replace(entries=column.entries.values)

    def _worded(self, column: Kept, *, is_said: bool) -> pa.Array:
        """A column with its texts."""
        import pyarrow as pa

        if column.words is None:
            return column.entries
        words = self._spoken(column.words) if is_said else column.words
        codes = innermost(column.entries)
        if len(words) > _MOST_WORDS or pa.types.is_list(column.entries.type):
            return rewrapped(column.entries, words.take(codes))
        return pa.DictionaryArray.from_arrays(codes, words)

    def _spoken(self, words: pa.Array) -> pa.Array:
        import pyarrow as pa

        vocabulary = self.version.vocabulary
        return pa.array([spoken(word, vocabulary) for word in words.to_pylist()], pa.string())

    # -- places ------------------------------------------------------------------------------------

    def _counts(self, table: str) -> NDArray[Any]:
        counts: NDArray[Any] = self._column_of(table, ROWS).entries.to_numpy()
        return counts

    def _column_of(self, table: str, name: str) -> Kept:
        return self.frame.column(unit_of(table, name, self.version.vocabulary))

    def places(self, table: str) -> pa.Array:
        """The place of each row's sample."""
        import numpy as np
        import pyarrow as pa

        counts = self._counts(table)
        return pa.array(np.repeat(np.arange(len(counts), dtype=np.int32), counts))

    def _numbers_in_sample(self, table: str) -> pa.Array:
        import numpy as np
        import pyarrow as pa

        counts = self._counts(table).astype(np.int64)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        return pa.array(np.arange(len(starts)) - starts + 1)

    # -- classes -----------------------------------------------------------------------------------

    def _classes(self, column: Kept) -> pa.Array:
        """Lists of paths, each sorted and without doubles: two ids may be one class by now."""
        import numpy as np
        import pyarrow as pa

        assert column.words is not None
        paths, ranks = np.unique(
            np.array(self._spoken(column.words).to_pylist(), object), return_inverse=True
        )
        lists = column.entries
        codes = ranks.astype(np.int32)[innermost(lists).to_numpy()]
        counts = np.diff(lists.offsets.to_numpy())
        if len(counts) and counts.max() > 1:
            codes, counts = _sorted_sets(codes, counts, len(paths))
        return listed(pa.array(paths.tolist(), pa.string()).take(pa.array(codes)), counts)

    def _class_numbers(self, column: Kept) -> pa.Array:
        """The numbers of the classes in each list, and of all above them."""
        import numpy as np
        import pyarrow as pa

        assert column.words is not None
        numbers = ClassNumbers(self.version.vocabulary)
        said = [node_of(word) for word in column.words.to_pylist()]
        of_word = [numbers[node] if node is not None else () for node in said]
        sizes = np.array([len(found) for found in of_word], np.int64)
        firsts = np.cumsum(sizes) - sizes
        flat = np.array([number for found in of_word for number in found], np.int32)
        codes = innermost(column.entries).to_numpy()
        wide = sizes[codes]
        within = np.arange(wide.sum()) - np.repeat(np.cumsum(wide) - wide, wide)
        values = flat[np.repeat(firsts[codes], wide) + within]
        ends = np.concatenate([[0], np.cumsum(wide)])[column.entries.offsets.to_numpy()]
        return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(values))

    # -- tasks -------------------------------------------------------------------------------------

    def _tasks(self, table: str) -> list[TaskColumn]:
        scope = TABLES[table].scope
        return task_columns(self.version.vocabulary, scope) if scope else []

    def _direct(self, table: str) -> list[TaskColumn]:
        """Tasks whose answer is a column of its own, beside being one in `answers`."""
        fixed = {column.name for column in TABLES[table].columns} | {META, ANSWERS, SAMPLE}
        return [task for task in self._tasks(table) if task.name.lower() not in fixed]

    def _task_named(self, table: str, name: str) -> TaskColumn | None:
        return next((task for task in self._direct(table) if task.name == name), None)

    def _task_unit(self, table: str, task: TaskColumn) -> Unit:
        return task_unit(table, task, self.version.vocabulary)

    def _task_array(self, table: str, task: TaskColumn) -> pa.Array:
        unit = self._task_unit(table, task)
        return self._worded(self._flattened(unit), is_said=unit.is_said)

    def _struct(self, table: str) -> pa.Array:
        import pyarrow as pa

        tasks = self._tasks(table)
        arrays = [self._task_array(table, task) for task in tasks]
        return pa.StructArray.from_arrays(arrays, [task.name for task in tasks])

    # -- what a version says beside its samples ----------------------------------------------------

    def _conflicted(self) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        keys = pa.array(sorted(conflicted_keys(self.version)), pa.string())
        return pc.is_in(self._flat("samples", "key").entries, value_set=keys)

    def _gone(self) -> pa.Array:
        """Of which samples the image was purged from the store."""
        import pyarrow as pa
        import pyarrow.compute as pc

        purged = pa.array([blob.hex() for blob in self.version.purged], pa.string())
        return pc.is_in(self._flat("samples", "blob").entries, value_set=purged)

    def _states(self) -> pa.Array:
        import pyarrow.compute as pc

        states = self._worded(self._flat("samples", "state"), is_said=False)
        if not self.version.purged:
            return states
        return pc.if_else(self._gone(), "purged", states.cast("string"))

    def _blobs(self) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        blobs = self._flat("samples", "blob").entries
        if not self.version.purged:
            return blobs
        return pc.if_else(self._gone(), pa.scalar(None, pa.string()), blobs)

    # -- meta --------------------------------------------------------------------------------------

    @cached_property
    def _meta_parts(self) -> dict[str, tuple[list[Any], NDArray[Any], NDArray[Any]]]:
        """Name → its distinct values, which of them entries have, and their samples."""
        import numpy as np

        self.fetch({"samples": [META]})
        names, values = self._flat("samples", META_NAMES), self._flat("samples", META_VALUES)
        assert names.words is not None
        assert values.words is not None
        counts = np.diff(names.entries.offsets.to_numpy())
        owners = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        named, codes = (innermost(column.entries).to_numpy() for column in (names, values))
        words = names.words.to_pylist()
        found = {}
        for code in used_codes(names):
            mine = named == code
            distinct, which = np.unique(codes[mine], return_inverse=True)
            found[words[code]] = _read_values(values.words, distinct), which, owners[mine]
        return found

    @cached_property
    def _meta_types(self) -> list[tuple[str, str, str]]:
        """(name, what it is called in SQL, type) of every meta name, sorted."""
        types: dict[str, str] = {}
        for name, (values, _, _) in self._meta_parts.items():
            word = joined_type(None, shared_type(values))
            if word is not None:
                types[name] = "VARCHAR[]" if word == "[]" else word
        called = distinct_names(sorted(types))
        return [(name, called[name], word) for name, word in sorted(types.items())]

    def _meta(self) -> pa.Array:
        import numpy as np
        import pyarrow as pa

        arrays = []
        for name, _, word in self._meta_types:
            values, which, owners = self._meta_parts[name]
            places = np.full(len(self.frame), -1, np.int32)
            places[owners] = which
            taken = pa.array(places, mask=places < 0)
            arrays.append(meta_array(values, word).take(taken))
        fields = [pa.field(called, arrow_type(word)) for _, called, word in self._meta_types]
        return pa.StructArray.from_arrays(arrays, fields=fields)


def _read_values(words: pa.Array, codes: NDArray[Any]) -> list[Any]:
    import pyarrow as pa
    from msgspec.json import decode

    return [decode(word) for word in words.take(pa.array(codes)).to_pylist()]


def _sorted_sets(
    codes: NDArray[Any], counts: NDArray[Any], kinds: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The codes of each list sorted and once, and how many there are left."""
    import numpy as np

    owners = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    found = np.sort(owners * kinds + codes)  # np.unique hashes these, and takes minutes
    first = np.ones(len(found), bool)
    np.not_equal(found[1:], found[:-1], out=first[1:])
    found = found[first]
    return (found % kinds).astype(np.int32), np.bincount(found // kinds, minlength=len(counts))


def quoted(name: str) -> str:
    """A name as SQL takes any."""
    return '"' + name.replace('"', '""') + '"'
