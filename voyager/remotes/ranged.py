"""Single entries of a remote's packs, by ranged reads: near ones together, several at once.

Where an entry lies the index of its pack says; that it is the right one its header and hash say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

import zstandard
from blake3 import blake3

from voyager.errors import CorruptError, NotFoundError
from voyager.remotes.catalogue import Catalogue, Found, Listing
from voyager.remotes.root import Packed
from voyager.store.entry import HEADER_BYTES, Header, Method, decode_header, expand, sum_of
from voyager.store.fsck.packs import refuse_claims
from voyager.store.ids import Kind, id_of
from voyager.store.pack import HEAD_BYTES
from voyager.store.spec import MIB, ZSTD_WINDOW_LIMIT

AT_ONCE = 8
_GAP = 64 << 10
"""What lies between two entries is read as well where it is no more than this."""
_MOST = 4 * MIB
"""Bytes that are read in one request; a longer entry comes in several."""


class Entry(NamedTuple):
    """An entry that was checked: its header, and its body as it was stored and as it is."""

    id: bytes
    kind: Kind
    head: bytes
    stored: bytes
    data: bytes


@dataclass(slots=True)
class _Span:
    """Bytes of one pack that are read together, and the entries in them."""

    pack: Packed
    start: int
    end: int
    wanted: list[tuple[bytes, Found]] = field(default_factory=list)


class RangedReader:
    """Reads entries of those packs of a remote whose indexes are given."""

    def __init__(self, catalogue: Catalogue, listings: Iterable[Listing]) -> None:
        self._storage = catalogue.storage
        self._listings = list(listings)
        self._dictionaries: dict[bytes, bytes] = {}
        self._lock = Lock()

    def find(self, ids: Iterable[bytes]) -> dict[bytes, Found]:
        """Where those of some ids lie that the indexes list."""
        left, found = list(dict.fromkeys(ids)), {}
        for listing in self._listings:
            if not left:
                break
            here = listing.find(left)
            if here:
                found.update(here)
                left = [one for one in left if one not in here]
        return found

    def read(self, ids: Iterable[bytes]) -> Iterator[Entry]:
        """Entries of some ids, in the order in which they lie there.

        Raises NotFoundError for an id that no index lists, CorruptError for wrong bytes.
        """
        ids = list(dict.fromkeys(ids))
        places = self.find(ids)
        absent = next((one for one in ids if one not in places), None)
        if absent is not None:
            raise NotFoundError(f"{absent.hex()[:12]} is not at {self._storage.url}")
        spans = list(_spans(places))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            waiting: list[Future[list[Entry]]] = []
            try:
                for span in spans:
                    waiting.append(pool.submit(self._read_span, span))
                    if len(waiting) == AT_ONCE:
                        yield from waiting.pop(0).result()
                while waiting:
                    yield from waiting.pop(0).result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def read_one(self, entry_id: bytes) -> Entry:
        """One entry, without threads; as `read`."""
        places = self.find([entry_id])
        if not places:
            raise NotFoundError(f"{entry_id.hex()[:12]} is not at {self._storage.url}")
        return self._read_span(next(_spans(places)))[0]

    def _read_span(self, span: _Span) -> list[Entry]:
        data = self._get(span.pack, span.start, span.end - span.start)
        return [
            self._checked(one, place, data[place.offset - span.start :])
            for one, place in span.wanted
        ]

    def _get(self, pack: Packed, start: int, length: int) -> bytes:
        parts = [
            self._storage.get_range(pack.pack_path, at, min(2 * _MOST, start + length - at))
            for at in range(start, start + length, 2 * _MOST)
        ]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _checked(self, entry_id: bytes, place: Found, data: bytes) -> Entry:
        head, stored = data[:HEADER_BYTES], data[HEADER_BYTES : HEADER_BYTES + place.stored]
        header = decode_header(head)
        if header.id != entry_id or header.stored != len(stored):
            raise CorruptError(
                f"pack {place.pack.name.hex()[:12]} of the remote has no {entry_id.hex()[:12]}"
                " where its index lists it",
                hint="vgr fsck --remote",
            )
        refuse_claims(header)
        if sum_of(stored) != header.body_sum:
            raise CorruptError(f"the bytes of {entry_id.hex()[:12]} do not fit their sum")
        real = expand(header, stored, self._dictionary(header, place.pack))
        if id_of(header.kind, real) != entry_id:
            raise CorruptError(f"the bytes of {entry_id.hex()[:12]} do not fit their id")
        return Entry(entry_id, header.kind, head, stored, real)

    def _dictionary(self, header: Header, pack: Packed) -> zstandard.ZstdDecompressor | None:
        """A decompressor of one's own, since no two threads may share one."""
        if header.method != Method.ZSTD_DICTIONARY:
            return None
        with self._lock:
            data = self._dictionaries.get(pack.name)
            if data is None:
                head = self._storage.get_range(pack.pack_path, HEAD_BYTES, HEADER_BYTES)
                first = decode_header(head)
                refuse_claims(first)
                data = self._storage.get_range(
                    pack.pack_path, HEAD_BYTES + HEADER_BYTES, first.stored
                )
                if first.kind is not Kind.DICTIONARY or blake3(data).digest(8) != first.body_sum:
                    raise CorruptError(f"pack {pack.name.hex()[:12]} has no dictionary")
                self._dictionaries[pack.name] = data = expand(first, data)
        return zstandard.ZstdDecompressor(
            dict_data=zstandard.ZstdCompressionDict(data), max_window_size=ZSTD_WINDOW_LIMIT
        )


def _spans(places: dict[bytes, Found]) -> Iterator[_Span]:
    """Near entries of one pack together."""
    ordered: Sequence[tuple[bytes, Found]] = sorted(
        places.items(), key=lambda item: (item[1].pack.name, item[1].offset)
    )
    span: _Span | None = None
    for one, place in ordered:
        end = place.offset + HEADER_BYTES + place.stored
        near = (
            span is not None
            and span.pack is place.pack
            and place.offset - span.end <= _GAP
            and end - span.start <= _MOST
        )
        if span is None or not near:
            if span is not None:
                yield span
            span = _Span(place.pack, place.offset, end)
        span.end = max(span.end, end)
        span.wanted.append((one, place))
    if span is not None:
        yield span
