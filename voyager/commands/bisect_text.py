"""How far a bisection is, in words and as JSON; and the first bad commit, when it is found."""

from __future__ import annotations

from typing import Any

from voyager.commands import commits
from voyager.commands.context import Context
from voyager.commands.reports import capped, files_changed, named_commit, quoted
from voyager.commands.sizes import counted
from voyager.errors import EXIT_SKIPPED
from voyager.repo.bisect import Bisection, Outlook
from voyager.repo.repository import Repository
from voyager.repo.worktree import Updated
from voyager.store.history import read_commit


def tell(
    ctx: Context, repo: Repository, now: Bisection, found: Outlook, done: Updated | None = None
) -> int:
    """Say how far it is; the exit code: EXIT_SKIPPED when only skipped commits are left."""
    undecided = found.next is None and len(found.suspects) > 1
    if ctx.json:
        ctx.emit(bisection_as_json(now, found))
    elif found.first_bad is not None:
        _show_first_bad(ctx, repo, found.first_bad)
    elif undecided:
        _show_possible(ctx, repo, found)
    elif found.next is None:
        ctx.say(f"bisecting: waiting for {_missing(now)}")
    else:
        _show_next(ctx, repo, found, found.next, done)
    skipped = ctx.done_with_skips(list(capped(done.skipped))) if done is not None else 0
    return EXIT_SKIPPED if undecided else skipped


def _missing(now: Bisection) -> str:
    if now.bad is not None:
        return "a good commit: vgr bisect good REV"
    if now.marked("good"):
        return "a bad commit: vgr bisect bad REV"
    return "a bad and a good commit: vgr bisect bad, then vgr bisect good REV"


def _show_next(
    ctx: Context, repo: Repository, found: Outlook, commit: bytes, done: Updated | None
) -> None:
    left = f"{counted(len(found.suspects), 'commit')} may be the first bad one"
    ctx.say(f"bisecting: {left}, about {counted(found.steps, 'step')} left")
    head = repo.head
    if head.detached and head.commit == commit:
        changed = "" if done is None else files_changed(done)
        ctx.say(f"trying {named_commit(repo, commit)}{changed}")
    else:
        ctx.say(f"to try next: {named_commit(repo, commit)} (vgr bisect next checks it out)")


def _show_possible(ctx: Context, repo: Repository, found: Outlook) -> None:
    ctx.show("only skipped commits are left to try; the first bad commit is one of these:")
    for commit in found.suspects:
        ctx.show(f"  {named_commit(repo, commit)}")


def _show_first_bad(ctx: Context, repo: Repository, commit_id: bytes) -> None:
    from voyager.commands.differences import Difference, show_stat

    commit = read_commit(repo.store, commit_id)
    ctx.show(f"{commit_id.hex()} is the first bad commit")
    for line in commits.full_text(ctx, commit_id, commit, commits.decorations(repo)):
        ctx.show(line)
    ctx.show()
    before = repo.dataset_of(commit.parent_ids[0] if commit.parents else None)
    found = Difference(before, repo.dataset_of(commit_id))
    show_stat(ctx, found, found.samples())


def bisection_as_json(now: Bisection, found: Outlook) -> dict[str, Any]:
    """The JSON of `vgr bisect status`."""
    undecided = found.next is None and len(found.suspects) > 1
    return {
        "bisecting": True,
        "bad": _hex(now.bad),
        "good": [commit.hex() for commit in now.marked("good")],
        "skipped": [commit.hex() for commit in now.marked("skip")],
        "left": len(found.suspects),
        "steps": found.steps,
        "next": _hex(found.next),
        "first_bad": _hex(found.first_bad),
        "possible": [commit.hex() for commit in found.suspects] if undecided else [],
    }


def _hex(commit: bytes | None) -> str | None:
    return None if commit is None else commit.hex()


def log_lines(ctx: Context, repo: Repository, now: Bisection) -> None:
    """Show what was said of commits, a line each that says it again."""
    said = [(mark, commit, read_commit(repo.store, commit)) for mark, commit in now.marks]
    if ctx.json:
        ctx.emit(
            [
                {"mark": mark, "commit": commit_id.hex(), "message": commit.message}
                for mark, commit_id, commit in said
            ]
        )
        return
    ctx.show("vgr bisect start")
    for mark, commit_id, commit in said:
        ctx.show(f"vgr bisect {mark} {commits.short_id(commit_id)}  # {quoted(commit.subject)}")
