"""`vgr fsck`: verify every byte, and rebuild the index from what is verified."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.errors import CorruptError
from voyager.repo.layout import find
from voyager.store.fsck import Report, check
from voyager.store.rebuild import Rebuilt, rebuild


def run(
    ctx: Context,
    *,
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

    JSON: {"ok", "problems": [{"kind", "what", "where", "fixable_by_rebuild"}], "notes", "counts",
    "rebuilt"}.

    Example:
      $ vgr fsck
      $ vgr fsck --rebuild
    """
    folder = find(Path.cwd())
    rebuilt = rebuild(folder, ctx.progress("rebuilding the index")) if remake else None
    report = check(folder, full=not quick, progress=ctx.progress("verifying"))
    if report.ok and not quick:
        from voyager.repo.check import check_rows

        for problem in check_rows(ctx.open_repository(), ctx.progress("reading rows")):
            report.add(problem)
    if ctx.json:
        ctx.emit(_as_json(report, rebuilt))
    if rebuilt is not None:
        ctx.say(
            f"made the index anew: {counted(rebuilt.operations, 'operation')},"
            f" {counted(rebuilt.packs, 'pack')}, {counted(rebuilt.objects, 'object')}"
        )
    _tell(ctx, report)
    return 0 if report.ok else CorruptError.exit


def _as_json(report: Report, rebuilt: Rebuilt | None) -> dict[str, object]:
    return {
        "ok": report.ok,
        "problems": [asdict(problem) for problem in report.problems],
        "notes": report.notes,
        "counts": dict(report.counts),
        "rebuilt": None if rebuilt is None else asdict(rebuilt),
    }


def _tell(ctx: Context, report: Report) -> None:
    counts = report.counts
    for problem in report.problems:
        ctx.show(f"{ctx.style('problem', 'red')} {problem.kind}: {problem}")
    for note in report.notes:
        ctx.say(f"note {note}")
    ctx.say(
        f"checked {counted(counts['entries'], 'entry')} in {counted(counts['packs'], 'pack')}"
        f" ({size_text(counts['bytes'])}), {counted(counts['operations'], 'operation')}:"
        f" {counted(len(report.problems), 'problem') if report.problems else 'all is well'}"
    )
    if any(problem.fixable_by_rebuild for problem in report.problems):
        ctx.show("hint: vgr fsck --rebuild")
    elif report.problems:
        ctx.show("hint: copy the named packs from a backup or clone into .vgr/packs")
