"""Renditions in the place of photographs: which, and for which crops.

A rendition stands in where the crop shows at least as many of its pixels as the result has, and
where it is smaller than the photograph. That follows from sizes alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.cache import DerivedCache
from voyager.derived.picture import NoPicture, Picture
from voyager.derived.reader import Reader
from voyager.derived.registry import Method, method_of
from voyager.derived.renditions import QUALITY, SIDES, name_of
from voyager.errors import NotFoundError, UsageError
from voyager.repo.repository import Progress
from voyager.train.augment import CENTRE, Augmentation, Floats
from voyager.train.order import Rows
from voyager.train.rendering import upright_sizes
from voyager.train.view import View

Mask: TypeAlias = NDArray[np.bool_]

AUTO: Final = "auto"
NO_RENDITION: Final = "none"

_ENOUGH: Final = 0.98
"""So much of the pixels of the result is as good as all of them: sides are rounded."""
_AT_ONCE: Final = 1 << 16
"""Ids that are looked up together, so that no million of them is in memory."""


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


def parse_rendition(setting: str) -> Rendition | None:
    """`none` or a rendition by its short side and quality; UsageError for what is neither."""
    if setting == NO_RENDITION:
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
    least = size / (how.area**0.5 if how.area < 1 else CENTRE)
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


class Renditions:
    """The renditions of a view's images."""

    def __init__(self, rendition: Rendition, cache: DerivedCache | None, view: View) -> None:
        self._rendition = rendition
        self._cache = cache
        self._view = view
        self._reader: Reader | None = None
        self._places = np.full(len(view), -1, np.int64)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep the file of the cache open meanwhile."""
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
        """Of which rows the crops, of so many pixels of originals, have size × size pixels here."""
        sizes = upright_sizes(self._view.sizes[rows], self._view.orientations[rows])
        scale = np.minimum(1, self._rendition.side / np.maximum(sizes.min(axis=1), 1))
        return np.asarray((areas * scale**2 >= _ENOUGH * size**2) & (scale < 1), np.bool_)

    def fill(self, read: _Read, progress: Progress) -> None:
        """Make those that lack, and keep them."""
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
