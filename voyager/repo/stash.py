"""Stashes: staged rows and edited files put aside as a commit, and brought back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from voyager.errors import ConflictError, NotFoundError, StateError
from voyager.repo.add import add
from voyager.repo.bound import STUCK
from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows
from voyager.repo.import_reports import extra_with_reports, put_back_reports
from voyager.repo.merging import refuse_if_merging
from voyager.repo.namespace import check_rows
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.staging import RowChange, fold_staging, overlay_of, stage
from voyager.repo.switch import Goal, followed, go
from voyager.repo.undo import undo
from voyager.repo.vocabulary import row_name
from voyager.repo.vocabulary_diff import count_changes
from voyager.repo.worktree import Updated, name_keys, plan_safely, update
from voyager.store.history import read_commit, write_commit
from voyager.store.refs import STASH, iter_refs, move_ref


@dataclass(frozen=True, slots=True)
class Stash:
    """One stash: `number` counts from 0, the newest."""

    number: int
    name: str
    commit: bytes
    message: str
    time: int
    zone: int = 0


@dataclass(slots=True)
class Stashed:
    """What was put aside."""

    commit: bytes
    counts: dict[str, int] = field(default_factory=dict)


def stashes(repo: Repository) -> list[Stash]:
    """All stashes, newest first."""
    found = []
    for number, (name, commit_id) in enumerate(reversed(iter_refs(repo.store, STASH).items())):
        commit = read_commit(repo.store, commit_id)
        found.append(Stash(number, name, commit_id, commit.message, commit.time, commit.zone))
    return found


def find_stash(repo: Repository, text: str | None = None) -> Stash:
    """A stash by `stash@{n}` or `n`; the newest by default. NotFoundError else."""
    number = (text or "0").removeprefix("stash@{").removesuffix("}")
    known = stashes(repo)
    if not known:
        raise NotFoundError("there is no stash", hint="vgr stash")
    if not number.isdigit() or int(number) >= len(known):
        raise NotFoundError(f"no stash '{text or 0}'", hint="vgr stash list")
    return known[int(number)]


def push(
    repo: Repository,
    message: str = "",
    *,
    untracked: bool = False,
    progress: Progress = no_progress,
) -> Stashed:
    """Put staged rows and edited files aside; HEAD's version is laid out again.

    Raises StateError when there is nothing to stash.
    """
    repo.refuse_if_running()
    refuse_if_merging(repo)
    head = repo.head
    if head.commit is None:
        raise StateError("there is no commit to go back to", hint="vgr commit -m 'first version'")
    start = repo.store.last_seq()
    if repo.root is not None:
        _refuse_unreadable(repo)
        add(repo, ["."], cwd=repo.root, all=True, tracked_only=not untracked, progress=progress)
    staging = repo.staging
    parent = read_commit(repo.store, head.commit)
    label = head.branch or head.commit.hex()[:10]
    message = message or f"WIP on {label}: {parent.subject}"
    with repo.transaction("stash", message) as txn:
        snapshot = fold_staging(txn, staging)
        if snapshot == parent.snapshot_id:
            txn.abort()
            for number in range(repo.store.last_seq(), start, -1):
                undo(repo, number)  # what was staged stays staged
            raise StateError("nothing to stash: the files are as in HEAD", hint="vgr status")
        time, zone = repo.config.now()
        made = write_commit(
            txn,
            snapshot=snapshot,
            parents=[head.commit],
            author=str(repo.config.author()),
            message=message,
            time=time,
            zone=zone,
            extra=extra_with_reports(repo),
        )
        ref = (_next_name(repo), None, made)
        go(repo, txn, staging, Goal(head, head.commit, parent.snapshot_id, ref), progress=progress)
    followed(repo, Updated())
    return Stashed(made, count_changes(repo.dataset_of(head.commit), repo.dataset_of(made)))


def _refuse_unreadable(repo: Repository) -> None:
    """StateError naming bound label files whose edits cannot be put aside."""
    found = [] if repo.follower is None else repo.follower.look()
    broken = [one for one in found if one.state in STUCK]
    if broken:
        raise StateError(
            f"the edits of {name_keys(one.key for one in broken)} cannot be put aside:"
            f" {broken[0].reason}",
            hint=f"mend it, or vgr restore '{broken[0].key}' to give them up",
        )


def _next_name(repo: Repository) -> str:
    known = list(iter_refs(repo.store, STASH))
    number = int(known[-1].removeprefix(STASH)) + 1 if known else 1
    return f"{STASH}{number:08d}"


def apply(
    repo: Repository, stash: Stash, *, drop: bool, progress: Progress = no_progress
) -> dict[str, int]:
    """Bring a stash back on top of what is staged; with `drop` (pop) it goes when that worked.

    Raises ConflictError naming keys that changed since on both sides; then nothing happens.
    """
    repo.refuse_if_running()
    staging = repo.staging
    now = repo.staged_view(staging)
    base, theirs = sides(repo, stash)
    changes = _onto(base, theirs, now)
    after = Dataset(repo.store, now.roots, {**staging.overlay, **overlay_of(changes)})
    check_rows(now, after, changes)
    with repo.transaction("unstash", stash.message) as txn:
        stage(txn, staging, changes)
        put_back_reports(txn, repo, read_commit(txn, stash.commit))
        if drop:
            move_ref(txn, stash.name, None, old=stash.commit)
        plan = None
        if repo.root is not None:
            plan = plan_safely(repo, now, after, "the stash")
        txn.commit()
    if plan is not None and plan.keys():
        update(repo, plan, repo.staged(), before_token=now.token, progress=progress)
    followed(repo, Updated())
    return count_changes(now, repo.staged())


def _onto(base: Dataset, theirs: Dataset, now: Dataset) -> list[RowChange]:
    """The rows that the stash changed, where nobody else did."""
    changes: list[RowChange] = []
    both: list[str] = []
    for space in sorted({*base.roots, *theirs.roots}):
        for key, before, row in changed_rows(base, theirs, space):
            current = now.row(space, key)
            if current == before:
                changes.append((space, key, row))
            elif current != row:
                both.append(row_name(space, key))
    both = list(dict.fromkeys(both))
    if both:
        raise ConflictError(
            f"{name_keys(both)} changed here and in the stash",
            hint="vgr commit or vgr restore --staged them, then vgr stash pop",
        )
    return changes


def sides(repo: Repository, stash: Stash) -> tuple[Dataset, Dataset]:
    """The version that a stash was made on, and the one that it holds."""
    base = read_commit(repo.store, stash.commit).parent_ids[0]
    return repo.dataset_of(base), repo.dataset_of(stash.commit)


def drop(repo: Repository, stashes: Sequence[Stash]) -> None:
    """Forget stashes; `vgr undo` brings them back."""
    with repo.transaction("stash-drop", ", ".join(stash.message for stash in stashes)) as txn:
        for stash in stashes:
            move_ref(txn, stash.name, None, old=stash.commit)
        txn.commit()
