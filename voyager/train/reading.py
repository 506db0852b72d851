"""Where the pictures of a view are read: in the packs, in small from the derived cache, or far off.

A rendition stands in for a photograph where the crop shows at least as many of its pixels as the
result has. Which crops that is follows from sizes alone, and a rendition that is not kept (yet, or
any more) is made from the original there and then: so the pixels of a batch depend on the setting
and never on what a cache holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.cache import DerivedCache
from voyager.derived.picture import NoPicture, Picture
from voyager.derived.reader import Reader
from voyager.derived.registry import Method, method_of
from voyager.derived.renditions import QUALITY, SIDES, name_of
from voyager.errors import CorruptError, NotFoundError, UsageError
from voyager.repo.repository import Progress, no_progress
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader
from voyager.store.objectstore import Store
from voyager.train.augment import Augmentation, Floats
from voyager.train.order import Rows
from voyager.train.rendering import upright_sizes
from voyager.train.view import View

Mask: TypeAlias = NDArray[np.bool_]

_ENOUGH: Final = 0.98
"""So much of the pixels of the result is as good as all of them: sides are rounded."""
_AT_ONCE: Final = 1 << 16
"""Ids that are looked up together, so that no million of them is in memory."""


class Source(Protocol):
    """Where pictures come from."""

    @property
    def is_far(self) -> bool:
        """Whether pictures may have to be brought, which is worth to begin early."""

    def opened(self) -> AbstractContextManager[None]:
        """Keep files at hand meanwhile."""

    def enough(self, rows: Rows, areas: Floats, size: int) -> Mask:
        """Of which rows a rendition will do, where the crops show so many pixels of originals."""

    def bring(self, rows: Sequence[int]) -> None:
        """Bring the pictures of rows that will be read soon."""

    def read(self, rows: Sequence[int], small: Sequence[bool]) -> list[bytes | None]:
        """The bytes of the pictures of some rows, of renditions where `small`; None for one that
        is not to be had. For any thread."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """A rendition as the setting names it: `256`, `256-q95`, `384`, …"""

    side: int
    quality: int = QUALITY

    @property
    def setting(self) -> str:
        """As `parse_rendition` reads it."""
        return f"{self.side}" if self.quality == QUALITY else f"{self.side}-q{self.quality}"

    @property
    def method(self) -> Method:
        """What makes it."""
        return method_of(name_of(self.side, self.quality))


AUTO: Final = "auto"
_NONE: Final = "none"


def parse_rendition(setting: str) -> Rendition | None:
    """`none` or a rendition by its short side and quality; UsageError for what is neither."""
    if setting == _NONE:
        return None
    side, _, quality = setting.partition("-q")
    try:
        rendition = Rendition(int(side), int(quality) if quality else QUALITY)
        if rendition.setting == setting and rendition.method:
            return rendition
    except (ValueError, NotFoundError):
        pass
    sides = ", ".join(map(str, SIDES))
    raise UsageError(f"no rendition '{setting}'; there are auto, none, {sides}, and -q95 of those")


def choose_rendition(
    cache: DerivedCache, view: View, how: Augmentation, size: int
) -> Rendition | None:
    """What `auto` stands for: a rendition that all images of a view have, else None.

    Of several the smallest whose pixels are enough for all crops of an augmentation; where none
    is, the largest. Regions are cropped from originals.
    """
    if view.boxes is not None:
        return None
    kept = {one.name for one in cache.kept()}
    there = [
        rendition
        for rendition in map(Rendition, SIDES)
        if rendition.method.name in kept and _all_known(cache, rendition.method, view)
    ]
    least = size / (how.area**0.5 if how.area < 1 else 224 / 256)
    return next((one for one in there if one.side >= least * _ENOUGH), there[-1] if there else None)


def _all_known(cache: DerivedCache, method: Method, view: View) -> bool:
    with cache.open_reader(method) as reader:
        return bool((_places(reader, view) >= 0).all())


def _places(reader: Reader, view: View) -> NDArray[np.int64]:
    found = [
        reader.places([bytes(blob) for blob in view.blobs[first : first + _AT_ONCE]])
        for first in range(0, len(view), _AT_ONCE)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


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
        self._small = None if rendition is None else _Small(rendition, cache, view)
        self._lock = Lock()

    @property
    def is_far(self) -> bool:
        """Whether this is a lazy clone."""
        return self._store is not None and self._store.lender is not None

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

    def bring(self, rows: Sequence[int]) -> None:
        """Bring what a lazy clone left out into its cache, several at once."""
        if self._store is not None and self._store.lender is not None:
            blobs = {bytes(self._view.blobs[row]) for row in rows}
            self._store.lender.bring(blobs.difference(self._store.places(blobs)))

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
        for blob in ids:
            yield blob, self._blobs([blob])[0]


class _Small:
    """The renditions of a view's images."""

    def __init__(self, rendition: Rendition, cache: DerivedCache | None, view: View) -> None:
        self._rendition = rendition
        self._cache = cache
        self._view = view
        self._reader: Reader | None = None
        self._places = np.full(len(view), -1, np.int64)

    @contextmanager
    def opened(self) -> Iterator[None]:
        if self._cache is None:
            yield
            return
        with ExitStack() as stack:
            self._reader = stack.enter_context(self._cache.open_reader(self._rendition.method))
            self._places = _places(self._reader, self._view)
            try:
                yield
            finally:
                self._reader = None

    def enough(self, rows: Rows, areas: Floats, size: int) -> Mask:
        sizes = upright_sizes(self._view.sizes[rows], self._view.orientations[rows])
        scale = np.minimum(1, self._rendition.side / np.maximum(sizes.min(axis=1), 1))
        return np.asarray((areas * scale**2 >= _ENOUGH * size**2) & (scale < 1), np.bool_)

    def fill(self, read: _Read, progress: Progress) -> None:
        assert self._cache is not None, "renditions are kept in a cache"
        wanted = (bytes(blob) for blob in self._view.blobs)
        self._cache.fill([self._rendition.method], wanted, read, progress=progress)

    def read(self, row: int) -> bytes | None:
        """The rendition of a row as it is kept, None where it is not."""
        place = int(self._places[row])
        return None if self._reader is None or place < 0 else self._reader.value(place)

    def make(self, data: bytes) -> bytes | None:
        """The rendition of an original, None for bytes that are no picture."""
        try:
            made: bytes = self._rendition.method.prepare(Picture(data))
        except NoPicture:
            return None
        return made


class _Read(Protocol):
    def __call__(self, ids: Sequence[bytes], /) -> Iterable[tuple[bytes, bytes | None]]: ...
