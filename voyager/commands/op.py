"""List the operations that can be undone.

Example:
  $ vgr op log -n 5
"""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from voyager.commands.commits import moment
from voyager.commands.context import Context
from voyager.commands.operations import described, operation_as_json
from voyager.repo.undo import iter_log

app = typer.Typer()
DEFAULT = "log"


@app.command("log")
def log(
    ctx: Context,
    *,
    limit: Annotated[
        int | None, typer.Option("-n", "--max-count", metavar="N", min=0, help="only so many")
    ] = None,
) -> None:
    """List the operations of this repository, newest first.

    The number in front is what vgr undo takes.

    JSON: [{"operation", "time", "author", "kind", "message", "undoes", "undone_by"}].

    Example:
      $ vgr op log -n 5
    """
    steps = (step for step in iter_log(ctx.open_repository()) if step[0].kind != "begin")
    found = islice(steps, limit)
    if ctx.json:
        ctx.emit([operation_as_json(operation, undone_by) for operation, undone_by in found])
        return
    for operation, undone_by in found:
        number = ctx.style(f"{operation.seq:>5}", "yellow")
        time = f"{moment(operation.time, operation.zone):%Y-%m-%d %H:%M:%S}"
        undone = "" if undone_by is None else ctx.style(f"  (undone by {undone_by})", "dim")
        ctx.show(f"{number}  {time}  {described(operation)}{undone}")
