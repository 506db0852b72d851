"""Marking what is in use: references followed by their ext type alone, whatever they are in.

Bytes are searched for the prefixes of references instead of being decoded. That finds each one,
and now and then bytes that only look like one, which keeps a little garbage and loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from voyager.errors import CorruptError
from voyager.store.ids import Kind
from voyager.store.objectstore import SHALLOW, Store
from voyager.store.pack_index import Place
from voyager.store.spec import MAX_DECODED
from voyager.wire import BLOB_EXT, ID_BYTES, OBJECT_EXT, iter_references

Progress = Callable[[int, int | None], None]

BLOB_PREFIX = bytes([0xC7, ID_BYTES, BLOB_EXT])
OBJECT_PREFIX = bytes([0xC7, ID_BYTES, OBJECT_EXT])
"""What stands before an id: ext 8, its length, its type."""

_OPAQUE = frozenset({Kind.BLOB, Kind.DICTIONARY})
_LARGEST_OBJECT = max(limit for kind, limit in MAX_DECODED.items() if kind != "operation")
_TELL_EVERY = 4096


@dataclass(slots=True)
class Live:
    """The ids in use."""

    objects: set[bytes] = field(default_factory=set)
    blobs: set[bytes] = field(default_factory=set)

    def __contains__(self, entry_id: object) -> bool:
        return entry_id in self.objects or entry_id in self.blobs


def find_ids(data: bytes, prefix: bytes) -> list[bytes]:
    """Every id that stands behind `prefix`: all references of that type, and maybe lookalikes."""
    parts = data.split(prefix)
    if len(parts) == 1:
        return []
    ids = [part[:ID_BYTES] for part in parts[1:]]
    if min(map(len, ids)) == ID_BYTES:
        return ids
    return list(_find_slowly(data, prefix))


def _find_slowly(data: bytes, prefix: bytes) -> Iterator[bytes]:
    """As `find_ids`, where a prefix stands inside an id, or at the end."""
    at = data.find(prefix)
    while at >= 0:
        found = data[at + len(prefix) : at + len(prefix) + ID_BYTES]
        if len(found) == ID_BYTES:
            yield found
        at = data.find(prefix, at + 1)


def mark(
    store: Store, roots: Iterable[tuple[str, bytes]], progress: Progress | None = None
) -> Live:
    """Everything that can be reached from (name, encoded value) roots.

    Raises CorruptError when a referenced object is missing: a store with holes is never swept.
    A missing blob was purged, or is promised by a remote.
    """
    walk = _Walk(store)
    for name, data in roots:
        walk.follow(name, data)
    while walk.found:
        level, walk.found = walk.found, {}
        # In the order of files, so that a cold disk reads each of them once, forwards.
        for object_id, place in sorted(level.items(), key=lambda item: item[1][:2]):
            walk.visit(object_id, place)
            if progress is not None and not len(walk.live.objects) % _TELL_EVERY:
                progress(len(walk.live.objects), None)
    return walk.live


class _Walk:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.live = Live()
        self.found: dict[bytes, Place] = {}
        shallow = store.value(SHALLOW) or []
        self._shallow = {bytes(ref.data).hex() for ref in shallow}

    def visit(self, object_id: bytes, place: Place) -> None:
        """Read an object and follow what it refers to."""
        packs, path = self.store.packs, self.store.path_of(place.file)
        if place.stored is None or place.stored > _LARGEST_OBJECT:
            return  # only a blob is as long, and one that an object reference names leads nowhere
        header, data = packs.read(path, place.offset, place.stored)
        if header.id != object_id:
            raise CorruptError(
                f"{path} holds another entry where {object_id.hex()} should be", hint="vgr fsck"
            )
        if header.kind not in _OPAQUE:
            self.follow(object_id.hex(), data)

    def follow(self, name: str, data: bytes) -> None:
        """Note the references in `data`, which is known as `name`."""
        self.live.blobs.update(find_ids(data, BLOB_PREFIX))
        seen = self.live.objects
        fresh = {found for found in find_ids(data, OBJECT_PREFIX) if found not in seen}
        if not fresh:
            return
        places = self.store.places(fresh)
        if len(places) < len(fresh):
            self._refuse_missing(name, data, fresh - places.keys())
        seen.update(places)
        self.found.update(places)

    def _refuse_missing(self, name: str, data: bytes, absent: set[bytes]) -> None:
        """Raise for a true reference to an absent object; a lookalike is nothing."""
        if name in self._shallow:
            return
        for code, found in iter_references(data):
            if code == OBJECT_EXT and found in absent:
                raise CorruptError(
                    f"object {found.hex()} is missing; {name} refers to it", hint="vgr fsck"
                )
