"""Conditional writes where a service has none: whoever holds the lease may look and then write.

To ask for the lease is to write a small object of one's own below `locks/`; to have it is to see in
the listing that nobody else asks. Two who ask at once see each other, for each wrote before it
looked: the first by name stays and looks again, the others draw back until nobody asks. A client
that was killed holds the lease until its object is old by the server's clock. All this holds where
a listing knows of what was written before, and where a write takes less time than the lease; that
is why one is warned.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from voyager.errors import NotFoundError, RemoteError
from voyager.remotes.base import Listed, Storage, Tagged
from voyager.remotes.storages.bodies import stale

LOCKS: Final = "locks/"
_LEASE = 60.0
_PATIENCE = 180.0
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


class Leased:
    """A storage whose conditional writes hold a lease instead, if `needed` says so at the first."""

    def __init__(
        self,
        storage: Storage,
        *,
        needed: Callable[[], bool] = lambda: True,
        lease: float = _LEASE,
        patience: float = _PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.storage = storage
        self.needed = needed
        self.lease = lease
        self.patience = patience
        self.url = storage.url
        self.read_only = storage.read_only
        self._sleep = sleep
        self._clock = clock
        self._ahead = 0.0  # by how much the clock of the server is before ours

    def get(self, name: str) -> bytes:
        return self.storage.get(name)

    def get_tagged(self, name: str) -> Tagged:
        return self.storage.get_tagged(name)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self.storage.get_range(name, start, length)

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        self.storage.fetch(name, path, size=size)

    def put(self, name: str, data: bytes | Path) -> None:
        self.storage.put(name, data)

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        """As of `Storage`; RemoteError when the lease is not to be had, or was held too long."""
        if not self.needed():
            return self.storage.put_if(name, data, tag)
        with self._held() as until:
            if self._tag(name) != tag:
                raise stale(self.url, name)
            if self._clock() > until:
                raise RemoteError(f"{self.url} answers too slowly to hold its lease", retry=True)
            self.storage.put(name, data)
            return self.storage.get_tagged(name).tag

    def size(self, name: str) -> int | None:
        return self.storage.size(name)

    def list(self, prefix: str) -> Iterator[Listed]:
        for found in self.storage.list(prefix):
            if not found.name.startswith(LOCKS):
                yield found

    def delete(self, names: Iterable[str]) -> None:
        self.storage.delete(names)

    def close(self) -> None:
        self.storage.close()

    def _tag(self, name: str) -> str | None:
        try:
            return self.storage.get_tagged(name).tag
        except NotFoundError:
            return None

    @contextlib.contextmanager
    def _held(self) -> Iterator[float]:
        """Hold the lease; until when one may still begin to write."""
        deadline = self._clock() + self.patience
        while True:
            asked = self._clock()
            mine = LOCKS + secrets.token_hex(16)
            try:
                self.storage.put(mine, b"")
                if self._is_ours(mine, until=asked + self.lease / 4):
                    yield asked + self.lease / 2
                    return
            finally:
                self.storage.delete([mine])
            self._wait_for_quiet(deadline)

    def _is_ours(self, mine: str, *, until: float) -> bool:
        """Whether nobody else asks, if need be after waiting for others to draw back."""
        while True:
            asking = self._asking(mine)
            if mine in asking and len(asking) == 1:
                return True
            if mine != min(asking, default="") or self._clock() > until:
                return False
            self._sleep(random.uniform(0.5, 1.0) * _SHORTEST_PAUSE)

    def _wait_for_quiet(self, deadline: float) -> None:
        """Return when nobody asks; RemoteError when that takes too long."""
        pause = _SHORTEST_PAUSE
        while self._asking():
            if self._clock() > deadline:
                raise RemoteError(
                    f"another process holds the lease of {self.url}",
                    retry=True,
                    hint="try again when its push has ended",
                )
            self._sleep(random.uniform(0.5, 1.0) * pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._sleep(random.uniform(0.0, _SHORTEST_PAUSE))  # others saw the same

    def _asking(self, mine: str = "") -> set[str]:
        """Who asks for the lease; those who asked too long ago are gone, and removed."""
        found = {each.name: each.modified for each in self.storage.list(LOCKS)}
        if mine in found:
            self._ahead = found[mine] - self._clock()
        now = self._clock() + self._ahead
        gone = [name for name, since in found.items() if since < now - self.lease]
        if gone:
            self.storage.delete(gone)
        return found.keys() - gone
