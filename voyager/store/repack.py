"""Writing packs anew without what is dead, and taking the old ones out (spec 8.2).

Entries are copied as they are stored, header and all, in the order of file; a pack whose entries
need a dictionary goes into one that begins with the same dictionary.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voyager.errors import CorruptError
from voyager.store import files
from voyager.store.apply import LOG
from voyager.store.entry import HEADER_BYTES, Header
from voyager.store.ids import Kind
from voyager.store.objectstore import GENERATION, Store
from voyager.store.pack import Content, PackWriter, SealedPack, read_dictionary_bytes
from voyager.store.pack_use import PackUse, entries_of, holding_unindexed, iter_headers
from voyager.store.seal import HOUSEKEEPING
from voyager.store.spec import MIB, PACK_SEAL_BYTES
from voyager.store.transaction import Transaction

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Expiry:
    """What gc lets expire: the operations before `first`, and maybe the segments they are in."""

    first: int
    segments: list[Path] = field(default_factory=list)

    def note(self, store: Store, txn: Transaction) -> None:
        """Write it down; to be called before any move."""
        if self.segments:
            txn.checkpoint()
        old = store.value(LOG)
        if self.first > (old or 1):
            txn.move(LOG, self.first, old=old)


def repack(
    store: Store,
    uses: Iterable[PackUse],
    victims: Iterable[PackUse],
    live: Container[bytes] | None,
    *,
    message: str,
    author: str,
    time: int,
    zone: int,
    expiry: Expiry | None = None,
    progress: Progress | None = None,
) -> list[SealedPack]:
    """Replace some packs of a store by new ones with what is live; the new packs.

    The caller holds the gc lock. Old files go only when the operation that drops them is durable.
    That operation is a checkpoint when segments of the log are to go as well.
    """
    victims = sorted(victims, key=lambda use: use.number)
    doomed = {use.number for use in victims}
    txn = Transaction(
        store, HOUSEKEEPING, message=message, author=author, time=time, zone=zone, locked=True
    )
    with txn:
        if expiry is not None:
            expiry.note(store, txn)
        rewriter = Rewriter(store, txn, victims, live, progress)
        rewriter.run([use for use in uses if use.number not in doomed])
        gone = [use.name for use in victims if use.name not in rewriter.adopted]
        txn.drop_packs(gone)
        generation = store.value(GENERATION)
        txn.move(GENERATION, (generation or 0) + 1, old=generation)
        txn.commit()
    remove_packs(store, gone)
    return rewriter.packs


def remove_packs(store: Store, names: Iterable[str]) -> None:
    """Delete packs that the index no longer has, through trash/."""
    paths = [path for name in names for path in _files_of(store, name) if path.exists()]
    if not paths:
        return
    for path in paths:
        files.rename(path, store.root / "trash" / path.name)
    files.sync_folder(store.root / "packs")
    for path in paths:
        files.remove(store.root / "trash" / path.name)
    store.forget_files()


def _files_of(store: Store, name: str) -> tuple[Path, Path]:
    pack = store.pack_path(name)
    return pack, pack.with_suffix(".idx")


class Rewriter:
    """Copies what is live in some packs into new ones, which its transaction adopts."""

    def __init__(
        self,
        store: Store,
        txn: Transaction,
        victims: list[PackUse],
        live: Container[bytes] | None,
        progress: Progress | None = None,
    ) -> None:
        self.store = store
        self.txn = txn
        self.victims = {use.number: use for use in victims}
        self.live = live
        self.packs: list[SealedPack] = []
        self.adopted: set[str] = set()
        self._progress = progress
        self._writers: dict[tuple[Content, bytes | None], PackWriter] = {}
        self._elsewhere: set[bytes] = set()

    def run(self, survivors: Iterable[PackUse]) -> None:
        """Write the new packs; ids with a twin in a survivor are found there from now on."""
        try:
            self._adopt_twins(survivors)
            total = sum(use.live_bytes for use in self.victims.values())
            done = 0
            for use in self.victims.values():
                self._copy(use)
                done += use.live_bytes
                if self._progress is not None:
                    self._progress(done, total)
            for writer in self._writers.values():
                self._seal(writer)
        finally:
            for writer in self._writers.values():
                writer.discard()

    def _adopt_twins(self, survivors: Iterable[PackUse]) -> None:
        """Let survivors be indexed again where they hold what the index has in a victim."""
        for use, twins in holding_unindexed(self.store, survivors):
            places = self.store.places([twin.id for twin in twins])
            new = {
                twin.id
                for twin in twins
                if twin.id in places
                and places[twin.id].file in self.victims
                and twin.id not in self._elsewhere
            }
            if new:
                self._elsewhere |= new
                entries = entries_of(self.store, use)
                self._adopt(SealedPack(use.name, use.content, entries, use.size))

    def _copy(self, use: PackUse) -> None:
        path = str(self.store.pack_path(use.name))
        found = list(iter_headers(self.store, use))
        places = self.store.places([header.id for _, header in found])
        with self.store.packs.open(path) as source:
            for offset, header in found:
                place = places.get(header.id)
                here = place is not None and place[:2] == (use.number, offset)
                if here and self._is_wanted(header):
                    self._copy_entry(source.fileno(), use, offset, header)

    def _is_wanted(self, header: Header) -> bool:
        if header.id in self._elsewhere:
            return False
        return self.live is None or header.id in self.live

    def _copy_entry(self, fd: int, use: PackUse, offset: int, header: Header) -> None:
        writer = self._writer(use, header)
        if header.kind is Kind.DICTIONARY and writer.begins_with(header.id):
            return
        head = os.pread(fd, HEADER_BYTES, offset)
        writer.append_copy(head, _chunks(fd, offset + HEADER_BYTES, header.stored))

    def _writer(self, use: PackUse, header: Header) -> PackWriter:
        content, dictionary = use.content, use.dictionary
        if header.kind is Kind.DICTIONARY and use.is_dead:
            # Nothing but the dictionary is in use; without blobs it is an object as others are.
            content, dictionary = Content.METADATA, None
        key = content, None if dictionary is None else dictionary.id
        writer = self._writers.get(key)
        if writer is not None and writer.size + header.stored > PACK_SEAL_BYTES:
            self._seal(self._writers.pop(key))
            writer = None
        if writer is None:
            writer = self._writers[key] = PackWriter(
                self.store.root / "packs",
                content,
                dictionary=None if dictionary is None else self._dictionary(use),
            )
        return writer

    def _dictionary(self, use: PackUse) -> bytes:
        path = str(self.store.pack_path(use.name))
        return read_dictionary_bytes(self.store.packs.fd(path), path)

    def _seal(self, writer: PackWriter) -> None:
        pack = writer.seal()
        self.packs.append(pack)
        self._adopt(pack)

    def _adopt(self, pack: SealedPack) -> None:
        self.adopted.add(pack.name)
        self.txn.adopt(pack)


def _chunks(fd: int, start: int, length: int) -> Iterator[bytes]:
    while length:
        chunk = os.pread(fd, min(MIB, length), start)
        if not chunk:
            raise CorruptError("an entry of a pack is cut short", hint="vgr fsck")
        start, length = start + len(chunk), length - len(chunk)
        yield chunk
