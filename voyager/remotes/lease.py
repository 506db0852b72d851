"""Conditional writes where a service has none: whoever holds the lease may look and then write.

To ask for the lease is to write a small object of one's own below `locks/`; to have it is to see in
the listing that nobody else asks. Two who ask at once see each other and draw back, for each wrote
before it looked. A client that was killed holds the lease until its object is old by the server's
clock. All this holds where a listing knows of what was written before, and where a write takes less
time than the lease; that is why one is warned.
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
_LONGEST_PAUSE = 2.0


class Leased:
    """A storage whose conditional writes hold a lease instead."""

    def __init__(
        self,
        storage: Storage,
        *,
        lease: float = _LEASE,
        patience: float = _PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.storage = storage
        self.lease = lease
        self.patience = patience
        self.url = storage.url
        self.read_only = storage.read_only
        self._sleep = sleep
        self._clock = clock

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
        pause = 0.05
        while True:
            asked = self._clock()
            mine = LOCKS + secrets.token_hex(16)
            try:
                self.storage.put(mine, b"")
                if self._is_alone(mine):
                    yield asked + self.lease / 2
                    return
            finally:
                self.storage.delete([mine])
            if self._clock() > deadline:
                raise RemoteError(
                    f"another process holds the lease of {self.url}",
                    retry=True,
                    hint="try again when its push has ended",
                )
            self._sleep(random.uniform(0.0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _is_alone(self, mine: str) -> bool:
        """Whether nobody else asks; those who asked too long ago are gone."""
        asking = {found.name: found.modified for found in self.storage.list(LOCKS)}
        now = asking.get(mine)
        if now is None:
            return False
        gone = [name for name, since in asking.items() if since < now - self.lease]
        if gone:
            self.storage.delete(gone)
        return len(asking) - len(gone) == 1
