"""`vgr purge`: remove the bytes of images for good, from every version."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.commands.storages import storage_of
from voyager.commands.words import key_of
from voyager.errors import NotFoundError, StateError, UsageError
from voyager.repo.keys import match_keys
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.repo.revisions import find_object, split_key
from voyager.repo.sharing import STAGED, Sharing, blob_at, sharing_of
from voyager.store.purge import tombstones, unpurge
from voyager.store.refs import HEADS, REMOTES, STASH, TAGS

if TYPE_CHECKING:
    from voyager.remotes.purging import PurgedThere

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
    remotes: Annotated[
        list[str] | None,
        typer.Option("--remote", metavar="REMOTE", help="purge them there too; again for more"),
    ] = None,
) -> int:
    """Remove the bytes of images for good, from every version.

    Every key and ref that shares the bytes is listed first. The samples stay with their keys and
    labels, in history too, and the same bytes are refused from then on. It cannot be undone:
    --unpurge only lets the bytes be added again.

    --remote reaches a remote: its packs are written anew without the bytes, nobody can push them
    there any more, and whoever fetches from it loses them too. A purge that was cut off is
    finished by the same command.

    JSON: {"blobs", "keys", "refs", "commits", "forgotten", "purged", "files", "remotes":
    {NAME: {"blobs", "packs", "deleted", "requests"}}}.

    Example:
      $ vgr purge train/hat/1.jpg --reason "asked to by the person in it"
      $ vgr purge 3f2a91 --reason "licence withdrawn" --yes
    """
    repo = ctx.open_repository()
    blobs = {blob: size for name in names for blob, size in _blobs_of(repo, name)}
    there = _known_remotes(ctx, repo, remotes or [])
    if undo:
        return _unpurge(ctx, repo, blobs, there)
    if not (reason or "").strip() and not dry_run:
        raise UsageError("a purge wants a reason", hint=f"vgr purge {names[0]} --reason TEXT")
    shared = sharing_of(repo, blobs, progress=ctx.progress("looking through history"))
    _tell(ctx, blobs, shared)
    purged, removed = 0, list[str]()
    reached: dict[str, PurgedThere] = {}
    if not dry_run:
        if not yes and not _agreed(ctx, names, str(reason), there):
            ctx.say("nothing was purged")
            return 1
        done = purge_blobs(repo, blobs, str(reason), progress=ctx.progress("purging"))
        purged, removed = done.blobs, done.files
        ctx.say(f"purged {counted(len(blobs), 'blob')}")
        if removed:
            ctx.say(f"removed {counted(len(removed), 'file')} from the working tree")
        reached = {name: _purge_there(ctx, repo, name, blobs) for name in there}
        _tell_what_is_left(ctx, repo, blobs, there)
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
                "remotes": {name: done.as_json() for name, done in reached.items()},
            }
        )
    return 0


def _known_remotes(ctx: Context, repo: Repository, names: list[str]) -> list[str]:
    """The names, after a look whether they are those of remotes that can be written."""
    for name in names:
        with storage_of(ctx, repo, name) as (_, storage):
            if storage.read_only:
                raise StateError(f"'{name}' can only be read", hint="vgr remote ls")
    return list(dict.fromkeys(names))


def _purge_there(ctx: Context, repo: Repository, name: str, blobs: dict[bytes, int]) -> PurgedThere:
    from voyager.remotes.purging import purge_remote

    with storage_of(ctx, repo, name, moves_root=True) as (remote, storage):
        done = purge_remote(repo, storage, blobs, progress=ctx.progress("purging", sizes=True))
    rewritten = f"{counted(done.packs, 'pack')} written anew" if done.packs else "no pack had them"
    ctx.say(f"purged at {remote}: {rewritten}")
    return done


def _tell_what_is_left(
    ctx: Context, repo: Repository, blobs: dict[bytes, int], there: list[str]
) -> None:
    """Say who may still have the bytes."""
    from voyager.remotes.config import remotes_of

    others = [remote.name for remote in remotes_of(repo) if remote.name not in there]
    if others:
        ids = " ".join(blob.hex()[:12] for blob in sorted(blobs)[:3])
        ids += " …" if len(blobs) > 3 else ""
        asked = " ".join(f"--remote {name}" for name in others)
        ctx.say(f"not asked: {', '.join(others)} (vgr purge {ids} --reason TEXT {asked})")
    if there:
        ctx.say(f"clones of {', '.join(there)} have them until they fetch from it")


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


def _agreed(ctx: Context, names: list[str], reason: str, there: list[str]) -> bool:
    """Whether the user, asked, says yes; StateError where nobody can be asked."""
    if not sys.stdin.isatty() or ctx.json:
        asked = [word for name in there for word in ("--remote", name)]
        words = ["vgr", "purge", *names, "--reason", reason, *asked, "--yes"]
        raise StateError(
            "purge asks first, and nobody is there to answer",
            hint=shlex.join(words),
        )
    sys.stdout.write("remove these bytes for good? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _unpurge(ctx: Context, repo: Repository, blobs: dict[bytes, int], there: list[str]) -> int:
    now, zone = repo.config.now()
    known = tombstones(repo.store)
    wanted = [blob for blob in blobs if blob in known or not there]
    if wanted:
        unpurge(repo.store, wanted, who=repo.config.author_or_unknown(), now_ms=now, zone=zone)
    for name in there:
        from voyager.remotes.purging import unpurge_remote

        with storage_of(ctx, repo, name, moves_root=True) as (remote, storage):
            unpurge_remote(repo, storage, blobs)
            ctx.say(f"{counted(len(blobs), 'blob')} may be pushed to {remote} again")
    ctx.say(f"{counted(len(blobs), 'blob')} may be added again")
    if ctx.json:
        ctx.emit({"unpurged": [blob.hex() for blob in sorted(blobs)]})
    return 0
