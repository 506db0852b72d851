"""A storage that is spoken with no faster than so many bytes a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from voyager.remotes.base import Listed, Storage, Tagged
from voyager.remotes.storages.bodies import absent, cut_short, write_new_file

_MOST_PIECE = 4 << 20
_LEAST_PIECE = 64 << 10


class Paced:
    """Another storage within a limit, kept on the average: who asks waits for what went before.

    What is fetched comes in pieces of a quarter of a second; what is sent goes as it is.
    """

    def __init__(
        self,
        storage: Storage,
        limit: int,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.storage = storage
        self.url = storage.url
        self.read_only = storage.read_only
        self.limit = limit
        self._piece = min(max(limit // 4, _LEAST_PIECE), _MOST_PIECE)
        self._sleep, self._clock = sleep, clock
        self._free_at = 0.0
        self._lock = threading.Lock()

    def _wait(self, size: int) -> None:
        """Wait for one's turn to move so many bytes."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._free_at)
            self._free_at = turn + size / self.limit
        if turn > now:
            self._sleep(turn - now)

    def get(self, name: str) -> bytes:
        return self.get_tagged(name).data

    def get_tagged(self, name: str) -> Tagged:
        self._wait(0)
        found = self.storage.get_tagged(name)
        self._charge(len(found.data))
        return found

    def _charge(self, size: int) -> None:
        """Let the next one wait for what came, whose length nobody knew before."""
        with self._lock:
            self._free_at = max(self._clock(), self._free_at) + size / self.limit

    def get_range(self, name: str, start: int, length: int) -> bytes:
        self._wait(length)
        return self.storage.get_range(name, start, length)

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        there = self.storage.size(name)
        if there is None:
            raise absent(self.url, name)
        if there != size:
            raise cut_short(self.url, name, wanted=size, got=there)
        pieces = (
            self.get_range(name, start, min(self._piece, size - start))
            for start in range(0, size, self._piece)
        )
        write_new_file(path, pieces, size=size, url=self.url, name=name)

    def put(self, name: str, data: bytes | Path) -> None:
        self._wait(len(data) if isinstance(data, bytes) else data.stat().st_size)
        self.storage.put(name, data)

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        self._wait(len(data))
        return self.storage.put_if(name, data, tag)

    def size(self, name: str) -> int | None:
        return self.storage.size(name)

    def list(self, prefix: str) -> Iterator[Listed]:
        return self.storage.list(prefix)

    def delete(self, names: Iterable[str]) -> None:
        self.storage.delete(names)

    def close(self) -> None:
        self.storage.close()
