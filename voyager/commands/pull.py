"""`vgr pull`: fetch, then merge or rebase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.fetch_text import fetched_lines, got_line, kept_text
from voyager.commands.merge_text import merged_lines
from voyager.commands.replay_text import tell
from voyager.commands.reports import capped
from voyager.commands.sizes import counted
from voyager.commands.storages import LimitOption, limit_of
from voyager.errors import StateError, UsageError
from voyager.repo.promised import is_lazy
from voyager.repo.repository import Repository
from voyager.repo.upstream import Upstream, upstream_of
from voyager.store.history import commits_between

if TYPE_CHECKING:
    from voyager.remotes.config import Remote
    from voyager.remotes.fetch_plan import Fetched
    from voyager.remotes.lazy import Got


def run(
    ctx: Context,
    remote: Annotated[
        str | None,
        typer.Argument(metavar="REMOTE|URL", help="where from (default: the upstream)"),
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
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only say what would come, at most")
    ] = False,
    limit_rate: LimitOption = None,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="bring no tags")] = False,
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
    code 1: vgr conflicts lists them. In a clone made with --only the new images of that kind come.

    JSON: {"fetch": what vgr fetch says, "merge": what vgr merge says}, or "rebase": what vgr
    rebase says; "only": what vgr get says, null where nothing is left out.

    Example:
      $ vgr pull
      $ vgr pull --rebase
      $ vgr pull origin relabel -X color=theirs
      $ vgr pull /media/ben/shoes main
    """
    if rebase and (ff_only or strategies):
        raise UsageError("--rebase goes with neither --ff-only nor -X", hint="vgr pull --help")
    repo = ctx.open_repository()
    found, branch = _from(repo, remote, branch)
    if not dry_run:
        _refuse_unready(repo)
    from voyager.remotes.fetching import fetch

    fetched = fetch(
        repo,
        found,
        refs=None if found.name or branch is None else [branch],
        tags=not no_tags,
        dry_run=dry_run,
        limit=limit_of(limit_rate),
        progress=ctx.progress("receiving", sizes=True),
    )
    for line in fetched_lines(fetched, found, dry_run=dry_run):
        if dry_run or fetched.refs or fetched.purged:
            ctx.say(line)
    for name in fetched.kept:
        ctx.warn(kept_text(name, found))
    if dry_run:
        if ctx.json:
            ctx.emit({"fetch": fetched.as_json()})
        return 0
    there = _there(repo, found, branch, fetched)
    run = _Pull(ctx, repo, there, fetched, limit_of(limit_rate))
    if rebase and repo.head.commit is not None:
        return run.rebase()
    return run.merge(ff_only=ff_only, strategies=strategies or [])


class _There(NamedTuple):
    """What is merged: a revision, the commit that it is, and where it is from, in words."""

    revision: str
    commit: bytes
    words: str


def _from(repo: Repository, remote: str | None, branch: str | None) -> tuple[Remote, str | None]:
    """The remote and its branch: those that were named, else what the current branch follows; of a
    URL None is its first branch."""
    from voyager.remotes.config import find_remote

    here = repo.head.branch
    follows = None if here is None else upstream_of(repo, here)
    if remote is None:
        if follows is None:
            raise StateError(
                "HEAD is on no branch" if here is None else f"branch '{here}' follows no other",
                hint="vgr pull REMOTE BRANCH, or vgr branch -u REMOTE/BRANCH",
            )
        return find_remote(repo, follows.remote), follows.branch
    found = find_remote(repo, remote)
    if branch is None and found.name:
        same = follows is not None and follows.remote == found.name
        branch = follows.branch if same and follows is not None else here
        if branch is None:
            raise UsageError(
                "HEAD is on no branch: say which to pull", hint="vgr pull REMOTE BRANCH"
            )
    return found, branch


def _there(repo: Repository, remote: Remote, branch: str | None, fetched: Fetched) -> _There:
    """What the fetch brought of the branch; StateError where the remote has none of that name."""
    if not remote.name:
        name = fetched.source.split("/", 2)[2]
        return _There("FETCH_HEAD", repo.resolve("FETCH_HEAD"), f"'{name}' of {remote}")
    there = Upstream(remote.name, str(branch))
    if repo.store.value(there.ref) is None:
        raise StateError(f"'{remote}' has no branch '{branch}'", hint="vgr branch -a")
    return _There(str(there), repo.resolve(there.ref), f"'{branch}' of {remote}")


def _refuse_unready(repo: Repository) -> None:
    """Before anything is fetched: StateError for what a merge would refuse."""
    from voyager.merge import refuse_unready

    refuse_unready(repo)


class _Pull:
    """The second half of a pull, when all is here."""

    def __init__(
        self, ctx: Context, repo: Repository, there: _There, fetched: Fetched, limit: int | None
    ) -> None:
        self.ctx, self.repo, self.there, self.fetched = ctx, repo, there, fetched
        self.limit = limit

    def merge(self, *, ff_only: bool, strategies: list[str]) -> int:
        from voyager.merge import merge

        ctx, repo = self.ctx, self.repo
        if ff_only:
            self._refuse_diverged()
        into = "" if repo.head.branch in (None, "main", "master") else f" into {repo.head.branch}"
        done = merge(
            repo,
            self.there.revision,
            message=f"Merge branch {self.there.words}{into}",
            strategies=strategies,
            ff="only" if ff_only else "allowed",
            progress=ctx.progress("merging"),
        )
        only = self._get_only()
        if ctx.json:
            ctx.emit({**self._document(only), "merge": done.as_json()})
        for line in merged_lines(repo, done, "merge"):
            ctx.say(line)
        self._tell(only)
        code = ctx.done_with_skips(list(capped(done.updated.skipped)))
        return 1 if done.result == "conflicts" else code

    def rebase(self) -> int:
        from voyager.merge.rebase import rebase

        progress = self.ctx.progress("rebasing")
        done = rebase(self.repo, self.there.revision, progress=progress)
        only = self._get_only()
        self._tell(only)
        return tell(self.ctx, done, document={**self._document(only), "rebase": done.as_json()})

    def _get_only(self) -> Got | None:
        """Bring what a clone with --only wants of the new version."""
        if not is_lazy(self.repo.store):
            return None
        from voyager.remotes.only import get_only

        progress = self.ctx.progress("receiving", sizes=True)
        return get_only(self.repo, limit=self.limit, progress=progress)

    def _document(self, only: Got | None) -> dict[str, object]:
        return {
            "fetch": self.fetched.as_json(),
            "only": None if only is None else only.as_json(),
        }

    def _tell(self, only: Got | None) -> None:
        if only is not None and only.blobs:
            self.ctx.say(got_line(only))

    def _refuse_diverged(self) -> None:
        """StateError naming both tips where each side has commits of its own."""
        head, there = self.repo.head, self.there
        if head.commit is None:
            return
        ahead, behind = commits_between(self.repo.store, head.commit, there.commit)
        if ahead and behind:
            raise StateError(
                f"'{head.branch or 'HEAD'}' ({short_id(head.commit)}) and '{there.revision}'"
                f" ({short_id(there.commit)}) have diverged: {counted(ahead, 'commit')} here,"
                f" {behind:,} there",
                hint="vgr pull merges them, vgr pull --rebase puts yours on top",
            )
