"""What an operation does to the pack index: the one function behind commit, replay and rebuild."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from voyager.store.operation import NIL, Operation
from voyager.store.pack import Placed
from voyager.store.pack_index import Reading, Writing, encode_place, short_hash

TOMBSTONES = "tombstones/"
"""Prefix of the values that say which blobs were purged, by whom and why."""
LOG = "LOG"
"""The value that holds the number of the first operation that gc did not let expire."""

Entries = Iterable[tuple[bytes, int, int]]
"""(id, offset, stored length) of the entries of one file."""


class Applier:
    """Applies one operation inside a write transaction; the same call may run twice."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.objects: list[tuple[Placed, int]] = []
        self.packs: list[tuple[str, Entries]] = []
        self.placed_at: tuple[int, Placed] | None = None
        self.end: tuple[int, int] | None = None
        self._hashes = {move.name: short_hash(move.name) for move in operation.moves}
        self._overlay = [
            (short_hash(change.space, change.key), change) for change in operation.overlay
        ]

    def __call__(self, writing: Writing) -> None:
        operation = self.operation
        if operation.dropped:
            _drop_packs(writing, {name.hex() for name in operation.dropped})
        writing.put_sorted(
            "objects",
            [
                (placed.id, encode_place(file, placed.offset, placed.stored))
                for placed, file in self.objects
            ],
        )
        for name, entries in self.packs:
            register_pack(writing, name, entries)
        self._move_values(writing)
        self._change_overlay(writing)
        self._note_operation(writing)

    def _move_values(self, writing: Writing) -> None:
        if self.operation.checkpoint:
            writing.clear("values")
        seq = self.operation.seq.to_bytes(8, "big")
        for move in self.operation.moves:
            new = bytes(move.new)
            if new == NIL:
                writing.delete("values", move.name.encode())
            else:
                writing.put("values", move.name.encode(), new)
            if not self.operation.checkpoint:
                writing.put("reflog", self._hashes[move.name] + seq, b"")
            if move.name.startswith(TOMBSTONES) and new != NIL:
                writing.delete("objects", bytes.fromhex(move.name.removeprefix(TOMBSTONES)))
            if move.name == LOG and new != bytes(move.old):
                _forget_operations(writing, msgspec.msgpack.decode(new, type=int))

    def _change_overlay(self, writing: Writing) -> None:
        if self.operation.clear or self.operation.checkpoint:
            writing.clear("overlay")
        for hashed, change in self._overlay:
            new = bytes(change.new)
            if new == NIL:
                writing.delete("overlay", hashed)
            else:
                writing.put("overlay", hashed, _encode_row(change.space, change.key, new))

    def _note_operation(self, writing: Writing) -> None:
        if self.placed_at is not None:
            file, placed = self.placed_at
            writing.put(
                "operations",
                self.operation.seq.to_bytes(8, "big"),
                encode_place(file, placed.offset, placed.stored),
            )
        if self.end is not None:
            put_applied(writing, *self.end)


def put_applied(writing: Writing, generation: int, position: int) -> None:
    """Note how far the journal is applied."""
    writing.put(
        "meta", b"applied", generation.to_bytes(8, "little") + position.to_bytes(8, "little")
    )


def next_file_number(writing: Writing) -> int:
    last = writing.last("packs")
    return 1 if last is None else int.from_bytes(last[0], "big") + 1


def register_file(writing: Writing, name: str) -> int:
    """Give a pack or log segment its file number."""
    number = next_file_number(writing)
    writing.put("packs", number.to_bytes(4, "big"), name.encode())
    return number


def file_number(reading: Reading, name: str) -> int | None:
    for key, value in reading.items("packs"):
        if value == name.encode():
            return int.from_bytes(key, "big")
    return None


def register_pack(writing: Writing, name: str, entries: Entries, number: int | None = None) -> int:
    """Index a pack and all that it holds; purged ids stay out. `number` when it has one."""
    number = number or file_number(writing, name) or register_file(writing, name)
    purged = {
        bytes.fromhex(key.decode().removeprefix(TOMBSTONES))
        for key, _ in writing.items("values", TOMBSTONES.encode())
    }
    writing.put_sorted(
        "objects",
        [
            (entry_id, encode_place(number, offset, stored))
            for entry_id, offset, stored in entries
            if entry_id not in purged
        ],
    )
    return number


def _drop_packs(writing: Writing, names: set[str]) -> None:
    """Unregister packs and forget every place in them, in one pass."""
    numbers = [key for key, value in writing.items("packs") if value.decode() in names]
    if not numbers:
        return
    for number in numbers:
        writing.delete("packs", number)
    prefixes = {number[::-1] for number in numbers}  # places begin with the number, little-endian
    gone = [key for key, place in writing.items("objects") if place[:4] in prefixes]
    for key in gone:
        writing.delete("objects", key)


def _forget_operations(writing: Writing, first: int) -> None:
    """Forget the operations before number `first`, and the segments that end before it."""
    bound = first.to_bytes(8, "big")
    segments = {
        int(name.removesuffix(b".log")): key
        for key, name in writing.items("packs")
        if name.endswith(b".log")
    }
    begins = max((start for start in segments if start <= first), default=first)
    stale = {
        "operations": [key for key, _ in writing.items("operations") if key < bound],
        "reflog": [key for key, _ in writing.items("reflog") if key[16:] < bound],
        "packs": [key for start, key in segments.items() if start < begins],
    }
    for table, keys in stale.items():
        for key in keys:
            writing.delete(table, key)


def _encode_row(space: str, key: bytes, row: bytes) -> bytes:
    return msgspec.msgpack.encode((space, key, row))


_row_decoder = msgspec.msgpack.Decoder(tuple[str, bytes, bytes])


def overlay_rows(reading: Reading) -> dict[tuple[str, bytes], bytes]:
    """The overlay: (space, key) → encoded row, or GONE for a removed one."""
    rows = {}
    for _, data in reading.items("overlay"):
        space, key, row = _row_decoder.decode(data)
        rows[space, key] = row
    return rows
