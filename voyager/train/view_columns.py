"""Columns of Arrow tables as flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voyager.repo.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa


def truths(column: Any) -> NDArray[np.bool_]:
    """A column of truths, null counting as false."""
    return np.asarray(column.fill_null(False)).astype(np.bool_)


def numbers(column: Any) -> NDArray[Any]:
    """A column of numbers, null counting as 0."""
    return np.asarray(column.fill_null(0))


def from_hex(column: Any, size: int) -> NDArray[np.uint8]:
    """Ids of so many bytes, from texts in hex."""
    joined = "".join(column.to_pylist())
    return np.frombuffer(bytes.fromhex(joined), np.uint8).reshape(-1, size)


def coded(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Texts as places in the list of those that there are, -1 for none."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    codes = np.asarray(column.indices.cast(pa.int64()).fill_null(-1))
    return codes, column.dictionary.to_pylist()


def with_answers(tables: Tables, name: str, columns: Sequence[str]) -> pa.Table:
    """Columns of a table; `answers` has no field where no task is asked of its rows."""
    import pyarrow as pa

    scope = name.removesuffix("s").replace("sample", "image")
    tasks = tables.version.vocabulary.tasks.values()
    if any(task.scope in (scope, "both") for task in tasks):
        return tables.read(name, columns)
    table = tables.read(name, [column for column in columns if column != "answers"])
    return table.append_column("answers", pa.array([{}] * table.num_rows, pa.struct([])))
