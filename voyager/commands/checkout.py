"""`vgr checkout`: go to any version, or bring back files from it."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.reports import already_there, arrived, place, shown_keys
from voyager.commands.sizes import counted
from voyager.commands.switch import warn_left
from voyager.commands.words import has_key, key_of
from voyager.errors import NotFoundError, UsageError
from voyager.repo.branches import branch_names, find_branch, previous_head
from voyager.repo.repository import Repository
from voyager.repo.rows import restore
from voyager.repo.switch import abort_switch, continue_switch, switch, switch_to_new
from voyager.store.refs import Head


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="REV|KEY", help="where to go, or what to bring back from there"),
    ] = None,
    *,
    new: Annotated[
        str | None, typer.Option("-b", metavar="NEW", help="make a branch, at REV, and go there")
    ] = None,
    new_over: Annotated[
        str | None, typer.Option("-B", metavar="NEW", help="as -b, even if the branch exists")
    ] = None,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="stand on REV, though it is a branch")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--continue", help="finish an interrupted switch, checkout or reset")
    ] = False,
    abort: Annotated[bool, typer.Option("--abort", help="take an interrupted one back")] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="give up staged changes and edited files")
    ] = False,
) -> int:
    """Go to any version, or bring back files from it.

    A branch is switched to as with vgr switch; any other revision leaves HEAD on no branch. With
    keys HEAD stays: their rows and files become those of REV, or without REV the files become what
    is staged. A word that could be a branch or a key is the branch; -- stands before keys.

    JSON: {"branch", "commit", "written", "removed", "skipped"}, with keys {"restored": [key]}.

    Example:
      $ vgr checkout v1
      $ vgr checkout main~2 -- train/hat
      $ vgr checkout --continue
    """
    repo = ctx.open_repository()
    progress = ctx.progress("checking out")
    if finish or abort:
        if finish and abort:
            raise UsageError("--continue and --abort exclude each other")
        done = (continue_switch if finish else abort_switch)(repo, progress=progress)
        return arrived(ctx, repo, done, place(repo) if finish else f"back: {place(repo)}")
    if sum((new is not None, new_over is not None, detach)) > 1:
        raise UsageError("-b, -B and --detach exclude each other", hint="vgr checkout --help")
    old = repo.head
    made = new if new is not None else new_over
    if made is not None:
        done = switch_to_new(
            repo,
            made,
            _only(words),
            overwrite=new_over is not None,
            kind="checkout",
            force=force,
            progress=progress,
        )
        warn_left(ctx, repo, old)
        return arrived(ctx, repo, done, f"switched to a new branch '{made}'")
    revision, keys = _part(ctx, repo, list(words or ()))
    if keys:
        if detach:
            raise UsageError("--detach takes no keys", hint="vgr checkout --detach REV")
        done_keys = restore(repo, keys, source=revision, additive=True, progress=progress)
        return _tell_keys(ctx, done_keys)
    head = _head_of(repo, revision)
    if detach:
        head = Head(None, head.commit or repo.resolve("HEAD"))
    if head == repo.head and not force:
        return already_there(ctx, repo)
    done = switch(repo, head, force=force, kind="checkout", progress=progress)
    warn_left(ctx, repo, old)
    return arrived(ctx, repo, done, place(repo))


def _only(words: list[str] | None) -> str | None:
    if words and len(words) > 1:
        raise UsageError(f"-b has no use for '{words[1]}'", hint="vgr checkout -b NEW [REV]")
    return words[0] if words else None


def _part(ctx: Context, repo: Repository, words: list[str]) -> tuple[str | None, list[str]]:
    """The revision and the keys among the words; a branch wins over a key, as in git."""
    if ctx.after_dashes is not None:
        cut = len(words) - len(ctx.after_dashes)
        if cut > 1:
            raise UsageError(f"'{words[1]}' is one revision too many", hint="put keys after --")
        if not words[cut:] and not cut:
            raise UsageError("vgr checkout -- wants KEY", hint="vgr checkout -- .")
        return (words[0] if cut else None), [key_of(repo, word) for word in words[cut:]]
    if not words or _names_revision(repo, words[0]):
        return (words[0] if words else None), [key_of(repo, word) for word in words[1:]]
    keys = [key_of(repo, word) for word in words]
    if not any(has_key(repo.staged(), key) for key in keys):
        repo.resolve(words[0])  # says what it could be
    return None, keys


def _names_revision(repo: Repository, word: str) -> bool:
    if word == "-" or word in branch_names(repo):
        return True
    try:
        repo.resolve(word)
    except (NotFoundError, UsageError):
        return False
    return True


def _head_of(repo: Repository, revision: str | None) -> Head:
    """Where HEAD is to point; without a revision it stays."""
    if revision is None:
        return repo.head
    if revision == "-":
        return previous_head(repo)
    if revision in branch_names(repo):
        return find_branch(repo, revision)
    return Head(None, repo.resolve(revision))


def _tell_keys(ctx: Context, keys: list[str]) -> int:
    if ctx.json:
        ctx.emit({"restored": keys})
        return 0
    ctx.say(f"restored {counted(len(keys), 'key')}")
    for line in shown_keys(keys):
        ctx.say(line)
    return 0
