"""Opening the storage of a remote for a command."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from voyager.commands.context import Context
from voyager.errors import UsageError
from voyager.repo.repository import Repository

if TYPE_CHECKING:
    from voyager.remotes.base import Storage
    from voyager.remotes.config import Remote


_RATE = re.compile(r"(\d{1,12})\s*([kMG]?)B?(?:/s)?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


@contextlib.contextmanager
def storage_of(
    ctx: Context,
    repo: Repository,
    remote: Remote | str | None,
    *,
    moves_root: bool = False,
    limit: int | None = None,
) -> Iterator[tuple[Remote, Storage]]:
    """A remote, by itself, its name or URL (None: the only one), and its storage, closed in the
    end.

    To move its root, a storage that keeps no conditions of writes is used with a lease. `limit` is
    in bytes a second.
    """
    from voyager.remotes.config import find_remote, only_remote
    from voyager.remotes.probe import trusted
    from voyager.remotes.registry import StorageOptions, open_storage

    if remote is None:
        remote = only_remote(repo)
    elif isinstance(remote, str):
        remote = find_remote(repo, remote)
    with contextlib.closing(
        open_storage(remote.url, options=StorageOptions(limit=limit))
    ) as storage:
        if moves_root and not storage.read_only:
            yield remote, trusted(storage, repo.folder / "cache" / "remotes", warn=ctx.warn)
        else:
            yield remote, storage


LimitOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--limit-rate", metavar="SIZE", help="move so many bytes a second: 500k, 2M"),
]
"""The option of every command that moves packs."""


def limit_of(text: str | None) -> int | None:
    """Bytes a second; UsageError for what is no such number."""
    if text is None:
        return None
    found = _RATE.fullmatch(text.strip())
    limit = int(found[1]) * _UNITS[found[2]] if found else 0
    if not limit:
        raise UsageError(
            f"--limit-rate is a number of bytes a second, not '{text}'", hint="--limit-rate 2M"
        )
    return limit


def refuse_stray_name(name: str | None, *, remote: bool, command: str) -> None:
    """UsageError for the name of a remote where none is asked for."""
    if name is not None and not remote:
        raise UsageError(f"'{name}' names nothing here", hint=f"vgr {command} --remote {name}")
