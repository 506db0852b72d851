"""Lazy clones: images that a remote has and promises, brought when somebody looks at them.

A remote promises what the indexes of its packs list; they are cached, so nothing is asked to know
it. A look at one image is one ranged read; many at once are `get`.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voyager.config import Config
from voyager.errors import CorruptError, NotFoundError, VoyagerError
from voyager.remotes.blob_cache import BlobCache
from voyager.remotes.config import Remote, remotes_of
from voyager.remotes.counted import Counted
from voyager.remotes.fetch_plan import Fetched
from voyager.remotes.fetching import adopt, catalogue_of, read_root, unknown_packs
from voyager.remotes.incoming import Incoming
from voyager.remotes.partial import bring_blobs
from voyager.remotes.ranged import RangedReader
from voyager.remotes.receiving import Receiver
from voyager.remotes.registry import StorageOptions, open_storage
from voyager.repo.dataset import Dataset
from voyager.repo.promised import is_lazy
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.repo.worktree import Updated, lay_out
from voyager.store.apply import TOMBSTONES
from voyager.store.gc import iter_current
from voyager.store.ids import Kind
from voyager.store.objectstore import Store
from voyager.store.purge import tombstones
from voyager.store.reachable import mark
from voyager.wire import BLOB_EXT, iter_references

MEGABYTE = 1_000_000


def attach(repo: Repository) -> None:
    """Let a lazy clone read what its remotes promise; other repositories are left as they are."""
    if is_lazy(repo.store):
        repo.store.lender = RemoteLender(repo)


class RemoteLender:
    """Gives the store of a lazy clone the blobs that remotes promise; safe for threads."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._lock = threading.RLock()
        self._shelves: list[_Shelf] | None = None
        self._pid = os.getpid()
        limit = repo.config.get_int("cache.limit_mb") * MEGABYTE
        self.cache = BlobCache(repo.folder, limit)

    def promises(self, blob_ids: Iterable[bytes]) -> set[bytes]:
        """Those of some blobs that a remote lists."""
        return set(self.sizes(blob_ids))

    def sizes(self, blob_ids: Iterable[bytes]) -> dict[bytes, int]:
        """The bytes that those of some blobs take which a remote lists, as it stores them."""
        left, found = set(blob_ids), dict[bytes, int]()
        for shelf in self._open():
            here = shelf.sizes(left)
            found |= here
            left -= here.keys()
        return found

    @property
    def room(self) -> int:
        """How many bytes the cache holds at most."""
        return self.cache.limit

    def get(self, blob_id: bytes) -> bytes | None:
        """The bytes of a blob, None for one that nobody promises.

        Raises RemoteError when they cannot be had now.
        """
        if self._repo.store.value_bytes(TOMBSTONES + blob_id.hex()) is not None:
            return None
        data = self.cache.get(blob_id)
        if data is not None:
            return data
        for shelf in self._open():
            data = shelf.read(blob_id)
            if data is not None:
                self.cache.put(blob_id, data)
                return data
        return None

    def bring(
        self, blob_ids: Iterable[bytes], *, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Put into the cache what is promised of some blobs and not in it yet, several at once.

        What is in it already counts as used just now. Raises RemoteError when they cannot be had.
        """
        left = {blob for blob in blob_ids if not self.cache.use(blob)}
        left -= tombstones(self._repo.store)
        for shelf in self._open():
            for blob, data in shelf.iter_read(left):
                self.cache.put(blob, data)
                left.discard(blob)
                if stopped():
                    return

    def _open(self) -> list[_Shelf]:
        with self._lock:
            if self._pid != os.getpid():  # connections do not outlive a fork
                self._shelves, self._pid = None, os.getpid()
            if self._shelves is None:
                remotes = [
                    one for one in remotes_of(self._repo) if is_lazy(self._repo.store, one.name)
                ]
                self._shelves = [_Shelf(self._repo, remote) for remote in remotes]
            return self._shelves

    def close(self) -> None:
        """Let go of connections."""
        for shelf in self._shelves or []:
            shelf.close()
        self._shelves = None


class Promises:
    """Tells of absent blobs whether a remote promises them, for fsck: nothing is opened before the
    first, and the store only to be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store: Store | None = None
        self._asked = False

    def __call__(self, blob_id: bytes) -> bool:
        if not self._asked:
            self._asked = True
            with contextlib.suppress(VoyagerError):
                store = Store.open(self._folder, read_only=True)
                repo = Repository(self._folder, store, Config.load(self._folder))
                store.lender = RemoteLender(repo) if is_lazy(store) else None
                self._store = store
        lender = None if self._store is None else self._store.lender
        return lender is not None and bool(lender.promises([blob_id]))

    def close(self) -> None:
        """Let go of what was opened."""
        if self._store is not None:
            self._store.close()


class _Shelf:
    """The blob packs of one remote."""

    def __init__(self, repo: Repository, remote: Remote) -> None:
        self._remote = remote
        self._catalogue = catalogue_of(repo, open_storage(remote.url))
        self._lock = threading.Lock()
        self._reader: RangedReader | None = None
        self._stamp: object = None

    def sizes(self, ids: Iterable[bytes]) -> dict[bytes, int]:
        wanted = list(ids)
        found = self._read().find(wanted) if wanted else {}
        return {one: place.stored for one, place in found.items()}

    def read(self, blob_id: bytes) -> bytes | None:
        for attempt in (1, 2):
            reader = self._read(anew=attempt == 2)
            if not reader.find([blob_id]):
                return None
            try:
                entry = reader.read_one(blob_id)
            except NotFoundError:
                continue  # gc there took the pack away: the root has others now
            if entry.kind is not Kind.BLOB:
                raise CorruptError(f"{blob_id.hex()[:12]} is no blob at {self._remote}")
            return entry.data
        raise CorruptError(
            f"{self._remote} lists {blob_id.hex()[:12]} and has it no more",
            hint="vgr fsck --remote",
        )

    def iter_read(self, blob_ids: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Those of some blobs that are listed, but for those that went away meanwhile."""
        reader = self._read()
        with contextlib.suppress(NotFoundError):
            for entry in reader.read(list(reader.find(blob_ids))):
                if entry.kind is Kind.BLOB:
                    yield entry.id, entry.data

    def _read(self, *, anew: bool = False) -> RangedReader:
        """The reader over what the remote had when it was last seen."""
        with self._lock:
            stamp = self._catalogue.stamp()
            if anew or self._reader is None or stamp != self._stamp:
                root = None if anew else self._catalogue.last_root()
                if root is None:
                    root = read_root(self._catalogue, self._remote)
                    self._catalogue.keep_root(root)
                self._reader = RangedReader(self._catalogue, self._catalogue.blob_listings(root))
                self._stamp = self._catalogue.stamp()
            return self._reader

    def close(self) -> None:
        self._catalogue.storage.close()


# -- many at once ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Got:
    """What was brought: blobs and bytes in so many requests, and the files that were laid out."""

    blobs: int = 0
    bytes: int = 0
    requests: int = 0
    updated: Updated = field(default_factory=Updated)

    def as_json(self) -> dict[str, Any]:
        """As `vgr get --json` says it."""
        return {
            "blobs": self.blobs,
            "bytes": self.bytes,
            "requests": self.requests,
            "written": self.updated.written,
        }


def get_samples(
    repo: Repository,
    keys: Sequence[str],
    *,
    limit: int | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Got:
    """Bring all bytes of some staged samples for good, and lay out the files that are not there.

    `limit` is in bytes a second. Raises CorruptError for what no remote has.
    """
    version = repo.staged()
    wanted: set[bytes] = set()
    for _, row in version.rows_at(SAMPLES, sorted(key.encode() for key in keys)):
        if row is not None:
            wanted.update(one for code, one in iter_references(row) if code == BLOB_EXT)
    done = get_blobs(repo, wanted, limit=limit, dry_run=dry_run, progress=progress)
    if not dry_run:
        done.updated = _lay_out(repo, version, keys)
    return done


def get_everything(
    repo: Repository,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    walking: Progress = no_progress,
    progress: Progress = no_progress,
) -> Got:
    """Bring all bytes that any version needs: of branches, tags, stashes, and what is staged; the
    files of what is staged are laid out."""
    live = mark(repo.store, iter_current(repo.store), walking)
    done = get_blobs(repo, live.blobs, limit=limit, dry_run=dry_run, progress=progress)
    if not dry_run:
        version = repo.staged()
        done.updated = _lay_out(repo, version, list(version))
    return done


def _lay_out(repo: Repository, version: Dataset, keys: Iterable[str]) -> Updated:
    """Write the files of keys that have none, where there is a working tree."""
    if repo.root is None:
        return Updated()
    return lay_out(repo, version, [key for key in keys if not os.path.lexists(repo.root / key)])


def get_blobs(
    repo: Repository,
    blobs: Iterable[bytes],
    *,
    limit: int | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Got:
    """Bring promised blobs into the store; those that are here, or purged, are passed over.

    With `dry_run` it says what would come, by the indexes that are here.
    """
    purged = tombstones(repo.store)
    left = set(blobs) - purged
    left -= set(repo.store.places(left))
    done = Got()
    for remote in remotes_of(repo):
        if not left or not is_lazy(repo.store, remote.name):
            continue
        options = StorageOptions(limit=limit)
        with contextlib.closing(Counted(open_storage(remote.url, options=options))) as storage:
            if dry_run:
                left -= _look_for(repo, storage, remote, left, done)
                continue
            _get_from(repo, storage, remote, left, purged, done, progress)
        left -= set(repo.store.places(left))
    if left:
        raise CorruptError(
            f"{len(left):,} images are neither here nor listed by a remote, first"
            f" {min(left).hex()[:12]}",
            hint="vgr fetch, then vgr fsck",
        )
    return done


def _look_for(
    repo: Repository, storage: Counted, remote: Remote, wanted: set[bytes], done: Got
) -> set[bytes]:
    """Those of some blobs that a remote lists; `done` counts them."""
    catalogue = catalogue_of(repo, storage)
    listings = catalogue.blob_listings(read_root(catalogue, remote))
    found = RangedReader(catalogue, listings).find(wanted)
    done.blobs += len(found)
    done.bytes += sum(place.stored for place in found.values())
    done.requests += storage.requests
    return set(found)


def _get_from(
    repo: Repository,
    storage: Counted,
    remote: Remote,
    wanted: set[bytes],
    purged: set[bytes],
    done: Got,
    progress: Progress,
) -> None:
    catalogue = catalogue_of(repo, storage)
    root = read_root(catalogue, remote)
    with repo.transaction("get", remote.name) as txn:
        with contextlib.closing(Incoming(repo.store)) as incoming:
            receiver = Receiver(repo.store, storage, purged=purged, progress=progress)
            packs = unknown_packs(repo.store, catalogue, root)
            bring_blobs(incoming, catalogue, receiver, packs, wanted, exactly=True)
            done.blobs += len(incoming.present(wanted))
            adopt(txn, incoming, Fetched())
        txn.commit()
    done.requests += storage.requests
    done.bytes += storage.received
