"""`vgr conflicts`: list what merges left undecided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.choosing import ClassOption, PathOption, TaskOption, WhereOption
from voyager.commands.context import Context
from voyager.commands.words import key_of
from voyager.repo.dataset import Dataset
from voyager.repo.merging import running_merge
from voyager.repo.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voyager.merge.conflicts import Standing, Wanted


def run(
    ctx: Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="samples, folders, globs, KEY#REGION, task:NAME, …"),
    ] = None,
    *,
    at: Annotated[
        str | None, typer.Option("--at", metavar="REV", help="of a version; else what is staged")
    ] = None,
    path: PathOption = None,
    task: TaskOption = None,
    class_: ClassOption = None,
    where: WhereOption = None,
    stat: Annotated[
        bool, typer.Option("--stat", help="count by kind, by task and by class")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a page of pictures: base and sides")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, help="at most so many cards on the page")
    ] = 200,
) -> None:
    """List what merges left undecided: what the base holds, and what each side says.

    While a conflict stands, its field holds the base value. Before each value stands the option of
    vgr resolve that takes it: ours, theirs or pick N. A side that says none of the values is not
    offered. Conflicts of tasks and classes go by task:NAME and taxonomy:NAME/CLASS.

    JSON: lines {"space", "key", "region", "path", "terms": {"removes", "adds"}, "base", "ours",
    "theirs"}, values as in vgr show, null for what is not there; a side that is not offered is
    left out. With --stat {"conflicts", "kinds", "tasks", "classes"}.

    Example:
      $ vgr conflicts
      $ vgr conflicts 'train/**' --task color
      $ vgr conflicts --html conflicts.html
    """
    from voyager.merge.conflicts import list_conflicts

    repo = ctx.open_repository()
    version = repo.staged() if at is None else repo.at(at)
    progress = ctx.progress("looking for sides")
    wanted = wanted_of(repo, names, path=path, task=task, class_=class_, where=where)
    found = list_conflicts(repo, version, wanted, progress=progress)
    if html is not None:
        from voyager.commands.conflict_page import write_page

        write_page(ctx, html, version, found, at or "staged", limit=limit)
    elif stat:
        _show_stat(ctx, version, found)
    elif ctx.json:
        _emit(ctx, version, found)
    else:
        _show(ctx, repo, version, found, staged=at is None)


def wanted_of(
    repo: Repository,
    names: list[str] | None,
    *,
    path: str | None,
    task: str | None,
    class_: str | None,
    where: str | None,
) -> Wanted:
    """Which conflicts the arguments mean."""
    from voyager.merge.conflicts import Wanted
    from voyager.repo.conflicts import PREFIXES

    known = tuple(PREFIXES.values())
    keys = [name if name.startswith(known) else key_of(repo, name) for name in names or ()]
    return Wanted([key for key in keys if key], path, task, class_, where)


def _emit(ctx: Context, version: Dataset, found: Sequence[Standing]) -> None:
    from voyager.merge.conflict_json import conflict_to_json

    for one in found:
        ctx.emit_line(conflict_to_json(one, version.vocabulary))


def _show(
    ctx: Context, repo: Repository, version: Dataset, found: Sequence[Standing], *, staged: bool
) -> None:
    from voyager.commands.conflict_text import conflict_lines, counted_conflicts

    if not found:
        ctx.show("no conflicts")
        return
    ctx.show_text("".join(f"{line}\n" for line in conflict_lines(ctx, version, found)))
    ctx.show(counted_conflicts(found))
    if staged:
        ctx.say(f"hint: vgr resolve KEY --ours, --theirs, …, then {next_command(repo)}")


def next_command(repo: Repository) -> str:
    """What comes when all is resolved."""
    merging = running_merge(repo.store)
    if merging is None or merging.kind == "import":
        return "vgr commit"
    return f"vgr {merging.command} --continue"


def _show_stat(ctx: Context, version: Dataset, found: Sequence[Standing]) -> None:
    from voyager.commands.conflict_text import counted_conflicts, stat_lines, stat_of

    stat = stat_of(found, version.vocabulary)
    if ctx.json:
        counts = {name: dict(sorted(each.items())) for name, each in stat.items()}
        ctx.emit({"conflicts": len(found), **counts})
        return
    for line in stat_lines(stat):
        ctx.show(line)
    ctx.show(counted_conflicts(found) if found else "no conflicts")
