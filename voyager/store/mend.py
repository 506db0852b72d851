"""Cutting out what is damaged in journal, log and packs; what was there stays in trash/."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from blake3 import blake3

from voyager.errors import CorruptError
from voyager.store import files, seal
from voyager.store.entry import HEADER_BYTES, Damage, Header, Method
from voyager.store.ids import Kind
from voyager.store.journal import HEAD_BYTES, Journal, journal_head
from voyager.store.pack import (
    Content,
    PackWriter,
    index_copy,
    iter_body,
    read_dictionary_bytes,
    scan_pack,
)
from voyager.store.truth import Truth, live_packs, read_truth

DAMAGED = "damaged-"
"""How the names of damaged packs in trash/ begin."""


def mend(root: Path) -> list[str]:
    """Cut out what is damaged, write missing copies of pack indexes again; what was lost.

    Reads every byte of every pack.
    """
    truth = read_truth(root)
    lost = [say(name, damage) for name, damage in truth.damage]
    for name in sorted({name for name, _ in truth.damage if name != "journal"}):
        _mend_segment(root, name, truth)
    mend_journal(root, truth)
    if any(
        name == "journal" and HEAD_BYTES <= gap.offset < truth.end for name, gap in truth.damage
    ):
        _reseal(root, truth)
    lost += _mend_packs(root)
    for path in (root / "packs").glob("*.pack"):
        _mend_index_file(path)
    return lost


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


def mend_journal(root: Path, truth: Truth) -> None:
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
            operations.append(seal.record_packs(journal, operations[-1][0], [pack.name]))
        seal.write_segment(root, journal, operations)
        generation = journal.number + 1
    files.write_atomic(root / "journal", journal_head(generation))


# -- packs -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Looked:
    """The entries of a pack whose bytes fit their sums, and what is wrong with the rest."""

    good: list[tuple[int, Header]] = field(default_factory=list)
    wrong: list[Damage] = field(default_factory=list)


def _mend_packs(root: Path) -> list[str]:
    """Write each damaged pack anew with its good entries, and put the old one into trash/."""
    truth = read_truth(root)
    damaged = {}
    for name in live_packs(root, truth):
        looked = _look_through(root / "packs" / f"{name}.pack")
        if looked.wrong:
            damaged[name] = looked
    if not damaged:
        return []
    added = [_copy_good(root, name, looked) for name, looked in damaged.items() if looked.good]
    # One that lost no entry was replaced by its equal, under its own name.
    dropped = damaged.keys() - set(added)
    last = truth.recorded[-1].operation if truth.recorded else None
    with Journal(root / "journal", write=True) as journal:
        message = f"{len(damaged)} packs mended"
        seal.record_packs(journal, last, added, sorted(dropped), message)
    for name in sorted(dropped):
        # Not under its own name: it is to stay until operations of its time expire.
        files.rename(root / "packs" / f"{name}.pack", root / "trash" / f"{DAMAGED}{name}")
        files.remove(root / "packs" / f"{name}.idx")
    return [
        say(f"{name}.pack", damage) for name, looked in damaged.items() for damage in looked.wrong
    ]


def _look_through(path: Path) -> _Looked:
    looked = _Looked()
    with FileIO(path) as source:
        for found in scan_pack(path):
            if isinstance(found, Damage):
                looked.wrong.append(found)
            elif _sum_fits(source, *found):
                looked.good.append(found)
            else:
                offset, header = found
                what = f"{header.kind.label} {header.id.hex()} damaged"
                looked.wrong.append(Damage(offset, HEADER_BYTES + header.stored, what))
    return looked


def _sum_fits(source: FileIO, offset: int, header: Header) -> bool:
    hasher = blake3()
    for chunk in iter_body(source, offset, header.stored):
        hasher.update(chunk)
    return hasher.digest(len(header.body_sum)) == header.body_sum


def _copy_good(root: Path, name: str, looked: _Looked) -> str:
    """Write a pack of the good entries of another; its name."""
    path = root / "packs" / f"{name}.pack"
    has_blobs = any(header.kind is Kind.BLOB for _, header in looked.good)
    with FileIO(path) as source:
        dictionary = None
        if has_blobs and looked.good[0][1].kind is Kind.DICTIONARY:
            dictionary = read_dictionary_bytes(source.fileno(), path.name)
        writer = PackWriter(
            root / "packs", Content.BLOBS if has_blobs else Content.METADATA, dictionary=dictionary
        )
        try:
            for offset, header in looked.good:
                if dictionary is None and header.method == Method.ZSTD_DICTIONARY:
                    continue  # what it was compressed with is lost
                if not writer.begins_with(header.id):
                    head = os.pread(source.fileno(), HEADER_BYTES, offset)
                    writer.append_copy(head, iter_body(source, offset, header.stored))
            return writer.seal().name
        finally:
            writer.discard()


def _mend_index_file(pack: Path) -> None:
    path = pack.with_suffix(".idx")
    try:
        wanted = index_copy(pack)
    except CorruptError:
        return  # one that nothing names
    if not path.exists() or path.read_bytes() != wanted:
        files.write_atomic(path, wanted)


def _keep_copy(root: Path, path: Path, start: int) -> bytes:
    """Copy a file's bytes from `start` into trash/, so that nothing is ever only deleted."""
    data = path.read_bytes()[start:]
    files.make_folder(root / "trash")
    files.create(root / "trash" / f"{path.name}-{start}-{os.urandom(6).hex()}", data)
    return data


def say(name: str, damage: Damage) -> str:
    return f"{name} at byte {damage.offset}: {damage.reason}"
