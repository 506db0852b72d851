"""`vgr fetch`: bring what a remote has, without touching any branch of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.fetch_text import derived_line, fetched_lines, kept_text
from voyager.commands.storages import LimitOption, limit_of, storage_of
from voyager.errors import UsageError

if TYPE_CHECKING:
    from voyager.remotes.fetching import Depth


def run(
    ctx: Context,
    remote: Annotated[
        str | None,
        typer.Argument(metavar="REMOTE|URL", help="where from (default: origin)"),
    ] = None,
    branches: Annotated[
        list[str] | None,
        typer.Argument(metavar="BRANCH", help="branches and tags (default: all)"),
    ] = None,
    *,
    prune: Annotated[
        bool, typer.Option("-p", "--prune", help="forget branches that the remote has no more")
    ] = False,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="bring no tag but named ones")] = False,
    no_runs: Annotated[bool, typer.Option("--no-runs", help="bring no run but named ones")] = False,
    depth: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="bring only the last N commits of each branch"),
    ] = None,
    deepen: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="bring N commits more below where history ends"),
    ] = None,
    unshallow: Annotated[
        bool, typer.Option("--unshallow", help="bring all history that was left out")
    ] = False,
    derived: Annotated[
        bool, typer.Option("--derived", help="what others have derived of images too")
    ] = False,
    limit_rate: LimitOption = None,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only say what would come, at most")
    ] = False,
) -> None:
    """Bring what a remote has, without touching any branch of your own.

    What the remote's branches hold comes in and is checked; origin/main then says where its main
    was. vgr merge origin/main takes it over, vgr pull does both. What was purged there is purged
    here too. All tags and runs come too, or with BRANCH… those of commits that come or are here; a
    tag that is another here stays, and evaluations of a run that were made here and there are
    joined.

    From a URL that is no remote's one branch comes, by default the one that a clone begins with;
    FETCH_HEAD names it until the next time.

    With --derived the thumbnails, hashes and embeddings that somebody has sent (vgr push --derived)
    come too, so that they need not be computed here.

    JSON: {"refs": [{"name", "old", "new"}], "objects", "bytes", "requests", "kept": tags and runs
    that are others here, "purged": how many blobs}, with --derived also "derived": {"methods",
    "values", "parts", "bytes", "requests"}.

    Example:
      $ vgr fetch
      $ vgr fetch origin relabel
      $ vgr fetch --prune
      $ vgr fetch /media/ben/shoes relabel
    """
    from voyager.remotes.config import find_remote, only_remote
    from voyager.remotes.fetching import fetch

    repo = ctx.open_repository()
    found = only_remote(repo) if remote is None else find_remote(repo, remote)
    if prune and not found.name:
        raise UsageError("--prune wants the name of a remote", hint="vgr remote ls")
    done = fetch(
        repo,
        found,
        refs=branches or None,
        prune=prune,
        tags=not no_tags,
        runs=not no_runs,
        depth=_depth(depth, deepen, unshallow=unshallow),
        dry_run=dry_run,
        limit=limit_of(limit_rate),
        progress=ctx.progress("receiving", sizes=True),
    )
    values = None
    if derived and not dry_run:
        from voyager.remotes.derived import fetch_derived

        with storage_of(ctx, repo, found, limit=limit_of(limit_rate)) as (_, storage):
            values = fetch_derived(repo, storage, progress=ctx.progress("receiving", sizes=True))
    if ctx.json:
        more = {} if values is None else {"derived": values.as_json()}
        ctx.emit(done.as_json() | more)
    for line in fetched_lines(done, found, dry_run=dry_run):
        ctx.say(line)
    if values is not None:
        ctx.say(derived_line(values, f"from {found}"))
    for name in done.kept:
        ctx.warn(kept_text(name, found))


def _depth(depth: int | None, deepen: int | None, *, unshallow: bool) -> Depth | None:
    """How much history is asked for; UsageError where it is said twice."""
    from voyager.remotes.fetching import Depth

    if sum((depth is not None, deepen is not None, unshallow)) > 1:
        raise UsageError(
            "--depth, --deepen and --unshallow exclude each other", hint="vgr fetch --help"
        )
    if depth is not None:
        return Depth(depth)
    return Depth(deepen, deepen=True) if deepen is not None or unshallow else None
