"""Put changes aside and bring them back later.

Example:
  $ vgr stash -m "half of the hats"
  $ vgr stash pop
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from voyager.commands.commits import iso_time
from voyager.commands.context import Context
from voyager.commands.differences import Difference, emit_facts, show_lines
from voyager.commands.reports import counted_changes
from voyager.repo import stash
from voyager.store.history import read_commit

app = typer.Typer()
DEFAULT = "push"

_Which = Annotated[
    str | None, typer.Argument(metavar="STASH", help="stash@{1}, or 1 (default: the newest)")
]


@app.command("push")
def push(
    ctx: Context,
    *,
    message: Annotated[
        str | None, typer.Option("-m", "--message", metavar="MSG", help="what it is about")
    ] = None,
    untracked: Annotated[
        bool, typer.Option("-u", "--include-untracked", help="untracked files too")
    ] = False,
) -> None:
    """Put staged changes and edited files aside, and go back to HEAD.

    JSON: {"stash", "commit", "counts": {"added", "removed", "modified", "renamed", "labels",
    "vocabulary"}}.

    Example:
      $ vgr stash -m "half of the hats"
    """
    repo = ctx.open_repository()
    done = stash.push(repo, message or "", untracked=untracked, progress=ctx.progress("stashing"))
    said = read_commit(repo.store, done.commit).message
    _tell(ctx, done.counts, f"put aside as stash@{{0}}: {said}", commit=done.commit.hex())


@app.command("pop")
def pop(ctx: Context, which: _Which = None) -> None:
    """Bring a stash back as staged changes, and forget it.

    It is refused, and the stash kept, when the same keys changed since.

    JSON: {"stash", "counts"}.

    Example:
      $ vgr stash pop
    """
    _bring_back(ctx, which, drop=True)


@app.command("apply")
def apply(ctx: Context, which: _Which = None) -> None:
    """Bring a stash back as staged changes, and keep it.

    JSON: {"stash", "counts"}.

    Example:
      $ vgr stash apply stash@{1}
    """
    _bring_back(ctx, which, drop=False)


@app.command("drop")
def drop(ctx: Context, which: _Which = None) -> None:
    """Forget a stash; vgr undo brings it back.

    JSON: {"stash", "commit"}.

    Example:
      $ vgr stash drop 1
    """
    repo = ctx.open_repository()
    found = stash.find_stash(repo, which)
    stash.drop(repo, [found])
    if ctx.json:
        ctx.emit({"stash": _name(found), "commit": found.commit.hex()})
    ctx.say(f"dropped {_name(found)}: {found.message}")


@app.command("list")
def list_all(ctx: Context) -> None:
    """List the stashes, newest first.

    JSON: [{"stash", "commit", "message", "time"}].

    Example:
      $ vgr stash list
    """
    found = stash.stashes(ctx.open_repository())
    if ctx.json:
        ctx.emit(
            [
                {
                    "stash": _name(one),
                    "commit": one.commit.hex(),
                    "message": one.message,
                    "time": iso_time(one.time, one.zone),
                }
                for one in found
            ]
        )
        return
    for one in found:
        ctx.show(f"{_name(one)}: {one.message}")


@app.command("show")
def show(ctx: Context, which: _Which = None) -> None:
    """Show what a stash changes.

    JSON: lines as those of vgr diff, last {"summary": {scope: {kind: count}}}.

    Example:
      $ vgr stash show
    """
    repo = ctx.open_repository()
    found = stash.find_stash(repo, which)
    difference = Difference(*stash.sides(repo, found))
    if ctx.json:
        emit_facts(ctx, difference, difference.samples())
    else:
        show_lines(ctx, difference, difference.samples())


@app.command("clear")
def clear(ctx: Context) -> None:
    """Forget all stashes; vgr undo brings them back.

    JSON: {"dropped": [commit]}.

    Example:
      $ vgr stash clear
    """
    repo = ctx.open_repository()
    found = stash.stashes(repo)
    if found:
        stash.drop(repo, found)
    if ctx.json:
        ctx.emit({"dropped": [one.commit.hex() for one in found]})
    ctx.say(f"dropped {len(found)} stash{'es' * (len(found) != 1)}")


def _bring_back(ctx: Context, which: str | None, *, drop: bool) -> None:
    repo = ctx.open_repository()
    found = stash.find_stash(repo, which)
    done = stash.apply(repo, found, drop=drop, progress=ctx.progress("unstashing"))
    verb = "brought back and dropped" if drop else "brought back"
    _tell(ctx, done, f"{verb} {_name(found)}: {found.message}", name=_name(found))


def _tell(
    ctx: Context,
    changed: Mapping[str, int],
    text: str,
    *,
    name: str = "stash@{0}",
    commit: str | None = None,
) -> None:
    if ctx.json:
        made = {} if commit is None else {"commit": commit}
        ctx.emit({"stash": name, **made, "counts": dict(changed)})
    ctx.say(f"{text} ({', '.join(counted_changes(changed)) or 'no changes'})")


def _name(one: stash.Stash) -> str:
    return f"stash@{{{one.number}}}"
