"""What replayed commits came to, in words: shared by revert, cherry-pick and rebase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.merge_text import disputed_lines, notable_lines
from voyager.commands.reports import capped, counted_changes, files_changed, named_commit
from voyager.commands.sizes import counted
from voyager.errors import UsageError
from voyager.repo.repository import Repository
from voyager.repo.vocabulary_diff import count_changes
from voyager.store.history import read_commit

if TYPE_CHECKING:
    from voyager.merge.replay import Replayed, ReplayKind, Step

ContinueOption = Annotated[
    bool, typer.Option("--continue", help="commit what was resolved, and go on")
]
SkipOption = Annotated[
    bool, typer.Option("--skip", help="leave out the commit that has conflicts, and go on")
]
AbortOption = Annotated[
    bool, typer.Option("--abort", help="give up all of it: everything as it was")
]
NoCommitOption = Annotated[bool, typer.Option("-n", "--no-commit", help="leave the outcome staged")]
StrategyOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "-X", "--strategy", metavar="[WHAT=]HOW", help="how to decide conflicts; repeatable"
    ),
]

_MOST = 20


def way_on(kind: ReplayKind, asked: dict[str, bool], *, alone: bool) -> str | None:
    """Which of continue, skip and abort is asked for; UsageError where it is not `alone`."""
    ways = [name for name, given in asked.items() if given]
    if len(ways) > 1 or (ways and not alone):
        raise UsageError(
            "--continue, --skip and --abort stand alone", hint=f"vgr {kind} --{ways[0]}"
        )
    return ways[0] if ways else None


def proceed(ctx: Context, kind: ReplayKind, way: str) -> int:
    """Continue, skip or abort what waits, and tell it; the exit code."""
    from voyager.merge import resume

    repo = ctx.open_repository()
    if way == "abort":
        updated = resume.abort(repo, kind, progress=ctx.progress("restoring"))
        if ctx.json:
            head = repo.head.commit
            ctx.emit({"result": "aborted", "commit": None if head is None else head.hex()})
        ctx.say(f"{kind} given up; everything is as it was{files_changed(updated)}")
        return ctx.done_with_skips(list(capped(updated.skipped)))
    verb = resume.proceed if way == "continue" else resume.skip
    return tell(ctx, verb(repo, kind, progress=ctx.progress("replaying")))


def tell(ctx: Context, done: Replayed, *, document: object = None) -> int:
    """Tell what a run of steps did, or in JSON a document that has it; the exit code."""
    repo = ctx.open_repository()
    if ctx.json:
        ctx.emit(done.as_json() if document is None else document)
    for line in _lines(repo, done):
        ctx.say(line)
    code = ctx.done_with_skips(list(capped(done.updated.skipped)))
    return 1 if done.result == "conflicts" else code


def _lines(repo: Repository, done: Replayed) -> Iterator[str]:
    shown = [step for step in done.steps if step.merged.result != "fast-forward"]
    for step in shown[:_MOST]:
        yield from _step_lines(repo, step)
    if len(shown) > _MOST:
        yield f"… and {len(shown) - _MOST:,} more (--json lists them all)"
    yield from _end(repo, done)


def _step_lines(repo: Repository, step: Step) -> Iterator[str]:
    result = step.merged.result
    if result == "up-to-date":
        yield f"nothing to do: {_why_not(step)}: {named_commit(repo, step.source)}"
    elif result == "merged" and step.merged.commit is not None:
        made = read_commit(repo.store, step.merged.commit)
        where = repo.head.branch or "detached HEAD"
        yield f"[{where} {short_id(step.merged.commit)}] {made.subject}"
        before = repo.dataset_of(made.parent_ids[0])
        after = repo.dataset_of(step.merged.commit)
        yield f" {', '.join(counted_changes(count_changes(before, after))) or 'no changes'}"
    elif result == "staged":
        yield f"staged: {named_commit(repo, step.source)}"
    else:
        yield f"stopped with conflicts at {named_commit(repo, step.source)}"
    if step.passed and result != "up-to-date":
        yield f" {counted(step.passed, 'sample')} added or removed there: left out"
    yield from notable_lines(repo, step.merged)


def _why_not(step: Step) -> str:
    """Why a commit came to nothing."""
    if not step.taken:
        return "none of it is wanted"
    return "the guard lets none of it in" if step.merged.guard.done("drop") else "already there"


def _end(repo: Repository, done: Replayed) -> Iterator[str]:
    if done.result == "conflicts":
        conflicts = done.steps[-1].merged.conflicts
        yield from disputed_lines(repo.staged(), conflicts)
        left = f", and {counted(done.left, 'commit')} to replay after it" if done.left else ""
        yield f"{counted(conflicts, 'conflict')} to resolve{left}: vgr conflicts, vgr resolve"
        yield f"hint: then vgr {done.kind} --continue; --skip leaves it out, --abort gives up all"
    elif done.result == "staged":
        yield "left staged" + files_changed(done.updated)
        yield "hint: vgr commit"
    elif done.kind == "rebase":
        yield _rebased(repo, done) + files_changed(done.updated)
    elif not done.steps:
        yield "left out; there is nothing more to do" + files_changed(done.updated)


def _rebased(repo: Repository, done: Replayed) -> str:
    name = f"'{repo.head.branch}'" if repo.head.branch else "HEAD"
    if done.result == "up-to-date":
        return f"{name} is up to date"
    if done.commit is None or done.result == "fast-forward":
        at = "" if done.commit is None else f" to {named_commit(repo, done.commit)}"
        return f"{name} went forward{at}"
    return f"{name} is rebased: now at {named_commit(repo, done.commit)}"
