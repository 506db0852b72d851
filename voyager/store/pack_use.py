"""How much of each pack is in use, and which packs are worth writing anew (spec 8.2)."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from voyager.errors import CorruptError
from voyager.store.entry import HEADER_BYTES, Damage, Header, decode_header
from voyager.store.ids import Kind
from voyager.store.objectstore import Store
from voyager.store.pack import HEAD_BYTES, Content, Placed, pack_head, read_trailer, scan_pack
from voyager.store.pack_index import Reading, decode_place
from voyager.store.spec import MIB

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
    has_dictionary: bool = False  # whether the index has the dictionary here
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
    uses = {number: look_at(store, number, name) for number, name in registered(store).items()}

    def body(reading: Reading) -> None:
        for entry_id, data in reading.items("objects"):
            place = decode_place(data)
            use = uses.get(place.file)
            if use is None:
                continue
            use.indexed += 1
            if use.dictionary is not None and place.offset == use.dictionary.offset:
                use.has_dictionary = True
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


def look_at(store: Store, number: int, name: str) -> PackUse:
    """A pack by its head and trailer, nothing counted yet; CorruptError when it is gone."""
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
            for placed in (_twin_of_dictionary(use) or entries_of(store, use))
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
    if use.dictionary is None or use.has_dictionary or use.count - use.indexed > 1:
        return []
    return [use.dictionary]


def entries_of(store: Store, use: PackUse) -> list[Placed]:
    return [Placed(header.id, offset, header.stored) for offset, header in iter_headers(store, use)]


def iter_headers(store: Store, use: PackUse) -> Iterator[tuple[int, Header]]:
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
