"""`vgr rebase`: make the commits of a branch again on top of another."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.replay_text import (
    AbortOption,
    ContinueOption,
    SkipOption,
    StrategyOption,
    proceed,
    tell,
    way_on,
)
from voyager.errors import UsageError


def run(
    ctx: Context,
    upstream: Annotated[
        str | None, typer.Argument(metavar="UPSTREAM", help="what to go on top of")
    ] = None,
    branch: Annotated[
        str | None, typer.Argument(metavar="BRANCH", help="what to rebase (default: HEAD)")
    ] = None,
    *,
    onto: Annotated[
        str | None,
        typer.Option(metavar="NEW", help="go on top of this, with what UPSTREAM lacks"),
    ] = None,
    strategies: StrategyOption = None,
    go_on: ContinueOption = False,
    skip: SkipOption = False,
    abort: AbortOption = False,
) -> int:
    """Make the commits of a branch again on top of another.

    Commits that UPSTREAM lacks are replayed one by one, with their authors and times; merges, and
    commits whose change is there already, are left out. Conflicts stop it with exit code 1 on no
    branch: the branch moves at the end only, all at once. -X decides them as in vgr merge, ours
    being UPSTREAM with what was replayed so far and theirs the commit. What the guard decided of a
    commit is applied, and copies that only the new place makes are decided.

    JSON: {"result": "up-to-date|fast-forward|replayed|staged|conflicts", "commit", "steps": [{"of":
    the commit, and what vgr merge tells of it}], "left": how many commits are to be replayed yet}.

    Example:
      $ vgr rebase main
      $ vgr rebase --onto main v1 relabel
      $ vgr rebase --continue
    """
    asked = {"continue": go_on, "skip": skip, "abort": abort}
    way = way_on("rebase", asked, alone=not (upstream or onto or strategies))
    if way is not None:
        return proceed(ctx, "rebase", way)
    if upstream is None:
        raise UsageError("vgr rebase wants UPSTREAM", hint="vgr branch")
    from voyager.merge.rebase import rebase

    repo = ctx.open_repository()
    done = rebase(
        repo,
        upstream,
        branch,
        onto=onto,
        strategies=strategies or (),
        progress=ctx.progress("rebasing"),
    )
    return tell(ctx, done)
