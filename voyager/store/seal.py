"""Sealing a long journal: objects into a metadata pack, operations into a log (spec 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voyager.store import files
from voyager.store.apply import put_applied, register_file, register_pack
from voyager.store.entry import HEADER_BYTES, decode_header
from voyager.store.journal import (
    HEAD_BYTES,
    Encoded,
    Group,
    Journal,
    journal_head,
    log_head,
)
from voyager.store.operation import Operation
from voyager.store.pack import Content, PackWriter, SealedPack
from voyager.store.pack_index import Writing, encode_place
from voyager.store.spec import JOURNAL_SEAL_BYTES

if TYPE_CHECKING:
    from voyager.store.objectstore import Store


def seal_if_long(store: Store) -> None:
    """Seal the journal when it has grown past its limit; the caller holds the lock."""
    if (store.root / "journal").stat().st_size > JOURNAL_SEAL_BYTES:
        seal_journal(store)


def seal_journal(store: Store) -> None:
    """Move the journal's content into a pack and a log segment and begin the next generation.

    Killed before the rename of the journal, the pack and the segment are copies that no one
    needs; killed after it, the index is made again from headers at the next opening.
    """
    with Journal(store.root / "journal") as journal:
        groups = [group for group in journal.iter_groups() if isinstance(group, Group)]
        if not groups:
            return
        pack = _pack_objects(store, journal, groups)
        segment, offsets = _write_segment(store, journal, groups)
        generation = journal.number + 1
    files.write_atomic(store.root / "journal", journal_head(generation))

    def body(writing: Writing) -> None:
        if pack is not None:
            register_pack(writing, pack.name, pack.entries)
        number = register_file(writing, segment)
        for seq, offset, stored in offsets:
            place = encode_place(number, offset, stored)
            writing.put("operations", seq.to_bytes(8, "big"), place)
        put_applied(writing, generation, HEAD_BYTES)

    store.index.write(body)


def _pack_objects(store: Store, journal: Journal, groups: list[Group]) -> SealedPack | None:
    seen: set[bytes] = set()
    writer: PackWriter | None = None
    for group in groups:
        for placed in group.objects:
            if placed.id in seen:
                continue
            seen.add(placed.id)
            writer = writer or PackWriter(store.root / "packs", Content.METADATA)
            entry = journal.read(placed.offset, HEADER_BYTES + placed.stored)
            header = decode_header(entry)
            body = entry[HEADER_BYTES:]
            writer.append(header.kind, header.id, header.method, body, header.real)
    return None if writer is None else writer.seal()


def _write_segment(
    store: Store, journal: Journal, groups: list[Group]
) -> tuple[str, list[tuple[int, int, int]]]:
    """Write `log/<first seq>.log`; its name and (seq, offset, stored) of each operation."""
    first = groups[0].operation.seq
    name = f"{first:016d}.log"
    entries = []
    for group in groups:
        placed = group.operation_at
        data = journal.read(placed.offset, HEADER_BYTES + placed.stored)
        entries.append((group.operation, Encoded(data[:HEADER_BYTES], data[HEADER_BYTES:])))
    return name, write_log(store, name, first, entries)


def write_log(
    store: Store, name: str, first: int, entries: list[tuple[Operation, Encoded]]
) -> list[tuple[int, int, int]]:
    """Write a log segment durably; (seq, offset, stored) of each operation."""
    buffers, offsets, at = [log_head(first)], [], HEAD_BYTES
    for operation, entry in entries:
        buffers += [entry.header, entry.stored]
        offsets.append((operation.seq, at, len(entry.stored)))
        at += HEADER_BYTES + len(entry.stored)
    files.write_atomic(store.root / "log" / name, b"".join(buffers))
    return offsets
