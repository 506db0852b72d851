"""Whose answers the rows of a view have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.repo.tables import Tables
from voyager.train.view_columns import coded

if TYPE_CHECKING:
    import pyarrow as pa

_OF_SAID: Final = ("key", "region", "task", "value")
NO_VOICE: Final = ("proposed", "rejected")
"""States in which a label, or a region, says nothing."""


def sources_of(
    answering: pa.Table, samples: pa.Table, regions: pa.Table | None
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """For each row the place of its source among the names of all; of several the first by name,
    -1 without any. `answering` are the labels that answer."""
    import pyarrow.compute as pc

    scope = pc.is_valid if regions is not None else pc.is_null
    said = answering.filter(scope(answering["region"]))
    codes, names = coded(said["source"])
    order = sorted({name for name in names if name})
    place = {name: number for number, name in enumerate(order)}
    moved = np.array([*(place.get(name, -1) for name in names), -1], np.int64)[codes]
    rows = _place_of(said, samples, regions)
    sources = np.full(samples.num_rows, len(order), np.int64)
    known = (rows >= 0) & (moved >= 0)
    np.minimum.at(sources, rows[known], moved[known])
    sources[sources == len(order)] = -1
    return sources.astype(np.int16), tuple(order)


def answering_labels(tables: Tables, tasks: Sequence[str]) -> pa.Table:
    """The labels whose value is an answer to one of the tasks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = tables.read("labels", (*_OF_SAID, "source", "state"))
    voiceless = pc.is_in(labels["state"].cast(pa.string()), value_set=pa.array(NO_VOICE))
    asked = pc.is_in(labels["task"].cast(pa.string()), value_set=pa.array(tasks))
    labels = labels.filter(pc.and_not(asked, voiceless))
    answers = tables.read("answers", (*_OF_SAID, "disagree"))
    answers = answers.filter(pc.invert(answers["disagree"].fill_null(False)))
    return labels.filter(pc.is_in(_joined(labels), value_set=_joined(answers)))


def _joined(said: pa.Table) -> Any:
    """Whatever tells what is said of what, as one text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [said[name].cast(pa.string()).fill_null("") for name in _OF_SAID]
    return pc.binary_join_element_wise(*parts, "\0")


def _place_of(said: pa.Table, samples: pa.Table, regions: pa.Table | None) -> NDArray[np.int64]:
    """The row that each answer is about, -1 for one that the view has not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = (said["key"], samples["key"])
    if regions is not None:
        # Copies of a sample have regions of the same ids.
        ids = (_pair(said["key"], said["region"]), _pair(samples["key"], regions["region"]))
    wanted, known = (column.cast(pa.string()) for column in ids)
    found = pc.index_in(wanted, value_set=known)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    return np.asarray(found.fill_null(-1), np.int64)


def _pair(keys: Any, regions: Any) -> Any:
    """Keys with the ids of regions."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(keys.cast(pa.string()), regions.cast(pa.string()), "\0")
