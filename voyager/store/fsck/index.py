"""Judging the pack index by one made anew from packs, log and journal, in a child process.

LMDB has no checksums: a damaged one gives wrong answers, or crashes the process that looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from voyager.store.entry import HEADER_BYTES
from voyager.store.fsck.child import ChildDied, allow, run_in_child
from voyager.store.fsck.report import Problem
from voyager.store.fsck.tables import Comparison, bounded
from voyager.store.index_place import index_folder
from voyager.store.journal import HEAD_BYTES
from voyager.store.objectstore import Store
from voyager.store.pack_index import PackIndex, leave_to_parent
from voyager.store.rebuild import fill
from voyager.store.truth import Truth, live_packs

_SECONDS = 10
_ITEMS_PER_SECOND = 10_000


@dataclass(slots=True)
class Verdict:
    """What was found of the index.

    `applied` is how far it says it has applied the journal, `packs` are the packs that count, for
    an operation or the index names them; None and all that were not dropped when it cannot be read.
    """

    applied: tuple[int, int] | None
    packs: list[str]
    filled: bool = False  # whether the index beside it holds all that the truth says
    wrong: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problems(self) -> list[Problem]:
        return [
            Problem("index", what, where, fixable_by_rebuild=True) for where, what in self.wrong
        ]


def judge(root: Path, folder: Path, truth: Truth) -> Verdict:
    """Compare the index of a store with what `truth` and its packs say.

    Leaves an index of all that in `folder`, for the caller to look things up in.
    """
    right = folder / "right"
    right.mkdir()
    try:
        said = run_in_child(partial(_judge_here, root, right, truth), seconds=_SECONDS)
        verdict = Verdict(tuple(said["applied"]), said["packs"], said["filled"])
        verdict.wrong = [(where, what) for where, what in said["wrong"]]
        verdict.notes = said["notes"]
    except ChildDied as error:
        verdict = Verdict(None, counting_packs(root, truth, None))
        verdict.wrong.append(("index", f"reading it fails: {error}"))
    return verdict


def _judge_here(root: Path, folder: Path, truth: Truth) -> dict[str, Any]:
    """`judge` in the child: the fields of a verdict as plain values."""
    leave_to_parent(index_folder(root))
    index = PackIndex(index_folder(root), read_only=True)
    applied, registered = _look(index)
    verdict = Verdict(applied, counting_packs(root, truth, registered))
    end = truth.number, truth.end
    if truth.head_fits and applied[0] + 1 == end[0]:
        verdict.notes.append("the journal was sealed; the next opening indexes it")
    elif applied[1] != end[1] and _is_boundary(truth, applied[1]):
        verdict.notes.append("the journal is ahead of the index; the next opening follows")
        _compare(root, index, folder, _until(truth, applied[1]), applied, registered, verdict)
    else:
        if applied != end and truth.head_fits:
            what = "it has applied the journal up to where no operation ends"
            verdict.wrong.append(("index", what))
        verdict.filled = True
        _compare(root, index, folder, truth, end, registered, verdict)
    return {
        "applied": applied,
        "filled": verdict.filled,
        "notes": verdict.notes,
        "packs": verdict.packs,
        "wrong": verdict.wrong,
    }


def _look(index: PackIndex) -> tuple[tuple[int, int], set[str]]:
    """How far an index has applied the journal, and the packs it registers."""
    applied, names = index.read(
        lambda reading: (
            reading.get("meta", b"applied"),
            [name for _, name in bounded(reading.items("packs"))],
        )
    )
    packs = {name.decode(errors="replace") for name in names if not name.endswith(b".log")}
    if applied is None:
        return (1, HEAD_BYTES), packs
    return (int.from_bytes(applied[:8], "little"), int.from_bytes(applied[8:], "little")), packs


def _compare(
    root: Path,
    index: PackIndex,
    folder: Path,
    truth: Truth,
    end: tuple[int, int],
    registered: set[str],
    verdict: Verdict,
) -> None:
    allow(0)  # it is damaged files that a child may be stuck in, not long ones
    with Store(root, PackIndex(folder, durable=False), read_only=False) as expected:
        fill(expected, truth, counting_packs(root, truth, registered), end)
        items = expected.index.read(lambda reading: reading.count("objects"))
        allow(_SECONDS + items // _ITEMS_PER_SECOND)
        verdict.wrong += expected.index.read(
            lambda right: index.read(lambda mine: list(Comparison(root, mine, right).run()))
        )


def counting_packs(root: Path, truth: Truth, registered: set[str] | None) -> list[str]:
    """Packs on disk that an operation or the index names, those of operations last.

    Without an index every pack counts that was not dropped, as for a rebuild.
    """
    named = named_packs(truth)
    alive = live_packs(root, truth)
    known = set(alive) if registered is None else named | registered
    return sorted((name for name in alive if name in known), key=lambda name: name in named)


def named_packs(truth: Truth) -> set[str]:
    """Packs that operations brought in and none dropped."""
    named: set[str] = set()
    for record in truth.recorded:
        named -= {name.hex() for name in record.operation.dropped}
        named |= {name.hex() for name in record.operation.added}
    return named


def _is_boundary(truth: Truth, position: int) -> bool:
    """Whether the journal holds whole groups up to `position`, and more behind."""
    return position == HEAD_BYTES or any(
        each.placed.offset + HEADER_BYTES + each.placed.stored == position
        for each in truth.recorded
        if not each.segment
    )


def _until(truth: Truth, position: int) -> Truth:
    """What was true when the journal ended at `position`."""
    # By number, since a sealing that was killed may have left operations in the log as well.
    later = {
        each.operation.seq
        for each in truth.recorded
        if not each.segment and each.placed.offset >= position
    }
    recorded = [each for each in truth.recorded if each.operation.seq not in later]
    return replace(truth, recorded=recorded, end=position)
