"""Making commits: from the staging area, and straight from an edit."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voyager.errors import StateError, UsageError
from voyager.repo.conflicts import count_conflicts, has_conflicts
from voyager.repo.dataset import Dataset
from voyager.repo.diff import Change, counts
from voyager.repo.guard_staging import StagingGuard
from voyager.repo.import_reports import drop_reports, extra_with_reports
from voyager.repo.merging import move_merging, refuse_if_merging, running_merge
from voyager.repo.repository import Repository
from voyager.repo.snapshot import read_snapshot, write_snapshot
from voyager.repo.staging import Staging, fold, fold_staging, overlay_of, replace_staging
from voyager.repo.vocabulary_diff import count_changes, vocabulary_diff
from voyager.store.history import read_commit, write_commit
from voyager.store.refs import HEADS, Head, move_head, move_ref
from voyager.store.transaction import Transaction

if TYPE_CHECKING:
    from voyager.repo.guard import Review


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit that was made, and what it changed."""

    commit: bytes
    branch: str | None
    samples: int
    counts: dict[str, int]
    root: bool
    guard: Review | None = None
    """What the guard saw, where it had to look."""


def commit(
    repo: Repository,
    message: str,
    *,
    amend: bool = False,
    allow_empty: bool = False,
    allow_conflicts: bool = False,
    author: str | None = None,
    verify: bool = True,
) -> Committed:
    """Commit the staging area on the current branch, with the heads of a merge as parents.

    Raises StateError when nothing is staged, or (without `allow_conflicts`) when something is in
    conflict; RefMoved when another process moved the branch.
    """
    repo.refuse_if_running()
    merging = running_merge(repo.store)
    if amend:
        refuse_if_merging(repo)
    if not allow_conflicts:
        _refuse_conflicts(repo)
    if merging is not None:
        message, author = message or merging.message, author or merging.author
    given = check_author(author) if author is not None else None
    who = given or repo.config.author()
    if verify:
        run_hook(repo, "pre-commit")
    head = repo.head
    staging = repo.staging
    if amend and head.commit is None:
        raise StateError("there is no commit to amend", hint="vgr commit -m 'first version'")
    if not message.strip() and not amend:
        raise UsageError("the message is empty", hint="vgr commit -m 'what changed'")
    old = read_commit(repo.store, head.commit) if amend and head.commit else None
    if old is not None:
        who, message = given or old.author, message if message.strip() else old.message
    guard = StagingGuard(repo, staging)
    held = guard.at_commit()
    with repo.transaction("commit", message.split("\n", 1)[0]) as txn:
        snapshot = fold_staging(txn, staging)
        if held:
            snapshot = fold(txn, staging.roots, {**staging.overlay, **overlay_of(held)})
        parents = _parents(repo, head, amend=amend)
        if merging is not None:
            conflicted = allow_conflicts and has_conflicts(repo.staged())
            parents += merging.parents(conflicted=conflicted)
        must_change = not allow_empty and not amend and not (merging and merging.heads)
        if must_change and snapshot == _snapshot_of(repo, txn, head):
            raise StateError("nothing to commit", hint="vgr add PATH, or vgr status")
        time, zone = (merging and merging.when) or repo.config.now()
        made = write_commit(
            txn,
            snapshot=snapshot,
            parents=parents,
            author=who,
            message=message,
            time=time,
            zone=zone,
            committer=str(repo.config.author()) if merging and merging.author else "",
            extra=extra_with_reports(repo, old),
        )
        advance(txn, head, made)
        folded = None if held else snapshot
        replace_staging(txn, staging, base=made, snapshot=snapshot, folded=folded)
        drop_reports(txn, repo, made, snapshot)
        move_merging(txn, repo.store, merging and merging.rest)
        txn.commit()
    guard.settle()
    _keep_stat_cache(repo, staging)
    if repo.follower is not None:
        repo.follower.follow()
    after = Dataset(repo.store, read_snapshot(repo.store, snapshot), commit=made)
    return replace(_summary(repo, after, made, head.branch, parents), guard=guard.found)


def _counted(conflicts: int) -> str:
    return "a conflict is" if conflicts == 1 else f"{conflicts:,} conflicts are"


def _refuse_conflicts(repo: Repository) -> None:
    staged = repo.staged()
    if has_conflicts(staged):
        raise StateError(
            f"{_counted(count_conflicts(staged))} not resolved",
            hint="vgr conflicts, or vgr commit --allow-conflicts to record them",
        )


def _keep_stat_cache(repo: Repository, staging: Staging) -> None:
    """Tell the stat cache that the same files go by another token now."""
    if repo.root is not None and repo.stat_cache.token == repo.staged_view(staging).token:
        repo.stat_cache.update([], token=repo.staged().token)


def check_author(text: str) -> str:
    """`Name <email>` as it stands in a commit; UsageError else."""
    if re.fullmatch(r"[^<>\s][^<>\n]* <[^<>\n]*>", text) is None:
        raise UsageError(f"'{text}' is no author", hint="--author 'Ann Lee <ann@example.org>'")
    return text


def _parents(repo: Repository, head: Head, *, amend: bool) -> list[bytes]:
    if head.commit is None:
        return []
    return read_commit(repo.store, head.commit).parent_ids if amend else [head.commit]


def _snapshot_of(repo: Repository, txn: Transaction, head: Head) -> bytes:
    if head.commit is None:
        return write_snapshot(txn, {})
    return read_commit(repo.store, head.commit).snapshot_id


def advance(txn: Transaction, head: Head, made: bytes) -> None:
    """Move what HEAD stands for to a new commit."""
    if head.branch is not None:
        move_ref(txn, HEADS + head.branch, made, old=head.commit)
    else:
        move_head(txn, Head(None, made), old=head)


def _summary(
    repo: Repository, after: Dataset, made: bytes, branch: str | None, parents: list[bytes]
) -> Committed:
    if parents:
        found = count_changes(repo.dataset_of(parents[0]), after)
    else:
        # Everything is new: the trees know how many there are without being walked.
        found = counts(list[Change]())
        found["added"] = len(after) + after.count("files")
        found["vocabulary"] = len(vocabulary_diff(repo.dataset_of(None), after))
    return Committed(made, branch, len(after), found, root=not parents)


def run_hook(repo: Repository, name: str, *arguments: str, told: str = "") -> None:
    """Run `.vgr/hooks/NAME` if it can be run; StateError when it says no.

    What it prints goes to standard error, since standard output may be JSON. What is `told` comes
    to its standard input.
    """
    hook = repo.folder / "hooks" / name
    if not os.access(hook, os.X_OK):
        return
    import subprocess  # not loaded for those who have no hooks

    try:
        done = subprocess.run(
            [str(hook), *arguments],
            cwd=repo.root or repo.folder,
            input=told.encode() if told else None,
            stdout=2,
            check=False,
        )
    except OSError as error:
        raise StateError(
            f"the hook {name} cannot be run: {error.strerror}",
            hint=f"begin {hook} with #!/bin/sh, or --no-verify to go past it",
        ) from None
    if done.returncode:
        raise StateError(
            f"the hook {name} refused with exit code {done.returncode}",
            hint="mend what it says, or --no-verify to go past it",
        )
