"""Branches: listing, making, renaming and deleting them, and where HEAD was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from voyager.errors import ExistsError, NotFoundError, StateError
from voyager.repo.repository import Repository
from voyager.repo.revisions import peel
from voyager.repo.upstream import set_upstream, upstream_of
from voyager.store.history import is_ancestor, iter_history
from voyager.store.operation import Operation
from voyager.store.refs import (
    HEAD,
    HEADS,
    REMOTES,
    TAGS,
    Head,
    check_name,
    iter_refs,
    move_head,
    move_ref,
    read_ref,
)
from voyager.wire import Ext, decode

_RENAME = "branch-rename"
_ALONG = {"commit", "edit"}
"""Operations that move a detached HEAD without going anywhere else."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch, or with a `/` after a remote's name what a remote had."""

    name: str
    commit: bytes
    current: bool = False
    remote: bool = False


def branches(repo: Repository, *, remote: bool = False) -> list[Branch]:
    """The branches by name; with `remote` also the remote-tracking ones, last."""
    current = repo.head.branch
    found = [
        Branch(full.removeprefix(HEADS), commit, full == f"{HEADS}{current}")
        for full, commit in iter_refs(repo.store, HEADS).items()
    ]
    if remote:
        refs = iter_refs(repo.store, REMOTES)
        found += [
            Branch(full.removeprefix(REMOTES), ref, remote=True) for full, ref in refs.items()
        ]
    return found


def find_branch(repo: Repository, name: str) -> Head:
    """The branch of that name, for HEAD to point at; NotFoundError with a near miss."""
    known = branch_names(repo)
    if name not in known:
        from difflib import get_close_matches

        near = get_close_matches(name, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else "vgr branch lists them"
        raise NotFoundError(f"no branch '{name}'", hint=hint)
    return Head(name, read_ref(repo.store, HEADS + name))


def branch_names(repo: Repository) -> list[str]:
    """The names of the branches, and the current one though it may have no commits yet."""
    names = [full.removeprefix(HEADS) for full in iter_refs(repo.store, HEADS)]
    current = repo.head.branch
    return names if current is None or current in names else [*names, current]


def create(repo: Repository, name: str, commit: bytes, *, force: bool = False) -> Branch:
    """Make a branch at a commit; with `force` an existing one moves there.

    Raises ExistsError for one that exists, StateError for moving the current one.
    """
    check_name(name)
    old = read_ref(repo.store, HEADS + name)
    if old is not None and not force:
        raise ExistsError(
            f"branch '{name}' exists already", hint=f"vgr branch -f {name} moves it here"
        )
    if name == repo.head.branch:
        raise StateError(f"branch '{name}' is checked out", hint="vgr reset REV moves it")
    if old != commit:
        with repo.transaction("branch", name) as txn:
            move_ref(txn, HEADS + name, commit, old=old)
            txn.commit()
    return Branch(name, commit)


def delete(repo: Repository, names: Sequence[str], *, force: bool = False) -> list[Branch]:
    """Delete branches, all or none.

    Raises StateError for the current branch, and unless `force` for one whose commits HEAD has not.
    """
    head = repo.head
    found: list[Branch] = []
    for name in dict.fromkeys(names):
        commit = find_branch(repo, name).commit
        if name == head.branch or commit is None:
            raise StateError(f"branch '{name}' is checked out", hint="vgr switch ANOTHER")
        merged = head.commit is not None and is_ancestor(repo.store, commit, head.commit)
        if not merged and not force:
            raise StateError(
                f"branch '{name}' has commits that HEAD has not", hint=f"vgr branch -D {name}"
            )
        found.append(Branch(name, commit))
    with repo.transaction("branch-delete", " ".join(branch.name for branch in found)) as txn:
        for branch in found:
            move_ref(txn, HEADS + branch.name, None, old=branch.commit)
            follows = upstream_of(repo, branch.name)
            if follows is not None:
                set_upstream(txn, branch.name, None, old=follows)
        txn.commit()
    return found


def rename(repo: Repository, old: str, new: str, *, force: bool = False) -> Branch:
    """Rename a branch, the current one too; with `force` over an existing one."""
    check_name(new)
    head, there = repo.head, find_branch(repo, old)
    taken = read_ref(repo.store, HEADS + new)
    current = head.branch == old
    if old == new:
        return Branch(old, there.commit or b"", current)
    if taken is not None and not force:
        raise ExistsError(f"branch '{new}' exists already", hint=f"vgr branch -m -f {old} {new}")
    if new == head.branch:
        raise StateError(f"branch '{new}' is checked out", hint="vgr switch ANOTHER")
    with repo.transaction(_RENAME, f"{old} {new}") as txn:
        if there.commit is not None:
            move_ref(txn, HEADS + old, None, old=there.commit)
            move_ref(txn, HEADS + new, there.commit, old=taken)
        if current:
            move_head(txn, Head(new, there.commit), old=head)
        follows = upstream_of(repo, old)
        if follows is not None:
            set_upstream(txn, old, None, old=follows)
            set_upstream(txn, new, follows, old=upstream_of(repo, new))
        txn.commit()
    return Branch(new, there.commit or b"", current)


def containing(repo: Repository, found: Sequence[Branch], commit: bytes) -> list[Branch]:
    """Those of some branches whose history has a commit."""
    return [branch for branch in found if is_ancestor(repo.store, commit, branch.commit)]


def merged(repo: Repository, found: Sequence[Branch], commit: bytes) -> list[Branch]:
    """Those of some branches that the history of a commit has."""
    return [branch for branch in found if is_ancestor(repo.store, branch.commit, commit)]


def named(found: Sequence[Branch], patterns: Sequence[str]) -> list[Branch]:
    """Those of some branches whose names match one of the globs; all where there is none."""
    return [
        branch
        for branch in found
        if not patterns or any(fnmatchcase(branch.name, pattern) for pattern in patterns)
    ]


def left_behind(repo: Repository, commit: bytes) -> int:
    """How many commits up to this one neither HEAD nor a branch or tag reaches."""
    refs = [
        ref for start in (HEADS, REMOTES, TAGS) for ref in iter_refs(repo.store, start).values()
    ]
    without = {peel(repo.store, ref) for ref in refs}
    here = repo.head.commit
    without |= set() if here is None else {here}
    return sum(1 for _ in iter_history(repo.store, [commit], without=without))


def previous_head(repo: Repository) -> Head:
    """Where HEAD was before the last switch; NotFoundError when it was nowhere else."""
    for number in reversed(repo.store.moves_of(HEAD)):
        head = _left_by(repo, repo.store.operation(number))
        if head is not None:
            return head
    raise NotFoundError("there is no previous branch", hint="vgr branch")


def _left_by(repo: Repository, operation: Operation) -> Head | None:
    """The HEAD that an operation went away from, if it still can be gone to."""
    if operation.kind in _ALONG or operation.kind.startswith("reset") or operation.kind == _RENAME:
        return None
    for move in operation.moves:
        old = decode(bytes(move.old)) if move.name == HEAD else None
        if isinstance(old, Ext):
            return Head(None, bytes(old.data))
        if isinstance(old, str):
            commit = read_ref(repo.store, old)
            return None if commit is None else Head(old.removeprefix(HEADS), commit)
    return None
