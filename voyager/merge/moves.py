"""Which sample is which in several versions: by key, and by uid where keys or samples changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from voyager.repo.dataset import Dataset
from voyager.schema.partial import partial_decoder
from voyager.schema.thin_rows import uid_of
from voyager.store import prolly
from voyager.store.ids import Kind
from voyager.store.objects import MemoryObjects, ObjectReader, get_many
from voyager.store.prolly.diff import iter_differing

Rows = Sequence[bytes | None]
"""The row in the base, then in every side; None is no row."""

_KEPT_BYTES = 64 << 20

_nothing = MemoryObjects()
_EMPTY_ROOT = prolly.build(_nothing, [])


class _WithEmpty:
    """A reader that knows the map of no rows, which a snapshot does not name."""

    def __init__(self, objects: ObjectReader) -> None:
        self._objects = objects

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        found = _nothing if object_id == _EMPTY_ROOT else self._objects
        return found.get(object_id, kind)

    def get_many(self, ids: Sequence[bytes], kind: Kind) -> list[bytes]:
        if _EMPTY_ROOT in ids:
            return [self.get(one, kind) for one in ids]
        return get_many(self._objects, ids, kind)


class Changes:
    """The keys of a space whose rows are not the same in all versions, again and again.

    Rows are read once as long as they are few, and anew every time when they are many.
    """

    def __init__(self, objects: ObjectReader, versions: Sequence[Dataset], space: str) -> None:
        self.reader = objects
        self._objects = _WithEmpty(objects)
        self._roots = [version.roots.get(space, _EMPTY_ROOT) for version in versions]
        self._kept: list[tuple[bytes, Rows]] | None = None

    @property
    def are_kept(self) -> bool:
        """Whether reading them again costs nothing."""
        return self._kept is not None

    def __iter__(self) -> Iterator[tuple[bytes, Rows]]:
        if self._kept is not None:
            yield from self._kept
            return
        if len(set(self._roots)) < 2:
            self._kept = []
            return
        kept: list[tuple[bytes, Rows]] | None = []
        size = 0
        for key, cells in iter_differing(self._objects, self._roots):
            rows = [None if cell is None else bytes(cell) for cell in cells]
            if kept is not None:
                kept.append((key, rows))
                size += sum(len(row) for row in rows if row is not None)
                if size > _KEPT_BYTES:
                    kept = None
            yield key, rows
        self._kept = kept


@dataclass(slots=True)
class Traced:
    """One sample: its key and row in the base and in every side, None where it is not."""

    uid: bytes
    at: list[tuple[bytes, bytes] | None]


@dataclass(slots=True)
class Moves:
    """What keys alone do not tell.

    `keys` are those that are settled by uid, `samples` the samples that live or lived there;
    `twins` are keys under which two sides added one image.
    """

    keys: set[bytes] = field(default_factory=set)
    samples: list[Traced] = field(default_factory=list)
    twins: list[tuple[bytes, bytes]] = field(default_factory=list)


_decode_arrival: Callable[[bytes], Any] = partial_decoder(("uid", "image.blob"))


def find_moves(changes: Iterable[tuple[bytes, Rows]], sides: int) -> Moves:
    """Look for samples that changed their keys, and for keys that changed their samples."""
    search = _Search(sides)
    for key, rows in changes:
        search.look_at(key, rows)
    keys = search.keys()
    samples = _trace(keys, changes, sides, search.is_new_at) if keys else []
    return Moves(keys, samples, search.twins)


class _Search:
    """One pass over the changes: who left a key, and who came to one."""

    def __init__(self, sides: int) -> None:
        self.twins: list[tuple[bytes, bytes]] = []
        self._left: dict[bytes, bytes] = {}
        self._arrived: list[dict[bytes, bytes]] = [{} for _ in range(sides)]
        self._images: dict[bytes, tuple[int, bytes, bytes]] = {}
        self._contested: set[bytes] = set()

    def look_at(self, key: bytes, rows: Rows) -> None:
        base, *news = rows
        if base is None:
            self._look_at_new(key, news)
            return
        uid = uid_of(base)
        for side, row in enumerate(news):
            if row is None:
                self._left[uid] = key
            elif row != base and (other := uid_of(row)) != uid:
                self._left[uid] = key
                self._arrived[side][other] = key
                self._contested.add(key)

    def _look_at_new(self, key: bytes, rows: Sequence[bytes | None]) -> None:
        uids = set()
        for side, row in enumerate(rows):
            if row is not None:
                sample = _decode_arrival(row)
                uids.add(sample.uid)
                self._arrived[side][sample.uid] = key
                if sample.image.blob is not None:
                    self._look_at_image(bytes(sample.image.blob.data), side, key, sample.uid)
        if len(uids) > 1:
            self._contested.add(key)

    def _look_at_image(self, blob: bytes, side: int, key: bytes, uid: bytes) -> None:
        first, known, other = self._images.setdefault(blob, (side, key, uid))
        if first != side and known != key and other != uid:
            self.twins.append((known, key))

    def is_new_at(self, uid: bytes, key: bytes) -> bool:
        """Whether a sample came to be at a key, and is nowhere else."""
        return uid not in self._left and all(
            arrived.get(uid, key) == key for arrived in self._arrived
        )

    def keys(self) -> set[bytes]:
        """The keys at which uids have to decide."""
        found = set(self._contested)
        at: dict[bytes, bytes] = {}
        for arrived in self._arrived:
            for uid, key in arrived.items():
                if uid in self._left:
                    found.update((key, self._left[uid]))
                elif at.setdefault(uid, key) != key:  # one sample under two names
                    found.update((key, at[uid]))
        return found


def _trace(
    keys: set[bytes],
    changes: Iterable[tuple[bytes, Rows]],
    sides: int,
    is_new_at: Callable[[bytes, bytes], bool],
) -> list[Traced]:
    """Every sample at some keys, through all versions."""
    found: dict[bytes, Traced] = {}
    for key, rows in changes:
        if key not in keys:
            continue
        one = _one_image(key, rows, is_new_at)
        for version, row in enumerate(rows):
            if row is not None:
                uid = one or uid_of(row)
                traced = found.setdefault(uid, Traced(uid, [None] * (sides + 1)))
                traced.at[version] = (key, row)
    return list(found.values())


def _one_image(key: bytes, rows: Rows, is_new_at: Callable[[bytes, bytes], bool]) -> bytes | None:
    """The lower uid where several sides added one image at one key under different uids."""
    if rows[0] is not None:
        return None
    samples = [_decode_arrival(row) for row in rows if row is not None]
    blobs = {None if each.image.blob is None else bytes(each.image.blob.data) for each in samples}
    if len(samples) < 2 or len(blobs) > 1 or None in blobs:
        return None
    uids = [bytes(each.uid) for each in samples]
    return min(uids) if all(is_new_at(uid, key) for uid in uids) else None
