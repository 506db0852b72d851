"""`vgr revert`: undo what commits did, by new commits."""

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
        typer.Option("-m", "--mainline", metavar="N", help="of a merge: the parent to go back to"),
    ] = None,
    no_commit: NoCommitOption = False,
    strategies: StrategyOption = None,
    go_on: ContinueOption = False,
    skip: SkipOption = False,
    abort: AbortOption = False,
) -> int:
    """Undo what commits did, by new commits.

    What was changed again since is a conflict: that stops it with exit code 1, the reverts before
    it being made, unless -X decides it as in vgr merge: ours is this branch, theirs what was before
    the commit. History stays as it is; vgr reset goes back instead.

    JSON: {"result": "up-to-date|fast-forward|replayed|staged|conflicts", "commit", "steps": [{"of":
    the commit, and what vgr merge tells of it}], "left": how many commits are to be replayed yet}.

    Example:
      $ vgr revert HEAD
      $ vgr revert -m 1 v2
      $ vgr revert --abort
    """
    asked = {"continue": go_on, "skip": skip, "abort": abort}
    way = way_on("revert", asked, alone=not (revisions or strategies))
    if way is not None:
        return proceed(ctx, "revert", way)
    from voyager.merge.pick import revert

    done = revert(
        ctx.open_repository(),
        *(revisions or ()),
        mainline=mainline,
        commit=not no_commit,
        strategies=strategies or (),
        progress=ctx.progress("reverting"),
    )
    return tell(ctx, done)
