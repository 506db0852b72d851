"""`vgr reset`: point the branch at another commit."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.reports import arrived, named_commit, shown_keys
from voyager.commands.sizes import counted
from voyager.commands.words import read_words, refuse_unknown
from voyager.errors import UsageError
from voyager.repo.repository import Repository
from voyager.repo.rows import restore
from voyager.repo.switch import reset


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="REV|KEY", help="where to go, or keys to take from there"),
    ] = None,
    *,
    soft: Annotated[bool, typer.Option("--soft", help="keep staging and files")] = False,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="keep the files; this is what it does alone")
    ] = False,
    hard: Annotated[bool, typer.Option("--hard", help="keep neither: edits are lost")] = False,
) -> int:
    """Point the branch at another commit, or unstage keys.

    With keys the branch stays, and their staged rows become those of REV (HEAD): the opposite of
    vgr add.

    JSON: {"branch", "commit", "written", "removed", "skipped"}, with keys {"unstaged": [key]}.

    Example:
      $ vgr reset --soft HEAD~1
      $ vgr reset train/hat/1.jpg
    """
    modes = [mode for mode, on in (("soft", soft), ("mixed", mixed), ("hard", hard)) if on]
    if len(modes) > 1:
        raise UsageError(f"--{modes[0]} and --{modes[1]} exclude each other")
    repo = ctx.open_repository()
    parted = read_words(ctx, repo, words, most=1)
    revision = parted.revisions[0] if parted.revisions else None
    refuse_unknown(parted, [repo.staged(), repo.dataset_of(repo.head.commit)])
    if parted.keys:
        if modes and not mixed:
            raise UsageError(
                f"--{modes[0]} takes no keys", hint="vgr restore KEY brings back files"
            )
        return _unstage(ctx, repo, revision, parted.keys)
    commit = repo.head.commit if revision is None else repo.resolve(revision)
    done = reset(repo, commit, modes[0] if modes else "mixed", progress=ctx.progress("resetting"))
    name = repo.head.branch or "HEAD"
    if commit is None:
        return arrived(ctx, repo, done, f"{name} has no commits yet; nothing is staged now")
    return arrived(ctx, repo, done, f"{name} is now at {named_commit(repo, commit)}")


def _unstage(ctx: Context, repo: Repository, revision: str | None, keys: list[str]) -> int:
    done = restore(repo, keys, source=revision, staged=True, worktree=False)
    if ctx.json:
        ctx.emit({"unstaged": done})
        return 0
    ctx.say(f"unstaged {counted(len(done), 'key')}")
    for line in shown_keys(done):
        ctx.say(line)
    return 0
