"""The column `meta`: one STRUCT for names and types that only a pass over all samples can tell."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from voyager.repo.table_answers import distinct_names
from voyager.repo.table_plan import Wanted
from voyager.repo.table_rows import Stretch
from voyager.repo.table_types import arrow_type, joined_type, meta_array, shared_type

if TYPE_CHECKING:
    import pyarrow as pa


class _Part(NamedTuple):
    """The values of each name in a stretch of samples, and the sample of each row of the table."""

    samples: int
    values: dict[str, list[Any]]
    places: pa.Array | None


class Meta:
    """Meta gathered stretch by stretch; the values wait until all of them tell their type."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self._wanted = wanted
        self._types: dict[str, str] = {}
        self._parts: list[_Part] = []

    def add(self, stretch: Stretch, places: pa.Array | None = None) -> None:
        """Take the wanted meta of some samples; all of it where no name of theirs is wanted.

        `places` says which sample each row is about, None where the samples are the rows.
        """
        names = sorted({name for sample in stretch.samples for name in sample.meta})
        wanted = self._wanted
        named = [name for name in names if wanted is None or wanted(name)] or names
        found: dict[str, list[Any]] = {}
        for name in named:
            found[name] = [sample.meta.get(name) for sample in stretch.samples]
            word = shared_type(found[name])
            if word is not None:
                self._types[name] = joined_type(self._types.get(name), word) or word
        self._parts.append(_Part(len(stretch.samples), found, places))

    @cached_property
    def columns(self) -> list[tuple[str, str, str]]:
        """(name, what it is called in SQL, type), once everything is added."""
        called = distinct_names(sorted(self._types))
        return [
            (name, called[name], "VARCHAR[]" if word == "[]" else word)
            for name, word in sorted(self._types.items())
        ]

    @cached_property
    def type(self) -> pa.DataType:
        """The type of the column."""
        import pyarrow as pa

        return pa.struct([(called, arrow_type(word)) for _, called, word in self.columns])

    def arrays(self) -> Iterator[pa.Array]:
        """The column, an array for each stretch."""
        import pyarrow as pa

        for part in self._parts:
            nothing = [None] * part.samples
            arrays = [
                meta_array(part.values.get(name, nothing), word) for name, _, word in self.columns
            ]
            column = pa.StructArray.from_arrays(arrays, fields=list(self.type))
            yield column if part.places is None else column.take(part.places)
