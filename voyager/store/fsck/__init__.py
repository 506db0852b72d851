"""Checking a whole store without changing a byte of it (spec 7.4).

Every byte of packs, log and journal is covered by a checksum and an id. The index has none, so it
is compared with what packs, log and journal say. What objects refer to must be there.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from voyager.errors import CorruptError
from voyager.store import files
from voyager.store.apply import TOMBSTONES
from voyager.store.entry import HEADER_BYTES, Damage, decode_header, expand
from voyager.store.fsck import index
from voyager.store.fsck.child import ChildDied
from voyager.store.fsck.objects import Reachability, check_maps, inspect
from voyager.store.fsck.packs import PackCheck
from voyager.store.fsck.report import Problem, Report
from voyager.store.ids import Kind
from voyager.store.journal import HEAD_BYTES, Journal
from voyager.store.objectstore import Store, check_spec
from voyager.store.pack_index import PackIndex
from voyager.store.rebuild import Truth, fill, live_packs, read_truth
from voyager.store.spec import SPEC_VERSION

__all__ = ["Problem", "Report", "check"]

Progress = Callable[[int, int | None], None]
Promised = Callable[[bytes], bool]


def check(
    store_root: Path,
    *,
    full: bool = True,
    progress: Progress | None = None,
    promised: Promised | None = None,
) -> Report:
    """Look for damage in a store; writers wait only while index and objects are looked at.

    Without `full` no body of a pack is read and no map made again. `promised` says of an absent
    blob whether a remote has it. Raises NotFoundError and StateError as opening does.
    """
    report = Report()
    _check_spec(store_root, report)
    with contextlib.ExitStack() as stack:
        locked = os.access(store_root, os.W_OK)
        if locked:
            stack.enter_context(files.FileLock(store_root / "gc.lock", shared=True, what="gc lock"))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vgr-fsck-"))
        lock = files.FileLock(store_root / "lock", what="write lock")
        with lock if locked else contextlib.nullcontext():
            checkup = _Checkup(store_root, Path(folder), report)
            stack.callback(checkup.close)
            checkup.check_journal()
            checkup.check_index()
            checkup.check_objects(promised or _no_one, progress, full=full)
        checkup.check_packs(progress, full=full)
    return report


def _no_one(_: bytes) -> bool:
    return False


def _check_spec(root: Path, report: Report) -> None:
    try:
        check_spec(root)
    except CorruptError as error:
        report.add(Problem("spec", error.message, "SPEC"))
    else:
        if (root / "SPEC").read_bytes() != f"voyager {SPEC_VERSION}\n".encode():
            report.add(Problem("spec", "it is not what init writes", "SPEC"))


class _Checkup:
    """The parts of one check, which share what log and journal say, and an index made of that."""

    def __init__(self, root: Path, folder: Path, report: Report) -> None:
        self.root = root
        self.report = report
        self.truth = read_truth(root)
        self.said = self._ask()
        self.packs, self.strays = self._find_packs()
        self.store = Store(root, PackIndex(folder, durable=False), read_only=False)
        report.counts["operations"] = len(self.truth.recorded)

    def close(self) -> None:
        self.store.close()

    def _ask(self) -> index.Said | None:
        try:
            return index.ask(self.root)
        except ChildDied as error:
            self._blame_index(f"it cannot be opened: {error}")
            return None

    def _blame_index(self, what: str) -> None:
        self.report.add(Problem("index", what, "index", fixable_by_rebuild=True))

    def _find_packs(self) -> tuple[list[str], list[str]]:
        """Packs that count, those named last, and packs that nothing names."""
        named = _named_packs(self.truth)
        alive = live_packs(self.root, self.truth)
        for name in sorted(named.difference(alive)):
            self.report.add(Problem("missing", "the pack is missing", f"{name}.pack"))
        counting = self._counting_packs(self.truth)
        strays = [
            path.stem
            for path in sorted((self.root / "packs").glob("*.pack"))
            if path.stem not in counting
        ]
        self.report.notes += [f"{name}.pack is garbage: nothing names it" for name in strays]
        return counting, strays

    def _counting_packs(self, truth: Truth) -> list[str]:
        """Packs on disk that an operation or the index names, those of operations last.

        Without an index every pack counts that was not dropped, as for a rebuild.
        """
        named = _named_packs(truth)
        alive = live_packs(self.root, truth)
        known = named | (self.said.packs if self.said is not None else set(alive))
        return sorted((name for name in alive if name in known), key=lambda name: name in named)

    # -- journal and log -------------------------------------------------------------------------

    def check_journal(self) -> None:
        """Damage in log and journal; a torn end that was never applied is none."""
        applied = self.said.applied if self.said is not None else None
        for name, damage in self.truth.damage:
            where = f"{name} at byte {damage.offset}"
            if name == "journal" and self._is_torn_end(damage, applied):
                self.report.notes.append(f"{where}: a torn write, cut by the next opening")
            else:
                kind = "journal" if name == "journal" else "log"
                self.report.add(Problem(kind, damage.reason, where, fixable_by_rebuild=True))
        if applied is not None and applied[0] == self.truth.number and applied[1] > self.truth.end:
            what = "what the index has applied is not in the journal any more"
            where = f"journal at byte {self.truth.end}"
            self.report.add(Problem("journal", what, where, fixable_by_rebuild=True))

    def _is_torn_end(self, damage: Damage, applied: tuple[int, int] | None) -> bool:
        return (
            applied is not None
            and self.truth.head_fits
            and applied[0] == self.truth.number
            and damage.offset >= max(applied[1], self.truth.end)
        )

    # -- the index -------------------------------------------------------------------------------

    def check_index(self) -> None:
        """Compare the index with one made anew; that one serves the checks after this."""
        end = self.truth.number, self.truth.end
        if self.said is None:
            fill(self.store, self.truth, self.packs, end)
            return
        applied = self.said.applied
        if self.truth.head_fits and applied[0] + 1 == end[0]:
            self.report.notes.append("the journal was sealed; the next opening indexes it")
            fill(self.store, self.truth, self.packs, end)
        elif applied[1] != end[1] and self._is_boundary(applied[1]):
            self.report.notes.append("the journal is ahead of the index; the next opening follows")
            self._compare(self._truth_until(applied[1]), applied)
            fill(self.store, self.truth, self.packs, end)
        else:
            if applied != end and self.truth.head_fits:
                self._blame_index("it has applied the journal up to where no operation ends")
            self._compare(self.truth, end)

    def _compare(self, truth: Truth, end: tuple[int, int]) -> None:
        fill(self.store, truth, self._counting_packs(truth), end)
        items = self.store.index.read(lambda reading: reading.count("objects"))
        for problem in index.compare(self.root, self.store.index.path, items):
            self.report.add(problem)

    def _is_boundary(self, position: int) -> bool:
        """Whether the journal holds whole groups up to `position`, and more behind."""
        return position == HEAD_BYTES or any(
            each.placed.offset + HEADER_BYTES + each.placed.stored == position
            for each in self.truth.recorded
            if not each.segment
        )

    def _truth_until(self, position: int) -> Truth:
        # By number, since a sealing that was killed may have left them in the log as well.
        later = {
            each.operation.seq
            for each in self.truth.recorded
            if not each.segment and each.placed.offset >= position
        }
        recorded = [each for each in self.truth.recorded if each.operation.seq not in later]
        return replace(self.truth, recorded=recorded, end=position)

    # -- objects and packs -----------------------------------------------------------------------

    def check_objects(self, promised: Promised, progress: Progress | None, *, full: bool) -> None:
        """What roots reach, the maps of snapshots, and the objects of the journal by themselves."""
        walk = Reachability(self.store, self.report, promised, progress)
        walk.run()
        if not full:
            return
        check_maps(self.store, walk.snapshots(), self.report)
        places = [placed for each in self.truth.recorded for placed in each.objects]
        if not places:
            return
        with Journal(self.root / "journal", salvaging=True) as journal:
            for placed in places:
                entry = journal.read(placed.offset, HEADER_BYTES + placed.stored)
                header = decode_header(entry)
                if header.kind is Kind.DICTIONARY:
                    continue
                data = expand(header, entry[HEADER_BYTES:])
                for problem in inspect(self.store, f"{header.kind.label} {header.id.hex()}", data):
                    self.report.add(problem)

    def check_packs(self, progress: Progress | None, *, full: bool) -> None:
        """Every byte of every pack; of packs that nothing names only whether they were purged."""
        purged = {
            bytes.fromhex(name.removeprefix(TOMBSTONES)) for name in self.store.values(TOMBSTONES)
        }
        paths = [self.store.pack_path(name) for name in self.packs]
        total = sum(path.stat().st_size for path in paths)
        for path in paths:
            run = PackCheck(path, purged, self._inspect if full else None)
            for problem in run.run():
                self.report.add(problem)
            self.report.counts.update(packs=1, entries=run.entries, bytes=run.size)
            if progress is not None:
                progress(self.report.counts["bytes"], total)
        for name in self.strays:
            for problem in PackCheck(self.store.pack_path(name), purged, None).run():
                if problem.kind == "purged":
                    self.report.add(problem)

    def _inspect(self, where: str, data: bytes) -> list[Problem]:
        return list(inspect(self.store, where, data))


def _named_packs(truth: Truth) -> set[str]:
    """Packs that operations brought in and none dropped."""
    named: set[str] = set()
    for record in truth.recorded:
        named -= {name.hex() for name in record.operation.dropped}
        named |= {name.hex() for name in record.operation.added}
    return named
