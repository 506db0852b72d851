"""Find the commit that broke something, by halving.

Say of one commit that it is bad and of an older one that it is good; then try what is checked out
and say what it is, until the first bad commit is left. Without a command: how far it is.

Example:
  $ vgr bisect start HEAD v1
  $ vgr bisect run python check_boxes.py
  $ vgr bisect reset
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from voyager.commands.bisect_text import log_lines, tell
from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.reports import arrived, named_commit, place
from voyager.errors import StateError, UsageError
from voyager.repo import bisect
from voyager.repo.bisect import Mark
from voyager.repo.merging import BISECT
from voyager.repo.ranges import iter_range, read_range
from voyager.repo.repository import Repository
from voyager.store.refs import HEAD

app = typer.Typer()
DEFAULT = "status"
WORDS_AS_THEY_ARE = ("run",)

COMMIT_VARIABLE = "VGR_BISECT_COMMIT"
"""Where the command of `run` finds the commit that it is to judge."""

_SKIP, _SIGNALS = 125, 128
_NAME = "vgr"
_THIS = (sys.executable, "-m", "voyager")

_Revisions = Annotated[
    list[str] | None, typer.Argument(metavar="REV", help="which commits (default: HEAD)")
]


@app.command("start")
def start(
    ctx: Context,
    bad: Annotated[
        str | None, typer.Argument(metavar="BAD", help="a commit that has the fault")
    ] = None,
    good: Annotated[
        list[str] | None, typer.Argument(metavar="GOOD", help="older ones that have not")
    ] = None,
) -> int:
    """Begin, and check out the commit in the middle once a bad and a good one are known.

    JSON: as vgr bisect status.

    Example:
      $ vgr bisect start HEAD v1
    """
    repo = ctx.open_repository()
    bisect.start(repo, bad, good or ())
    return _go_on(ctx, repo)


@app.command("bad")
def bad(ctx: Context, revision: _Revisions = None) -> int:
    """Say that a commit has the fault; vgr bisect new is the same.

    JSON: as vgr bisect status.

    Example:
      $ vgr bisect bad
    """
    return _say(ctx, "bad", revision)


@app.command("good")
def good(ctx: Context, revision: _Revisions = None) -> int:
    """Say that commits do not have the fault; vgr bisect old is the same.

    JSON: as vgr bisect status.

    Example:
      $ vgr bisect good
      $ vgr bisect good v1 v2
    """
    return _say(ctx, "good", revision)


@app.command("new")
def new(ctx: Context, revision: _Revisions = None) -> int:
    """Say that a commit has what is looked for: vgr bisect bad.

    JSON: as vgr bisect status.

    Example:
      $ vgr bisect new
    """
    return _say(ctx, "bad", revision)


@app.command("old")
def old(ctx: Context, revision: _Revisions = None) -> int:
    """Say that commits are as it was before: vgr bisect good.

    JSON: as vgr bisect status.

    Example:
      $ vgr bisect old v1
    """
    return _say(ctx, "good", revision)


@app.command("skip")
def skip(ctx: Context, revision: _Revisions = None) -> int:
    """Say that commits cannot be tried; A..B names all between.

    JSON: as vgr bisect status.

    Example:
      $ vgr bisect skip
    """
    return _say(ctx, "skip", revision)


@app.command("run")
def run(
    ctx: Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="CMD", help="what to run, with its arguments")
    ] = None,
) -> int:
    """Try one commit after the other by a command, until the first bad one is found.

    Exit code 0 means good, 125 that the commit cannot be tried, any other below 128 bad; from 128
    on the run stops there. The command finds the commit in VGR_BISECT_COMMIT, which also serves
    where there is no working tree: vgr ls $VGR_BISECT_COMMIT. Where CMD is vgr it is this one.

    JSON: as vgr bisect status.

    Example:
      $ vgr bisect run python check_boxes.py
      $ vgr bisect run vgr train -q --frozen default --fail-below category/shoes=0.8
    """
    if not command:
        raise UsageError("vgr bisect run wants CMD", hint="vgr bisect run python check.py")
    repo = ctx.open_repository()
    bisect.run(repo, _tester(ctx, repo, command), progress=ctx.progress("bisecting"))
    return _go_on(ctx, repo)


@app.command("next")
def next_(ctx: Context) -> int:
    """Check out the commit to try next, where HEAD is somewhere else.

    JSON: as vgr bisect status.

    Example:
      $ vgr bisect next
    """
    return _go_on(ctx, ctx.open_repository())


@app.command("status")
def status(ctx: Context) -> int:
    """Say how far the search is, and which commit is to be tried.

    JSON: {"bisecting", "bad", "good", "skipped", "left", "steps", "next", "first_bad", "possible"};
    left is how many commits may be the first bad one, possible names them when only skipped ones
    are left to try.

    Example:
      $ vgr bisect
    """
    repo = ctx.open_repository()
    if repo.store.value(BISECT) is None:
        if ctx.json:
            ctx.emit({"bisecting": False})
        ctx.show("not bisecting")
        return 0
    now = bisect.bisection(repo)
    return tell(ctx, repo, now, bisect.outlook(repo, now))


@app.command("log")
def log(ctx: Context) -> None:
    """List what was said of commits, as commands that say it again.

    JSON: [{"mark", "commit", "message"}].

    Example:
      $ vgr bisect log
    """
    repo = ctx.open_repository()
    log_lines(ctx, repo, bisect.bisection(repo))


@app.command("reset")
def reset(
    ctx: Context,
    revision: Annotated[
        str | None, typer.Argument(metavar="REV", help="where to go (default: where it began)")
    ] = None,
) -> int:
    """End the search, and go back to where HEAD was before it.

    JSON: as vgr switch.

    Example:
      $ vgr bisect reset
    """
    repo = ctx.open_repository()
    done = bisect.reset(repo, revision, progress=ctx.progress("switching"))
    return arrived(ctx, repo, done, place(repo))


def _say(ctx: Context, what: Mark, revisions: Sequence[str] | None) -> int:
    repo = ctx.open_repository()
    bisect.bisection(repo)
    commits: list[bytes] = []
    for word in revisions or [HEAD]:
        if ".." in word and what == "skip":
            span = read_range(repo.store, [word])
            commits += [commit_id for commit_id, _ in iter_range(repo.store, span)]
        else:
            commits.append(repo.resolve(word))
    if what == "bad" and len(commits) > 1:
        raise UsageError("one commit can be the bad one", hint="vgr bisect bad REV")
    bisect.mark(repo, what, commits)
    return _go_on(ctx, repo)


def _go_on(ctx: Context, repo: Repository) -> int:
    now = bisect.bisection(repo)
    found = bisect.outlook(repo, now)
    done = bisect.go_on(repo, found, progress=ctx.progress("switching"))
    return tell(ctx, repo, now, found, done)


def _tester(ctx: Context, repo: Repository, command: Sequence[str]) -> Callable[[bytes], Mark]:
    """What judges a commit by a command that is run where we are."""
    words = [*_THIS, *command[1:]] if command[0] == _NAME else command

    def judge(commit: bytes) -> Mark:
        environ = {**ctx.config.environ, COMMIT_VARIABLE: commit.hex()}
        sys.stdout.flush()
        try:
            # Its output would spoil a JSON document.
            code = subprocess.run(
                words, env=environ, stdout=2 if ctx.json else None, check=False
            ).returncode
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot run '{command[0]}': {reason}") from error
        said = _meaning(code)
        if said is None:
            raise StateError(
                f"'{command[0]}' ended with exit code {code if code >= 0 else _SIGNALS - code} "
                f"at {short_id(commit)}, which says nothing of the commit",
                hint="vgr bisect run goes on from there; vgr bisect good, bad or skip decides",
            )
        ctx.say(f"{said}: {named_commit(repo, commit)}")
        return said

    return judge


def _meaning(code: int) -> Mark | None:
    """What an exit code says; None for a signal, and for what stands for one."""
    if not 0 <= code < _SIGNALS:
        return None
    if code == _SKIP:
        return "skip"
    return "bad" if code else "good"
