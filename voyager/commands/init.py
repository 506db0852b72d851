"""`vgr init`: make a new, empty repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.errors import UsageError
from voyager.repo.repository import Repository


def run(
    ctx: Context,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="where; made when absent")
    ] = Path(),
    *,
    bare: Annotated[bool, typer.Option("--bare", help="DIR itself is the store")] = False,
    no_worktree: Annotated[
        bool, typer.Option("--no-worktree", help="a store without files beside it")
    ] = False,
    branch: Annotated[
        str | None,
        typer.Option("-b", "--initial-branch", metavar="BRANCH", help="name of the first branch"),
    ] = None,
) -> None:
    """Make a new, empty repository.

    The store goes into DIR/.vgr, and the files in DIR are its working tree. Nothing is added yet.

    JSON: {"folder", "worktree", "branch"}.

    Example:
      $ vgr init photos
      $ vgr init --bare /srv/photos.vgr
    """
    if bare and no_worktree:
        raise UsageError("--bare and --no-worktree exclude each other", hint="vgr init --help")
    with Repository.init(directory, bare=bare, worktree=not no_worktree, branch=branch) as repo:
        folder, name = str(repo.folder), repo.head.branch
        has_tree = repo.root is not None
    if ctx.json:
        ctx.emit({"folder": folder, "worktree": has_tree, "branch": name})
    ctx.say(f"initialized an empty repository in {folder}")
