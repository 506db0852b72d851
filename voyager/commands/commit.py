"""`vgr commit`: record the staged version in history."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.reports import capped, counted_changes, quoted
from voyager.commands.sizes import counted
from voyager.errors import StateError, UsageError
from voyager.repo.add import add
from voyager.repo.commit import Committed, commit
from voyager.repo.repository import Repository
from voyager.store.history import read_commit

_HINT = "vgr commit -m 'what changed'"
_KEEP = "vgr commit --amend --no-edit"


def run(
    ctx: Context,
    *,
    messages: Annotated[
        list[str] | None,
        typer.Option("-m", "--message", metavar="MSG", help="what changed; each is a paragraph"),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-F", "--file", metavar="FILE", help="read it from a file, or -")
    ] = None,
    everything: Annotated[
        bool, typer.Option("-a", "--all", help="stage edited and deleted files first")
    ] = False,
    amend: Annotated[bool, typer.Option("--amend", help="replace the last commit")] = False,
    no_edit: Annotated[
        bool, typer.Option("--no-edit", help="with --amend, keep its message")
    ] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="even if nothing is staged")
    ] = False,
    allow_conflicts: Annotated[
        bool, typer.Option("--allow-conflicts", help="with conflicts, for others to resolve")
    ] = False,
    author: Annotated[
        str | None, typer.Option(metavar="'NAME <EMAIL>'", help="in the name of someone else")
    ] = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="go past the pre-commit hook")
    ] = False,
) -> int:
    """Record the staged version in history.

    Without -m and -F the message is asked for in $VISUAL, $EDITOR or git's core.editor; an empty
    one stops it. Conflicts are refused without --allow-conflicts. A program in
    .vgr/hooks/pre-commit runs first and may refuse.

    JSON: {"commit", "branch", "samples", "added", "removed", "modified", "renamed", "labels",
    "vocabulary", "held": [key]}; vocabulary counts tasks and classes, held are copies of protected
    images.

    Example:
      $ vgr commit -m "Add photos of March"
      $ vgr commit -a -m "Sharper crops"
      $ vgr commit --amend --no-edit
    """
    repo = ctx.open_repository()
    if no_edit and not amend:
        raise UsageError("--no-edit goes with --amend", hint=_KEEP)
    message = _given(messages, file)
    keep = no_edit and message is None
    if amend and message is not None:
        _refuse_empty(message)
    skipped: list[tuple[str, str]] = []
    if everything:
        skipped = _stage_edited(ctx, repo)
    if message is None and not keep:
        message = _ask(ctx, repo, amend=amend, allow_empty=allow_empty)
        if amend:
            _refuse_empty(message)
    done = commit(
        repo,
        message or "",  # an amended commit keeps its own
        amend=amend,
        allow_empty=allow_empty,
        allow_conflicts=allow_conflicts,
        author=author,
        verify=not no_verify,
    )
    if ctx.json:
        ctx.emit(_as_json(done))
    made = read_commit(repo.store, done.commit)
    for line in _summary(done, made.subject):
        ctx.say(line)
    for line in _guard_lines(done):
        ctx.say(line)
    said = "" if ctx.json or not made.parents else _said(repo, done, made.parent_ids[0])
    if said:
        ctx.say(f" {said}")
    return ctx.done_with_skips(list(capped(skipped)))


def _guard_lines(done: Committed) -> Iterator[str]:
    """What the guard did; its words are loaded only then."""
    if done.guard is not None and done.guard.decisions:
        from voyager.commands.guard_text import review_lines

        yield from review_lines(done.guard)


def _given(messages: list[str] | None, file: Path | None) -> str | None:
    if messages and file is not None:
        raise UsageError("-m and -F exclude each other", hint=_HINT)
    if messages:
        return "\n\n".join(messages).strip()
    if file is None:
        return None
    if str(file) == "-":
        return sys.stdin.read().strip()
    return file.read_text("utf-8", errors="replace").strip()


def _refuse_empty(message: str) -> None:
    if not message.strip():
        raise UsageError("the message is empty", hint=_KEEP)


def _stage_edited(ctx: Context, repo: Repository) -> list[tuple[str, str]]:
    """Stage what changed of the tracked files; what could not be read."""
    done = add(
        repo,
        ["."],
        cwd=repo.tree(),
        all=True,
        tracked_only=True,
        progress=ctx.progress("adding"),
    )
    return done.skipped


def _ask(ctx: Context, repo: Repository, *, amend: bool, allow_empty: bool) -> str:
    """The message as written in the editor."""
    from voyager.commands.editor import edit_text
    from voyager.commands.reports import vocabulary_text
    from voyager.repo.status import status

    found = status(repo)
    head = found.head.commit
    merging = found.merging
    if found.nothing_staged and not (amend or allow_empty or merging):
        raise StateError("nothing to commit", hint="vgr add PATH, or vgr status")
    old = "" if merging is None else merging.message
    if amend and head is not None:
        old = read_commit(repo.store, head).message
    where = f"On branch {found.head.branch}" if found.head.branch else "HEAD detached"
    notes = ["Say what changed. Lines that begin with # are left out,", "and no text stops it."]
    notes += ["", where, "Changes to be committed:"]
    notes += [f"    {change.kind}: {quoted(change.key)}" for change in found.staged[:50]]
    notes += [f"    {vocabulary_text(change)}" for change in found.vocabulary[:50]]
    return edit_text(ctx, repo, old, notes, hint=_KEEP if amend else _HINT)


def _as_json(done: Committed) -> dict[str, object]:
    return {
        "commit": done.commit.hex(),
        "branch": done.branch,
        "samples": done.samples,
        **done.counts,
        "held": [] if done.guard is None else [one.key for one in done.guard.done("hold")],
    }


def _said(repo: Repository, done: Committed, parent: bytes) -> str:
    """What regions and labels have become."""
    from voyager.commands.differences import said_text

    return said_text(repo.dataset_of(parent), repo.dataset_of(done.commit), done.counts)


def _summary(done: Committed, subject: str) -> Iterator[str]:
    root = " (root-commit)" if done.root else ""
    yield f"[{done.branch or 'detached HEAD'}{root} {short_id(done.commit)}] {subject}"
    parts = counted_changes(done.counts)
    yield f" {', '.join(parts) or 'no changes'}; {counted(done.samples, 'sample')}"
