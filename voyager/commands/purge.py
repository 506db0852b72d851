"""`vgr purge`: remove the bytes of images for good, from every version."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.commands.words import key_of
from voyager.errors import NotFoundError, StateError, UsageError
from voyager.repo.keys import match_keys
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.repo.revisions import find_object, split_key
from voyager.repo.sharing import STAGED, Sharing, blob_at, sharing_of
from voyager.store.purge import tombstones, unpurge
from voyager.store.refs import HEADS, REMOTES, STASH, TAGS

_NAMED = 20


def run(
    ctx: Context,
    names: Annotated[
        list[str], typer.Argument(metavar="KEY|REV:KEY|ID", help="images or files, or their ids")
    ],
    *,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="why; it is kept")] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="do not ask")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say who has them")] = False,
    undo: Annotated[bool, typer.Option("--unpurge", help="let them be added again")] = False,
) -> int:
    """Remove the bytes of images for good, from every version.

    Every key and ref that shares the bytes is listed first. The samples stay with their keys and
    labels, in history too, and the same bytes are refused from then on. It cannot be undone:
    --unpurge only lets the bytes be added again.

    JSON: {"blobs", "keys", "refs", "commits", "forgotten", "purged", "files"}.

    Example:
      $ vgr purge train/hat/1.jpg --reason "asked to by the person in it"
      $ vgr purge 3f2a91 --reason "licence withdrawn" --yes
    """
    repo = ctx.open_repository()
    blobs = {blob: size for name in names for blob, size in _blobs_of(repo, name)}
    if undo:
        return _unpurge(ctx, repo, blobs)
    if not (reason or "").strip() and not dry_run:
        raise UsageError("a purge wants a reason", hint=f"vgr purge {names[0]} --reason TEXT")
    shared = sharing_of(repo, blobs, progress=ctx.progress("looking through history"))
    _tell(ctx, blobs, shared)
    purged, removed = 0, list[str]()
    if not dry_run:
        if not yes and not _agreed(ctx, names):
            ctx.say("nothing was purged")
            return 1
        done = purge_blobs(repo, blobs, str(reason), progress=ctx.progress("purging"))
        purged, removed = done.blobs, done.files
        ctx.say(f"purged {counted(len(blobs), 'blob')}")
        if removed:
            ctx.say(f"removed {counted(len(removed), 'file')} from the working tree")
    if ctx.json:
        ctx.emit(
            {
                "blobs": [blob.hex() for blob in sorted(blobs)],
                "keys": sorted(shared.keys),
                "refs": shared.refs,
                "commits": shared.commits,
                "forgotten": shared.forgotten,
                "purged": purged,
                "files": removed,
            }
        )
    return 0


def _blobs_of(repo: Repository, name: str) -> Iterator[tuple[bytes, int]]:
    """(id, size) of the blobs that a name means; a whole id need not be stored here."""
    revision, key = split_key(name)
    if key is not None:
        version = repo.staged() if name.startswith(":") else repo.at(revision)
    else:
        version, key = repo.staged(), key_of(repo, name)
    try:
        matched = match_keys(version, [key])
    except NotFoundError:
        if not re.fullmatch(r"[0-9a-f]{4,64}", name):
            raise
        blob = bytes.fromhex(name) if len(name) == 64 else _find_blob(repo, name)
        yield blob, repo.store.header(blob).real if blob in repo.store else 0
        return
    found = [blob_at(version, space, found) for space, found in matched]
    yield from (blob for blob in found if blob is not None)


def _find_blob(repo: Repository, prefix: str) -> bytes:
    """The blob that begins with these digits, one that was purged already too."""
    known = [blob for blob in tombstones(repo.store) if blob.hex().startswith(prefix)]
    return known[0] if len(known) == 1 else find_object(repo.store, prefix)


def _tell(ctx: Context, blobs: dict[bytes, int], shared: Sharing) -> None:
    ctx.say(f"{counted(len(blobs), 'blob')}, {size_text(sum(blobs.values()))}:")
    for blob in sorted(blobs)[:_NAMED]:
        ctx.say(f"  {blob.hex()}")
    keys = sorted(shared.keys)
    ctx.say(f"named by {counted(len(keys), 'key')}:")
    for key in keys[:_NAMED]:
        ctx.say(f"  {key}")
    if len(keys) > _NAMED:
        ctx.say(f"  … and {len(keys) - _NAMED:,} more (--json lists all)")
    for ref in shared.refs:
        ctx.say(f"in {_ref_text(ref)}")
    ctx.say(f"in {counted(shared.commits, 'commit')} of history")
    if shared.forgotten:
        ctx.say(f"in {counted(shared.forgotten, 'commit')} that only the reflog knows")


def _ref_text(ref: str) -> str:
    """A ref in words: `branch main`, `tag v1`, `the staging area`."""
    if ref == STAGED:
        return "the staging area"
    words = {HEADS: "branch", TAGS: "tag", REMOTES: "remote branch", STASH: "stash"}
    start = next((start for start in words if ref.startswith(start)), "")
    return f"{words[start]} {ref.removeprefix(start)}" if start else ref


def _agreed(ctx: Context, names: list[str]) -> bool:
    """Whether the user, asked, says yes; StateError where nobody can be asked."""
    if not sys.stdin.isatty() or ctx.json:
        raise StateError(
            "purge asks first, and nobody is there to answer",
            hint=f"vgr purge {names[0]} --reason TEXT --yes",
        )
    sys.stdout.write("remove these bytes for good? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _unpurge(ctx: Context, repo: Repository, blobs: dict[bytes, int]) -> int:
    now, zone = repo.config.now()
    unpurge(repo.store, blobs, who=repo.config.author_or_unknown(), now_ms=now, zone=zone)
    ctx.say(f"{counted(len(blobs), 'blob')} may be added again")
    if ctx.json:
        ctx.emit({"unpurged": [blob.hex() for blob in sorted(blobs)]})
    return 0
