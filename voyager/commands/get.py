"""`vgr get`: bring images that a lazy clone left out."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.choosing import WhereOption, chosen_samples
from voyager.commands.context import Context
from voyager.commands.fetch_text import got_line
from voyager.commands.reports import capped
from voyager.commands.storages import LimitOption, limit_of
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
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only say what would come")
    ] = False,
    limit_rate: LimitOption = None,
) -> int:
    """Bring images that a lazy clone left out.

    They stay in the store, and their files are laid out. Images that are only looked at need no
    vgr get: they come by themselves, and stay as long as there is room (vgr cache). --all brings
    what any branch, tag or stash needs: then all of it can be pushed to another remote. In a clone
    made with --only, vgr get alone brings what is wanted and not here, as vgr pull does.

    JSON: {"blobs": how many came, "bytes", "requests", "written": files laid out}.

    Example:
      $ vgr get 'train/shoes/**'
      $ vgr get --where "split = 'test'"
      $ vgr get --all
    """
    from voyager.remotes.lazy import Got, get_everything, get_samples
    from voyager.remotes.only import get_only
    from voyager.repo.promised import is_lazy

    repo = ctx.open_repository()
    if not is_lazy(repo.store):
        raise StateError("this repository leaves nothing out", hint="vgr clone --lazy URL DIR")
    if everything and (keys or where is not None):
        raise UsageError("--all goes with neither KEY nor --where", hint="vgr get --all")
    limit, receiving = limit_of(limit_rate), ctx.progress("receiving", sizes=True)
    done: Got | None
    if everything:
        walking = ctx.progress("looking through history")
        done = get_everything(
            repo, limit=limit, dry_run=dry_run, walking=walking, progress=receiving
        )
    elif keys or where is not None:
        chosen = chosen_samples(ctx, repo, repo.staged(), keys or [], where)
        done = get_samples(repo, chosen, limit=limit, dry_run=dry_run, progress=receiving)
    else:
        done = get_only(repo, limit=limit, dry_run=dry_run, progress=receiving)
        if done is None:
            raise UsageError("vgr get wants KEY, --where or --all", hint="vgr get 'train/**'")
    if ctx.json:
        ctx.emit(done.as_json())
    ctx.say(got_line(done, dry_run=dry_run))
    return ctx.done_with_skips(list(capped(done.updated.skipped)))
