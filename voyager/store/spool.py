"""Objects of a running transaction: hashed at once, compressed in batches, spilled when many.

Nodes are compressed in batches on one helper thread, since zstd lets go of the interpreter lock.
What stays under SPILL_BYTES goes into the journal; more becomes metadata packs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import zstandard

from voyager.store.entry import HEADER_BYTES, Method, decode_header, expand
from voyager.store.ids import Kind
from voyager.store.journal import Encoded, encode_entry
from voyager.store.pack import PackWriter
from voyager.store.spec import MIB, PACK_SEAL_BYTES, SPILL_BYTES

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_BATCH_BYTES = MIB
_MOST_IN_FLIGHT = 2

Raw = tuple[Kind, bytes]


class ObjectSpool:
    """Takes objects, gives them back by id, and ends as journal entries or metadata packs.

    `only_new` tells which of some ids the store does not have; it is asked a batch at a time.
    """

    def __init__(
        self,
        new_pack: Callable[[], PackWriter],
        only_new: Callable[[list[bytes]], set[bytes]],
    ) -> None:
        self._new_pack = new_pack
        self._only_new = only_new
        self._ids: set[bytes] = set()
        self._batch: dict[bytes, Raw] = {}
        self._batch_bytes = 0
        self._in_flight: deque[tuple[dict[bytes, Raw], Future[list[bytes]]]] = deque()
        self._stored: dict[bytes, Encoded] = {}
        self._stored_bytes = 0
        self._spilled: dict[bytes, tuple[Kind, PackWriter, int, int]] = {}
        self._packs: list[PackWriter] = []
        self._worker: ThreadPoolExecutor | None = None

    def __contains__(self, entry_id: bytes) -> bool:
        return entry_id in self._ids

    def put(self, kind: Kind, entry_id: bytes, data: bytes) -> None:
        """Take an object that was not put before."""
        self._ids.add(entry_id)
        self._batch[entry_id] = (kind, data)
        self._batch_bytes += len(data)
        if self._batch_bytes >= _BATCH_BYTES:
            self._send_batch()

    def get(self, entry_id: bytes) -> Raw | None:
        """Kind and bytes of an object put before, or None."""
        raw = self._batch.get(entry_id)
        for batch, _ in self._in_flight:
            raw = raw or batch.get(entry_id)
        if raw is not None:
            return raw
        stored = self._stored.get(entry_id)
        if stored is not None:
            header = decode_header(stored.header, verify=False)
            return header.kind, expand(header, stored.stored)
        spilled = self._spilled.get(entry_id)
        if spilled is not None:
            kind, pack, offset, length = spilled
            return kind, pack.read(offset, length)
        return None

    def _send_batch(self) -> None:
        if self._worker is None:
            from concurrent.futures import ThreadPoolExecutor  # small transactions need no thread

            self._worker = ThreadPoolExecutor(1, thread_name_prefix="vgr-compress")
        batch = self._take_batch()
        bodies = [data for _, data in batch.values()]
        if bodies:
            self._in_flight.append((batch, self._worker.submit(_compress_many, bodies)))
        while len(self._in_flight) > _MOST_IN_FLIGHT:
            self._land()

    def _take_batch(self) -> dict[bytes, Raw]:
        """The objects waiting, without those that the store has."""
        batch, self._batch, self._batch_bytes = self._batch, {}, 0
        new = self._only_new(list(batch)) if batch else set()
        return batch if len(new) == len(batch) else {i: batch[i] for i in batch if i in new}

    def _land(self) -> None:
        batch, future = self._in_flight[0]
        stored = future.result()
        self._in_flight.popleft()
        self._keep(_encode_batch(batch, stored))

    def _keep(self, entries: list[Encoded]) -> None:
        for entry in entries:
            self._stored[entry.id] = entry
            self._stored_bytes += len(entry.header) + len(entry.stored)
        if self._packs or self._stored_bytes > SPILL_BYTES:
            self._spill()

    def _spill(self) -> None:
        for entry in self._stored.values():
            pack = self._pack_for(len(entry.stored))
            placed = pack.append_encoded(entry.header, entry.stored)
            self._spilled[placed.id] = (Kind(entry.header[4]), pack, placed.offset, placed.stored)
        self._stored.clear()
        self._stored_bytes = 0

    def _pack_for(self, stored: int) -> PackWriter:
        """The pack that is being filled, or a new one where so many bytes have no room in it."""
        size = HEADER_BYTES + stored
        if not self._packs or self._packs[-1].size + size > PACK_SEAL_BYTES:
            self._packs.append(self._new_pack())
        return self._packs[-1]

    def finish(self) -> tuple[list[Encoded], list[PackWriter]]:
        """(entries for the journal, the metadata packs to seal)."""
        while self._in_flight:
            self._land()
        batch = self._take_batch()
        self._keep(_encode_batch(batch, _compress_many([data for _, data in batch.values()])))
        self.close()
        return list(self._stored.values()), list(self._packs)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown(wait=True)
            self._worker = None

    def discard(self) -> None:
        """Forget everything."""
        self.close()
        for pack in self._packs:
            pack.discard()


def _compress_many(bodies: list[bytes]) -> list[bytes]:
    """Compress a batch in one call that lets go of the interpreter lock just once.

    Letting go of it for every body makes the two threads wait for each other.
    """
    if not bodies:
        return []
    compressed = zstandard.ZstdCompressor(level=1).multi_compress_to_buffer([*bodies], threads=1)
    return [compressed[number].tobytes() for number in range(len(compressed))]


def _encode_batch(batch: dict[bytes, Raw], stored: list[bytes]) -> list[Encoded]:
    """The entries of a batch: compressed where that saved something, else as they are."""
    return [
        encode_entry(kind, entry_id, Method.ZSTD, body, len(data))
        if len(body) < len(data)
        else encode_entry(kind, entry_id, Method.RAW, data, len(data))
        for (entry_id, (kind, data)), body in zip(batch.items(), stored, strict=True)
    ]
