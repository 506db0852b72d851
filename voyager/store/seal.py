"""Sealing a long journal: objects into a metadata pack, operations into a log (spec 6.4)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voyager.errors import CorruptError
from voyager.store import files
from voyager.store.apply import file_number, put_applied, register_file, register_pack
from voyager.store.entry import HEADER_BYTES, Damage
from voyager.store.journal import (
    HEAD_BYTES,
    Journal,
    digest_of,
    encode_operation_entry,
    journal_head,
    log_head,
)
from voyager.store.operation import Operation
from voyager.store.pack import Content, PackWriter, Placed, SealedPack
from voyager.store.pack_index import Writing, encode_place
from voyager.store.spec import JOURNAL_SEAL_BYTES

if TYPE_CHECKING:
    from voyager.store.objectstore import Store

HOUSEKEEPING = "gc"
"""The kind of operations that change files and no values; undo passes over them."""


def seal_if_long(store: Store) -> None:
    """Seal the journal when it has grown past its limit; the caller holds the lock.

    A failure is left to the next time, for the commit that grew the journal is made.
    """
    if (store.root / "journal").stat().st_size > JOURNAL_SEAL_BYTES:
        with contextlib.suppress(OSError, CorruptError):
            seal_journal(store)


def seal_journal(store: Store) -> None:
    """Move the journal's content into a pack and a log segment and begin the next generation.

    The index is up to date and the caller holds the lock. Killed before the rename of the journal,
    the pack and the segment are copies that no one needs; killed after it, the index is made again
    from headers at the next opening. Raises CorruptError when a group of the journal is damaged.
    """
    with Journal(store.root / "journal", write=True) as journal:
        objects, operations = _read_whole(journal)
        if not operations:
            return
        pack = pack_objects(store.root, journal, objects)
        if pack is not None:
            try:
                operations.append(record_packs(journal, operations[-1][0], [pack.name]))
            except OSError:
                store.remove_strays([pack])
                raise
        segment, offsets = write_segment(store.root, journal, operations)
        generation = journal.number + 1
    files.write_atomic(store.root / "journal", journal_head(generation))

    def body(writing: Writing) -> None:
        if pack is not None:
            register_pack(writing, pack.name, pack.entries)
        number = file_number(writing, segment) or register_file(writing, segment)
        for seq, offset, stored in offsets:
            place = encode_place(number, offset, stored)
            writing.put("operations", seq.to_bytes(8, "big"), place)
        put_applied(writing, generation, HEAD_BYTES)

    store.index.write(body)


def _read_whole(journal: Journal) -> tuple[list[Placed], list[tuple[Operation, Placed]]]:
    objects: list[Placed] = []
    operations = []
    for group in journal.iter_groups():
        if isinstance(group, Damage):
            raise CorruptError(
                f"the journal is damaged at byte {group.offset}: {group.reason}",
                hint="vgr fsck --rebuild",
                path=journal.path,
            )
        objects += group.objects
        operations.append((group.operation, group.operation_at))
    return objects, operations


def pack_objects(root: Path, journal: Journal, objects: Iterable[Placed]) -> SealedPack | None:
    """Copy objects of the journal into a metadata pack; None when there are none."""
    distinct = {placed.id: placed for placed in objects}
    if not distinct:
        return None
    writer = PackWriter(root / "packs", Content.METADATA)
    try:
        for placed in distinct.values():
            entry = journal.read(placed.offset, HEADER_BYTES + placed.stored)
            writer.append_copy(entry[:HEADER_BYTES], [entry[HEADER_BYTES:]])
        return writer.seal()
    finally:
        writer.discard()


def record_packs(
    journal: Journal,
    last: Operation | None,
    added: Iterable[str],
    dropped: Iterable[str] = (),
    message: str = "journal sealed",
) -> tuple[Operation, Placed]:
    """Append an operation that names packs made of this journal or instead of others.

    Without it an equal pack that gc dropped once would stay dropped for a rebuild.
    """
    length, digest = digest_of([])
    operation = Operation(
        added=[bytes.fromhex(name) for name in added],
        digest=digest,
        dropped=[bytes.fromhex(name) for name in dropped],
        kind=HOUSEKEEPING,
        length=length,
        message=message,
        nonce=os.urandom(16),
        seq=1 if last is None else last.seq + 1,
        time=0 if last is None else last.time,
        zone=0 if last is None else last.zone,
    )
    return operation, journal.append(journal.size, [encode_operation_entry(operation)])[0]


def write_segment(
    root: Path, journal: Journal, operations: Sequence[tuple[Operation, Placed]]
) -> tuple[str, list[tuple[int, int, int]]]:
    """Copy operations into `log/<first seq>.log`, durably.

    The segment's name, and (seq, offset, stored) of each operation.
    """
    first = operations[0][0].seq
    name = f"{first:016d}.log"
    buffers, offsets, at = [log_head(first)], [], HEAD_BYTES
    for operation, placed in operations:
        buffers.append(journal.read(placed.offset, HEADER_BYTES + placed.stored))
        offsets.append((operation.seq, at, placed.stored))
        at += HEADER_BYTES + placed.stored
    files.write_atomic(root / "log" / name, b"".join(buffers))
    return name, offsets
