"""`vgr push`: send commits and their images to a remote, and move its refs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.fetch_text import derived_line
from voyager.commands.sizes import counted, size_text
from voyager.commands.storages import LimitOption, limit_of, storage_of
from voyager.errors import NotFoundError, UsageError
from voyager.repo.repository import Repository
from voyager.repo.upstream import upstream_of

if TYPE_CHECKING:
    from voyager.remotes.config import Remote
    from voyager.remotes.moves import PushedRef
    from voyager.remotes.push import Pushed

_USAGE = "vgr push --help"


def run(
    ctx: Context,
    remote: Annotated[
        str | None, typer.Argument(metavar="REMOTE", help="its name or URL (what HEAD follows)")
    ] = None,
    refs: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF", help="[+]HERE[:THERE], by default the current branch"),
    ] = None,
    *,
    upstream: Annotated[
        bool, typer.Option("-u", "--set-upstream", help="let the branches follow those there")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="all branches")] = False,
    tags: Annotated[bool, typer.Option("--tags", help="all tags too")] = False,
    runs: Annotated[
        bool | None,
        typer.Option("--runs/--no-runs", help="what was trained on them too (push.runs)"),
    ] = None,
    delete: Annotated[bool, typer.Option("-d", "--delete", help="remove REF… there")] = False,
    lease: Annotated[
        bool,
        typer.Option("--force-with-lease", help="overwrite what is there, if it was seen here"),
    ] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="overwrite whatever is there")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only say what would be sent")
    ] = False,
    derived: Annotated[
        bool, typer.Option("--derived", help="what vgr derive has computed too")
    ] = False,
    limit_rate: LimitOption = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="go past the pre-push hook")
    ] = False,
) -> None:
    """Send commits and their images to a remote, and move its refs.

    Branches go forward only; where somebody else was faster, vgr pull first. All refs move at once
    or none does, and nobody sees a version of which something is missing. A push that was cut off
    goes on where it was.

    Protected branches of the remote take no conflicts and no leaks that the guard finds; this
    client checks that, not the remote. .vgr/hooks/pre-push runs first and may refuse.

    With --runs go the runs of all commits that are pushed, each with its weights, its log and the
    run that it started from; one alone is runs/ID. vgr config push.runs true lets every push do it.

    With --derived the thumbnails, hashes and embeddings that are kept here go there too, of images
    that the remote has, for others to take with vgr fetch --derived.

    JSON: {"refs": [{"name", "old", "new", "forced"}], "objects", "blobs", "packs", "bytes",
    "requests"}, with --derived also "derived": {"methods", "values", "parts", "bytes", "requests"}.

    Example:
      $ vgr push -u origin main
      $ vgr push --force-with-lease
      $ vgr push origin main --runs
      $ vgr push origin --delete topic
    """
    if force and lease:
        raise UsageError("--force and --force-with-lease exclude each other", hint=_USAGE)
    limit = limit_of(limit_rate)
    from voyager.remotes.push import push

    repo = ctx.open_repository()
    meant = _remote(repo, remote)
    with storage_of(ctx, repo, meant, moves_root=not dry_run, limit=limit) as (there, storage):
        done = push(
            repo,
            storage,
            refs or [],
            remote=there,
            every_branch=everything,
            tags=tags,
            runs=repo.config.get_bool("push.runs") if runs is None else runs,
            delete=delete,
            force=force,
            lease=lease,
            upstream=upstream,
            dry_run=dry_run,
            verify=not no_verify,
            progress=ctx.progress("sending", sizes=True),
            checking=ctx.progress("looking at images"),
        )
        values = None
        if derived and not dry_run:
            from voyager.remotes.derived import push_derived

            values = push_derived(repo, storage, progress=ctx.progress("sending", sizes=True))
    if ctx.json:
        more = {} if values is None else {"derived": values.as_json()}
        ctx.emit(done.as_json() | more)
    for line in _told(done, there, dry_run=dry_run):
        ctx.say(line)
    if values is not None:
        ctx.say(derived_line(values, f"to {there}"))


def _remote(repo: Repository, name: str | None) -> Remote:
    """The remote that is meant: named, or what the current branch follows, or the only one."""
    from voyager.remotes.config import find_remote, only_remote

    if name is None:
        branch = repo.head.branch
        followed = None if branch is None else upstream_of(repo, branch)
        return only_remote(repo) if followed is None else find_remote(repo, followed.remote)
    try:
        return find_remote(repo, name)
    except NotFoundError:
        from voyager.repo.revisions import full_name

        if full_name(repo.store, name) is None:
            raise
        raise UsageError(
            f"'{name}' is no remote", hint=f"vgr push {only_remote(repo)} {name}"
        ) from None


def _told(done: Pushed, remote: Remote, *, dry_run: bool) -> list[str]:
    if not done.refs:
        return [f"everything is at {remote} already"]
    what = f"{counted(done.blobs, 'file')}, {counted(done.objects, 'object')}"
    if dry_run:
        head = f"would send to {remote}: {what}, {size_text(done.bytes)}"
    else:
        head = (
            f"to {remote}: {what}, {size_text(done.bytes)} in {counted(done.requests, 'request')}"
        )
    return [head, *map(_line, done.refs)]


def _line(ref: PushedRef) -> str:
    from voyager.remotes.refspec import kind_of, short_name

    name = short_name(ref.name)
    if ref.old is None and ref.new is not None:
        return f"  * {name} ({short_id(ref.new)}, new {kind_of(ref.name)})"
    if ref.old is None or ref.new is None:
        return f"  - {name} (removed)"
    if ref.forced:
        return f"  + {name} ({short_id(ref.old)}...{short_id(ref.new)}, forced)"
    return f"    {name} ({short_id(ref.old)}..{short_id(ref.new)})"
