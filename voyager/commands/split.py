"""`vgr split`: divide samples into train, val, test or other parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from voyager.commands.choosing import WhereOption, chosen_samples
from voyager.commands.context import Context
from voyager.commands.labels import tell_changed
from voyager.commands.sizes import counted
from voyager.errors import UsageError
from voyager.repo import label_edits, splits
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.label_edits import Changed
from voyager.repo.repository import Repository
from voyager.repo.splits import SplitPlan, SplitRule
from voyager.repo.staged_edit import StagedEdit

_MOST_CLASSES = 20
_ALL = "samples"


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="samples, folders or globs (all)")
    ] = None,
    *,
    where: WhereOption = None,
    ratios: Annotated[
        str | None, typer.Option("--ratios", metavar="80/10/10", help="how large each split is")
    ] = None,
    names: Annotated[
        str | None, typer.Option("--names", metavar="NAMES", help="(train,val,test)")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="another draw")] = 0,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="META", help="equal values of it stay together"),
    ] = None,
    stratify: Annotated[
        list[str] | None,
        typer.Option("--stratify", metavar="TASK", help="its classes come in the same shares"),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="SPLIT", help="what is in this split stays there"),
    ] = None,
    only_new: Annotated[
        bool, typer.Option("--only-new", help="only samples that have no split yet")
    ] = False,
    put: Annotated[
        str | None, typer.Option("--set", metavar="SPLIT", help="put them all into one split")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="take them out of their splits")] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only tell what would change")
    ] = False,
) -> None:
    """Divide samples into splits, by ratios or by hand.

    Samples of one group, and with --by those of one value, never come into two splits, even where
    only some of them are named: they go where another of their group stays. The same seed divides
    the same samples alike, whatever they are called. What comes out is shown by split and class.

    JSON: {"samples", "regions", "labels", "keys", "splits": {split: {"samples", "asked"}},
    "classes": {class: {split: count}}, "groups", "straddling", "followed", "furthest"}; with --set
    and --clear only the first four.

    Example:
      $ vgr split --ratios 80/10/10 --by meta.sender_id --stratify category
      $ vgr split --ratios 90/10 --names train,val --keep test --only-new
      $ vgr split 'holdout/**' --set test
    """
    repo = ctx.open_repository()
    if (ratios is not None) + (put is not None) + clear != 1:
        raise UsageError("one of --ratios, --set and --clear is wanted", hint="--ratios 80/10/10")
    if ratios is None:
        _put(ctx, repo, words, where, put, dry_run=dry_run)
        return
    rule = SplitRule(
        splits.parse_ratios(ratios, names.split(",") if names else None),
        by=tuple(by or ()),
        stratify=tuple(stratify or ()),
        keep=tuple(keep or ()),
        only_new=only_new,
        seed=seed,
    )
    message = f"{ratios} --seed {seed}"
    with StagedEdit(repo, "split", message, dry_run=dry_run) as edit:
        chosen = _chosen(ctx, repo, edit.version, words, where)
        plan = splits.plan_splits(edit.version, chosen, rule)
        done = label_edits.put_split(edit, plan.splits)
        edit.wrote(((key, None) for key in plan.splits), ("split",))
    _tell(ctx, rule, plan, done, dry_run=dry_run)


def _chosen(
    ctx: Context, repo: Repository, version: Dataset, words: list[str] | None, where: str | None
) -> list[str]:
    if not words and where is None:
        return list(version)
    return chosen_samples(ctx, repo, version, words or [], where)


def _put(
    ctx: Context,
    repo: Repository,
    words: list[str] | None,
    where: str | None,
    name: str | None,
    *,
    dry_run: bool,
) -> None:
    """Put samples into one split, or with None into none."""
    if name is not None:
        splits.check_split(name)
    message = "--clear" if name is None else f"--set {name}"
    with StagedEdit(repo, "split", message, dry_run=dry_run) as edit:
        keys = chosen_samples(ctx, repo, edit.version, words or [], where)
        done = label_edits.put_split(edit, dict.fromkeys(keys, name))
        edit.wrote(((key, None) for key in keys), ("split",))
    tell_changed(ctx, done, dry_run=dry_run, resolved=edit.resolved)
    apart = splits.straddling(repo.staged()) if done.keys and not dry_run else []
    if apart:
        first = ", ".join(map(shown, apart[0][:2]))
        verb = "is" if len(apart) == 1 else "are"
        more = ", …" if len(apart) > 1 or len(apart[0]) > 2 else ""
        ctx.warn(f"{counted(len(apart), 'group')} {verb} in two splits: {first}{more}")


def _tell(ctx: Context, rule: SplitRule, plan: SplitPlan, done: Changed, *, dry_run: bool) -> None:
    furthest = plan.furthest(rule.shares)
    if ctx.json:
        columns = {
            name: {"samples": plan.counts[""][name], "asked": rule.shares.get(name)}
            for name in _columns(rule, plan)
        }
        keys = ("class", "split", "share", "asked")
        tell_changed(
            ctx,
            done,
            splits=columns,
            classes={name: dict(counts) for name, counts in plan.counts.items() if name},
            groups=plan.groups,
            straddling=plan.straddling,
            followed=plan.followed,
            furthest=None if furthest is None else dict(zip(keys, furthest, strict=True)),
        )
        return
    for line in _table(rule, plan):
        ctx.say(line)
    if furthest is not None:
        name, split, share, asked = furthest
        what = f"'{name}'" if name else _ALL
        ctx.say(f"furthest from what is asked: {what} in {split}, {share:.1%} of {asked:.1%}")
    for line in _notes(plan):
        ctx.say(line)
    verb = "would change" if dry_run else "changed"
    ctx.say(f"{verb} {counted(len(done.keys), 'sample')}" if done.keys else f"nothing {verb}")


def _columns(rule: SplitRule, plan: SplitPlan) -> list[str]:
    """The splits that were asked for, then others where samples stay."""
    return [*rule.shares, *sorted(plan.counts[""].keys() - rule.shares.keys())]


def _table(rule: SplitRule, plan: SplitPlan) -> Iterator[str]:
    """Split by class: how many, and which share of the class that is."""
    columns = _columns(rule, plan)
    classes = sorted(
        (name for name in plan.counts if name),
        key=lambda name: (-sum(plan.counts[name].values()), name),
    )
    rows = [["", *columns], [_ALL, *_cells(rule, plan, "", columns)]]
    rows += [[name, *_cells(rule, plan, name, columns)] for name in classes[:_MOST_CLASSES]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for head, *cells in rows:
        line = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield f"{head.ljust(widths[0])}  {line}"
    if len(classes) > _MOST_CLASSES:
        yield f"… and {len(classes) - _MOST_CLASSES:,} more classes (--json has them all)"


def _cells(rule: SplitRule, plan: SplitPlan, name: str, columns: Sequence[str]) -> list[str]:
    counts = plan.counts[name]
    total = sum(counts[split] for split in rule.shares) or 1
    return [
        f"{counts[split]:,} {counts[split] / total:6.1%}"
        if split in rule.shares
        else f"{counts[split]:,}"
        for split in columns
    ]


def _notes(plan: SplitPlan) -> Iterator[str]:
    if plan.groups:
        yield f"{counted(plan.groups, 'group')} of several samples kept together"
    if plan.followed:
        yield f"{counted(plan.followed, 'sample')} went where one of the group stays"
    if plan.straddling:
        yield f"{counted(plan.straddling, 'group')} lay in two splits before, and still do"
