"""What log and journal say, read without changing either; the damage in them is told (spec 7.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from voyager.errors import CorruptError
from voyager.store.entry import HEADER_BYTES, Damage, Header, expand, sum_of
from voyager.store.ids import Kind, id_of
from voyager.store.journal import HEAD_BYTES, Journal
from voyager.store.operation import Operation, decode_operation
from voyager.store.pack import Placed


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


def live_packs(root: Path, truth: Truth) -> list[str]:
    """Packs on disk that no operation dropped, in name order."""
    dropped: set[str] = set()
    for record in truth.recorded:
        dropped |= {name.hex() for name in record.operation.dropped}
        dropped -= {name.hex() for name in record.operation.added}
    names = sorted(path.stem for path in (root / "packs").glob("*.pack"))
    return [name for name in names if name not in dropped]


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
        data = _read_whole(journal, offset, header)
        return decode_operation(data) if header.kind is Kind.OPERATION else None
    except CorruptError:
        return None


def entry_is_whole(journal: Journal, offset: int, header: Header) -> bool:
    """Whether an entry's bytes give its id."""
    try:
        _read_whole(journal, offset, header)
    except CorruptError:
        return False
    return True


def _read_whole(journal: Journal, offset: int, header: Header) -> bytes:
    """An entry's real bytes; CorruptError unless they fit its sum and its id."""
    stored = journal.read(offset + HEADER_BYTES, header.stored)
    data = expand(header, stored)
    # Both, for a flip in a zstd frame may leave what it expands to as it was.
    if sum_of(stored) != header.body_sum or id_of(header.kind, data) != header.id:
        raise CorruptError(f"{header.kind.label} {header.id.hex()} is damaged")
    return data
