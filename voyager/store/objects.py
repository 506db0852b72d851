"""The narrow face through which trees read and write objects, and a memory store behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from voyager.errors import CorruptError
from voyager.store.ids import Kind, id_of


class ObjectReader(Protocol):
    """Something that gives the canonical bytes of an object by id."""

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        """The bytes of an object; CorruptError when absent or of another kind."""
        ...


def get_many(objects: ObjectReader, ids: Sequence[bytes], kind: Kind) -> list[bytes]:
    """The bytes of several objects in that order, looked up together by readers that can."""
    many: Callable[[Sequence[bytes], Kind], list[bytes]] | None
    many = getattr(objects, "get_many", None)
    return [objects.get(one, kind) for one in ids] if many is None else many(ids, kind)


class ObjectWriter(ObjectReader, Protocol):
    """A reader that also takes new objects; what was put can be got at once."""

    def put(self, kind: Kind, data: bytes) -> bytes:
        """Store canonical bytes, return their id; storing the same again changes nothing."""
        ...


class MemoryObjects:
    """Objects in a dict: for tests, and for trees that are computed and thrown away."""

    def __init__(self) -> None:
        self.entries: dict[bytes, tuple[Kind, bytes]] = {}

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        try:
            found, data = self.entries[object_id]
        except KeyError:
            raise CorruptError(f"{kind.label} {object_id.hex()} is missing") from None
        if found is not kind:
            raise CorruptError(f"{object_id.hex()} is a {found.label}, expected a {kind.label}")
        return data

    def put(self, kind: Kind, data: bytes) -> bytes:
        object_id = id_of(kind, data)
        self.entries[object_id] = (kind, data)
        return object_id


class ScratchObjects:
    """New objects in memory on top of those of a store: for trees that nobody will name."""

    def __init__(self, below: ObjectReader) -> None:
        self._below = below
        self._own = MemoryObjects()

    @property
    def shallow(self) -> frozenset[bytes]:
        """The commits whose parents are elsewhere."""
        found: frozenset[bytes] = getattr(self._below, "shallow", frozenset())
        return found

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        own = object_id in self._own.entries
        return (self._own if own else self._below).get(object_id, kind)

    def put(self, kind: Kind, data: bytes) -> bytes:
        return self._own.put(kind, data)
