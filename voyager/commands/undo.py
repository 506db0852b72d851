"""`vgr undo`: take back the last operation, or any one."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.operations import described, operation_as_json
from voyager.commands.reports import capped, files_changed, updated_as_json
from voyager.repo.undo import undo


def run(
    ctx: Context,
    number: Annotated[
        int | None,
        typer.Argument(metavar="OP", min=1, help="its number in vgr op log (default: the last)"),
    ] = None,
) -> int:
    """Take back the last operation that is not undone, or the one of a number.

    Branches, tags, staged rows and files go back to what they were before it. An undo is an
    operation too: vgr undo with its number does again what was undone.

    JSON: {"operation", "undone": {…as in op log…}, "written", "removed", "skipped"}.

    Example:
      $ vgr undo
      $ vgr op log
      $ vgr undo 12
    """
    repo = ctx.open_repository()
    operation, done = undo(repo, number, progress=ctx.progress("undoing"))
    by = repo.store.last_seq()
    if ctx.json:
        undone = operation_as_json(operation, by)
        ctx.emit({"operation": by, "undone": undone, **updated_as_json(done)})
    ctx.say(f"undid operation {operation.seq}, {described(operation)}{files_changed(done)}")
    ctx.say(f"vgr undo {by} brings it back")
    return ctx.done_with_skips(list(capped(done.skipped)))
