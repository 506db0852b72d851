"""Rows of samples read a stretch at a time, decoded as far as somebody needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from voyager.repo.table_answers import Answers
from voyager.repo.table_rows import Stretch
from voyager.schema.partial import partial_decoder
from voyager.schema.rle import Load

if TYPE_CHECKING:
    from voyager.repo.dataset import Dataset

STRETCH_SAMPLES = 4096
_STRETCH_BYTES = 8 << 20
_FEW = 32
"""Samples that are read before their bytes are counted."""

_RAW = frozenset(("regions.geometries", "labels", "regions.labels"))
"""What stays bytes: it is measured, or looked up, as such."""


def iter_stretches(
    rows: Iterator[tuple[bytes, bytes]],
    needs: Iterable[str],
    *,
    answers: Answers,
    load: Load,
    purged: frozenset[bytes] = frozenset(),
    conflicted: frozenset[str] = frozenset(),
) -> Iterator[Stretch]:
    """The samples of (key, row) in stretches of bounded size; `needs` are fields, dotted."""
    wanted = frozenset(needs)
    decode = partial_decoder(wanted, raw=wanted & _RAW)
    while part := _some_rows(rows):
        yield Stretch(
            [key.decode() for key, _ in part],
            [decode(row) for _, row in part],
            answers=answers,
            purged=purged,
            conflicted=conflicted,
            load=load,
        )


def loader(version: Dataset) -> Load:
    """What fetches the counts of large masks."""
    from voyager.store.ids import Kind

    return lambda blob: version.objects.get(blob, Kind.BLOB)


def _some_rows(rows: Iterator[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    part: list[tuple[bytes, bytes]] = []
    size = 0
    while len(part) < STRETCH_SAMPLES and size <= _STRETCH_BYTES:
        few = list(islice(rows, min(_FEW, STRETCH_SAMPLES - len(part))))
        if not few:
            break
        part += few
        size += sum(len(row) for _, row in few)
    return part
