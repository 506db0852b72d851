"""A remote in the memory of this process: `memory://name` is the same place wherever it is opened.

Made for tests and for trying things out; every rule of `Storage` holds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Lock
from typing import ClassVar, NamedTuple

from voyager.remotes.base import Listed, Tagged
from voyager.remotes.storages.bodies import (
    CHUNK,
    absent,
    check_object_name,
    exactly,
    refuse_long,
    stale,
    write_new_file,
)


class _Kept(NamedTuple):
    data: bytes
    tag: str
    modified: float


@dataclass
class _Place:
    """What one name of a memory remote stands for."""

    kept: dict[str, _Kept] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    tags: Iterator[int] = field(default_factory=lambda: count(1))


class MemoryStorage:
    """Bytes by name in a dict, safe for threads."""

    read_only = False
    _places: ClassVar[dict[str, _Place]] = {}
    _places_lock: ClassVar[Lock] = Lock()

    def __init__(self, name: str = "") -> None:
        """With a name the place that all of this process share, without one a place of its own."""
        self.url = f"memory://{name}"
        with self._places_lock:
            self._place = self._places.setdefault(name, _Place()) if name else _Place()

    @classmethod
    def forget(cls, name: str) -> None:
        """Let the place of a name be empty for those who open it from now on."""
        with cls._places_lock:
            cls._places.pop(name, None)

    def get(self, name: str) -> bytes:
        return self.get_tagged(name).data

    def get_tagged(self, name: str) -> Tagged:
        kept = self._find(name)
        refuse_long(len(kept.data), url=self.url, name=name)
        return Tagged(kept.data, kept.tag)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        data = self._find(name).data[start : start + length]
        return exactly(data, length, url=self.url, name=name)

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        data = memoryview(self._find(name).data)
        chunks = (bytes(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK))
        write_new_file(path, chunks, size=size, url=self.url, name=name)

    def put(self, name: str, data: bytes | Path) -> None:
        content = data if isinstance(data, bytes) else data.read_bytes()
        with self._place.lock:
            self._keep(name, content)

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        with self._place.lock:
            kept = self._place.kept.get(check_object_name(name))
            if (None if kept is None else kept.tag) != tag:
                raise stale(self.url, name)
            return self._keep(name, data)

    def size(self, name: str) -> int | None:
        kept = self._place.kept.get(check_object_name(name))
        return None if kept is None else len(kept.data)

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._place.lock:
            found = list(self._place.kept.items())
        for name, kept in found:
            if name.startswith(prefix):
                yield Listed(name, len(kept.data), kept.modified)

    def delete(self, names: Iterable[str]) -> None:
        with self._place.lock:
            for name in names:
                self._place.kept.pop(check_object_name(name), None)

    def close(self) -> None:
        """Nothing is held; what was written stays."""

    def _find(self, name: str) -> _Kept:
        kept = self._place.kept.get(check_object_name(name))
        if kept is None:
            raise absent(self.url, name)
        return kept

    def _keep(self, name: str, data: bytes) -> str:
        tag = str(next(self._place.tags))
        self._place.kept[check_object_name(name)] = _Kept(data, tag, time.time())
        return tag
