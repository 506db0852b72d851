"""`vgr get`: bring images that a lazy clone left out."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.choosing import WhereOption, chosen_samples
from voyager.commands.context import Context
from voyager.commands.reports import capped
from voyager.commands.sizes import counted, size_text
from voyager.errors import StateError, UsageError


def run(
    ctx: Context,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY…", help="samples, folders or globs")
    ] = None,
    *,
    where: WhereOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="the images of all versions, and all files of this one")
    ] = False,
) -> int:
    """Bring images that a lazy clone left out.

    They stay in the store, and their files are laid out. Images that are only looked at need no
    vgr get: they come by themselves, and stay as long as there is room (vgr cache). --all brings
    what any branch, tag or stash needs: then all of it can be pushed to another remote.

    JSON: {"blobs": how many came, "bytes", "requests", "written": files laid out}.

    Example:
      $ vgr get 'train/shoes/**'
      $ vgr get --where "split = 'test'"
      $ vgr get --all
    """
    from voyager.remotes.lazy import get_everything, get_samples
    from voyager.repo.promised import is_lazy

    repo = ctx.open_repository()
    if not is_lazy(repo.store):
        raise StateError("this repository leaves nothing out", hint="vgr clone --lazy URL DIR")
    if everything and (keys or where is not None):
        raise UsageError("--all goes with neither KEY nor --where", hint="vgr get --all")
    receiving = ctx.progress("receiving", sizes=True)
    if everything:
        walking = ctx.progress("looking through history")
        done = get_everything(repo, walking=walking, progress=receiving)
    else:
        chosen = chosen_samples(ctx, repo, repo.staged(), keys or [], where)
        done = get_samples(repo, chosen, progress=receiving)
    if ctx.json:
        ctx.emit(done.as_json())
    files = f", {counted(done.updated.written, 'file')} laid out" if done.updated.written else ""
    ctx.say(f"{counted(done.blobs, 'image')} came ({size_text(done.bytes)}){files}")
    return ctx.done_with_skips(list(capped(done.updated.skipped)))
