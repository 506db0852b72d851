"""Making the pack index again from packs, log and journal (spec 7.3)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voyager.errors import CorruptError
from voyager.store import files
from voyager.store.apply import Applier, put_applied, register_file, register_pack
from voyager.store.entry import HEADER_BYTES, Damage, Header, expand
from voyager.store.ids import Kind, id_of
from voyager.store.journal import HEAD_BYTES, Journal, journal_head
from voyager.store.objectstore import Store, check_spec, pack_entries
from voyager.store.operation import Operation, decode_operation
from voyager.store.pack import Placed
from voyager.store.pack_index import PackIndex, Writing

_TABLES = ("objects", "packs", "values", "overlay", "reflog", "operations", "meta")

Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild found."""

    operations: int = 0
    packs: int = 0
    objects: int = 0
    damage: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An operation read back: the file it lies in ('' is the journal) and its group's objects."""

    segment: str
    placed: Placed
    operation: Operation
    objects: tuple[Placed, ...]


def rebuild(root: Path, progress: Progress | None = None) -> Rebuilt:
    """Put the old index aside and make a new one; every ref, stash and staged row comes back."""
    check_spec(root)
    gc_lock = files.FileLock(root / "gc.lock", what="gc lock")
    with gc_lock, files.FileLock(root / "lock", what="write lock"):
        shutil.rmtree(root / "trash" / "index", ignore_errors=True)
        files.make_folder(root / "trash")
        if (root / "index").exists():
            files.rename(root / "index", root / "trash" / "index")
        files.make_folder(root / "index")
        store = Store(root, PackIndex(root / "index"), read_only=False)
        try:
            found = _fill(store, progress)
        finally:
            store.close()
        shutil.rmtree(root / "trash" / "index", ignore_errors=True)
    return found


def index_again(store: Store) -> Rebuilt:
    """Fill the index of an open store anew, in place; the caller holds the lock."""
    return _fill(store, None)


def _fill(store: Store, progress: Progress | None) -> Rebuilt:
    found = Rebuilt()
    recorded = list(_read_logs(store.root, found)) + _read_journal(store.root, found)
    recorded.sort(key=lambda record: record.operation.seq)
    names = _live_packs(store.root, [record.operation for record in recorded])
    with Journal(store.root / "journal") as journal:
        end = (journal.number, journal.size)

    def body(writing: Writing) -> None:
        for table in _TABLES:
            writing.clear(table)
        numbers = {"": 0}
        for record in recorded:
            segment = record.segment
            if segment not in numbers:
                numbers[segment] = register_file(writing, segment)
            applier = Applier(record.operation)
            applier.objects = [(placed, 0) for placed in record.objects]
            applier.placed_at = (numbers[segment], record.placed)
            applier(writing)
        for done, name in enumerate(names):
            # After the operations, so that the last word on tombstones is known.
            register_pack(writing, name, pack_entries(store.pack_path(name)))
            if progress is not None:
                progress(done + 1, len(names))
        put_applied(writing, *end)
        found.objects = writing.count("objects")

    store.index.write(body)
    found.operations, found.packs = len(recorded), len(names)
    return found


def _live_packs(root: Path, operations: list[Operation]) -> list[str]:
    """Packs on disk that no operation dropped, in name order."""
    dropped: set[str] = set()
    for operation in operations:
        dropped -= {name.hex() for name in operation.added}
        dropped |= {name.hex() for name in operation.dropped}
    names = sorted(path.stem for path in (root / "packs").glob("*.pack"))
    return [name for name in names if name not in dropped]


def _read_logs(root: Path, found: Rebuilt) -> Iterator[Recorded]:
    for path in sorted((root / "log").glob("*.log")):
        with Journal(path) as segment:
            for item in segment.iter_entries():
                if isinstance(item, Damage):
                    found.damage.append(f"{path.name} at byte {item.offset}: {item.reason}")
                    continue
                offset, header = item
                operation = read_operation(segment, offset, header)
                if operation is None:
                    found.damage.append(f"{path.name} at byte {offset}: operation damaged")
                else:
                    placed = Placed(header.id, offset, header.stored)
                    yield Recorded(path.name, placed, operation, ())


def _read_journal(root: Path, found: Rebuilt) -> list[Recorded]:
    """Every operation of the journal; a torn end is cut and kept in trash/."""
    path = root / "journal"
    try:
        journal = Journal(path, write=True)
    except (CorruptError, FileNotFoundError):
        found.damage.append("the head of the journal is damaged")
        _mend_head(root)
        journal = Journal(path, write=True)
    with journal:
        recorded, damage, whole = salvage(journal)
        if whole < journal.size:
            _keep_tail(root, journal, whole)
            journal.cut(whole)
        found.damage += [f"journal at byte {gap.offset}: {gap.reason}" for gap in damage]
    return recorded


def salvage(journal: Journal) -> tuple[list[Recorded], list[Damage], int]:
    """(operations, damage, end of the last good one), objects checked one by one.

    An operation whose group lost an object still counts when another operation follows it; the
    last one counts only when its group is whole, for else it was never committed.
    """
    recorded: list[Recorded] = []
    damage: list[Damage] = []
    whole, pending, doubt = HEAD_BYTES, list[Placed](), list[Damage]()
    held: tuple[Recorded, list[Damage], int] | None = None
    for item in journal.iter_entries():
        if isinstance(item, Damage):
            doubt.append(item)
            continue
        offset, header = item
        placed = Placed(header.id, offset, header.stored)
        end = offset + HEADER_BYTES + header.stored
        if header.kind is not Kind.OPERATION:
            if entry_is_whole(journal, offset, header):
                pending.append(placed)
            else:
                doubt.append(Damage(offset, end - offset, f"{header.kind.label} damaged"))
            continue
        operation = read_operation(journal, offset, header)
        if operation is None:
            doubt.append(Damage(offset, end - offset, "operation damaged"))
            continue
        if held is not None:
            recorded.append(held[0])
            damage += held[1]
            whole, held = held[2], None
        record = Recorded("", placed, operation, tuple(pending))
        if doubt:
            held = record, doubt, end
        else:
            recorded.append(record)
            whole = end
        pending, doubt = [], []
    if held is not None:
        doubt = held[1] + doubt
    return recorded, damage + doubt, whole


def read_operation(journal: Journal, offset: int, header: Header) -> Operation | None:
    """The operation at an entry, or None when it does not fit its id."""
    try:
        data = expand(header, journal.read(offset + HEADER_BYTES, header.stored))
        if header.kind is Kind.OPERATION and id_of(Kind.OPERATION, data) == header.id:
            return decode_operation(data)
    except CorruptError:
        pass
    return None


def entry_is_whole(journal: Journal, offset: int, header: Header) -> bool:
    """Whether an entry's bytes give its id."""
    try:
        data = expand(header, journal.read(offset + HEADER_BYTES, header.stored))
    except CorruptError:
        return False
    return id_of(header.kind, data) == header.id


def _keep_tail(root: Path, journal: Journal, start: int) -> None:
    """Put what is cut from the journal into trash/, so that nothing is ever only deleted."""
    files.make_folder(root / "trash")
    target = root / "trash" / f"journal-{journal.number}-{start}-{os.urandom(3).hex()}"
    files.create(target, journal.read(start, journal.size - start))


def _mend_head(root: Path) -> None:
    path = root / "journal"
    data = path.read_bytes() if path.exists() else b""
    generation = 1 + len(list((root / "log").glob("*.log")))
    files.write_atomic(path, journal_head(generation) + data[HEAD_BYTES:])
