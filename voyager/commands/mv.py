"""`vgr mv`: rename a sample or a folder, labels and all."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.reports import shown_pairs
from voyager.commands.sizes import counted
from voyager.commands.words import key_of
from voyager.errors import UsageError
from voyager.repo.rows import move


def run(
    ctx: Context,
    names: Annotated[
        list[str], typer.Argument(metavar="KEY", help="what to rename, and last its new name")
    ],
) -> None:
    """Rename a sample or a folder, labels and all, and its files.

    The last KEY is the new name. When it is a folder, or ends in /, the others go into it.

    JSON: {"renamed": [{"from", "to"}]}.

    Example:
      $ vgr mv train/hat/1.jpg train/cap/1.jpg
      $ vgr mv new/*.jpg train/
    """
    if len(names) < 2:
        raise UsageError("vgr mv wants a KEY and its new name", hint="vgr mv OLD NEW")
    repo = ctx.open_repository()
    *sources, target = (key_of(repo, name) for name in names)
    if target and names[-1].endswith("/"):
        target += "/"
    pairs = move(repo, sources, target)
    if ctx.json:
        ctx.emit({"renamed": [{"from": old, "to": new} for old, new in pairs]})
        return
    ctx.say(f"renamed {counted(len(pairs), 'key')}")
    for line in shown_pairs(pairs):
        ctx.say(line)
