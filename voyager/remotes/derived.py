"""Derived values at a remote, so that nobody computes again what somebody has (spec 10.7).

Each method has a folder: parts, which are batches of values named by their hash, and a list of
them, which is moved by compare-and-swap. What is there is a cache: a part that is damaged or gone
is passed over, and all of it may be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
from blake3 import blake3
from msgspec import Struct

from voyager import wire
from voyager.derived import value_batches
from voyager.derived.embedded import IMAGE_OF_CROP
from voyager.derived.room import Kept
from voyager.errors import CorruptError, NotFoundError, RefMoved, RemoteError, StateError
from voyager.remotes.base import PreconditionFailed, Storage
from voyager.remotes.catalogue import Listing
from voyager.remotes.counted import Counted
from voyager.remotes.fetching import catalogue_of
from voyager.remotes.garbage import DERIVED
from voyager.remotes.swapping import pause
from voyager.remotes.tombstones import purged_at
from voyager.remotes.urls import mask_url
from voyager.repo.deriving import derived_cache
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store import files
from voyager.store.purge import tombstones

_FORMAT: Final = 1
_MOST_SWAPS: Final = 50
_METHOD: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch of values: how many entries, its BLAKE3, its bytes."""

    entries: int
    name: bytes
    size: int


class _Parts(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The list of a method; `bytes` is the length of every value, 0 where it varies."""

    bytes: int = 0
    format: int = _FORMAT
    parts: list[Part]


@dataclass(slots=True)
class Moved:
    """What was sent or brought: entries of how many methods, in how many parts and bytes."""

    methods: int = 0
    values: int = 0
    parts: int = 0
    bytes: int = 0
    requests: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def push_derived(repo: Repository, storage: Storage, *, progress: Progress = no_progress) -> Moved:
    """Send the values that are kept here and not there, of images that the remote has."""
    if storage.read_only:
        raise StateError(f"{mask_url(storage.url)} can only be read", hint="vgr remote ls")
    there = _Derived(repo, Counted(storage))
    kept = [one for one in derived_cache(repo).kept() if _METHOD.fullmatch(one.name)]
    total = sum(one.bytes for one in kept)
    for one in kept:
        there.push(one)
        progress(there.done.bytes, total)
    return there.finish()


def fetch_derived(repo: Repository, storage: Storage, *, progress: Progress = no_progress) -> Moved:
    """Bring the values that are kept there and not here, of the methods of this version."""
    there = _Derived(repo, Counted(storage))
    for name, version in list(there.methods()):
        there.fetch(name, version, progress)
    return there.finish()


class _Derived:
    def __init__(self, repo: Repository, storage: Counted) -> None:
        self._storage = storage
        self._catalogue = catalogue_of(repo, storage)
        self._cache = derived_cache(repo)
        self._memory = repo.folder / "cache" / "remotes" / "derived"
        self._root = self._catalogue.read_root()
        there = set() if self._root is None else purged_at(self._root)
        self._purged = there | tombstones(repo.store)
        self.done = Moved()

    def finish(self) -> Moved:
        self.done.requests = self._storage.requests
        return self.done

    def methods(self) -> Iterator[tuple[str, int]]:
        """The methods of which there are values, by name and version."""
        for listed in self._storage.list(DERIVED):
            folder, _, last = listed.name.removeprefix(DERIVED).partition("/")
            name, _, version = folder.rpartition("-")
            if last == "list" and _METHOD.fullmatch(name) and version.isdecimal():
                yield name, int(version)

    # -- there -----------------------------------------------------------------------------------

    def push(self, kept: Kept) -> None:
        folder = f"{DERIVED}{kept.name}-{kept.version}/"
        parts, tag = self._read(folder)
        known: set[bytes] = set()
        for part in parts.parts:
            known.update(self._ids(folder, part, varying=not parts.bytes))
        here = self._cache.ids_of(kept.name, kept.version, kept.value_bytes())
        known |= self._foreign(here - known)
        size, batches = self._cache.batches(kept, without=known)
        new = []
        for ids, data in batches:
            part = Part(entries=len(ids), name=blake3(data).digest(), size=len(data))
            self._storage.put(folder + part.name.hex(), data)
            self._remember(part, b"".join(ids))
            new.append(part)
        if new:
            self._swap(folder, size, new, parts, tag)
            self._count(new)

    def _foreign(self, ids: Collection[bytes]) -> set[bytes]:
        """Those ids that are of no image of the remote; that of a crop is of the image's."""
        crops = self._cache.known(IMAGE_OF_CROP, ids).as_dict()
        images = {one: crops.get(one, one) for one in ids}
        wanted = set(images.values()) - self._purged
        there = {blob for listing in self._listings for blob in listing.find(list(wanted))}
        return {one for one, image in images.items() if image not in there}

    @cached_property
    def _listings(self) -> list[Listing]:
        """What tells which images the remote has."""
        return [] if self._root is None else self._catalogue.blob_listings(self._root)

    def _swap(
        self, folder: str, size: int, new: list[Part], parts: _Parts, tag: str | None
    ) -> None:
        for attempt in range(_MOST_SWAPS):
            union = {part.name: part for part in (*parts.parts, *new)}
            listed = _Parts(bytes=size, parts=[union[name] for name in sorted(union)])
            try:
                self._storage.put_if(f"{folder}list", wire.encode(listed), tag)
                return
            except PreconditionFailed:
                pass
            except RemoteError as error:
                if not error.retry:
                    raise
            pause(attempt)
            parts, tag = self._read(folder)
        raise RefMoved(f"others were faster {_MOST_SWAPS} times", hint="try again")

    # -- here ------------------------------------------------------------------------------------

    def fetch(self, name: str, version: int, progress: Progress) -> None:
        folder = f"{DERIVED}{name}-{version}/"
        parts, _ = self._read(folder)
        size = parts.bytes or None
        here = self._cache.ids_of(name, version, size) | self._purged
        came = []
        for part in parts.parts:
            ids = self._ids(folder, part, varying=size is None)
            if not here.issuperset(ids) and self._take(folder, part, name, version, size):
                came.append(part)
                here.update(ids)
                progress(self.done.bytes + sum(one.size for one in came), None)
        self._count(came)

    def _take(self, folder: str, part: Part, name: str, version: int, size: int | None) -> bool:
        """Keep the values of a part; False where it is gone or is not what its name says."""
        try:
            data = self._storage.get(folder + part.name.hex())
        except NotFoundError:
            return False
        found = None
        if blake3(data).digest() == part.name:
            found = value_batches.decode(data, varying=size is None)
        if found is None:
            return False
        pairs = [pair for pair in found if pair[0] not in self._purged]
        if any(value is not None and len(value) != size for _, value in pairs if size is not None):
            return False
        self._cache.take(name, version, size, pairs)
        return True

    # -- both ------------------------------------------------------------------------------------

    def _read(self, folder: str) -> tuple[_Parts, str | None]:
        try:
            data, tag = self._storage.get_tagged(f"{folder}list")
        except NotFoundError:
            return _Parts(parts=[]), None
        try:
            found = msgspec.msgpack.decode(data, type=_Parts)
        except msgspec.DecodeError as error:
            raise CorruptError(f"{folder}list at the remote does not decode: {error}") from None
        if found.format != _FORMAT or any(len(part.name) != wire.ID_BYTES for part in found.parts):
            raise CorruptError(f"{folder}list at the remote is of another version")
        return found, tag

    def _ids(self, folder: str, part: Part, *, varying: bool) -> list[bytes]:
        """What a part has values of, by its first bytes; nothing where it is gone."""
        path = self._path(part)
        try:
            ids = path.read_bytes()
        except OSError:
            ids = b""
        if len(ids) != part.entries * value_batches.ID_BYTES:
            start, length = value_batches.ids_place(part.entries)
            try:
                ids = self._storage.get_range(folder + part.name.hex(), start, length)
            except (NotFoundError, RemoteError):
                return []
            self._remember(part, ids)
        step = value_batches.ID_BYTES
        return [ids[at : at + step] for at in range(0, len(ids), step)]

    def _remember(self, part: Part, ids: bytes) -> None:
        files.make_folder(self._memory)
        files.write_atomic(self._path(part), ids)

    def _path(self, part: Part) -> Path:
        return self._memory / part.name.hex()

    def _count(self, parts: list[Part]) -> None:
        self.done.methods += bool(parts)
        self.done.values += sum(part.entries for part in parts)
        self.done.parts += len(parts)
        self.done.bytes += sum(part.size for part in parts)
