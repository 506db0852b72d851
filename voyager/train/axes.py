"""Axes that part the rows of a view: splits, sources, meta, answers, expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, no_progress
from voyager.repo.table_plan import META
from voyager.repo.tables import Tables
from voyager.train.graded import Mask
from voyager.train.view import View
from voyager.train.view_columns import with_answers

if TYPE_CHECKING:
    import pyarrow as pa

FEW: Final = 12
"""An axis of more values is looked at only where it is asked for; more numbers are parted in 4."""
_PARTS: Final = 4
_META: Final = f"{META}."
_NAME: Final = re.compile(r"[\w./-]+")

Parts: TypeAlias = Iterator[tuple[str, Mask]]
"""Parts of the rows of a view by what they are called."""


class Axes:
    """The axes of a version.

    `split`, `source` (whose answers they are), `meta.NAME`, a task (its answer), or any expression
    as `--where` takes it, which parts the rows in two.
    """

    def __init__(self, version: Dataset, view: View, progress: Progress = no_progress) -> None:
        self._version = version
        self._view = view
        self._tables = Tables(version, progress=progress)

    @property
    def usual(self) -> list[str]:
        """The axes with few values: meta, and the answers to other tasks."""
        columns = {_META + name: column for name, column in self._meta.items()}
        columns |= {
            task: column for task, column in self._answers.items() if task not in self._view.targets
        }
        found = [name for name, column in columns.items() if 1 < _count(column) <= FEW]
        return [*found, "split"] if self._view.split is None else found

    def parts(self, axis: str) -> Parts:
        """The parts of an axis, in order."""
        name = axis.removeprefix(_META)
        if name in self._meta and (axis != name or not self._is_named(axis)):
            return _parts_of(self._meta[name])
        if axis == "split":
            return _parts_of(self._samples["split"].take(self._places))
        if axis == "source":
            return self._sources()
        if axis in self._answers:
            return _parts_of(self._answers[axis])
        if _NAME.fullmatch(axis):
            names = ["split", "source", *sorted(self._answers)]
            listed = ", ".join([*names, *(_META + name for name in sorted(self._meta))])
            raise UsageError(
                f"no axis '{axis}'; there are {listed}", hint="vgr eval RUN --slice 'width > 400'"
            )
        return self._where(axis)

    def _is_named(self, axis: str) -> bool:
        return axis in ("split", "source") or axis in self._answers

    @cached_property
    def _samples(self) -> pa.Table:
        return with_answers(self._tables, "samples", ["uid", "split", "answers"])

    @cached_property
    def _places(self) -> Any:
        """The row of the table of samples of each row of the view."""
        return _places(self._samples["uid"], _texts(bytes(uid).hex() for uid in self._view.uids))

    @cached_property
    def _meta(self) -> Mapping[str, Any]:
        """Meta by name: the values of the rows."""
        try:
            column = self._tables.read("samples", [META])[META]
        except NotFoundError:
            return {}
        return _fields(column, self._places)

    @cached_property
    def _answers(self) -> Mapping[str, Any]:
        """Answers with one value by task: of regions, where these are the rows, and of samples."""
        found = _fields(self._samples["answers"], self._places)
        if self._view.regions is not None:
            regions = with_answers(self._tables, "regions", ["uid", "region", "answers"])
            found |= _fields(regions["answers"], _places(_joined(regions), self._ids))
        return found

    @cached_property
    def _ids(self) -> Any:
        """The ids of the rows; before those of regions stand those of their samples."""
        view = self._view
        if view.regions is None:
            return _texts(bytes(uid).hex() for uid in view.uids)
        pairs = zip(view.uids, view.regions, strict=True)
        return _texts(f"{bytes(uid).hex()}#{bytes(region).hex()}" for uid, region in pairs)

    def _sources(self) -> Iterator[tuple[str, Mask]]:
        """The rows whose answers (to any of the tasks) a source has a voice in."""
        import pyarrow.compute as pc

        labels = self._tables.read("labels", ["uid", "region", "task", "source"])
        labels = labels.filter(pc.is_in(labels["task"], value_set=_texts(self._view.targets)))
        of_images = self._view.regions is None
        labels = labels.filter((pc.is_null if of_images else pc.is_valid)(labels["region"]))
        for source in sorted(pc.unique(labels["source"]).to_pylist()):
            mine = labels.filter(pc.equal(labels["source"], source))
            ids = mine["uid"] if of_images else _joined(mine)
            yield source, _is_in(self._ids, ids)

    def _where(self, expression: str) -> Parts:
        from voyager.repo.where import keys_where, regions_where

        view = self._view
        if view.regions is None:
            names = _texts(keys_where(self._version, expression))
            own = _texts(view.key(row) for row in range(len(view)))
        else:
            found = regions_where(self._version, expression)
            names = _texts(f"{key}#{region.hex()}" for key, region in found)
            rows = enumerate(view.regions)
            own = _texts(f"{view.key(row)}#{bytes(region).hex()}" for row, region in rows)
        mask = _is_in(own, names)
        yield "true", mask
        yield "false", ~mask


def _count(column: Any) -> int:
    """How many parts a column has."""
    import pyarrow.compute as pc

    count = int(pc.count_distinct(column).as_py())
    return _PARTS if count > FEW and _is_number(column) else count


def _is_number(column: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def _parts_of(column: Any) -> Parts:
    """The rows by value, in order; many numbers in four parts of equally many rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values = sorted(value for value in pc.unique(column).to_pylist() if value is not None)
    if len(values) > FEW and _is_number(column):
        yield from _quarters(np.asarray(column.cast(pa.float64()).fill_null(np.nan)))
        return
    for value in values:
        yield _said(value), np.asarray(pc.equal(column, value).fill_null(False), np.bool_)


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fields(column: Any, places: Any) -> dict[str, Any]:
    """The fields of a column of STRUCTs that are single values, at some places."""
    import pyarrow as pa

    whole = column.combine_chunks()
    return {
        field.name: whole.field(field.name).take(places)
        for field in whole.type
        if not (pa.types.is_list(field.type) or pa.types.is_struct(field.type))
    }


def _quarters(values: NDArray[np.float64]) -> Parts:
    ends = np.nanpercentile(values, np.linspace(0, 100, _PARTS + 1))
    for low, high in pairwise(ends):
        mask = (values >= low) & ((values < high) | (high == ends[-1]))
        if mask.any():
            yield f"{low:g} to {high:g}", mask


def _joined(table: pa.Table) -> Any:
    """The ids of regions with those of their samples before them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = (table[name].cast(pa.string()) for name in ("uid", "region"))
    return pc.binary_join_element_wise(*ids, "#")


def _places(column: Any, ids: Any) -> Any:
    """Where ids stand in a column of the tables."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.index_in(ids, value_set=column.cast(pa.string()).combine_chunks())


def _is_in(ids: Any, column: Any) -> Mask:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = column.cast(pa.string())
    chunked = isinstance(column, pa.ChunkedArray)
    return np.asarray(pc.is_in(ids, value_set=column.combine_chunks() if chunked else column))


def _texts(values: Iterable[str]) -> Any:
    import pyarrow as pa

    return pa.array(list(values), pa.string())
