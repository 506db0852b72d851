"""`vgr restore`: bring back files or staged rows."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.reports import shown_keys
from voyager.commands.sizes import counted
from voyager.commands.words import key_of
from voyager.repo.rows import restore


def run(
    ctx: Context,
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY", help="keys, folders or globs; . is everything")
    ],
    *,
    staged: Annotated[
        bool, typer.Option("-S", "--staged", help="the staged row, as in HEAD; the file stays")
    ] = False,
    labels: Annotated[
        bool, typer.Option("--labels", help="only what is said of the images, as in HEAD")
    ] = False,
    source: Annotated[
        str | None, typer.Option("-s", "--source", metavar="REV", help="as in REV instead")
    ] = None,
    worktree: Annotated[
        bool, typer.Option("-W", "--worktree", help="with --staged, the file too")
    ] = False,
) -> None:
    """Bring back files or staged rows.

    Alone it writes the files as they are staged, and edits of them are lost: those of bound label
    files too. --staged makes the staged rows those of HEAD again, labels and all. --source takes
    rows and files from REV. With a . these two bring back tasks and taxonomies as well.

    In a lazy clone a KEY that names one image brings it; for folders and globs vgr get does.

    JSON: {"restored": [key]}.

    Example:
      $ vgr restore train/hat/1.jpg
      $ vgr restore --staged .
      $ vgr restore --labels --source main~3 'train/**'
    """
    repo = ctx.open_repository()
    done = restore(
        repo,
        [key_of(repo, key) for key in keys],
        source=source,
        staged=staged,
        labels=labels,
        worktree=worktree or not staged,
        progress=ctx.progress("restoring"),
    )
    if ctx.json:
        ctx.emit({"restored": done})
        return
    ctx.say(f"restored {counted(len(done), 'key')}")
    for line in shown_keys(done):
        ctx.say(line)
