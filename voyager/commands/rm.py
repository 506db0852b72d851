"""`vgr rm`: remove samples from the next version."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.reports import shown_keys
from voyager.commands.sizes import counted
from voyager.commands.words import key_of
from voyager.repo.rows import remove


def run(
    ctx: Context,
    keys: Annotated[list[str], typer.Argument(metavar="KEY", help="keys, folders or globs")],
    *,
    cached: Annotated[
        bool, typer.Option("--cached", help="keep the files, they become untracked")
    ] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="even what is committed nowhere")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only tell what would be removed")
    ] = False,
    recursive: Annotated[bool, typer.Option("-r", hidden=True)] = False,
) -> None:
    """Remove samples and files from the next version, and from the working tree.

    Their labels go with them. Earlier commits keep them, and vgr undo brings them back.

    JSON: {"removed": [key], "labels"}.

    Example:
      $ vgr rm train/hat/blurred.jpg
      $ vgr rm --cached 'scratch/**'
    """
    repo = ctx.open_repository()
    patterns = [key_of(repo, key) for key in keys]
    done = remove(repo, patterns, cached=cached, force=force, dry_run=dry_run)
    if ctx.json:
        ctx.emit({"removed": done.keys, "labels": done.labels})
        return
    labels = f" with {counted(done.labels, 'label')}" if done.labels else ""
    ctx.say(f"{'would remove' if dry_run else 'removed'} {counted(len(done.keys), 'key')}{labels}")
    for line in shown_keys(done.keys):
        ctx.say(line)
