"""`vgr merge`: bring the changes of other branches into this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.merge_text import merged_lines
from voyager.commands.replay_text import StrategyOption
from voyager.commands.reports import capped, files_changed
from voyager.errors import UsageError

if TYPE_CHECKING:
    from voyager.merge import Merged

_USAGE = "vgr merge --help"


def run(
    ctx: Context,
    revisions: Annotated[
        list[str] | None, typer.Argument(metavar="REV", help="what to merge into HEAD")
    ] = None,
    *,
    message: Annotated[
        str | None, typer.Option("-m", "--message", metavar="MSG", help="of the merge commit")
    ] = None,
    strategies: StrategyOption = None,
    no_commit: Annotated[
        bool, typer.Option("--no-commit", help="leave the outcome staged")
    ] = False,
    no_ff: Annotated[
        bool, typer.Option("--no-ff", help="make a commit where a fast-forward would do")
    ] = False,
    ff_only: Annotated[bool, typer.Option("--ff-only", help="fast-forward, or refuse")] = False,
    squash: Annotated[
        bool, typer.Option("--squash", help="stage the outcome for a commit of one parent")
    ] = False,
    unrelated: Annotated[
        bool, typer.Option("--allow-unrelated-histories", help="even with no commit in common")
    ] = False,
    take_labels: Annotated[
        bool,
        typer.Option("--take-labels", help="keep what is said of copies that the guard drops"),
    ] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="go past the pre-commit hook")
    ] = False,
    go_on: Annotated[
        bool, typer.Option("--continue", help="commit, once the conflicts are resolved")
    ] = False,
    abort: Annotated[bool, typer.Option("--abort", help="give up the merge that waits")] = False,
) -> int:
    """Bring the changes of other branches into this one.

    Labels, regions, splits, names, classes and tasks are merged one by one against the common
    ancestor. What both sides changed to different things is a conflict, unless -X decides it: it
    stops the merge in staging with exit code 1, and vgr conflicts lists it. HOW is ours, theirs,
    union, newest, human-over-model, highest-score, vote or manual; WHAT a task, a class (task:path)
    or a glob of keys, all by default. Several REVs are merged at once, as votes need it.

    What comes in passes the guard. Violations are told and do not stop it.

    JSON: {"result": "up-to-date|fast-forward|merged|staged|conflicts", "commit", "bases",
    "conflicts": how many, "resolved", "violations": [{"key", "region", "path", "kind", "message",
    "hint"}], "guard": {"dropped", "held", "moved", "warned", "unchecked"}, "twins": keys under
    which two sides added one image, "coverage": what says less now, "joined"}.

    Example:
      $ vgr merge relabel
      $ vgr merge -X color=theirs -X category=vote anna ben cleo
      $ vgr merge --continue
    """
    if go_on or abort:
        if revisions or (go_on and abort):
            raise UsageError("--continue and --abort stand alone", hint=_USAGE)
        return _continue(ctx, message, verify=not no_verify) if go_on else _abort(ctx)
    if not revisions:
        raise UsageError("vgr merge wants a branch or commit", hint="vgr branch")
    if ff_only and (no_ff or squash):
        raise UsageError("--ff-only goes with neither --no-ff nor --squash", hint=_USAGE)
    from voyager.merge import merge

    repo = ctx.open_repository()
    done = merge(
        repo,
        *revisions,
        message=message,
        strategies=strategies or [],
        ff="only" if ff_only else "never" if no_ff else "allowed",
        commit=not no_commit,
        squash=squash,
        allow_unrelated=unrelated,
        take_labels=take_labels,
        verify=not no_verify,
        progress=ctx.progress("merging"),
    )
    return tell(ctx, done, "merge", took=take_labels)


def tell(ctx: Context, done: Merged, command: str, *, took: bool = False) -> int:
    """Tell what a merge or a step of a replay did; the exit code."""
    repo = ctx.open_repository()
    if ctx.json:
        ctx.emit(done.as_json())
    for line in merged_lines(repo, done, command, took=took):
        ctx.say(line)
    code = ctx.done_with_skips(list(capped(done.updated.skipped)))
    return 1 if done.result == "conflicts" else code


def _continue(ctx: Context, message: str | None, *, verify: bool) -> int:
    from voyager.merge import proceed

    return tell(ctx, proceed(ctx.open_repository(), message, verify=verify), "merge")


def _abort(ctx: Context) -> int:
    from voyager.merge import abort

    repo = ctx.open_repository()
    updated = abort(repo, progress=ctx.progress("restoring"))
    if ctx.json:
        ctx.emit({"result": "aborted", "commit": repo.head.commit and repo.head.commit.hex()})
    ctx.say(f"merge given up; everything is as it was{files_changed(updated)}")
    return ctx.done_with_skips(list(capped(updated.skipped)))
