"""`vgr gc`: pack the store and drop what nothing points to, here or at a remote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.commands.storages import refuse_stray_name, storage_of
from voyager.errors import UsageError
from voyager.repo.layout import vectors_folder
from voyager.store.gc import Collected, collect

if TYPE_CHECKING:
    from voyager.remotes.collecting import Collected as CollectedThere
    from voyager.remotes.config import Remote
    from voyager.repo.repository import Repository

_DAY_MS = 86_400_000


def run(
    ctx: Context,
    name: Annotated[
        str | None, typer.Argument(metavar="REMOTE", help="with --remote: its name or URL")
    ] = None,
    *,
    remote: Annotated[
        bool, typer.Option("--remote", help="of a remote (by default origin)")
    ] = False,
    grace: Annotated[
        float | None,
        typer.Option(metavar="HOURS", help="with --remote: how long all stays (by default 72)"),
    ] = None,
    prune: Annotated[
        str | None,
        typer.Option(metavar="now|DAYS", help="forget operations older than that"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only say what would go")
    ] = False,
) -> None:
    """Pack the store and drop what nothing points to.

    What branches, tags, stashes and the staging area reach stays, and so does what an operation of
    the last gc.reflog_expire_days reached, so that it can be undone. --prune=now drops all else
    at once.

    With --remote the packs that no ref of the remote reaches leave its catalogue, and those of
    which little is in use are written anew. They are deleted by a later gc, after the grace period
    by the remote's own clock; for so long also that stays which a forced push left. Others may
    push meanwhile: a push that is under way starts again.

    JSON: {"dry_run", "live_blobs", "dead_blobs", "packs_removed", "freed", …}; with --remote
    {"dry_run", "live_objects", "live_blobs", "kept", "packs", "unlisted", "written", "deleted",
    "freed", "waiting", "waiting_bytes", "requests"}.

    Example:
      $ vgr gc --dry-run
      $ vgr gc --prune=30
      $ vgr gc --remote origin --grace 168
    """
    refuse_stray_name(name, remote=remote, command="gc")
    if remote:
        if prune is not None:
            raise UsageError("--prune is about this repository, not a remote", hint="--grace HOURS")
        _collect_remote(ctx, name, grace, dry_run=dry_run)
        return
    if grace is not None:
        raise UsageError("--grace is about a remote", hint="vgr gc --remote --grace HOURS")
    repo = ctx.open_repository()
    now, zone = repo.config.now()
    days = repo.config.get_int("gc.reflog_expire_days") if prune is None else _days(prune)
    found = collect(
        repo.store,
        expire_ms=days * _DAY_MS,
        now_ms=now,
        zone=zone,
        author=repo.config.author_or_unknown(),
        prune_all=prune == "now",
        dry_run=dry_run,
        progress=ctx.progress("collecting garbage"),
    )
    _sweep_runs(ctx, repo, before=now - days * _DAY_MS, dry_run=dry_run)
    _sweep_vectors(ctx, repo, dry_run=dry_run)
    if ctx.json:
        ctx.emit({"dry_run": dry_run, **asdict(found)})
    for line in _told(found, dry_run=dry_run):
        ctx.say(line)


def _sweep_runs(ctx: Context, repo: Repository, *, before: int, dry_run: bool) -> None:
    """Delete the folders of stopped runs that somebody removed; without any load nothing."""
    if dry_run or not (repo.folder / "runs").is_dir():
        return
    from voyager.train.run_folder import sweep_removed

    gone = sweep_removed(repo, before)
    if gone:
        ctx.say(f"deleted the {'folder' if gone == 1 else 'folders'} of {counted(gone, 'run')}")


def _sweep_vectors(ctx: Context, repo: Repository, *, dry_run: bool) -> None:
    """Delete vectors that nobody needs; without any load nothing."""
    if dry_run or not vectors_folder(repo.folder).is_dir():
        return
    from voyager.search.sweeping import sweep_vectors

    freed = sweep_vectors(repo)
    if freed:
        ctx.say(f"deleted {size_text(freed)} of vectors; the next search lays out what it needs")


def _collect_remote(ctx: Context, name: str | None, grace: float | None, *, dry_run: bool) -> None:
    from voyager.remotes.collecting import GRACE_HOURS, collect_remote

    hours = GRACE_HOURS if grace is None else grace
    if not 0 <= hours < 1e6:
        raise UsageError(f"--grace is a number of hours, not {hours}")
    repo = ctx.open_repository()
    with storage_of(ctx, repo, name, moves_root=not dry_run) as (remote, storage):
        found = collect_remote(
            repo,
            storage,
            grace=hours * 3600,
            dry_run=dry_run,
            marking=ctx.progress("looking through history"),
            progress=ctx.progress("moving packs", sizes=True),
        )
    if ctx.json:
        ctx.emit({"dry_run": dry_run, **found.as_json()})
    for line in _told_of_remote(found, remote, hours, dry_run=dry_run):
        ctx.say(line)


def _told_of_remote(
    found: CollectedThere, remote: Remote, hours: float, *, dry_run: bool
) -> Iterator[str]:
    yield (
        f"in use at {remote}: {counted(found.live_blobs, 'blob')},"
        f" {counted(found.live_objects, 'object')} in {counted(found.packs, 'pack')}"
    )
    if found.kept:
        yield f"with {counted(found.kept, 'version')} that refs left within {hours:g} hours"
    would = "would " if dry_run else ""
    if found.unlisted and dry_run:
        yield f"would take {counted(found.unlisted, 'pack')} out of the catalogue"
    elif found.unlisted:
        instead = f", wrote {counted(found.written, 'pack')} instead" if found.written else ""
        yield f"took {counted(found.unlisted, 'pack')} out of the catalogue{instead}"
    if found.deleted:
        verb = "delete" if dry_run else "deleted"
        size = size_text(found.freed)
        yield f"{would}{verb} {counted(found.deleted, 'object')}, {size}"
    if found.waiting:
        yield (
            f"{size_text(found.waiting_bytes)} of garbage stay until they are {hours:g} hours old:"
            " run this again then"
        )
    if not (found.unlisted or found.deleted or found.waiting):
        yield "nothing to free"


def _days(text: str) -> int:
    if text == "now":
        return 0
    if not text.isdecimal() or len(text) > 6:
        raise UsageError(f"--prune is now or a number of days, not '{text}'")
    return int(text)


def _told(found: Collected, *, dry_run: bool) -> list[str]:
    lines = [
        f"in use: {counted(found.live_blobs, 'blob')}, {counted(found.live_objects, 'object')}"
        f" in {counted(found.packs_before, 'pack')}"
    ]
    gone = [
        (found.dead_blobs, "blob"),
        (found.dead_objects, "object"),
        (found.operations_expired, "operation"),
    ]
    words = [counted(count, noun) for count, noun in gone if count]
    if words:
        lines.append(f"not in use: {', '.join(words)}")
    packs = found.packs_removed
    if not packs and not found.freed:
        lines.append("nothing to free")
    elif dry_run:
        lines.append(f"would rewrite {counted(packs, 'pack')} and free {size_text(found.freed)}")
    elif found.freed >= 0:
        lines.append(f"rewrote {counted(packs, 'pack')}, freed {size_text(found.freed)}")
    else:
        lines.append(f"rewrote {counted(packs, 'pack')}, which took {size_text(-found.freed)}")
    return lines
