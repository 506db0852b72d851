"""A storage that counts what goes through it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from voyager.remotes.base import Listed, Storage, Tagged


class Counted:
    """Another storage, with the number of requests, and the bytes of those that succeeded."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.url = storage.url
        self.read_only = storage.read_only
        self.requests = 0
        self.received = 0
        self.sent = 0
        self._lock = threading.Lock()

    def _count(self, *, received: int = 0, sent: int = 0, requests: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.received += received
            self.sent += sent

    def get(self, name: str) -> bytes:
        self._count(requests=1)
        data = self.storage.get(name)
        self._count(received=len(data))
        return data

    def get_tagged(self, name: str) -> Tagged:
        self._count(requests=1)
        found = self.storage.get_tagged(name)
        self._count(received=len(found.data))
        return found

    def get_range(self, name: str, start: int, length: int) -> bytes:
        self._count(requests=1)
        data = self.storage.get_range(name, start, length)
        self._count(received=len(data))
        return data

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        self._count(requests=1)
        self.storage.fetch(name, path, size=size)
        self._count(received=size)

    def put(self, name: str, data: bytes | Path) -> None:
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        self._count(requests=1)
        self.storage.put(name, data)
        self._count(sent=size)

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        self._count(requests=1)
        made = self.storage.put_if(name, data, tag)
        self._count(sent=len(data))
        return made

    def size(self, name: str) -> int | None:
        self._count(requests=1)
        return self.storage.size(name)

    def list(self, prefix: str) -> Iterator[Listed]:
        self._count(requests=1)
        return self.storage.list(prefix)

    def delete(self, names: Iterable[str]) -> None:
        self._count(requests=1)
        self.storage.delete(names)

    def close(self) -> None:
        self.storage.close()
