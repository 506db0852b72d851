"""`vgr branch`: list, make, rename or delete branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.upstream_text import apart_text, upstream_json
from voyager.errors import UsageError
from voyager.repo import branches
from voyager.repo.branches import Branch
from voyager.repo.repository import Repository
from voyager.repo.upstream import follow, upstream_of
from voyager.store.history import read_commit


def run(
    ctx: Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="a new branch, and where it starts")
    ] = None,
    *,
    details: Annotated[bool, typer.Option("-v", help="show the last commit of each")] = False,
    everything: Annotated[
        bool, typer.Option("-a", "--all", help="list remote-tracking branches too")
    ] = False,
    delete: Annotated[bool, typer.Option("-d", "--delete", help="delete merged branches")] = False,
    delete_any: Annotated[bool, typer.Option("-D", help="delete branches, merged or not")] = False,
    rename: Annotated[
        bool, typer.Option("-m", "--move", help="rename OLD (the current one) to NEW")
    ] = False,
    rename_any: Annotated[
        bool, typer.Option("-M", help="as -m, even over a branch of that name")
    ] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="even if a branch of that name exists")
    ] = False,
    contains: Annotated[
        str | None, typer.Option(metavar="REV", help="list only branches that have REV")
    ] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="list only branches that HEAD, or REV after it, has")
    ] = False,
    no_merged: Annotated[
        bool, typer.Option("--no-merged", help="list only those with commits it has not")
    ] = False,
    listing: Annotated[bool, typer.Option("-l", "--list", help="list, by globs")] = False,
    upstream: Annotated[
        str | None,
        typer.Option(
            "-u", "--set-upstream-to", metavar="REMOTE/BRANCH", help="what NAME (HEAD) follows"
        ),
    ] = None,
    no_upstream: Annotated[
        bool, typer.Option("--unset-upstream", help="let NAME (HEAD) follow nothing")
    ] = False,
    show_current: Annotated[
        bool, typer.Option("--show-current", help="print the name of the current branch")
    ] = False,
) -> None:
    """List, make, rename or delete branches.

    Without NAME it lists them, the current one with a star. NAME makes a branch at HEAD, or at the
    revision after it; vgr switch goes there. A branch follows one of a remote (-u), which vgr pull
    merges; vgr status and -v say how far the two are apart.

    JSON: [{"name", "commit", "current", "upstream": {"name", "ahead", "behind"} or null}], of the
    branches listed, made or deleted; the two numbers are null where the remote's branch is gone.

    Example:
      $ vgr branch relabel main~2
      $ vgr branch -d relabel
      $ vgr branch --merged main
      $ vgr branch -u origin/main
    """
    if sum((delete, delete_any, rename, rename_any)) > 1:
        raise UsageError("-d, -D, -m and -M exclude each other", hint="vgr branch --help")
    if merged and no_merged:
        raise UsageError("--merged and --no-merged exclude each other", hint="vgr branch --help")
    repo = ctx.open_repository()
    words = list(names or ())
    if show_current:
        _show_current(ctx, repo)
    elif upstream is not None or no_upstream:
        _follow(ctx, repo, words, upstream)
    elif delete or delete_any:
        _delete(ctx, repo, words, force=force or delete_any)
    elif rename or rename_any:
        _rename(ctx, repo, words, force=force or rename_any)
    elif words and not (listing or merged or no_merged or contains is not None):
        _create(ctx, repo, words, force=force)
    else:
        found = branches.branches(repo, remote=everything)
        if contains is not None:
            found = branches.containing(repo, found, repo.resolve(contains))
        if merged or no_merged:
            revision = words.pop(0) if words and not set("*?[") & set(words[0]) else "HEAD"
            inside = branches.merged(repo, found, repo.resolve(revision))
            found = [branch for branch in found if (branch in inside) == merged]
        chosen = branches.named(found, words)
        _list(ctx, repo, chosen, details=details, detached=not (words or merged or no_merged))


def _show_current(ctx: Context, repo: Repository) -> None:
    head = repo.head
    if ctx.json:
        here = [] if head.branch is None else [Branch(head.branch, head.commit or b"", True)]
        ctx.emit([_as_json(repo, branch) for branch in here])
    if head.branch is not None:
        ctx.show(head.branch)


def _list(
    ctx: Context, repo: Repository, found: Sequence[Branch], *, details: bool, detached: bool
) -> None:
    if ctx.json:
        ctx.emit([_as_json(repo, branch) for branch in found])
        return
    head = repo.head
    lines = [(branch.name, branch.commit, branch.current, branch.remote) for branch in found]
    if detached and head.detached and head.commit is not None:
        lines.insert(0, (f"(HEAD detached at {short_id(head.commit)})", head.commit, True, False))
    width = max((len(name) for name, *_ in lines), default=0)
    for name, commit, current, remote in lines:
        shown = ctx.style(name, "green" if current else "red") if current or remote else name
        line = f"{'*' if current else ' '} {shown}"
        if details:
            subject = read_commit(repo.store, commit).subject
            apart = "" if remote else apart_text(repo, name, commit)
            line += f"{' ' * (width - len(name))} {short_id(commit)} {apart}{subject}"
        ctx.show(line)


def _create(ctx: Context, repo: Repository, words: list[str], *, force: bool) -> None:
    if len(words) > 2:
        raise UsageError(f"vgr branch has no use for '{words[2]}'", hint="vgr branch NAME [START]")
    start = repo.resolve(words[1] if len(words) > 1 else "HEAD")
    made = branches.create(repo, words[0], start, force=force)
    _tell(ctx, repo, [made], f"branch '{made.name}' is at {short_id(made.commit)}")


def _rename(ctx: Context, repo: Repository, words: list[str], *, force: bool) -> None:
    if len(words) not in (1, 2):
        raise UsageError("-m wants the new name, or OLD and NEW", hint="vgr branch -m OLD NEW")
    current = repo.head.branch
    if len(words) == 1 and current is None:
        raise UsageError("HEAD is on no branch", hint="vgr branch -m OLD NEW")
    old = words[0] if len(words) > 1 else str(current)
    made = branches.rename(repo, old, words[-1], force=force)
    _tell(ctx, repo, [made], f"renamed branch '{old}' to '{made.name}'")


def _delete(ctx: Context, repo: Repository, words: list[str], *, force: bool) -> None:
    if not words:
        raise UsageError("-d wants the names of branches", hint="vgr branch -d NAME")
    gone = branches.delete(repo, words, force=force)
    lines = [f"deleted branch '{branch.name}' (was {short_id(branch.commit)})" for branch in gone]
    _tell(ctx, repo, gone, "\n".join(lines))


def _tell(ctx: Context, repo: Repository, found: Sequence[Branch], text: str) -> None:
    if ctx.json:
        ctx.emit([_as_json(repo, branch) for branch in found])
    ctx.say(text)


def _follow(ctx: Context, repo: Repository, words: list[str], there: str | None) -> None:
    name = words[0] if words else repo.head.branch
    if name is None or len(words) > 1:
        raise UsageError("-u wants one branch", hint="vgr branch -u REMOTE/BRANCH [NAME]")
    found = follow(repo, name, there)
    text = f"branch '{name}' follows {found or 'nothing'} now"
    head = branches.find_branch(repo, name)
    _tell(ctx, repo, [Branch(name, head.commit or b"", name == repo.head.branch)], text)


def _as_json(repo: Repository, branch: Branch) -> dict[str, object]:
    upstream = None if branch.remote else upstream_of(repo, branch.name)
    return {
        "name": branch.name,
        "commit": branch.commit.hex() or None,
        "current": branch.current,
        "upstream": None if upstream is None else upstream_json(repo, branch.commit, upstream),
    }
