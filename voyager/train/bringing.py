"""Bringing the pictures of a lazy clone before they are read, stretch by stretch.

What will be read is known in advance, batch by batch: while one stretch of batches is used the next
comes, all of it at once, so that images that lie side by side come in one ranged read. Where the
rows of an order are mixed within windows of whole blocks, a stretch is a window: nothing of it is
read twice. What has come and is not used yet is at most half of what the cache holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import Final, Self, TypeAlias

from voyager.store.objectstore import Lender, Store

BlobsOf: TypeAlias = Callable[[int], Iterable[bytes]]
"""The images that a batch shows, by its number."""

_FIRST: Final = 8
"""Batches of the first stretch, so that it comes soon; each is twice as long as that before it."""
_TOGETHER: Final = 64
"""Images that `iter_brought` gives at once."""
_SHARE: Final = 4
"""One stretch is used while another comes: each takes so much less than what the cache holds."""


class Bringing:
    """Brings the images of batches with numbers `first` to `last` - 1 in a thread of its own.

    Stretches end where a multiple of `window` batches ends. With `processes` that share one cache
    each has its part of it.
    """

    def __init__(
        self,
        store: Store | None,
        blobs_of: BlobsOf,
        first: int,
        last: int,
        *,
        window: int,
        processes: int = 1,
    ) -> None:
        self._store = store
        self._lender = None if store is None else store.lender
        self._blobs_of = blobs_of
        self._last = last
        self._window = max(window, 1)
        self._processes = processes
        self._pool = ThreadPoolExecutor(1, "bring")
        self._ready = first if self._lender is not None else last
        self._most = _FIRST
        self._stopped = Event()
        self._coming: Future[int] | None = None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wait(self, number: int) -> None:
        """Return once the images of a batch are at hand; of one thread, the numbers in order.

        Raises RemoteError when they cannot be had now, CancelledError once nobody wants them.
        """
        while number >= self._ready and self._coming is not None:
            ready, asked = self._coming.result(), self._stretch()
            if self._stopped.is_set():
                raise CancelledError
            length = ready - self._ready
            self._most = 2 * (self._most if ready == asked.stop else length)
            self._ready = ready
            self._begin()

    def _begin(self) -> None:
        """Let the next stretch come."""
        stretch = self._stretch()
        self._coming = None
        if self._lender is not None and stretch:
            self._coming = self._pool.submit(self._bring, self._lender, stretch)

    def _stretch(self) -> range:
        """The batches that come next, if there is room for all of them."""
        first, most = self._ready, self._most
        end = min((first // self._window + 1) * self._window, self._last)
        return range(first, end if end - first < 2 * most else first + most)

    def _bring(self, lender: Lender, stretch: range) -> int:
        """Bring what a stretch lacks; the number of the batch after it."""
        assert self._store is not None
        batches = [set(self._blobs_of(number)) for number in stretch]
        wanted = set().union(*batches)
        sizes = lender.sizes(wanted.difference(self._store.places(wanted)))
        room = lender.room / _SHARE / self._processes
        chosen: set[bytes] = set()
        end = stretch.stop
        for number, batch in zip(stretch, batches, strict=True):
            new = (batch & sizes.keys()) - chosen
            room -= sum(sizes[blob] for blob in new)
            if room < 0 and number > stretch.start:
                end = number
                break
            chosen |= new
        lender.bring(chosen, stopped=self._stopped.is_set)
        return end


def iter_brought(store: Store | None, blobs: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Some images in parts, each of which is at hand then, while those after it come."""
    parts = [blobs[first : first + _TOGETHER] for first in range(0, len(blobs), _TOGETHER)]
    count = len(parts)
    with Bringing(store, parts.__getitem__, 0, count, window=count) as bringing:
        for number, part in enumerate(parts):
            bringing.wait(number)
            yield part
