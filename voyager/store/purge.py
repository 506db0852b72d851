"""Purging blobs for good: a tombstone first, then the bytes out of every pack.

The rows that name a purged blob stay as they are, and so do their keys and captions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from voyager.errors import CorruptError, NotFoundError, UsageError
from voyager.store import files
from voyager.store.apply import TOMBSTONES
from voyager.store.entry import Damage
from voyager.store.ids import Kind
from voyager.store.mend import DAMAGED
from voyager.store.objectstore import Store
from voyager.store.pack import Content, read_prefixes, scan_pack
from voyager.store.pack_use import PackUse, registered, survey
from voyager.store.repack import remove_packs, repack
from voyager.store.transaction import Transaction

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Purged:
    """How many blobs got a tombstone now, and from how many packs bytes were taken."""

    blobs: int
    packs: int


def purge(
    store: Store,
    blob_ids: Iterable[bytes],
    *,
    reason: str,
    who: str,
    now_ms: int,
    zone: int = 0,
    progress: Progress | None = None,
) -> Purged:
    """Take blobs out of the store and refuse them from now on.

    An id that is not stored here is refused all the same; one with a tombstone already is looked
    for again, which finishes a purge that was killed. Raises UsageError for an object's id.
    """
    ids = set(blob_ids)
    with store.keep_packs(exclusive=True):
        store.refresh()
        _refuse_objects(store, ids)
        new = sorted(ids - tombstones(store))
        if new:
            with Transaction(
                store, "purge", message=reason, author=who, time=now_ms, zone=zone, locked=True
            ) as txn:
                for blob_id in new:
                    value = {"reason": reason, "when": now_ms, "who": who}
                    txn.move(TOMBSTONES + blob_id.hex(), value, old=None)
                txn.commit()
        _remove_unnamed(store, ids)
        uses = survey(store, None)
        victims = [use for use in uses.values() if _holds_any(store, use, ids)]
        if victims:
            repack(
                store,
                uses.values(),
                victims,
                None,
                message=f"{len(victims)} packs purged",
                author=who,
                time=now_ms,
                zone=zone,
                progress=progress,
            )
    return Purged(len(new), len(victims))


def unpurge(
    store: Store, blob_ids: Iterable[bytes], *, who: str, now_ms: int, zone: int = 0
) -> None:
    """Let blobs be added again; NotFoundError for one that has no tombstone."""
    with Transaction(store, "unpurge", author=who, time=now_ms, zone=zone) as txn:
        for blob_id in sorted(set(blob_ids)):
            name = TOMBSTONES + blob_id.hex()
            tombstone = store.value(name)
            if tombstone is None:
                raise NotFoundError(f"{blob_id.hex()[:12]} was not purged")
            txn.move(name, None, old=tombstone)
        txn.commit()


def tombstones(store: Store) -> set[bytes]:
    """The ids of all purged blobs."""
    return {bytes.fromhex(name.removeprefix(TOMBSTONES)) for name in store.values(TOMBSTONES)}


def _refuse_objects(store: Store, ids: Iterable[bytes]) -> None:
    for entry_id in store.places(ids):
        kind = store.header(entry_id).kind
        if kind is not Kind.BLOB:
            raise UsageError(f"{entry_id.hex()[:12]} is a {kind.label}; only blobs can be purged")


def _holds_any(store: Store, use: PackUse, ids: Collection[bytes]) -> bool:
    return use.content is Content.BLOBS and _file_holds(store.pack_path(use.name), ids)


def _file_holds(path: Path, ids: Collection[bytes]) -> bool:
    """Whether a pack, sealed or not, has an entry with one of these ids."""
    try:
        known = read_prefixes(path)
        if not any(blob_id[:8] in known for blob_id in ids):
            return False
    except CorruptError:
        pass  # no whole index: its headers tell
    return any(not isinstance(found, Damage) and found[1].id in ids for found in scan_pack(path))


def _remove_unnamed(store: Store, ids: Collection[bytes]) -> None:
    """Remove what a killed writer or collection left and what may hold the bytes.

    Under the gc lock nobody writes a pack, so every unfinished one is left over.
    """
    known = set(registered(store).values())
    for path in (store.root / "trash").iterdir():
        if path.suffix == ".pack" or path.name.startswith(DAMAGED):
            files.remove(path)
    for path in (store.root / "packs").iterdir():
        if path.name.startswith("tmp-"):
            files.remove(path)
        elif path.suffix == ".pack" and path.stem not in known and _file_holds(path, ids):
            remove_packs(store, [path.stem])
