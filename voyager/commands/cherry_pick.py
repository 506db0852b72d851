"""`vgr cherry-pick`: do here what commits did elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.replay_text import (
    AbortOption,
    ContinueOption,
    NoCommitOption,
    SkipOption,
    StrategyOption,
    proceed,
    tell,
    way_on,
)


def run(
    ctx: Context,
    revisions: Annotated[
        list[str] | None, typer.Argument(metavar="COMMIT", help="commits, or ranges A..B")
    ] = None,
    *,
    mainline: Annotated[
        int | None,
        typer.Option("-m", "--mainline", metavar="N", help="of a merge: the parent it changed"),
    ] = None,
    note_origin: Annotated[
        bool, typer.Option("-x", help="say in the message which commit it was")
    ] = False,
    no_commit: NoCommitOption = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT", help="task=NAME or class=PATH: only labels and regions of these"
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="WHO", help="only what this author or source said")
    ] = None,
    strategies: StrategyOption = None,
    go_on: ContinueOption = False,
    skip: SkipOption = False,
    abort: AbortOption = False,
) -> int:
    """Do here what commits did elsewhere.

    Author, time and message stay. Conflicts stop it with exit code 1, the commits before them being
    made; a commit whose change is here already is passed over. -X decides them as in vgr merge,
    ours being this branch and theirs the commit.

    --only takes labels, coverage and regions of a task or class and what of the vocabulary they
    need, and no other change. A region goes as a whole where the class, or no other task, is on it;
    else its labels do. --by takes the commits of an author as a whole, and of other commits what
    has WHO as its source (human:WHO, model:WHO).

    JSON: {"result": "up-to-date|fast-forward|replayed|staged|conflicts", "commit", "steps": [{"of":
    the commit, and what vgr merge tells of it}], "left": how many commits are to be replayed yet}.

    Example:
      $ vgr cherry-pick relabel~2..relabel
      $ vgr cherry-pick relabel --only task=color
      $ vgr cherry-pick --continue
    """
    asked = {"continue": go_on, "skip": skip, "abort": abort}
    way = way_on("cherry-pick", asked, alone=not (revisions or only or by or strategies))
    if way is not None:
        return proceed(ctx, "cherry-pick", way)
    from voyager.merge.only import parse_only
    from voyager.merge.pick import cherry_pick

    done = cherry_pick(
        ctx.open_repository(),
        *(revisions or ()),
        mainline=mainline,
        note_origin=note_origin,
        commit=not no_commit,
        only=parse_only(only or (), by),
        strategies=strategies or (),
        progress=ctx.progress("picking"),
    )
    return tell(ctx, done)
