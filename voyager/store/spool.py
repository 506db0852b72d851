"""Objects of a running transaction: hashed at once, compressed in batches, spilled when many.

Nodes are compressed in batches on one helper thread, since zstd lets go of the interpreter lock.
What stays under SPILL_BYTES goes into the journal; more becomes a metadata pack.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import zstandard

from voyager.store.entry import Method, decode_header, expand
from voyager.store.ids import Kind
from voyager.store.journal import Encoded, encode_entry
from voyager.store.pack import PackWriter
from voyager.store.spec import MIB, SPILL_BYTES

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_BATCH_BYTES = MIB
_MOST_IN_FLIGHT = 2

Raw = tuple[Kind, bytes]


class ObjectSpool:
    """Takes objects, gives them back by id, and ends as journal entries or one metadata pack.

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
        self._spilled: dict[bytes, tuple[Kind, int, int]] = {}
        self._pack: PackWriter | None = None
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
        if spilled is not None and self._pack is not None:
            kind, offset, length = spilled
            return kind, self._pack.read(offset, length)
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
        if self._pack is not None or self._stored_bytes > SPILL_BYTES:
            self._spill()

    def _spill(self) -> None:
        pack = self._pack = self._pack or self._new_pack()
        for entry in self._stored.values():
            placed = pack.append_encoded(entry.header, entry.stored)
            self._spilled[placed.id] = (Kind(entry.header[4]), placed.offset, placed.stored)
        self._stored.clear()
        self._stored_bytes = 0

    def finish(self) -> tuple[list[Encoded], PackWriter | None]:
        """(entries for the journal, the metadata pack to seal or None)."""
        while self._in_flight:
            self._land()
        batch = self._take_batch()
        self._keep(_encode_batch(batch, _compress_many([data for _, data in batch.values()])))
        self.close()
        return list(self._stored.values()), self._pack

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown(wait=True)
            self._worker = None

    def discard(self) -> None:
        """Forget everything."""
        self.close()
        if self._pack is not None:
            self._pack.discard()


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
