"""Upstreams: the branch of a remote that a branch follows, kept as values of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from voyager.errors import NotFoundError
from voyager.store.history import commits_between, iter_history
from voyager.store.refs import REMOTES, TAGS, iter_refs, read_ref

if TYPE_CHECKING:
    from voyager.repo.repository import Repository
    from voyager.store.objectstore import Store
    from voyager.store.transaction import Transaction

UPSTREAMS: Final = "upstream/"


class Upstream(NamedTuple):
    """A branch of a remote; `branch` is its name there."""

    remote: str
    branch: str

    def __str__(self) -> str:
        return f"{self.remote}/{self.branch}"

    @property
    def ref(self) -> str:
        """The remote-tracking ref that says where it was when it was last seen."""
        return f"{REMOTES}{self.remote}/{self.branch}"


class Distance(NamedTuple):
    """How many commits a branch has that its upstream lacks, and the other way round."""

    ahead: int
    behind: int


def upstream_of(repo: Repository, branch: str) -> Upstream | None:
    """What a branch follows, None where it follows nothing."""
    return _upstream(repo.store.value(UPSTREAMS + branch))


def upstreams(store: Store) -> dict[str, Upstream]:
    """Branch → what it follows, for all that follow something."""
    found = {name: _upstream(value) for name, value in store.values(UPSTREAMS).items()}
    return {name.removeprefix(UPSTREAMS): one for name, one in found.items() if one is not None}


def set_upstream(
    txn: Transaction, branch: str, upstream: Upstream | None, *, old: Upstream | None
) -> None:
    """Let a branch follow another (None: nothing) when the transaction commits."""
    txn.move(UPSTREAMS + branch, _value(upstream), old=_value(old))


def follow(repo: Repository, branch: str, there: str | None) -> Upstream | None:
    """Let a branch follow `REMOTE/BRANCH` (None: nothing).

    Raises NotFoundError for a branch that is not there, here or at the remote.
    """
    from voyager.repo.branches import find_branch

    find_branch(repo, branch)
    old, new = upstream_of(repo, branch), None
    if there is not None:
        new = Upstream(*there.split("/", 1)) if "/" in there else Upstream(there, branch)
        if read_ref(repo.store, new.ref) is None:
            raise NotFoundError(
                f"'{new}' is no branch of a remote that was fetched",
                hint=f"vgr fetch {new.remote}, or vgr push -u {new.remote} {branch}",
            )
    if old != new:
        with repo.transaction("follow", branch) as txn:
            set_upstream(txn, branch, new, old=old)
            txn.commit()
    return new


def tracked_there(repo: Repository, name: str) -> Upstream | None:
    """The branch of a remote that is meant by a name nothing here has; None unless there is one."""
    from voyager.repo.branches import branch_names

    if name in branch_names(repo) or read_ref(repo.store, TAGS + name) is not None:
        return None
    found = [
        Upstream(*full.removeprefix(REMOTES).split("/", 1))
        for full in iter_refs(repo.store, REMOTES)
        if full.removeprefix(REMOTES).partition("/")[2] == name
    ]
    return found[0] if len(found) == 1 else None


def distance(store: Store, commit: bytes | None, upstream: Upstream) -> Distance | None:
    """How far a branch at a commit is from its upstream; None where that was never seen."""
    there = read_ref(store, upstream.ref)
    if there is None:
        return None
    if commit is None:
        return Distance(0, sum(1 for _ in iter_history(store, [there])))
    return Distance(*commits_between(store, commit, there))


def _value(upstream: Upstream | None) -> dict[str, str] | None:
    return None if upstream is None else {"branch": upstream.branch, "remote": upstream.remote}


def _upstream(value: dict[str, str] | None) -> Upstream | None:
    return None if value is None else Upstream(value["remote"], value["branch"])
