"""Writing packs anew without what is dead, and taking the old ones out (spec 8.2).

Entries are copied as they are stored, header and all, in the order of file; a pack whose entries
need a dictionary goes into one that begins with the same dictionary.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field

from voyager.errors import CorruptError
from voyager.store import files
from voyager.store.apply import LOG
from voyager.store.entry import HEADER_BYTES, Damage, Header, decode_header
from voyager.store.ids import Kind
from voyager.store.objectstore import GENERATION, Store
from voyager.store.operation import Operation
from voyager.store.pack import (
    HEAD_BYTES,
    Content,
    PackWriter,
    Placed,
    SealedPack,
    pack_head,
    read_dictionary_bytes,
    read_trailer,
    scan_pack,
)
from voyager.store.pack_index import Reading, decode_place
from voyager.store.seal import HOUSEKEEPING
from voyager.store.spec import MIB, PACK_SEAL_BYTES
from voyager.store.transaction import Transaction

Progress = Callable[[int, int | None], None]

SMALL_PACK_BYTES = 4 * MIB
MOST_SMALL_PACKS = 32
MOST_DEAD = 0.30
"""A pack whose dead entries are more than this share of its bytes is written anew."""


@dataclass(slots=True)
class PackUse:
    """A pack of the index, and how much of it is in use.

    `body_bytes` are those of all entries with their headers, its dictionary aside; `live_bytes`
    those of entries that are live and indexed in this pack, not in a twin.
    """

    number: int
    name: str
    content: Content
    size: int
    count: int
    body_bytes: int
    dictionary: Placed | None
    indexed: int = 0
    live: int = 0
    live_bytes: int = 0

    @property
    def is_dead(self) -> bool:
        return not self.live

    @property
    def is_wasteful(self) -> bool:
        return self.body_bytes - self.live_bytes > MOST_DEAD * self.body_bytes

    @property
    def is_small(self) -> bool:
        return self.size < SMALL_PACK_BYTES


def survey(store: Store, live: Container[bytes] | None) -> dict[int, PackUse]:
    """Every pack by file number; `live` None takes all that is indexed for live."""
    uses = {number: _look_at(store, number, name) for number, name in registered(store).items()}

    def body(reading: Reading) -> None:
        for entry_id, data in reading.items("objects"):
            place = decode_place(data)
            use = uses.get(place.file)
            if use is None:
                continue
            use.indexed += 1
            if use.dictionary is not None and place.offset == use.dictionary.offset:
                continue
            if live is None or entry_id in live:
                use.live += 1
                use.live_bytes += HEADER_BYTES + _stored(store, use, place.offset, place.stored)

    store.index.read(body)
    return uses


def registered(store: Store) -> dict[int, str]:
    """Name of every pack in the index by file number; log segments are none."""
    found = store.index.read(lambda reading: list(reading.items("packs")))
    return {
        int.from_bytes(key, "big"): name.decode()
        for key, name in found
        if not name.endswith(b".log")
    }


def _look_at(store: Store, number: int, name: str) -> PackUse:
    path = store.pack_path(name)
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise CorruptError(f"pack {name} is missing", hint="vgr fsck", path=path) from None
    try:
        size = os.fstat(fd).st_size
        head = os.pread(fd, HEAD_BYTES, 0)
        trailer = read_trailer(fd, size)
        first = _first_header(fd)
    finally:
        os.close(fd)
    if head not in (pack_head(Content.BLOBS), pack_head(Content.METADATA)):
        raise CorruptError(f"the head of pack {name} is damaged", hint="vgr fsck", path=path)
    dictionary = None
    body_bytes = trailer.index_offset - HEAD_BYTES
    if head[8] == Content.BLOBS and first.kind is Kind.DICTIONARY:
        dictionary = Placed(first.id, HEAD_BYTES, first.stored)
        body_bytes -= HEADER_BYTES + first.stored
    return PackUse(number, name, Content(head[8]), size, trailer.count, body_bytes, dictionary)


def _first_header(fd: int) -> Header:
    return decode_header(os.pread(fd, HEADER_BYTES, HEAD_BYTES))


def _stored(store: Store, use: PackUse, offset: int, stored: int | None) -> int:
    if stored is not None:
        return stored
    return store.packs.read_header(str(store.pack_path(use.name)), offset).stored


def worth_rewriting(uses: Iterable[PackUse]) -> list[PackUse]:
    """Dead and wasteful packs, and the small ones of a content when there are too many."""
    uses = list(uses)
    chosen = [use for use in uses if use.is_dead or use.is_wasteful]
    return chosen + too_small([use for use in uses if not (use.is_dead or use.is_wasteful)])


def too_small(uses: Iterable[PackUse]) -> list[PackUse]:
    """The small packs of a content, when there are more than MOST_SMALL_PACKS of it."""
    chosen = []
    for content in Content:
        small = [use for use in uses if use.content is content and use.is_small]
        if len(small) > MOST_SMALL_PACKS:
            chosen += small
    return chosen


def holding_unindexed(
    store: Store, uses: Iterable[PackUse], wanted: Container[bytes] | None = None
) -> Iterator[tuple[PackUse, list[Placed]]]:
    """Packs with entries that the index has elsewhere or not at all, and those entries.

    With `wanted`, only entries with these ids.
    """
    for use in uses:
        if use.indexed == use.count:
            continue
        entries = [
            placed
            for placed in (_twin_of_dictionary(use) or _entries(store, use))
            if wanted is None or placed.id in wanted
        ]
        places = store.places([placed.id for placed in entries])
        twins = []
        for placed in entries:
            place = places.get(placed.id)
            if place is None or place[:2] != (use.number, placed.offset):
                twins.append(placed)
        if twins:
            yield use, twins


def _twin_of_dictionary(use: PackUse) -> list[Placed]:
    """The dictionary, when nothing else can be the one entry that is not indexed here."""
    if use.dictionary is not None and use.count - use.indexed == 1:
        return [use.dictionary]
    return []


def _entries(store: Store, use: PackUse) -> list[Placed]:
    return [Placed(header.id, offset, header.stored) for offset, header in _scan(store, use)]


def _scan(store: Store, use: PackUse) -> Iterator[tuple[int, Header]]:
    """Headers of a pack with their offsets; CorruptError at the first damage."""
    path = store.pack_path(use.name)
    for found in scan_pack(path):
        if isinstance(found, Damage):
            raise CorruptError(
                f"pack {use.name} is damaged at byte {found.offset}: {found.reason}",
                hint="vgr fsck",
                path=path,
            )
        yield found


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
                entries = _entries(self.store, use)
                self.txn.adopt(SealedPack(use.name, use.content, entries, use.size))

    def _copy(self, use: PackUse) -> None:
        path = str(self.store.pack_path(use.name))
        found = list(_scan(self.store, use))
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
        self.txn.adopt(pack)


def _chunks(fd: int, start: int, length: int) -> Iterator[bytes]:
    while length:
        chunk = os.pread(fd, min(MIB, length), start)
        if not chunk:
            raise CorruptError("an entry of a pack is cut short", hint="vgr fsck")
        start, length = start + len(chunk), length - len(chunk)
        yield chunk
