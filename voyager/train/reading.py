"""Where the pictures of a view are read: in the packs, in small from the derived cache, or far off.

A rendition that is not kept (yet, or any more) is made from the original there and then: so the
pixels of a batch depend on the setting and never on what a cache holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Protocol, TypeAlias

import numpy as np

from voyager.derived.cache import DerivedCache
from voyager.errors import CorruptError, NotFoundError
from voyager.repo.repository import Progress, no_progress
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader
from voyager.store.objectstore import Store
from voyager.train.augment import Floats
from voyager.train.bringing import Bringing, iter_brought
from voyager.train.order import Rows
from voyager.train.renditions import Mask, Rendition, Renditions
from voyager.train.view import View

RowsOf: TypeAlias = Callable[[int], Rows]
"""The rows that a batch reads, by its number."""


class Source(Protocol):
    """Where pictures come from."""

    def opened(self) -> AbstractContextManager[None]:
        """Keep files at hand meanwhile."""

    def enough(self, rows: Rows, areas: Floats, size: int) -> Mask:
        """Of which rows a rendition will do, where the crops show so many pixels of originals."""

    def bringing(
        self, rows_of: RowsOf, first: int, last: int, *, window: int, processes: int = 1
    ) -> Bringing:
        """What brings, of a lazy clone, the pictures that batches will read."""

    def read(self, rows: Sequence[int], small: Sequence[bool]) -> list[bytes | None]:
        """The bytes of the pictures of some rows, of renditions where `small`; None for one that
        is not to be had. For any thread."""


class PackSource:
    """The images of a view, as they were added or as renditions of them."""

    def __init__(
        self,
        objects: ObjectReader,
        view: View,
        *,
        rendition: Rendition | None = None,
        cache: DerivedCache | None = None,
    ) -> None:
        store = getattr(objects, "store", objects)
        self._store = store if isinstance(store, Store) else None
        self._objects = objects
        self._view = view
        self._small = None if rendition is None else Renditions(rendition, cache, view)
        self._lock = Lock()

    def opened(self) -> AbstractContextManager[None]:
        """Keep the renditions' file open meanwhile."""
        return nullcontext() if self._small is None else self._small.opened()

    def enough(self, rows: Rows, areas: Floats, size: int) -> Mask:
        """Of which rows the rendition shows at least size × size pixels."""
        if self._small is None:
            return np.zeros(len(rows), np.bool_)
        return self._small.enough(rows, areas, size)

    def fill(self, progress: Progress = no_progress) -> None:
        """Make the renditions that lack, and keep them; StateError where they cannot be kept."""
        if self._small is not None:
            self._small.fill(self._read_blobs, progress)

    def bringing(
        self, rows_of: RowsOf, first: int, last: int, *, window: int, processes: int = 1
    ) -> Bringing:
        """What brings the images that the batches from `first` to `last` - 1 read."""

        def blobs_of(number: int) -> Iterable[bytes]:
            return map(bytes, self._view.blobs[rows_of(number)])

        return Bringing(self._store, blobs_of, first, last, window=window, processes=processes)

    def read(self, rows: Sequence[int], small: Sequence[bool]) -> list[bytes | None]:
        """The bytes of rows, None for what is purged or damaged; one thread at a time."""
        with self._lock:
            found = self._in_small(rows, small)
            lacking = [place for place, data in enumerate(found) if data is None]
            blobs = [bytes(self._view.blobs[rows[place]]) for place in lacking]
            for place, data in zip(lacking, self._blobs(blobs), strict=True):
                found[place] = data
                if small[place] and data is not None and self._small is not None:
                    found[place] = self._small.make(data)
        return found

    def _in_small(self, rows: Sequence[int], small: Sequence[bool]) -> list[bytes | None]:
        if self._small is None:
            return [None] * len(rows)
        read = self._small.read
        return [read(row) if is_small else None for row, is_small in zip(rows, small, strict=True)]

    def _blobs(self, blobs: Sequence[bytes]) -> list[bytes | None]:
        """The bytes of blobs, with one look-up of where all of them are."""
        if self._store is None:
            return [self._one(self._objects, blob) for blob in blobs]
        places = self._store.places(blobs)
        found: list[bytes | None] = []
        for blob in blobs:
            try:
                found.append(self._store.get_placed(blob, places.get(blob), Kind.BLOB))
            except (NotFoundError, CorruptError):
                found.append(None)
        return found

    def _one(self, objects: ObjectReader, blob: bytes) -> bytes | None:
        try:
            return objects.get(blob, Kind.BLOB)
        except (NotFoundError, CorruptError):
            return None

    def _read_blobs(self, ids: Sequence[bytes]) -> Iterable[tuple[bytes, bytes | None]]:
        for some in iter_brought(self._store, ids):
            for blob in some:
                yield blob, self._blobs([blob])[0]
