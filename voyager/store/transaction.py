"""The one object that changes history: gathers blobs, objects and moves, and commits them at once.

Write order (spec 6.1): blob packs are durable first, then spilled metadata packs, then one append
to the journal with the small objects and the operation; its fsync is the commit. The LMDB index
follows and may be lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Raw

from voyager.errors import NotFoundError, RefMoved
from voyager.store import seal
from voyager.store.apply import TOMBSTONES, Applier
from voyager.store.entry import compress
from voyager.store.ids import Kind, blob_id, object_id
from voyager.store.journal import Encoded, Journal, digest_of, encode_operation_entry
from voyager.store.objectstore import GENERATION, Store
from voyager.store.operation import NIL, Change, Move, Operation, raw
from voyager.store.pack import Content, PackWriter, Placed, SealedPack
from voyager.store.spec import MAX_COMPRESSED_BLOB, PACK_SEAL_BYTES
from voyager.store.spool import ObjectSpool


class Transaction:
    """Use as a context: leaving it without `commit` leaves nothing behind.

    `author`, `time` (ms) and `zone` (minutes) go into the operation record. `locked` says that the
    caller holds the gc lock.
    """

    def __init__(
        self,
        store: Store,
        kind: str,
        *,
        message: str = "",
        author: str,
        time: int,
        zone: int = 0,
        locked: bool = False,
    ) -> None:
        self.store = store
        self.kind = kind
        self.message = message
        self._author, self._time, self._zone = author, time, zone
        self._spool = ObjectSpool(
            lambda: PackWriter(store.root / "packs", Content.METADATA), self._new_objects
        )
        self._blobs: PackWriter | None = None
        self._sealed: list[SealedPack] = []
        self._places: dict[str, dict[bytes, Placed]] = {}
        self._new_blobs: set[bytes] = set()
        self._relied: set[bytes] = set()
        self._moves: dict[str, Move] = {}
        self._changes: dict[tuple[str, bytes], Change] = {}
        self._clear = False
        self._checkpoint = False
        self._expected: dict[tuple[str, bytes], bytes] | None = None
        self._restore: list[tuple[str, Raw]] = []
        self._dropped: list[str] = []
        self.undoes = 0
        self._dictionary: bytes | None = None
        self._keep = None if locked else store.keep_packs().acquire()
        self._generation = store.value_bytes(GENERATION)
        self._tombstones = store.values(TOMBSTONES)

    # -- content ---------------------------------------------------------------------------------

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        """An object of this transaction or of the store."""
        found = self._spool.get(object_id)
        if found is not None and found[0] is kind:
            return found[1]
        if object_id in self._new_blobs and kind is Kind.BLOB:
            return self._new_blob(object_id)
        return self.store.get(object_id, kind)

    def _new_blob(self, entry_id: bytes) -> bytes:
        """The bytes of a blob of this transaction; the pack that is being written is sealed."""
        self._seal_blobs()
        for pack in self._sealed:
            if pack.name not in self._places:
                self._places[pack.name] = {placed.id: placed for placed in pack.entries}
            placed = self._places[pack.name].get(entry_id)
            if placed is not None:
                path = str(self.store.pack_path(pack.name))
                return self.store.packs.read(path, placed.offset, placed.stored)[1]
        return self.store.get(entry_id, Kind.BLOB)

    @property
    def shallow(self) -> frozenset[bytes]:
        """The commits whose parents are elsewhere."""
        return self.store.shallow

    def get_many(self, ids: Sequence[bytes], kind: Kind) -> list[bytes]:
        """As `get` of each, with one look-up of the places of those in the store."""
        stored = [one for one in ids if one not in self._spool]
        found = dict(zip(stored, self.store.get_many(stored, kind), strict=True))
        return [found.get(one) or self.get(one, kind) for one in ids]

    def put(self, kind: Kind, data: bytes) -> bytes:
        """Store canonical bytes, return their id."""
        entry_id = object_id(kind, data)
        if entry_id not in self._spool:
            self._spool.put(kind, entry_id, data)
        return entry_id

    def _new_objects(self, ids: list[bytes]) -> set[bytes]:
        """Those ids that the store does not have yet; looked up a batch at a time."""
        known = set(self.store.places(ids))
        self._relied |= known
        return set(ids) - known

    def put_value(self, kind: Kind, value: Any) -> bytes:
        """Encode and store an object."""
        from voyager.wire import encode

        return self.put(kind, encode(value))

    def use_dictionary(self, dictionary: bytes | None) -> None:
        """Compress small blobs with this dictionary from now on; before the first blob only."""
        if self._blobs is None:
            self._dictionary = dictionary

    def knows_blob(self, entry_id: bytes) -> bool:
        """Whether a blob is stored, or will be by this transaction."""
        if entry_id in self._new_blobs:
            return True
        if entry_id in self.store:
            self._relied.add(entry_id)
            return True
        return False

    def may_name(self, entry_id: bytes) -> bool:
        """Whether rows may refer to a blob: it is stored, or a remote promises it."""
        if self.knows_blob(entry_id):
            return True
        lender = self.store.lender
        return lender is not None and bool(lender.promises([entry_id]))

    def known_blobs(self, ids: Iterable[bytes]) -> set[bytes]:
        """Those of many blob ids that are stored, in one look-up."""
        found = set(self.store.places(ids))
        self._relied |= found
        return found | self._new_blobs

    def put_blob(
        self, data: bytes, *, entry_id: bytes | None = None, shrink: bool = False
    ) -> bytes:
        """Store bytes, return their id; with `shrink` compressed where that saves something."""
        entry_id = entry_id or blob_id(data)
        if not self.knows_blob(entry_id):
            self.put_new_blob(entry_id, data, shrink=shrink)
        return entry_id

    def put_new_blob(self, entry_id: bytes, data: bytes, *, shrink: bool = False) -> None:
        """Store a blob that the caller knows to be new."""
        if entry_id in self._new_blobs:
            return
        self._refuse_purged(entry_id)
        self._new_blobs.add(entry_id)
        pack = self._blob_pack(len(data))
        if shrink and len(data) <= MAX_COMPRESSED_BLOB:
            method, stored = compress(data, level=3)
            pack.append(Kind.BLOB, entry_id, method, stored, len(data))
        else:
            pack.append_small(entry_id, data)

    def put_blob_stream(self, chunks: Iterable[bytes], size: int) -> bytes:
        """Store a big blob from chunks; the bytes of one that is known or purged are taken back."""
        pack = self._blob_pack(size)
        placed = pack.append_stream(chunks)
        if self.knows_blob(placed.id):
            pack.take_back()
            return placed.id
        try:
            self._refuse_purged(placed.id)
        except NotFoundError:
            pack.take_back()
            raise
        self._new_blobs.add(placed.id)
        return placed.id

    def _refuse_purged(self, entry_id: bytes) -> None:
        name = TOMBSTONES + entry_id.hex()
        tombstone = self._tombstones.get(name) if self._tombstones else None
        if tombstone is not None and name not in self._moves:
            raise NotFoundError(
                f"{entry_id.hex()[:12]} was purged: {tombstone['reason']}",
                hint=f"vgr purge --unpurge {entry_id.hex()[:12]}",
            )

    def _blob_pack(self, size: int) -> PackWriter:
        if self._blobs is not None and self._blobs.size + size > PACK_SEAL_BYTES:
            self._seal_blobs()
        if self._blobs is None:
            self._blobs = PackWriter(
                self.store.root / "packs", Content.BLOBS, dictionary=self._dictionary
            )
        return self._blobs

    def seal_blobs(self) -> list[SealedPack]:
        """Seal what was stored so far and hand the packs over, for another to `adopt`."""
        self._seal_blobs()
        sealed, self._sealed = self._sealed, []
        return sealed

    def _seal_blobs(self) -> None:
        if self._blobs is None:
            return
        if self._blobs.is_empty:
            self._blobs.discard()
        else:
            self._sealed.append(self._blobs.seal())
        self._blobs = None

    def adopt(self, pack: SealedPack) -> None:
        """Take a pack that somebody else sealed (gc, fetch) into this transaction."""
        self._sealed.append(pack)

    def drop_packs(self, names: Iterable[str]) -> None:
        """Forget packs whose live entries are in others now."""
        self._dropped += names

    # -- state -----------------------------------------------------------------------------------

    def move(self, name: str, new: Any, *, old: Any) -> None:
        """Set a named value (None removes it) if it still is `old` when the commit comes."""
        before = self._moves[name].old if name in self._moves else raw(old)
        self._moves[name] = Move(name, before, raw(new))

    def change(self, space: str, key: bytes, new: bytes, *, old: bytes) -> None:
        """Set an overlay entry, both encoded; NIL is no entry, GONE a removed row."""
        known = self._changes.get((space, key))
        before = known.old if known is not None else Raw(old)
        self._changes[space, key] = Change(space, key, before, Raw(new))

    def clear_overlay(self) -> None:
        """Empty the overlay, its rows being in the tree that STAGING names now."""
        self._clear = True

    def expect_overlay(self, overlay: Mapping[tuple[str, bytes], bytes]) -> None:
        """Let the commit fail when the overlay it clears is no longer this one."""
        self._expected = dict(overlay)

    def on_undo(self, name: str, value: Any) -> None:
        """Let undo put back this value of `name` rather than the old one."""
        self._restore.append((name, raw(value)))

    def checkpoint(self) -> None:
        """Let the operation say every value and staged row, so that those before it can go.

        To be called once, before any move.
        """
        self._checkpoint = True
        for name, value in self.store.index.read(lambda reading: list(reading.items("values"))):
            self._moves[name.decode()] = Move(name.decode(), Raw(value), Raw(value))
        for (space, key), row in self.store.overlay().items():
            self._changes[space, key] = Change(space, key, Raw(row), Raw(row))

    # -- the end ---------------------------------------------------------------------------------

    def commit(self) -> Operation:
        """Make everything durable and visible at once.

        Raises RefMoved when a value or overlay entry is not what this transaction saw.
        """
        self._seal_blobs()
        entries, metadata = self._spool.finish()
        for pack in metadata:
            self._sealed.append(pack.seal())
        with self.store.lock():
            if not self.store.is_current():
                self.store.replay()
            self._check()
            operation = self._append(entries)
        self._release()
        return operation

    def _release(self) -> None:
        if self._keep is not None:
            self._keep.release()

    def _check(self) -> None:
        for pack in self._sealed:
            if not self.store.pack_path(pack.name).exists():
                # Its twin of another transaction, which gave up, had the same name.
                raise RefMoved("another process removed the same new pack", hint="try again")
        for name, move in self._moves.items():
            current = self.store.value_bytes(name) or NIL
            if current != bytes(move.old):
                raise RefMoved(_moved(name), hint="try again")
        if self._changes or self._expected is not None:
            overlay = self.store.overlay()
            if self._expected is not None and overlay != self._expected:
                raise RefMoved("the staging area was changed by another process", hint="try again")
            if self._clear:
                overlay = {}
            for (space, key), change in self._changes.items():
                if overlay.get((space, key), NIL) != bytes(change.old):
                    raise RefMoved(
                        f"{key.decode(errors='replace')} was staged anew by another process",
                        hint="try again",
                    )
        if self.store.value_bytes(GENERATION) != self._generation:
            missing = self._relied - set(self.store.places(self._relied))
            if missing:
                raise RefMoved(
                    f"gc removed {len(missing)} objects this relied on", hint="try again"
                )

    def _append(self, entries: list[Encoded]) -> Operation:
        length, digest = digest_of(entries)
        operation = Operation(
            added=[bytes.fromhex(pack.name) for pack in self._sealed],
            author=self._author,
            checkpoint=self._checkpoint,
            clear=self._clear,
            digest=digest,
            dropped=[bytes.fromhex(name) for name in self._dropped],
            kind=self.kind,
            length=length,
            message=self.message,
            moves=[self._moves[name] for name in sorted(self._moves)],
            nonce=os.urandom(16),
            overlay=[self._changes[at] for at in sorted(self._changes)],
            restore=self._restore,
            seq=self.store.last_seq() + 1,
            time=self._time,
            undoes=self.undoes,
            zone=self._zone,
        )
        applier = Applier(operation)
        # From here on the packs are not ours to remove: interrupted after the sync of the journal,
        # this transaction is committed.
        packs, self._sealed = self._sealed, []
        with Journal(self.store.root / "journal", write=True) as journal:
            position = journal.size
            try:
                placed = journal.append(position, [*entries, encode_operation_entry(operation)])
            except OSError:
                if journal.size == position:
                    self._sealed = packs
                raise
            applier.objects = [(place, 0) for place in placed[:-1]]
            applier.placed_at = (0, placed[-1])
            applier.end = (journal.number, journal.size)
        applier.packs = [(pack.name, pack.entries) for pack in packs]
        self.store.index.write(applier)
        seal.seal_if_long(self.store)
        return operation

    def abort(self) -> None:
        """Drop everything; sealed packs that no operation names are garbage."""
        self._spool.discard()
        if self._blobs is not None:
            self._blobs.discard()
            self._blobs = None
        try:
            self._remove_sealed()
        finally:
            self._release()

    def _remove_sealed(self) -> None:
        packs, self._sealed = self._sealed, []
        if packs:
            # Under the lock, for a transaction with an equal pack may be about to commit.
            with self.store.lock():
                self.store.remove_strays(packs)

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, *error: object) -> None:
        self.abort()


def _moved(name: str) -> str:
    """What to say when a value is not what the transaction saw."""
    if name == "RUNNING":
        return "another checkout is running"
    plain = "the staging area" if name == "STAGING" else name
    for prefix in ("refs/heads/", "refs/tags/"):
        plain = plain.removeprefix(prefix)
    return f"{plain} was moved by another process"
