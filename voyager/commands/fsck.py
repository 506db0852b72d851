"""`vgr fsck`: verify every byte, and rebuild the index from what is verified."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.commands.storages import refuse_stray_name, storage_of
from voyager.errors import CorruptError, UsageError
from voyager.repo.keys import shown
from voyager.repo.layout import find
from voyager.store.fsck import Report, check
from voyager.store.rebuild import Rebuilt, rebuild

if TYPE_CHECKING:
    from voyager.repo.violations import Violations


def run(
    ctx: Context,
    name: Annotated[
        str | None, typer.Argument(metavar="REMOTE", help="with --remote: its name or URL")
    ] = None,
    *,
    remote: Annotated[
        bool, typer.Option("--remote", help="check a remote (by default origin)")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="with --remote: fetch and hash every image too")
    ] = False,
    remake: Annotated[
        bool, typer.Option("--rebuild", help="make the index anew first; nothing is lost by it")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="headers and references, not the bytes of images")
    ] = False,
) -> int:
    """Verify every byte, and rebuild the index from what is verified.

    Every problem is named, and the exit code is then 7. --rebuild makes the index anew from packs,
    journal and log: branches, tags, stashes and what is staged come back with it.

    Of what is staged it also counts violations: labels and overlaps that its tasks do not allow.
    They are nothing corrupt, and leave the exit code alone.

    With --remote it checks a remote: that every pack is there and fits its index, and that all that
    its refs reach is in one. Metadata are verified to the last byte, images only with --full, for
    which all of them are fetched, one pack after the other.

    JSON: {"ok", "problems": [{"kind", "what", "where", "fixable_by_rebuild"}], "notes", "counts",
    "violations": {kind: count}, "rebuilt"}; violations is null where nobody looked.

    Example:
      $ vgr fsck
      $ vgr fsck --rebuild
      $ vgr fsck --remote origin
    """
    refuse_stray_name(name, remote=remote, command="fsck")
    if remote:
        if remake or quick:
            raise UsageError("--rebuild and --quick are about this repository, not a remote")
        return _check_remote(ctx, name, full=full)
    folder = find(Path.cwd())
    rebuilt = rebuild(folder, ctx.progress("rebuilding the index")) if remake else None
    from voyager.remotes.lazy import Promises

    with contextlib.closing(Promises(folder)) as promised:
        report = check(
            folder, full=not quick, progress=ctx.progress("verifying"), promised=promised
        )
    violations: Violations | None = None
    if report.ok and not quick:
        from voyager.repo.check import check_rows

        for problem in check_rows(ctx.open_repository(), ctx.progress("reading rows")):
            report.add(problem)
    if report.ok and not quick:
        from voyager.repo.violations import find_violations

        version = ctx.open_repository().staged()
        violations = find_violations(version, progress=ctx.progress("looking for violations"))
    if ctx.json:
        ctx.emit(_as_json(report, rebuilt, violations))
    if rebuilt is not None:
        ctx.say(
            f"made the index anew: {counted(rebuilt.operations, 'operation')},"
            f" {counted(rebuilt.packs, 'pack')}, {counted(rebuilt.objects, 'object')}"
        )
    _tell(ctx, report)
    if violations is not None:
        _tell_violations(ctx, violations)
    return 0 if report.ok else CorruptError.exit


def _check_remote(ctx: Context, name: str | None, *, full: bool) -> int:
    from voyager.remotes.checking import check_remote

    repo = ctx.open_repository()
    with storage_of(ctx, repo, name) as (remote, storage):
        report = check_remote(
            repo,
            storage,
            full=full,
            progress=ctx.progress("verifying", sizes=True),
            walking=ctx.progress("following refs"),
        )
    if ctx.json:
        ctx.emit(_as_json(report, None, None))
    _tell_problems(ctx, report)
    counts = report.counts
    ctx.say(
        f"checked {counted(counts['refs'], 'ref')} of {remote},"
        f" {counted(counts['entries'], 'entry')} in {counted(counts['packs'], 'pack')}"
        f" ({size_text(counts['bytes'])}, {size_text(counts['bytes read'])} of it read):"
        f" {counted(len(report.problems), 'problem') if report.problems else 'all is well'}"
    )
    if counts["unlisted"]:
        size = size_text(counts["unlisted bytes"])
        ctx.say(f"{size} that nothing names: vgr gc --remote {remote} takes them away in time")
    if report.problems:
        ctx.show("hint: restore the named files from a backup, or push to a new place")
    return 0 if report.ok else CorruptError.exit


def _tell_violations(ctx: Context, violations: Violations) -> None:
    """Say where samples and their tasks and taxonomies do not agree; that is nothing corrupt."""
    for kind, count in violations.counts.most_common():
        first = violations.first[kind]
        place = (
            shown(first.key)
            if first.region is None
            else f"{shown(first.key)}#{first.region.hex()[:8]}"
        )
        ctx.show(f"{ctx.style('violation', 'yellow')} {kind}: {count:,}, the first in {place}:")
        ctx.show(f"  {first.message} ({first.hint})")


def _as_json(
    report: Report, rebuilt: Rebuilt | None, violations: Violations | None
) -> dict[str, object]:
    return {
        "ok": report.ok,
        "problems": [asdict(problem) for problem in report.problems],
        "notes": report.notes,
        "counts": dict(report.counts),
        "violations": None if violations is None else dict(violations.counts),
        "rebuilt": None if rebuilt is None else asdict(rebuilt),
    }


def _tell(ctx: Context, report: Report) -> None:
    counts = report.counts
    _tell_problems(ctx, report)
    ctx.say(
        f"checked {counted(counts['entries'], 'entry')} in {counted(counts['packs'], 'pack')}"
        f" ({size_text(counts['bytes'])}), {counted(counts['operations'], 'operation')}:"
        f" {counted(len(report.problems), 'problem') if report.problems else 'all is well'}"
    )
    if any(problem.fixable_by_rebuild for problem in report.problems):
        ctx.show("hint: vgr fsck --rebuild")
    elif report.problems:
        ctx.show("hint: copy the named packs from a backup or clone into .vgr/packs")


def _tell_problems(ctx: Context, report: Report) -> None:
    for problem in report.problems:
        ctx.show(f"{ctx.style('problem', 'red')} {problem.kind}: {problem}")
    for note in report.notes:
        ctx.say(f"note {note}")
