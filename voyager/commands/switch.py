"""`vgr switch`: go to another branch."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.reports import already_there, arrived, named_commit, place
from voyager.commands.sizes import counted
from voyager.errors import NotFoundError, UsageError
from voyager.repo.branches import branch_names, find_branch, left_behind, previous_head
from voyager.repo.repository import Repository
from voyager.repo.switch import switch, switch_to_new
from voyager.repo.upstream import follow, tracked_there
from voyager.store.refs import TAGS, Head, read_ref


def run(
    ctx: Context,
    target: Annotated[
        str | None,
        typer.Argument(metavar="BRANCH|START", help="where to go; - is where HEAD was before"),
    ] = None,
    *,
    create: Annotated[
        str | None, typer.Option("-c", "--create", metavar="NEW", help="make a branch, at START")
    ] = None,
    force_create: Annotated[
        str | None, typer.Option("-C", metavar="NEW", help="as -c, even if the branch exists")
    ] = None,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="stand on a revision, on no branch")
    ] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="give up staged changes and edited files")
    ] = False,
) -> int:
    """Go to another branch.

    Staged changes come along where both versions agree on what they change; otherwise it is
    refused, naming them, as it is for edited files that would be overwritten. A branch that only a
    remote has is made here, and follows it.

    JSON: {"branch", "commit", "written", "removed", "skipped": [{"path", "reason"}]}.

    Example:
      $ vgr switch relabel
      $ vgr switch -c experiment main~1
      $ vgr switch -
    """
    repo = ctx.open_repository()
    progress = ctx.progress("switching")
    new = create or force_create
    if new is not None:
        if detach or (create and force_create):
            raise UsageError("-c, -C and --detach exclude each other", hint="vgr switch --help")
        over = force_create is not None
        old = repo.head
        done = switch_to_new(repo, new, target, overwrite=over, force=force, progress=progress)
        warn_left(ctx, repo, old)
        return arrived(ctx, repo, done, f"switched to a new branch '{new}'")
    if target is None:
        raise UsageError("vgr switch wants BRANCH", hint="vgr switch --help")
    there = None if detach else tracked_there(repo, target)
    if there is not None:
        done = switch_to_new(repo, target, there.ref, force=force, progress=progress)
        follow(repo, target, str(there))
        text = f"switched to a new branch '{target}' that follows '{there}'"
        return arrived(ctx, repo, done, text)
    head = _head_of(repo, target, detach=detach)
    if head == repo.head and not force:
        return already_there(ctx, repo)
    old = repo.head
    done = switch(repo, head, force=force, progress=progress)
    warn_left(ctx, repo, old)
    return arrived(ctx, repo, done, place(repo))


def _head_of(repo: Repository, target: str, *, detach: bool) -> Head:
    head = previous_head(repo) if target == "-" else None
    if detach:
        return Head(None, head.commit if head is not None else repo.resolve(target))
    if head is None and target not in branch_names(repo) and read_ref(repo.store, TAGS + target):
        raise NotFoundError(f"'{target}' is a tag", hint=f"vgr switch --detach {target}")
    return head or find_branch(repo, target)


def warn_left(ctx: Context, repo: Repository, old: Head) -> None:
    """Say which commits of a detached HEAD nothing reaches, now that HEAD is elsewhere."""
    if old.detached and old.commit is not None and (count := left_behind(repo, old.commit)):
        ctx.warn(
            f"left {counted(count, 'commit')} behind that no branch reaches: "
            f"{named_commit(repo, old.commit)}\nhint: vgr branch NAME {short_id(old.commit)}"
        )
