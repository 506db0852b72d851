"""`vgr diff`: show what differs between two versions, in words of labels."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from voyager.commands import changes
from voyager.commands.choosing import WhereOption
from voyager.commands.context import Context
from voyager.commands.differences import Difference, emit_facts, show_lines, show_stat
from voyager.commands.words import Words, key_of, read_words, refuse_unknown
from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.fact_filter import Sources, Wanted, classes_named, parse_kinds, parse_scopes
from voyager.repo.keys import shown
from voyager.repo.ranges import read_pair
from voyager.repo.repository import Repository
from voyager.store.refs import HEAD

PREDICTIONS = "predictions:"


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="A|A..B|KEY", help="versions, then keys")
    ] = None,
    *,
    staged: Annotated[
        bool, typer.Option("--staged", "--cached", help="what is staged, against HEAD or A")
    ] = False,
    unstaged: Annotated[
        bool, typer.Option("--unstaged", help="files, against what is staged")
    ] = False,
    stat: Annotated[
        bool, typer.Option("--stat", help="count by class, by task and by folder")
    ] = False,
    shortstat: Annotated[
        bool, typer.Option("--shortstat", help="only the last line of --stat")
    ] = False,
    name_only: Annotated[bool, typer.Option("--name-only", help="only the keys")] = False,
    name_status: Annotated[
        bool, typer.Option("--name-status", help="a letter and the key, as git")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="a page of pictures, before and after"),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, help="at most so many cards on the page")
    ] = 200,
    keys: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="KEY", help="this sample in detail: every value"),
    ] = None,
    class_: Annotated[
        str | None, typer.Option("--class", metavar="CLASS", help="of a class, or below it")
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="what is said for a task")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="of a source, or a kind of source")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND,…", help="kinds of change: moved,added")
    ] = None,
    scope: Annotated[
        str | None, typer.Option(metavar="SCOPE,…", help="sample, region, label, class, …")
    ] = None,
    where: WhereOption = None,
    no_renames: Annotated[
        bool, typer.Option("--no-renames", help="a rename is a removal and an addition")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="exit 1 on differences")] = False,
) -> int:
    """Show what differs between two versions, in words of labels.

    Without versions it is everything since HEAD, staged or not; with one, everything since that
    one. A..B is the same as A B, and A...B begins where B left A. A region appears once, with all
    that is different about it; ids, origins and the order of things are no difference. With -q
    nothing is printed and the exit code says it, as with --exit-code.

    predictions:NAME is a version in which samples are what a model says they are; who says
    something, and how surely, is no difference then.

    JSON: lines {"from", "to"}, then for each thing that differs {"scope": sample, region, label,
    coverage, meta, file, task, policy, taxonomy, class or guard, "kind", "key", "old_key",
    "region", "task", "node", "source", "name", "similarity", "before", "after"} as far as they
    apply, last {"summary": {scope: {kind: count}}}.

    Example:
      $ vgr diff
      $ vgr diff --stat v1 main
      $ vgr diff main~3 -- train/hat
      $ vgr diff v1 v2 --class person --kind moved,redrawn --html moved.html
    """
    repo = ctx.open_repository()
    predicted, words = _predicted(ctx, words or [])
    parted = read_words(ctx, repo, words)
    if predicted:
        names, (before, after) = _predicted_versions(repo, parted, predicted)
    else:
        names = _names(parted, staged=staged, unstaged=unstaged)
        before, after = _versions(ctx, repo, parted, staged=staged, unstaged=unstaged)
    refuse_unknown(parted, [before, after])
    found = Difference(
        before,
        after,
        keys=(*parted.keys, *(key_of(repo, key) for key in keys or ())),
        wanted=_wanted(ctx, (before, after), class_, task, source, kind, scope, where),
        renames=not no_renames,
        detail=bool(keys),
        voices=not predicted,
    )
    samples = found.samples()
    first = next(samples, None)
    every = chain([] if first is None else [first], samples)
    differs = first is not None or bool(found.words)
    if ctx.quiet:
        return int(differs)
    if html is not None:
        from voyager.commands.diff_page import write_page

        write_page(ctx, html, found, every, names, limit=limit)
    elif ctx.json:
        ctx.emit_line(names)
        emit_facts(ctx, found, every)
    elif stat or shortstat:
        show_stat(ctx, found, every, short=not stat)
    elif name_only or name_status:
        for one in every:
            ctx.show(changes.as_name_status(one) if name_status else shown(one.key))
    else:
        show_lines(ctx, found, every)
    return int(exit_code and differs)


def _versions(
    ctx: Context, repo: Repository, parted: Words, *, staged: bool, unstaged: bool
) -> tuple[Dataset, Dataset]:
    """The two sides."""
    commits = read_pair(repo.store, parted.revisions)
    if len(commits) == 2 or unstaged:
        if (unstaged and (commits or staged)) or staged:
            raise UsageError(
                "--staged takes at most one revision, --unstaged none", hint="vgr diff --help"
            )
        if commits:
            return repo.dataset_of(commits[0]), repo.dataset_of(commits[1])
    before = repo.dataset_of(commits[0] if commits else repo.staging.base)
    if staged:
        return before, repo.staged()
    from voyager.repo.working_version import working_version  # not for two commits

    progress = ctx.progress("reading files")
    files, skipped = working_version(repo, paths=parted.keys or None, progress=progress)
    for name, reason in skipped:
        ctx.warn(f"not compared: {name}: {reason}")
    return (repo.staged() if unstaged else before), files


def _predicted(ctx: Context, words: list[str]) -> tuple[list[str], list[str]]:
    """The words that name prediction sets, and the others."""
    end = len(words) - len(ctx.after_dashes or ())
    named = [word for word in words[:end] if word.startswith(PREDICTIONS)]
    return named, [word for word in words[:end] if word not in named] + words[end:]


def _predicted_versions(
    repo: Repository, parted: Words, predicted: list[str]
) -> tuple[dict[str, str], tuple[Dataset, Dataset]]:
    """A version, and as it would be if it said what a model says; or two of these."""
    from voyager.repo.predictions import predicted_version

    if len(predicted) + len(parted.revisions) > 2:
        raise UsageError("two versions can be compared, not more", hint="vgr diff A B")
    revision = parted.revisions[0] if parted.revisions else HEAD
    base = repo.at(revision)
    sides = [predicted_version(repo, base, word.removeprefix(PREDICTIONS)) for word in predicted]
    names = predicted
    if len(sides) == 1:
        sides, names = [base, *sides], [revision, *names]
    return {"from": names[0], "to": names[1]}, (sides[0], sides[1])


def _names(parted: Words, *, staged: bool, unstaged: bool) -> dict[str, str]:
    """What the sides are called in JSON."""
    revisions = parted.revisions
    if len(revisions) == 1 and ".." in revisions[0]:
        left, _, right = revisions[0].replace("...", "..").partition("..")
        return {"from": left or "HEAD", "to": right or "HEAD"}
    if len(revisions) == 2:
        return {"from": revisions[0], "to": revisions[1]}
    before = revisions[0] if revisions else "STAGED" if unstaged else "HEAD"
    return {"from": before, "to": "STAGED" if staged else "FILES"}


def _wanted(
    ctx: Context,
    sides: tuple[Dataset, Dataset],
    class_: str | None,
    task: str | None,
    source: str | None,
    kind: str | None,
    scope: str | None,
    where: str | None,
) -> Wanted:
    keys = None
    if where is not None:
        from voyager.repo.where import keys_where

        progress = ctx.progress("choosing samples")
        keys = {key for side in sides for key in keys_where(side, where, progress=progress)}
    vocabularies = [side.vocabulary for side in sides]
    if task is not None and not any(task in vocabulary.tasks for vocabulary in vocabularies):
        raise UsageError(f"neither version has a task '{task}'", hint="vgr task ls")
    return Wanted(
        scopes=parse_scopes(scope),
        kinds=parse_kinds(kind),
        nodes=None if class_ is None else classes_named(class_, *vocabularies),
        tasks=None if task is None else {task},
        sources=None if source is None else Sources([source]),
        keys=keys,
    )
