"""`vgr gc`: pack the store and drop what nothing points to."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.errors import UsageError
from voyager.store.gc import Collected, collect

_DAY_MS = 86_400_000


def run(
    ctx: Context,
    *,
    prune: Annotated[
        str | None,
        typer.Option(metavar="now|DAYS", help="forget operations older than that"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> None:
    """Pack the store and drop what nothing points to.

    What branches, tags, stashes and the staging area reach stays, and so does what an operation of
    the last gc.reflog_expire_days reached, so that it can be undone. --prune=now drops all else
    at once.

    JSON: {"dry_run", "live_blobs", "dead_blobs", "packs_removed", "freed", …}.

    Example:
      $ vgr gc --dry-run
      $ vgr gc --prune=30
    """
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
    if ctx.json:
        ctx.emit({"dry_run": dry_run, **asdict(found)})
    for line in _told(found, dry_run=dry_run):
        ctx.say(line)


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
