"""`vgr pull`: fetch, then merge or rebase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.fetch_text import fetched_lines
from voyager.commands.merge_text import merged_lines
from voyager.commands.replay_text import tell
from voyager.commands.reports import capped
from voyager.commands.sizes import counted
from voyager.errors import StateError, UsageError
from voyager.repo.repository import Repository
from voyager.repo.upstream import Upstream, distance, upstream_of

if TYPE_CHECKING:
    from voyager.remotes.config import Remote
    from voyager.remotes.fetching import Fetched


def run(
    ctx: Context,
    remote: Annotated[
        str | None, typer.Argument(metavar="REMOTE", help="where from (default: the upstream)")
    ] = None,
    branch: Annotated[
        str | None, typer.Argument(metavar="BRANCH", help="which branch (default: the upstream)")
    ] = None,
    *,
    rebase: Annotated[
        bool, typer.Option("-r", "--rebase", help="make your own commits again on top of theirs")
    ] = False,
    ff_only: Annotated[
        bool, typer.Option("--ff-only", help="fast-forward, or change nothing")
    ] = False,
    strategies: Annotated[
        list[str] | None,
        typer.Option(
            "-X", "--strategy", metavar="[WHAT=]HOW", help="how to decide conflicts; repeatable"
        ),
    ] = None,
) -> int:
    """Bring what a branch of a remote has into the current one.

    It fetches, then merges the branch that the current one follows, label by label as vgr merge
    does; --rebase makes your own commits again on top of it instead. Conflicts stop it with exit
    code 1: vgr conflicts lists them.

    JSON: {"fetch": what vgr fetch says, "merge": what vgr merge says}, or "rebase": what vgr
    rebase says.

    Example:
      $ vgr pull
      $ vgr pull --rebase
      $ vgr pull origin relabel -X color=theirs
    """
    if rebase and (ff_only or strategies):
        raise UsageError("--rebase goes with neither --ff-only nor -X", hint="vgr pull --help")
    repo = ctx.open_repository()
    found, there = _from(repo, remote, branch)
    _refuse_unready(repo)
    from voyager.remotes.fetching import fetch

    fetched = fetch(repo, found, progress=ctx.progress("receiving", sizes=True))
    for line in fetched_lines(fetched, found):
        if fetched.refs or fetched.purged:
            ctx.say(line)
    for name in fetched.kept:
        ctx.warn(f"tag '{name}' is another here than at {found}, and stays")
    if repo.store.value(there.ref) is None:
        raise StateError(f"{found} has no branch '{there.branch}'", hint="vgr branch -a")
    if rebase and repo.head.commit is not None:
        return _rebase(ctx, repo, there, fetched)
    return _merge(ctx, repo, there, fetched, ff_only=ff_only, strategies=strategies or [])


def _from(repo: Repository, remote: str | None, branch: str | None) -> tuple[Remote, Upstream]:
    """The remote and its branch: those that were named, else what the current branch follows."""
    from voyager.remotes.config import find_remote

    here = repo.head.branch
    follows = None if here is None else upstream_of(repo, here)
    if remote is None:
        if follows is None:
            raise StateError(
                "HEAD is on no branch" if here is None else f"branch '{here}' follows no other",
                hint="vgr pull REMOTE BRANCH, or vgr branch -u REMOTE/BRANCH",
            )
        return find_remote(repo, follows.remote), follows
    found = find_remote(repo, remote)
    if branch is None:
        same = follows is not None and follows.remote == found.name
        branch = follows.branch if same and follows is not None else here
    if branch is None:
        raise UsageError("HEAD is on no branch: say which to pull", hint="vgr pull REMOTE BRANCH")
    return found, Upstream(found.name, branch)


def _refuse_unready(repo: Repository) -> None:
    """Before anything is fetched: StateError for what a merge would refuse."""
    from voyager.merge import refuse_unready

    refuse_unready(repo)


def _merge(
    ctx: Context,
    repo: Repository,
    there: Upstream,
    fetched: Fetched,
    *,
    ff_only: bool,
    strategies: list[str],
) -> int:
    from voyager.merge import merge

    if ff_only:
        _refuse_diverged(repo, there)
    into = "" if repo.head.branch in (None, "main", "master") else f" into {repo.head.branch}"
    done = merge(
        repo,
        str(there),
        message=f"Merge branch '{there.branch}' of {there.remote}{into}",
        strategies=strategies,
        ff="only" if ff_only else "allowed",
        progress=ctx.progress("merging"),
    )
    if ctx.json:
        ctx.emit({"fetch": fetched.as_json(), "merge": done.as_json()})
    for line in merged_lines(repo, done, "merge"):
        ctx.say(line)
    code = ctx.done_with_skips(list(capped(done.updated.skipped)))
    return 1 if done.result == "conflicts" else code


def _refuse_diverged(repo: Repository, there: Upstream) -> None:
    """StateError naming both tips where each side has commits of its own."""
    head = repo.head
    apart = distance(repo.store, head.commit, there)
    if apart is None or not (apart.ahead and apart.behind) or head.commit is None:
        return
    tip = repo.resolve(there.ref)
    raise StateError(
        f"'{head.branch or 'HEAD'}' ({short_id(head.commit)}) and '{there}' ({short_id(tip)}) have"
        f" diverged: {counted(apart.ahead, 'commit')} here, {apart.behind:,} there",
        hint="vgr pull merges them, vgr pull --rebase puts yours on top",
    )


def _rebase(ctx: Context, repo: Repository, there: Upstream, fetched: Fetched) -> int:
    from voyager.merge.rebase import rebase

    done = rebase(repo, str(there), progress=ctx.progress("rebasing"))
    return tell(ctx, done, document={"fetch": fetched.as_json(), "rebase": done.as_json()})
