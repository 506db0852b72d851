"""Making the pack index again from packs, log and journal (spec 7.3)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from voyager.errors import CorruptError
from voyager.store import files, seal
from voyager.store.apply import Applier, put_applied, register_file, register_pack
from voyager.store.entry import HEADER_BYTES, Damage, Header, expand
from voyager.store.ids import Kind, id_of
from voyager.store.journal import HEAD_BYTES, Journal, journal_head
from voyager.store.objectstore import Store, check_spec, pack_entries
from voyager.store.operation import Operation, decode_operation
from voyager.store.pack import Placed, index_copy
from voyager.store.pack_index import TABLES, PackIndex, Writing, reopen

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


@dataclass(slots=True)
class Truth:
    """What log and journal say: operations by number, and (file name, damage) of what is lost.

    `number` is the journal's generation, `end` where its last good operation ends.
    """

    recorded: list[Recorded] = field(default_factory=list)
    damage: list[tuple[str, Damage]] = field(default_factory=list)
    number: int = 0
    end: int = HEAD_BYTES
    head_fits: bool = False


def rebuild(root: Path, progress: Progress | None = None) -> Rebuilt:
    """Put the old index aside and make a new one; every ref, stash and staged row comes back.

    Damaged stretches of journal and log are cut out; a copy of what they were stays in trash/.
    """
    check_spec(root)
    gc_lock = files.FileLock(root / "gc.lock", what="gc lock")
    with gc_lock, files.FileLock(root / "lock", what="write lock"):
        files.remove_tree(root / "trash" / "index")
        files.make_folder(root / "trash")
        if (root / "index").exists():
            files.rename(root / "index", root / "trash" / "index")
        files.make_folder(root / "index")
        reopen(root / "index")
        damage = _mend(root)
        store = Store(root, PackIndex(root / "index"), read_only=False)
        try:
            found = index_again(store, progress)
        finally:
            store.close()
        files.remove_tree(root / "trash" / "index")
    found.damage = damage
    return found


def index_again(store: Store, progress: Progress | None = None) -> Rebuilt:
    """Fill the index of an open store anew, in place; the caller holds the lock."""
    truth = read_truth(store.root)
    _mend_journal(store.root, truth)
    names = live_packs(store.root, truth)
    fill(store, truth, names, (truth.number, truth.end), progress)
    return Rebuilt(
        operations=len(truth.recorded),
        packs=len(names),
        objects=store.index.read(lambda reading: reading.count("objects")),
        damage=[_say(name, damage) for name, damage in truth.damage],
    )


def fill(
    store: Store,
    truth: Truth,
    names: list[str],
    end: tuple[int, int],
    progress: Progress | None = None,
) -> None:
    """Write an index of these operations and packs; of an id in several packs the last counts."""

    def body(writing: Writing) -> None:
        for table in TABLES:
            writing.clear(table)
        numbers = {"": 0}
        for record in truth.recorded:
            segment = record.segment
            if segment not in numbers:
                numbers[segment] = register_file(writing, segment)
            applier = Applier(record.operation)
            applier.objects = [(placed, 0) for placed in record.objects]
            applier.placed_at = (numbers[segment], record.placed)
            applier(writing)
        for done, name in enumerate(names):
            # After the operations, so that the last word on tombstones is known.
            number = register_file(writing, name)
            register_pack(writing, name, pack_entries(store.pack_path(name)), number)
            if progress is not None:
                progress(done + 1, len(names))
        put_applied(writing, *end)

    store.index.write(body)


def live_packs(root: Path, truth: Truth) -> list[str]:
    """Packs on disk that no operation dropped, in name order."""
    dropped: set[str] = set()
    for record in truth.recorded:
        dropped |= {name.hex() for name in record.operation.dropped}
        dropped -= {name.hex() for name in record.operation.added}
    names = sorted(path.stem for path in (root / "packs").glob("*.pack"))
    return [name for name in names if name not in dropped]


def read_truth(root: Path) -> Truth:
    """Read log and journal; changes nothing."""
    truth = Truth()
    for path in sorted((root / "log").glob("*.log")):
        with Journal(path, salvaging=True) as segment:
            truth.recorded += _read_segment(segment, truth.damage)
    try:
        journal = Journal(root / "journal", salvaging=True)
    except FileNotFoundError:
        truth.damage.append(("journal", Damage(0, 0, "it is missing")))
        return truth
    with journal:
        truth.number, truth.head_fits = journal.number, journal.head_fits
        if not journal.head_fits:
            truth.damage.append(("journal", Damage(0, HEAD_BYTES, "the head is damaged")))
        recorded, damage, truth.end = salvage(journal)
    truth.recorded += recorded
    truth.damage += [("journal", gap) for gap in damage]
    # The sort keeps the order of equal numbers: a sealed journal that was not yet replaced counts.
    truth.recorded.sort(key=lambda record: record.operation.seq)
    return truth


def _read_segment(segment: Journal, damage: list[tuple[str, Damage]]) -> Iterator[Recorded]:
    name = segment.path.name
    if not segment.head_fits:
        damage.append((name, Damage(0, HEAD_BYTES, "the head is damaged")))
    for item in segment.iter_entries():
        if isinstance(item, Damage):
            damage.append((name, item))
            continue
        offset, header = item
        operation = read_operation(segment, offset, header)
        if operation is None:
            length = HEADER_BYTES + header.stored
            damage.append((name, Damage(offset, length, "operation damaged")))
        else:
            yield Recorded(name, Placed(header.id, offset, header.stored), operation, ())


def _say(name: str, damage: Damage) -> str:
    return f"{name} at byte {damage.offset}: {damage.reason}"


# -- mending ---------------------------------------------------------------------------------------


def _mend(root: Path) -> list[str]:
    """Cut out what is damaged in log and journal, write missing `.idx` again; what was lost."""
    truth = read_truth(root)
    for name in sorted({name for name, _ in truth.damage if name != "journal"}):
        _mend_segment(root, name, truth)
    _mend_journal(root, truth)
    if any(
        name == "journal" and HEAD_BYTES <= gap.offset < truth.end for name, gap in truth.damage
    ):
        _reseal(root, truth)
    for path in (root / "packs").glob("*.pack"):
        _mend_index_file(path)
    return [_say(name, damage) for name, damage in truth.damage]


def _mend_segment(root: Path, name: str, truth: Truth) -> None:
    path = root / "log" / name
    _keep_copy(root, path, 0)
    good = [(each.operation, each.placed) for each in truth.recorded if each.segment == name]
    if not good:
        files.remove(path)
        return
    with Journal(path, salvaging=True) as segment:
        written, _ = seal.write_segment(root, segment, good)
    if written != name:
        files.remove(path)


def _mend_journal(root: Path, truth: Truth) -> None:
    """Give the journal a head, and cut a torn end; both stay in trash/."""
    path = root / "journal"
    if not truth.head_fits:
        data = _keep_copy(root, path, 0) if path.exists() else b""
        truth.number = 1 + len(list((root / "log").glob("*.log")))
        truth.head_fits = True
        files.write_atomic(path, journal_head(truth.number) + data[HEAD_BYTES:])
    with Journal(path, write=True) as journal:
        if truth.end < journal.size:
            _keep_copy(root, path, truth.end)
            journal.cut(truth.end)


def _reseal(root: Path, truth: Truth) -> None:
    """Seal what is good in a journal that is damaged in its middle."""
    recorded = [each for each in truth.recorded if not each.segment]
    operations = [(each.operation, each.placed) for each in recorded]
    _keep_copy(root, root / "journal", 0)
    with Journal(root / "journal", write=True) as journal:
        objects = [placed for each in recorded for placed in each.objects]
        pack = seal.pack_objects(root, journal, objects)
        if pack is not None:
            operations.append(seal.record_pack(journal, operations[-1][0], pack))
        seal.write_segment(root, journal, operations)
        generation = journal.number + 1
    files.write_atomic(root / "journal", journal_head(generation))


def _mend_index_file(pack: Path) -> None:
    path = pack.with_suffix(".idx")
    try:
        wanted = index_copy(pack)
    except CorruptError:
        return  # the pack itself is damaged, which only fsck can say in full
    if not path.exists() or path.read_bytes() != wanted:
        files.write_atomic(path, wanted)


def _keep_copy(root: Path, path: Path, start: int) -> bytes:
    """Copy a file's bytes from `start` into trash/, so that nothing is ever only deleted."""
    data = path.read_bytes()[start:]
    files.make_folder(root / "trash")
    files.create(root / "trash" / f"{path.name}-{start}-{os.urandom(6).hex()}", data)
    return data


# -- reading what is left --------------------------------------------------------------------------


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
        if doubt and not _group_is_whole(journal, record):
            held = record, doubt, end
        else:
            recorded.append(record)
            damage += doubt
            whole = end
        pending, doubt = [], []
    if held is not None:
        doubt = held[1] + doubt
    return recorded, damage + doubt, whole


def _group_is_whole(journal: Journal, record: Recorded) -> bool:
    """Whether the damage before an operation is that of earlier groups."""
    length, digest = record.operation.length, record.operation.digest
    start = record.placed.offset - length
    return start >= HEAD_BYTES and blake3(journal.read(start, length)).digest() == digest


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
