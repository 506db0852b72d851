"""The remotes of a repository: names for URLs, kept as values of the store, so that undo and the
operation log see them. Credentials are no part of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voyager.errors import ExistsError, NotFoundError, StateError, UsageError
from voyager.remotes.urls import is_url_or_path, mask, normal_url
from voyager.repo.promised import is_lazy
from voyager.repo.repository import Repository
from voyager.repo.upstream import Upstream, set_upstream, upstream_of, upstreams
from voyager.store.refs import REMOTES, check_name, iter_refs, move_ref

__all__ = [
    "Remote",
    "Upstream",
    "add_remote",
    "find_remote",
    "named_remote",
    "only_remote",
    "remotes_of",
    "remove_remote",
    "set_remote",
    "set_upstream",
    "upstream_of",
    "upstreams",
]

VALUES: Final = "remotes/"
DEFAULT: Final = "origin"


@dataclass(frozen=True, slots=True)
class Remote:
    """A place that versions are sent to and brought from; one given by its URL has no name."""

    name: str
    url: str

    @property
    def refs(self) -> str:
        """The prefix of its remote-tracking refs."""
        return f"{REMOTES}{self.name}/"

    def __str__(self) -> str:
        return self.name or self.url

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name or None, "url": self.url}


def remotes_of(repo: Repository) -> list[Remote]:
    """The remotes by name."""
    values = repo.store.values(VALUES)
    return [Remote(name.removeprefix(VALUES), value["url"]) for name, value in values.items()]


def find_remote(repo: Repository, name_or_url: str) -> Remote:
    """The remote of a name, or an unnamed one for a URL or folder.

    Raises NotFoundError with a near miss for an unknown name, UsageError for a bad URL.
    """
    value = repo.store.value(VALUES + name_or_url)
    if value is not None:
        return Remote(name_or_url, value["url"])
    if is_url_or_path(name_or_url) or ":" in name_or_url or "//" in name_or_url:  # no name has
        return Remote("", normal_url(name_or_url))
    raise _unknown(repo, name_or_url, f"vgr remote add {name_or_url} URL")


def _unknown(repo: Repository, name: str, otherwise: str) -> NotFoundError:
    """What to say of a name that no remote has, with a near miss or another hint."""
    from difflib import get_close_matches

    near = get_close_matches(name, [remote.name for remote in remotes_of(repo)], 1)
    hint = f"did you mean '{near[0]}'?" if near else otherwise
    return NotFoundError(f"no remote '{mask(name)}'", hint=hint)


def named_remote(repo: Repository, name: str) -> Remote:
    """The remote of a name; NotFoundError with a near miss where there is none."""
    value = repo.store.value(VALUES + name)
    if value is None:
        raise _unknown(repo, name, "vgr remote ls")
    return Remote(name, value["url"])


def only_remote(repo: Repository) -> Remote:
    """The remote that is meant when none is named: `origin`, else the only one there is.

    Raises NotFoundError where there is none, UsageError where there are several.
    """
    known = {remote.name: remote for remote in remotes_of(repo)}
    if DEFAULT in known:
        return known[DEFAULT]
    if not known:
        raise NotFoundError("there is no remote", hint=f"vgr remote add {DEFAULT} URL")
    if len(known) > 1:
        raise UsageError(f"which remote: {', '.join(known)}?", hint="vgr remote ls")
    return next(iter(known.values()))


def add_remote(repo: Repository, name: str, url: str, *, cwd: Path | None = None) -> Remote:
    """Name a URL; ExistsError where the name is taken, UsageError for a bad name or URL."""
    remote = Remote(_checked_name(name), normal_url(url, cwd=cwd))
    if repo.store.value(VALUES + name) is not None:
        raise ExistsError(
            f"remote '{name}' exists already", hint=f"vgr remote set-url {name} {mask(url)}"
        )
    return set_remote(repo, remote, kind="remote-add")


def set_remote(repo: Repository, remote: Remote, *, kind: str = "remote-set-url") -> Remote:
    """Let a name stand for a URL, whether it is new or not."""
    name, value = VALUES + remote.name, {"url": normal_url(remote.url)}
    old = repo.store.value(name)
    if old != value:
        with repo.transaction(kind, remote.name) as txn:
            txn.move(name, value, old=old)
            txn.commit()
    return Remote(remote.name, value["url"])


def remove_remote(repo: Repository, name: str) -> Remote:
    """Forget a remote, its remote-tracking refs, and that branches follow it."""
    remote = named_remote(repo, name)
    if is_lazy(repo.store, name):
        raise StateError(
            f"this is a lazy clone: images that are not here are only at '{name}'",
            hint=f"vgr remote set-url {name} URL, where they lie elsewhere now",
        )
    with repo.transaction("remote-rm", name) as txn:
        txn.move(VALUES + name, None, old={"url": remote.url})
        for ref, commit in iter_refs(repo.store, remote.refs).items():
            move_ref(txn, ref, None, old=commit)
        for branch, upstream in upstreams(repo.store).items():
            if upstream.remote == name:
                set_upstream(txn, branch, None, old=upstream)
        txn.commit()
    return remote


def _checked_name(name: str) -> str:
    try:
        check_name(name)
    except UsageError:
        pass
    else:
        if "/" not in name:
            return name
    raise UsageError(
        f"'{mask(name)}' is not a valid name for a remote", hint=f"vgr remote add {DEFAULT} URL"
    )
