"""Opening the storage of a remote for a command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from voyager.commands.context import Context
from voyager.errors import UsageError
from voyager.repo.repository import Repository

if TYPE_CHECKING:
    from voyager.remotes.base import Storage
    from voyager.remotes.config import Remote


@contextlib.contextmanager
def storage_of(
    ctx: Context, repo: Repository, remote: Remote | str | None, *, moves_root: bool = False
) -> Iterator[tuple[Remote, Storage]]:
    """A remote, by itself, its name or URL (None: the only one), and its storage, closed in the
    end.

    To move its root, a storage that keeps no conditions of writes is used with a lease.
    """
    from voyager.remotes.config import find_remote, only_remote
    from voyager.remotes.probe import trusted
    from voyager.remotes.registry import open_storage

    if remote is None:
        remote = only_remote(repo)
    elif isinstance(remote, str):
        remote = find_remote(repo, remote)
    with contextlib.closing(open_storage(remote.url)) as storage:
        if moves_root and not storage.read_only:
            yield remote, trusted(storage, repo.folder / "cache" / "remotes", warn=ctx.warn)
        else:
            yield remote, storage


def refuse_stray_name(name: str | None, *, remote: bool, command: str) -> None:
    """UsageError for the name of a remote where none is asked for."""
    if name is not None and not remote:
        raise UsageError(f"'{name}' names nothing here", hint=f"vgr {command} --remote {name}")
