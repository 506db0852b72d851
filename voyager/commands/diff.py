"""`vgr diff`: show what differs between two versions, in words of labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from typing import Annotated

import typer

from voyager.commands import changes
from voyager.commands.context import Context
from voyager.commands.reports import vocabulary_text
from voyager.commands.words import Words, read_words, refuse_unknown
from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.diff import Change, diff, iter_changes
from voyager.repo.keys import KeyPattern, shown
from voyager.repo.ranges import read_pair
from voyager.repo.repository import Repository
from voyager.repo.vocabulary_diff import VocabularyChange, vocabulary_diff
from voyager.repo.working_version import working_version


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
    stat: Annotated[bool, typer.Option("--stat", help="count the changes by folder")] = False,
    shortstat: Annotated[
        bool, typer.Option("--shortstat", help="only the last line of --stat")
    ] = False,
    name_only: Annotated[bool, typer.Option("--name-only", help="only the keys")] = False,
    name_status: Annotated[
        bool, typer.Option("--name-status", help="a letter and the key, as git")
    ] = False,
    no_renames: Annotated[
        bool, typer.Option("--no-renames", help="a rename is a removal and an addition")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="exit 1 on differences")] = False,
) -> int:
    """Show what differs between two versions.

    Without versions it is everything since HEAD, staged or not; with one, everything since that
    one. A..B is the same as A B, and A...B begins where B left A. With -q nothing is printed and
    the exit code says it, as with --exit-code.

    JSON: lines {"from", "to"}, then for each thing that differs {"scope": sample or file, "kind",
    "key", "old_key", "before", "after"}, for each task, taxonomy or class {"scope", "kind",
    "before", "after", "parts"}, last {"summary": {scope: {kind: count}}}.

    Example:
      $ vgr diff
      $ vgr diff --stat v1 main
      $ vgr diff main~3 -- train/hat
    """
    repo = ctx.open_repository()
    parted = read_words(ctx, repo, words)
    names = _names(parted, staged=staged, unstaged=unstaged)
    before, after = _versions(ctx, repo, parted, staged=staged, unstaged=unstaged)
    refuse_unknown(parted, [before, after])
    found = _chosen(before, after, parted.keys, renames=not no_renames)
    first = next(iter(found), None)
    every = chain([] if first is None else [first], found)
    vocabulary = [] if parted.keys else vocabulary_diff(before, after)
    differs = first is not None or bool(vocabulary)
    if ctx.quiet:
        return int(differs)
    if ctx.json:
        _emit(ctx, names, every, vocabulary)
    elif stat or shortstat:
        _show_stat(ctx, every, short=not stat)
    elif name_only and not name_status:
        for change in every:
            ctx.show(shown(change.key))
    else:
        for change in every:
            name = changes.as_name_status(change) if name_status else changes.as_text(ctx, change)
            ctx.show(name)
    if not (name_only or name_status or shortstat):
        for word in vocabulary:
            ctx.show(vocabulary_text(word))
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
    progress = ctx.progress("reading files")
    files, skipped = working_version(repo, paths=parted.keys or None, progress=progress)
    for name, reason in skipped:
        ctx.warn(f"not compared: {name}: {reason}")
    return (repo.staged() if unstaged else before), files


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


def _chosen(before: Dataset, after: Dataset, keys: list[str], *, renames: bool) -> Iterable[Change]:
    found = iter(diff(before, after)) if renames else iter_changes(before, after)
    patterns = [KeyPattern(key) for key in keys]
    if not patterns:
        return found
    return (
        change
        for change in found
        if any(
            pattern.matches(key)
            for pattern in patterns
            for key in (change.key, change.old_key)
            if key is not None
        )
    )


def _emit(
    ctx: Context,
    names: dict[str, str],
    found: Iterable[Change],
    vocabulary: Iterable[VocabularyChange],
) -> None:
    counts: changes.Summary = {}
    ctx.emit_line(names)
    for change in found:
        for line in changes.as_json_lines(change):
            ctx.emit_line(line)
        changes.count_into(counts, change)
    for word in vocabulary:
        ctx.emit_line(asdict(word))
        of_scope = counts.setdefault(word.scope, {})
        of_scope[word.kind] = of_scope.get(word.kind, 0) + 1
    ctx.emit_line({"summary": counts})


def _show_stat(ctx: Context, found: Iterable[Change], *, short: bool) -> None:
    tally = changes.Tally()
    for change in found:
        tally.add(change)
    if tally.total:
        for line in list(tally.table())[-1 if short else 0 :]:
            ctx.show(line)
