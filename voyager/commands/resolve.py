"""`vgr resolve`: decide what merges left undecided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voyager.commands.choosing import ClassOption, PathOption, TaskOption, WhereOption
from voyager.commands.conflicts import next_command, wanted_of
from voyager.commands.context import Context
from voyager.commands.reports import capped, quoted
from voyager.commands.sizes import counted
from voyager.errors import NotFoundError, UsageError
from voyager.repo.repository import Repository

if TYPE_CHECKING:
    from voyager.merge.conflicts import Standing, Wanted
    from voyager.merge.deciding import Choose
    from voyager.merge.resolve import Resolved, Strategies
    from voyager.merge.resolving import Choice, How

_HINT = "--ours, --theirs, --base, --union, --same, --different, --pick N, --value V, -X HOW"


def run(
    ctx: Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="samples, folders, globs, KEY#REGION, task:NAME, …"),
    ] = None,
    *,
    ours: Annotated[bool, typer.Option("--ours", help="as our side has it")] = False,
    theirs: Annotated[bool, typer.Option("--theirs", help="as the other side has it")] = False,
    side: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="as side N has it (1 is ours)")
    ] = None,
    base: Annotated[bool, typer.Option("--base", help="as it was before both")] = False,
    union: Annotated[bool, typer.Option("--union", help="both, where both can be")] = False,
    same: Annotated[bool, typer.Option("--same", help="two regions are one thing")] = False,
    different: Annotated[
        bool, typer.Option("--different", help="two regions are two things")
    ] = False,
    pick: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="value N that vgr conflicts lists")
    ] = None,
    value: Annotated[
        str | None, typer.Option(metavar="VALUE", help="this: a class, a number, a text, or JSON")
    ] = None,
    strategies: Annotated[
        list[str] | None,
        typer.Option(
            "-X", "--strategy", metavar="[WHAT=]HOW", help="as a strategy of vgr merge decides"
        ),
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="as JSON lines say it")
    ] = None,
    path: PathOption = None,
    task: TaskOption = None,
    class_: ClassOption = None,
    where: WhereOption = None,
    everything: Annotated[bool, typer.Option("--all", help="every conflict")] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only tell what would be resolved")
    ] = False,
) -> int:
    """Decide what merges left undecided.

    All conflicts that are named are decided alike: of keys, folders and globs, and of these only
    those about a PATH, TASK or CLASS. Of one that says nothing to a conflict (a union of two
    values), the conflict stays. Of two images at one key --union keeps both, one under a new name.
    Setting the field by another command (vgr label, vgr split, …) resolves it as well.

    --from takes the lines of vgr conflicts --json, each with "resolve": "ours", "theirs", "base",
    "union", "same", "different", {"pick": N}, {"side": N} or {"value": …}; null leaves it.

    JSON: {"resolved", "left", "kinds": {path: count}, "keys", "undecided": [{"key", "path"}],
    "renamed": [[old, new]], "added", "removed"}; keys are those of samples, files, tasks and
    classes.

    Example:
      $ vgr resolve train/1.jpg --ours
      $ vgr resolve --task color --theirs
      $ vgr resolve train/2.jpg#3 --value 20,30,120,90
      $ vgr resolve --all -X human-over-model
    """
    repo = ctx.open_repository()
    how = _how(
        side=[n for n, given in ((1, ours), (2, theirs), (side, side is not None)) if given],
        words={"base": base, "union": union, "same": same, "different": different},
        pick=pick,
        value=value,
        strategies=strategies,
        from_file=from_file,
    )
    filters = (path, task, class_, where)
    named = bool(names) or any(each is not None for each in filters)
    if from_file is None and not named and not everything:
        raise UsageError("what is to be resolved?", hint="KEY, --task, --class, --where or --all")
    if everything and names:
        raise UsageError("--all and keys exclude each other", hint="vgr resolve --help")
    from voyager.merge.conflict_json import choices_from
    from voyager.merge.resolve import resolve

    wanted = wanted_of(repo, names, path=path, task=task, class_=class_, where=where)
    chosen: Choice | Choose | Strategies
    if how is not None:
        chosen = how
    elif from_file is not None:
        chosen = choices_from(repo.staged(), from_file)
    else:
        chosen = _single(ctx, repo, wanted, pick, value)
    done = resolve(
        repo,
        chosen,
        wanted,
        message=_message(names, from_file, everything=everything),
        dry_run=dry_run,
        progress=ctx.progress("resolving"),
    )
    return _tell(ctx, repo, done, dry_run=dry_run)


def _message(names: list[str] | None, file: Path | None, *, everything: bool) -> str:
    if names:
        return " ".join(names)
    return "--all" if everything else "" if file is None else f"--from {file}"


def _how(
    *,
    side: list[int | None],
    words: dict[How, bool],
    pick: int | None,
    value: str | None,
    strategies: list[str] | None,
    from_file: Path | None,
) -> Choice | Strategies | None:
    """The one choice that was given; None for those that depend on what is in conflict."""
    from voyager.merge.resolve import Strategies
    from voyager.merge.resolving import Choice

    found: list[Choice | Strategies | None] = [
        Choice("side", number - 1) for number in side if number is not None
    ]
    found += [Choice(word) for word, given in words.items() if given]
    found += [None for given in (pick, value, from_file) if given is not None]
    if strategies:
        found.append(Strategies(tuple(strategies)))
    if not found:
        raise UsageError("how is it to be resolved?", hint=_HINT)
    if len(found) > 1:
        raise UsageError("one way to resolve is wanted, not several", hint=_HINT)
    return found[0]


def _single(
    ctx: Context, repo: Repository, wanted: Wanted, pick: int | None, value: str | None
) -> Choice:
    """What --pick and --value mean: they are about one conflict, or about several of one field."""
    from voyager.merge.conflicts import list_conflicts
    from voyager.merge.resolving import Choice

    version = repo.staged()
    found = list_conflicts(repo, version, wanted, progress=ctx.progress("looking for sides"))
    fields = list(dict.fromkeys(one.path for one in found))
    if not found:
        raise NotFoundError("nothing of that is in conflict", hint="vgr conflicts")
    if len(found) > 1 and (pick is not None or len(fields) > 1):
        raise UsageError(
            f"{len(found):,} conflicts are meant, and {'--pick' if pick else '--value'} is for one",
            hint=f"--path {fields[0]}, or KEY#REGION",
        )
    if value is not None:
        return Choice("value", value=read_value(version.vocabulary, found[0], value))
    assert pick is not None
    if pick > len(found[0].options):
        raise UsageError(
            f"there is no value {pick}: there are {len(found[0].options)}",
            hint=f"vgr conflicts {found[0].name}",
        )
    return Choice("pick", pick - 1)


def read_value(vocabulary: Any, one: Standing, text: str) -> Any:
    """The value that a text means to a field; UsageError for one that it cannot have."""
    from voyager.commands.conflict_values import value_of_text

    return value_of_text(vocabulary, one, text)


def _tell(ctx: Context, repo: Repository, done: Resolved, *, dry_run: bool) -> int:
    if ctx.json:
        ctx.emit(_as_json(done))
        return ctx.done_with_skips(list(capped(done.updated.skipped)))
    verb = "would resolve" if dry_run else "resolved"
    ctx.say(f"{verb} {counted(done.resolved, 'conflict')}")
    for old, new in done.moved[:_MOST]:
        ctx.say(f" renamed {quoted(old)} -> {quoted(new)}")
    for name in done.added[:_MOST]:
        ctx.say(f" kept as {quoted(name)}")
    for name in done.removed[:_MOST]:
        ctx.say(f" removed {quoted(name)}")
    if done.undecided:
        ctx.say(f"{counted(len(done.undecided), 'conflict')} could not be decided so")
    go_on = next_command(repo)
    left = f"{done.left:,} left (vgr conflicts)" if done.left else f"none left; next: {go_on}"
    ctx.say(left)
    return ctx.done_with_skips(list(capped(done.updated.skipped)))


_MOST = 10


def _as_json(done: Resolved) -> dict[str, object]:
    return {
        "resolved": done.resolved,
        "left": done.left,
        "kinds": dict(sorted(done.kinds.items())),
        "keys": done.names,
        "undecided": [{"key": name, "path": path} for name, path in done.undecided],
        "renamed": [list(pair) for pair in done.moved],
        "added": done.added,
        "removed": done.removed,
    }
