"""What a remote asks of its protected branches: the clients that push check it, nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from voyager.errors import NotFoundError, StateError
from voyager.remotes.base import Storage
from voyager.remotes.refspec import Update, short_name
from voyager.remotes.root import Policy, Root
from voyager.remotes.swapping import change_root, read_tagged
from voyager.repo.conflicts import conflicted_keys, count_conflicts, has_conflicts
from voyager.repo.guard_check import audit
from voyager.repo.guard_policy import read_policy
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store.refs import HEADS

_SHOWN = 3


def is_protected(policy: Policy, name: str) -> bool:
    """Whether a full ref name is that of a protected branch."""
    if not name.startswith(HEADS):
        return False
    return any(fnmatchcase(name.removeprefix(HEADS), pattern) for pattern in policy.protected)


def protected(storage: Storage) -> list[str]:
    """The globs of the protected branches of a remote."""
    return list(read_tagged(storage)[0].policy.protected)


def protect(
    repo: Repository, storage: Storage, globs: Sequence[str], *, remove: bool = False
) -> list[str]:
    """Let a remote protect branches too, or with `remove` no more; all that it protects then.

    Raises NotFoundError for one to remove that it does not protect.
    """

    def change(root: Root) -> Root | None:
        kept = set(root.policy.protected)
        if remove and (unknown := set(globs) - kept):
            raise NotFoundError(
                f"the remote does not protect '{min(unknown)}'", hint="vgr remote protect REMOTE"
            )
        new = sorted(kept - set(globs) if remove else kept | set(globs))
        if new == root.policy.protected:
            return None
        return msgspec.structs.replace(root, policy=Policy(protected=new))

    return list(change_root(repo, storage, change).policy.protected)


def refuse_unfit(
    repo: Repository, root: Root, update: Update, *, progress: Progress = no_progress
) -> None:
    """StateError for a version with conflicts or with leaks on its way to a protected branch.

    Images that are not here and were not looked at before are passed over.
    """
    if update.new is None or not is_protected(root.policy, update.name):
        return
    version, name = repo.dataset_of(update.new), short_name(update.name)
    at = update.new.hex()[:12]
    if has_conflicts(version):
        keys = ", ".join(f"'{key}'" for key in sorted(conflicted_keys(version))[:_SHOWN])
        raise StateError(
            f"'{name}' is protected and takes no conflicts: {count_conflicts(version)}"
            f"{f' in {keys}' if keys else ''}",
            hint=f"vgr conflicts --at {at}",
        )
    if read_policy(version).off:
        return
    leaks = audit(repo, version, progress=progress).leaks
    if leaks:
        first = leaks[0]
        raise StateError(
            f"'{name}' is protected and the guard is not clean: {len(leaks)}"
            f" leak{'s' * (len(leaks) > 1)}, first '{first.a}' of '{first.b}' ({first.kind})",
            hint=f"vgr guard check {at}",
        )
