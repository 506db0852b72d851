"""`vgr clone`: make a repository of what a remote has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.reports import capped
from voyager.commands.sizes import counted, size_text
from voyager.commands.storages import LimitOption, limit_of
from voyager.errors import UsageError


def run(
    ctx: Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="of a remote, or its folder")],
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", show_default=False, help="where (default: the URL's name)"),
    ] = None,
    *,
    branch: Annotated[
        str | None,
        typer.Option("-b", "--branch", metavar="BRANCH", help="check out this branch or tag"),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="bring only the last N commits of each branch"),
    ] = None,
    lazy: Annotated[
        bool, typer.Option("--lazy", help="leave images there until they are looked at")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="KEYS|EXPR", help="as --lazy, and bring these images; repeatable"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only say what would come")
    ] = False,
    limit_rate: LimitOption = None,
    bare: Annotated[bool, typer.Option("--bare", help="DIR itself is the store")] = False,
    origin: Annotated[
        str, typer.Option("-o", "--origin", metavar="NAME", help="what to call the remote")
    ] = "origin",
) -> int:
    """Make a repository of what a remote has.

    All versions come with their images and are checked, then the files of one branch are laid
    out, which follows the branch of the remote from then on. Stopped or killed, the same command
    goes on where it was.

    With --lazy history and labels come, and images when something looks at them; vgr get brings
    more for good. --only brings those of keys, folders, globs, or of an expression as in --where,
    and vgr pull the new ones of them; vgr remote only changes what that is.

    JSON: {"folder", "branch", "commit", "objects", "bytes", "requests", "written", "skipped"}.

    Example:
      $ vgr clone s3://bucket/clothes
      $ vgr clone --branch v1 /srv/clothes frozen
      $ vgr clone --only "split = 'test'" s3://bucket/clothes
    """
    from voyager.remotes.cloning import clone

    if bare and (lazy or only):
        raise UsageError("--bare goes with neither --lazy nor --only", hint="vgr clone --help")
    done = clone(
        url,
        directory,
        branch=branch,
        bare=bare,
        depth=depth,
        lazy=lazy,
        only=only or [],
        name=origin,
        dry_run=dry_run,
        limit=limit_of(limit_rate),
        progress=lambda label: ctx.progress(label, sizes=label == "receiving"),
    )
    if ctx.json:
        ctx.emit(done.as_json())
    if dry_run:
        came = f"{counted(done.fetched.objects, 'object')} ({size_text(done.fetched.bytes)})"
        images = ", and the images of --only" if only else ""
        ctx.say(f"would clone into {_seen(done.folder)}: {came}{images}")
        return 0
    came = f"{counted(done.fetched.objects, 'object')} ({size_text(done.fetched.bytes)})"
    ctx.say(f"cloned into {_seen(done.folder)}: {came}")
    for text in done.unmatched:
        ctx.warn(f"--only '{text}' names nothing yet")
    if done.commit is None:
        ctx.warn("the remote has no branch yet")
    else:
        where = f"branch '{done.branch}'" if done.branch else f"{done.commit.hex()[:10]}, no branch"
        written = done.updated.written + done.got.updated.written
        files = f", {counted(written, 'file')}" if written else ""
        ctx.say(f"on {where}{files}")
    return ctx.done_with_skips(list(capped(done.updated.skipped)))


def _seen(folder: Path) -> str:
    """A folder as seen from here, where it lies below."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
