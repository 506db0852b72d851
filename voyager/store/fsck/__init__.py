"""Checking a whole store without changing a byte of it (spec 7.4).

Every byte of packs, log and journal is covered by a checksum and an id. The index has none, so it
is compared with what packs, log and journal say. What objects refer to must be there.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from voyager.errors import CorruptError
from voyager.store import files
from voyager.store.apply import TOMBSTONES
from voyager.store.entry import HEADER_BYTES, Damage, decode_header, expand
from voyager.store.fsck.index import judge, named_packs
from voyager.store.fsck.objects import Reachability, check_maps, inspect
from voyager.store.fsck.packs import PackCheck
from voyager.store.fsck.report import Problem, Report
from voyager.store.ids import Kind
from voyager.store.journal import Journal
from voyager.store.objectstore import Store, check_spec
from voyager.store.pack_index import PackIndex
from voyager.store.rebuild import fill
from voyager.store.spec import SPEC_VERSION
from voyager.store.truth import read_truth

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
        self.verdict = judge(root, folder, self.truth)
        if self.verdict.filled:
            folder /= "right"
        self.store = Store(root, PackIndex(folder, durable=False), read_only=False)
        if not self.verdict.filled:
            fill(self.store, self.truth, self.verdict.packs, (self.truth.number, self.truth.end))
        report.counts["operations"] = len(self.truth.recorded)

    def close(self) -> None:
        self.store.close()

    def check_index(self) -> None:
        """How the index differs from what packs, log and journal say, and which packs it lacks."""
        self.report.notes += self.verdict.notes
        for problem in self.verdict.problems():
            self.report.add(problem)
        for name in sorted(named_packs(self.truth)):
            if not self.store.pack_path(name).exists():
                self.report.add(Problem("missing", "the pack is missing", f"{name}.pack"))

    def check_journal(self) -> None:
        """Damage in log and journal; a torn end that was never applied is none."""
        for name, damage in self.truth.damage:
            where = f"{name} at byte {damage.offset}"
            if name == "journal" and self._is_torn_end(damage):
                self.report.notes.append(f"{where}: a torn write, cut by the next opening")
            else:
                kind = "journal" if name == "journal" else "log"
                self.report.add(Problem(kind, damage.reason, where, fixable_by_rebuild=True))
        applied, end = self.verdict.applied, self.truth.end
        if applied is not None and applied[0] == self.truth.number and applied[1] > end:
            what = "what the index has applied is not in the journal any more"
            where = f"journal at byte {end}"
            self.report.add(Problem("journal", what, where, fixable_by_rebuild=True))

    def _is_torn_end(self, damage: Damage) -> bool:
        applied = self.verdict.applied
        return (
            applied is not None
            and self.truth.head_fits
            and applied[0] == self.truth.number
            and damage.offset >= max(applied[1], self.truth.end)
        )

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
        paths = [self.store.pack_path(name) for name in self.verdict.packs]
        total = sum(path.stat().st_size for path in paths)
        for path in paths:
            run = PackCheck(path, purged, self._inspect if full else None)
            for problem in run.run():
                self.report.add(problem)
            self.report.counts.update(packs=1, entries=run.entries, bytes=run.size)
            if progress is not None:
                progress(self.report.counts["bytes"], total)
        for path in sorted((self.root / "packs").glob("*.pack")):
            if path in paths:
                continue
            self.report.notes.append(f"{path.name} is garbage: nothing names it")
            for problem in PackCheck(path, purged, None).run():
                if problem.kind == "purged":
                    self.report.add(problem)

    def _inspect(self, where: str, data: bytes) -> list[Problem]:
        return list(inspect(self.store, where, data))
