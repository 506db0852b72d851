"""The column `meta`: one STRUCT for names and types that only a pass over all samples can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from voyager.repo.table_answers import distinct_names
from voyager.repo.table_plan import Wanted
from voyager.repo.table_rows import Stretch
from voyager.repo.table_types import arrow_type, joined_type, meta_array, shared_type

if TYPE_CHECKING:
    import pyarrow as pa


class _Values(NamedTuple):
    """The values of one name in a stretch, and the type that they share."""

    word: str
    array: pa.Array


class Meta:
    """Meta gathered stretch by stretch, each in the type that is enough for it."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self._wanted = wanted
        self._types: dict[str, str] = {}
        self._parts: list[tuple[int, dict[str, _Values]]] = []

    def add(
        self, stretch: Stretch, spread: Callable[[pa.Array], pa.Array] = lambda array: array
    ) -> None:
        """Take the wanted meta of some samples; all of it where no name of theirs is wanted.

        `spread` makes values of samples into those of the rows.
        """
        names = sorted({name for sample in stretch.samples for name in sample.meta})
        wanted = self._wanted
        named = [name for name in names if wanted is None or wanted(name)] or names
        found: dict[str, _Values] = {}
        for name in named:
            values = [sample.meta.get(name) for sample in stretch.samples]
            word = shared_type(values) or "VARCHAR"
            found[name] = _Values(word, spread(meta_array(values, word)))
            self._types[name] = joined_type(self._types.get(name), word) or word
        count = len(spread(meta_array([None] * len(stretch.samples), "BOOLEAN")))
        self._parts.append((count, found))

    @cached_property
    def columns(self) -> list[tuple[str, str, str]]:
        """(name, what it is called in SQL, type), once everything is added."""
        called = distinct_names(sorted(self._types))
        return [(name, called[name], word) for name, word in sorted(self._types.items())]

    @cached_property
    def type(self) -> pa.DataType:
        """The type of the column."""
        import pyarrow as pa

        return pa.struct([(called, arrow_type(word)) for _, called, word in self.columns])

    def arrays(self) -> Iterator[pa.Array]:
        """The column, an array for each stretch."""
        import pyarrow as pa

        for count, found in self._parts:
            parts = [_as_type(found.get(name), word, count) for name, _, word in self.columns]
            yield pa.StructArray.from_arrays(parts, fields=list(self.type))


def _as_type(values: _Values | None, wanted: str, count: int) -> pa.Array:
    import pyarrow as pa

    if values is None:
        return pa.nulls(count, arrow_type(wanted))
    if values.word == wanted:
        return values.array
    return meta_array(values.array.to_pylist(), wanted)
