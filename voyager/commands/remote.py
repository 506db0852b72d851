"""`vgr remote`: names for the places that versions are sent to and brought from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.storages import storage_of
from voyager.errors import MissingExtraError, NotFoundError, RemoteError, UsageError
from voyager.repo.layout import find
from voyager.repo.repository import Repository

if TYPE_CHECKING:
    from voyager.remotes.config import Remote
    from voyager.remotes.probe import Check, Permissions

app = typer.Typer(
    help="""Name the places that versions are sent to and brought from.

    A remote is a folder in a bucket (s3://, gs://, az://), on a disk, or on a machine with ssh;
    https:// ones can only be read. Credentials, region and endpoint come from the environment and
    from profiles, as for other programs; they are never part of a URL and never stored.

    Example:
      $ vgr remote add origin s3://shoes/dataset
      $ vgr remote check
    """
)

DEFAULT = "ls"

_Name = Annotated[str, typer.Argument(metavar="NAME", help="a remote")]
_Url = Annotated[str, typer.Argument(metavar="URL", help="a URL, or a folder")]


@app.command()
def ls(ctx: Context) -> None:
    """List the remotes; with -v also the branches that they protect, for which they are asked, and
    what a lazy clone wants of them.

    JSON: [{"name", "url"}], with -v also "protected": [BRANCH], null where nothing was pushed, and
    "only": [KEYS or EXPR], null where nothing is left out.

    Example:
      $ vgr remote ls
      $ vgr remote ls -v
    """
    from voyager.remotes.config import remotes_of
    from voyager.remotes.only import only_of

    repo = ctx.open_repository()
    found = remotes_of(repo)
    policies = [_protected(ctx, repo, remote) if ctx.verbose else None for remote in found]
    wanted = [only_of(repo.store, remote.name) for remote in found]
    if ctx.json:
        more = [
            {"protected": globs, "only": only} if ctx.verbose else {}
            for globs, only in zip(policies, wanted, strict=True)
        ]
        ctx.emit([remote.as_json() | each for remote, each in zip(found, more, strict=True)])
    width = max((len(remote.name) for remote in found), default=0)
    for remote, globs, only in zip(found, policies, wanted, strict=True):
        words = f" (protects {', '.join(globs)})" if globs else ""
        words += _lazy_words(only) if ctx.verbose else ""
        ctx.show(f"{remote.name:<{width}}  {remote.url}{words}")


def _lazy_words(only: list[str] | None) -> str:
    if only is None:
        return ""
    return f" (lazy, but for {_quoted(only)})" if only else " (lazy)"


def _quoted(texts: list[str]) -> str:
    return ", ".join(f"'{text}'" for text in texts)


def _protected(ctx: Context, repo: Repository, remote: Remote) -> list[str] | None:
    """The globs of its protected branches, None where nothing was pushed yet, and where nobody can
    be asked."""
    from voyager.remotes.policy import protected

    try:
        with storage_of(ctx, repo, remote) as (_, storage):
            return protected(storage)
    except NotFoundError:
        return None
    except (RemoteError, MissingExtraError) as error:
        ctx.warn(f"'{remote}' was not asked what it protects: {error.message}")
        return None


@app.command()
def add(ctx: Context, name: _Name, url: _Url) -> None:
    """Name a place. Nothing is asked of it yet; vgr remote check does.

    JSON: {"name", "url"}.

    Example:
      $ vgr remote add origin s3://shoes/dataset
      $ vgr remote add disk /media/backup/shoes
    """
    from voyager.remotes.config import add_remote
    from voyager.remotes.registry import check_scheme

    repo = ctx.open_repository()
    check_scheme(url)
    _tell(ctx, add_remote(repo, name, url), "added remote '{}': {}")


@app.command()
def rm(ctx: Context, name: _Name) -> None:
    """Forget a remote and its remote-tracking refs; what lies there stays. vgr undo takes it back.

    JSON: {"name", "url"}.

    Example:
      $ vgr remote rm disk
    """
    from voyager.remotes.config import remove_remote

    _tell(ctx, remove_remote(ctx.open_repository(), name), "forgot remote '{}' ({})")


@app.command("set-url")
def set_url(ctx: Context, name: _Name, url: _Url) -> None:
    """Let a remote lie elsewhere.

    JSON: {"name", "url"}.

    Example:
      $ vgr remote set-url origin s3://shoes-eu/dataset
    """
    from voyager.remotes.config import Remote, named_remote, set_remote
    from voyager.remotes.registry import check_scheme

    repo = ctx.open_repository()
    remote = named_remote(repo, name)
    check_scheme(url)
    _tell(ctx, set_remote(repo, Remote(remote.name, url)), "remote '{}' is at {} now")


@app.command()
def check(
    ctx: Context,
    name: Annotated[
        str | None, typer.Argument(metavar="REMOTE", help="its name or URL (by default origin)")
    ] = None,
) -> int:
    """Try what a remote needs: permissions, conditional writes, and whether its clock agrees.

    Small objects are written and removed again. Services that do not keep the conditions of writes
    can be used all the same: a lease object tells apart who pushes at once, which is slower.
    Exits with 8 when something is refused. A URL can be checked from anywhere.

    JSON: {"name", "url", "found", "permissions": {"read", "write", "list", "delete"},
    "conditional_writes": {"create_refused", "tag_accepted", "stale_refused"}, "locking":
    compare-and-swap or lease, "clock": seconds that it is ahead, "problems": [{"message",
    "hint"}]}.

    Example:
      $ vgr remote check
      $ vgr remote check s3://shoes/dataset
    """
    from contextlib import closing

    from voyager.remotes import probe
    from voyager.remotes.config import Remote
    from voyager.remotes.registry import open_storage
    from voyager.remotes.urls import is_url_or_path, normal_url

    if name is not None and is_url_or_path(name) and not _in_repository():
        remote = Remote("", normal_url(name))
        with closing(open_storage(remote.url)) as storage:
            found = probe.check(storage)
    else:
        repo = ctx.open_repository()
        with storage_of(ctx, repo, name) as (remote, storage):
            found = probe.check(storage, repo.folder / "cache" / "remotes")
    if ctx.json:
        ctx.emit({"name": remote.name or None, **found.as_json()})
    _show(ctx, remote, found)
    return RemoteError.exit if found.problems else 0


@app.command()
def protect(
    ctx: Context,
    name: Annotated[str, typer.Argument(metavar="REMOTE", help="its name or URL")],
    branches: Annotated[
        list[str] | None, typer.Argument(metavar="BRANCH", help="names or globs: 'release/*'")
    ] = None,
    *,
    delete: Annotated[bool, typer.Option("-d", "--delete", help="protect BRANCH… no more")] = False,
) -> None:
    """Name branches of a remote that are handled with more care; without BRANCH list them.

    Protected branches go forward only, and take no conflicts and no leaks that the guard finds.
    Every client that pushes checks this, the remote does not.

    JSON: {"protected": [BRANCH]}.

    Example:
      $ vgr remote protect origin main 'release/*'
      $ vgr remote protect origin
      $ vgr remote protect origin --delete main
    """
    from voyager.remotes import policy

    if delete and not branches:
        raise UsageError(
            "--delete wants the branches that need no care any more",
            hint=f"vgr remote protect {name} --delete BRANCH",
        )
    repo = ctx.open_repository()
    with storage_of(ctx, repo, name, moves_root=bool(branches)) as (remote, storage):
        if branches:
            found = policy.protect(repo, storage, branches, remove=delete)
        else:
            found = policy.protected(storage)
    if ctx.json:
        ctx.emit({"protected": found})
    ctx.show(f"{remote} protects {_quoted(found)}" if found else f"{remote} protects no branch")


@app.command()
def only(
    ctx: Context,
    name: _Name,
    wanted: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEYS|EXPR", help="keys, folders, globs, or an expression"),
    ] = None,
    *,
    delete: Annotated[bool, typer.Option("-d", "--delete", help="want them no more")] = False,
) -> None:
    """Name the images that a lazy clone wants of a remote; without KEYS|EXPR list them.

    They are what vgr clone --only said. vgr pull brings the new ones of them, vgr get alone those
    that are not here. Images that are here stay, whatever is wanted.

    JSON: {"only": [KEYS or EXPR]}.

    Example:
      $ vgr remote only origin 'train/shoes/**' "split = 'test'"
      $ vgr remote only origin
      $ vgr remote only origin --delete 'train/shoes/**'
    """
    from voyager.remotes.config import named_remote
    from voyager.remotes.only import change_only

    if delete and not wanted:
        raise UsageError(
            "--delete says what is wanted no more", hint=f"vgr remote only {name} --delete KEYS"
        )
    repo = ctx.open_repository()
    found = change_only(repo, named_remote(repo, name).name, wanted or [], remove=delete)
    if ctx.json:
        ctx.emit({"only": found})
    ctx.show(f"of {name} come {_quoted(found)}" if found else f"of {name} no images come at once")


def _in_repository() -> bool:
    try:
        find(Path.cwd())
    except NotFoundError:
        return False
    return True


def _tell(ctx: Context, remote: Remote, words: str) -> None:
    if ctx.json:
        ctx.emit(remote.as_json())
    ctx.say(words.format(remote.name, remote.url))


def _show(ctx: Context, remote: Remote, found: Check) -> None:
    ctx.show(f"{remote.name}  {remote.url}" if remote.name else remote.url)
    for label, words in _lines(found):
        ctx.show(f"  {label + ':':<13}{words}")
    for message, hint in found.problems:
        ctx.warn(message)
        if hint is not None and not ctx.json:
            ctx.show(f"  {hint}")


def _lines(found: Check) -> list[tuple[str, str]]:
    lines = [("permissions", _permissions(found.may))]
    if found.conditions is not None:
        lines.append(("two at once", _locking(found)))
    if found.clock is not None:
        lines.append(("clock", _clock(found)))
    if found.may.read:
        lines.append(("holds", "a dataset" if found.found else "no dataset yet"))
    return lines


def _permissions(may: Permissions) -> str:
    asked = {"read": may.read, "write": may.write, "list": may.list, "delete": may.delete}
    granted = [what for what, allowed in asked.items() if allowed]
    refused = [what for what, allowed in asked.items() if allowed is False]
    words = ", ".join(granted) or "none"
    return f"{words} (not {', '.join(refused)})" if refused else words


def _locking(found: Check) -> str:
    conditions = found.conditions
    if conditions is None or conditions.kept:
        return "told apart by compare-and-swap"
    if not conditions.create_refused or (conditions.tag_accepted and not conditions.stale_refused):
        why = "it ignores the conditions of writes"
    else:
        why = "it has no conditional writes"
    return f"told apart by a lease, for {why}"


def _clock(found: Check) -> str:
    if not found.clock:
        return "agrees with ours"
    side = "ahead of" if found.clock > 0 else "behind"
    words = f"{abs(found.clock):,.0f} s {side} ours"
    return f"{words}, which is too much" if found.clock_is_off else words
