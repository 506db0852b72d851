"""`vgr unbind`: let go of a bound label file, which stays."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.reports import quoted
from voyager.commands.words import key_of


def run(
    ctx: Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="a bound file")],
) -> None:
    """Let go of a bound label file, which stays as it is.

    Edits that were not added stay in it; vgr import FILE takes them in later. vgr undo binds it
    again.

    JSON: {"key"}.

    Example:
      $ vgr unbind annotations.json
    """
    repo = ctx.open_repository()
    from voyager.formats.binding import unbind

    key = key_of(repo, file)
    unbind(repo, key)
    if ctx.json:
        ctx.emit({"key": key})
        return
    ctx.say(f"unbound {quoted(key)}, which stays as it is")
