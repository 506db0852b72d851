"""Going from one version to another: switch, checkout, reset, and how they survive a kill.

A switch that changes files is two operations: `begin` writes down where it goes (RUNNING), the
second one moves HEAD and the staging area once every file is in place.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from voyager.errors import ExistsError, InvalidDataError, StateError
from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows
from voyager.repo.import_reports import drop_reports
from voyager.repo.merging import Merging, move_merging, refuse_if_merging, running_merge
from voyager.repo.namespace import check_rows
from voyager.repo.repository import RUNNING, Progress, Repository, no_progress
from voyager.repo.snapshot import read_snapshot
from voyager.repo.staging import Overlay, Staging, fold, fold_staging, replace_staging
from voyager.repo.vocabulary import row_name
from voyager.repo.worktree import (
    Plan,
    Updated,
    drop_finished,
    name_keys,
    plan_reset,
    plan_safely,
    plan_switch,
    refuse_folders,
    refuse_folding,
    update,
)
from voyager.store.history import read_commit
from voyager.store.operation import GONE
from voyager.store.refs import HEADS, Head, check_name, move_head, move_ref, read_ref
from voyager.store.transaction import Transaction
from voyager.wire import Ext, object_ref


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a switch goes.

    `base` is the commit to stand on, `snapshot` the staged root (the commit's own, or with staged
    rows carried along), `ref` a ref to move as well: (full name, old id, new id). `merging` is the
    merge that waits there.
    """

    head: Head
    base: bytes | None
    snapshot: bytes
    ref: tuple[str, bytes | None, bytes | None] | None = None
    merging: Merging | None = None

    def as_value(self) -> dict[str, Any]:
        ref = None
        if self.ref is not None:
            ref = [self.ref[0], _ref_or_none(self.ref[1]), _ref_or_none(self.ref[2])]
        head = self.head.branch or _ref_or_none(self.head.commit)
        return {
            "base": _ref_or_none(self.base),
            "head": head,
            "merging": None if self.merging is None else self.merging.as_value(),
            "ref": ref,
            "root": object_ref(self.snapshot),
        }

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Goal:
        head, base = value["head"], _id_or_none(value["base"])
        ref, merging = value["ref"], value.get("merging")
        return cls(
            Head(head, base) if isinstance(head, str) else Head(None, bytes(head.data)),
            base,
            bytes(value["root"].data),
            None if ref is None else (ref[0], _id_or_none(ref[1]), _id_or_none(ref[2])),
            None if merging is None else Merging.from_value(merging),
        )


def _ref_or_none(commit: bytes | None) -> Ext | None:
    return None if commit is None else object_ref(commit)


def _id_or_none(ref: Ext | None) -> bytes | None:
    return None if ref is None else bytes(ref.data)


def switch(
    repo: Repository,
    head: Head,
    *,
    force: bool = False,
    create: bool = False,
    overwrite: bool = False,
    kind: str = "switch",
    progress: Progress = no_progress,
) -> Updated:
    """Let HEAD, staging area and working tree go to a branch or commit.

    Staged rows that the two commits agree on are carried along, as git does; `create` makes the
    branch, `overwrite` even where it exists. Raises StateError naming what would be lost, unless
    `force`, which gives up staged rows and edited files.
    """
    repo.refuse_if_running()
    if not force:
        refuse_if_merging(repo)
    if repo.follower is not None and not force:
        repo.follower.refuse_edited(kind, repo.dataset_of(head.commit))
    staging = repo.staging
    carried = {} if force else carried_rows(repo, staging, repo.dataset_of(head.commit))
    ref = None
    if create and head.branch is not None:
        name = HEADS + head.branch
        ref = (name, read_ref(repo.store, name) if overwrite else None, head.commit)
    with repo.transaction(kind, _describe(head)) as txn:
        there = None if head.commit is None else read_commit(repo.store, head.commit).snapshot_id
        snapshot = snapshot_with(txn, there, carried)
        goal = Goal(head, head.commit, snapshot, ref)
        done = go(repo, txn, staging, goal, force=force, progress=progress)
    return followed(repo, done, force=force)


def switch_to_new(
    repo: Repository,
    name: str,
    start: str | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    kind: str = "switch",
    progress: Progress = no_progress,
) -> Updated:
    """Make a branch at a revision (HEAD) and go there; with `overwrite` even where it exists.

    Raises ExistsError for a branch that exists.
    """
    check_name(name)
    if not overwrite and read_ref(repo.store, HEADS + name) is not None:
        raise ExistsError(f"branch '{name}' exists already", hint=f"vgr switch {name}")
    commit = repo.head.commit if start is None else repo.resolve(start)
    return switch(
        repo,
        Head(name, commit),
        force=force,
        create=True,
        overwrite=overwrite,
        kind=kind,
        progress=progress,
    )


def reset(
    repo: Repository, commit: bytes | None, mode: str = "mixed", *, progress: Progress = no_progress
) -> Updated:
    """Move the current branch to a commit: `soft` keeps staging, `mixed` files, `hard` neither.

    None is for a branch without commits, whose staging area becomes empty.
    """
    repo.refuse_if_running()
    if mode == "soft":
        refuse_if_merging(repo)
    staging, head, merging = repo.staging, repo.head, running_merge(repo.store)
    ref = None if head.branch is None else (HEADS + head.branch, head.commit, commit)
    there = Head(head.branch, commit)
    with repo.transaction(f"reset-{mode}", _describe(Head(None, commit))) as txn:
        if mode == "soft":
            snapshot = fold_staging(txn, staging)
        else:
            target = None if commit is None else read_commit(repo.store, commit).snapshot_id
            snapshot = snapshot_with(txn, target, {})
        goal = Goal(there, commit, snapshot, ref, merging and merging.rest)
        if mode == "hard":
            done = go(repo, txn, staging, goal, force=True, progress=progress)
        else:
            _finish(repo, txn, staging, goal)
    if mode == "hard":
        return followed(repo, done, force=True)
    if repo.follower is not None:
        repo.follower.stay()
    return Updated()


def followed(repo: Repository, done: Updated, *, force: bool = False) -> Updated:
    """Let bound label files follow HEAD; what could not be written is among the skipped."""
    if repo.follower is not None:
        done.skipped += repo.follower.follow(force=force)
    return done


def carried_rows(repo: Repository, staging: Staging, there: Dataset) -> Overlay:
    """Staged rows to keep on the way to another version; StateError when it changed them too."""
    base = repo.dataset_of(staging.base)
    staged = repo.staged_view(staging)
    carried: dict[tuple[str, bytes], bytes] = {}
    lost: list[str] = []
    for space in sorted({*base.roots, *staged.roots, *(space for space, _ in staging.overlay)}):
        for key, before, row in changed_rows(base, staged, space):
            now = there.row(space, key)
            if now == before:
                carried[space, key] = GONE if row is None else row
            elif now != row:
                lost.append(row_name(space, key))
    if lost:
        raise StateError(
            f"staged changes to {name_keys(list(dict.fromkeys(lost)))} would be lost",
            hint="vgr commit, vgr stash, or -f to give them up",
        )
    _refuse_misfits(there, carried)
    return carried


def _refuse_misfits(there: Dataset, carried: Overlay) -> None:
    """StateError for staged keys that are folders of keys there, or the other way round."""
    rows = [(space, key, None if row == GONE else row) for (space, key), row in carried.items()]
    try:
        check_rows(there, Dataset(there.objects, there.roots, carried), rows)
    except InvalidDataError as error:
        raise StateError(
            f"staged changes do not fit there: {error.message}",
            hint="vgr commit, vgr stash, or -f to give them up",
        ) from None


def snapshot_with(txn: Transaction, snapshot: bytes | None, overlay: Overlay) -> bytes:
    """A snapshot (None: an empty one) with staged rows on top."""
    if snapshot is None:
        return fold(txn, {}, overlay)
    return fold(txn, read_snapshot(txn, snapshot), overlay) if overlay else snapshot


def _describe(head: Head) -> str:
    if head.branch is not None:
        return head.branch
    return "" if head.commit is None else head.commit.hex()[:12]


# -- the two operations ---------------------------------------------------------------------------


def go(
    repo: Repository,
    txn: Transaction,
    staging: Staging,
    goal: Goal,
    *,
    force: bool = False,
    progress: Progress = no_progress,
) -> Updated:
    """Change the files between a `begin` operation and the one that moves; without files, move."""
    before = repo.staged_view(staging)
    after = Dataset(txn, read_snapshot(txn, goal.snapshot))
    plan = _plan(repo, before, after, force=force, what=txn.kind, progress=progress)
    if not plan.write and not plan.remove:
        _finish(repo, txn, staging, goal)
        return Updated()
    running = {
        "force": force,
        "from": object_ref(fold_staging(txn, staging)),
        "goal": goal.as_value(),
        "kind": txn.kind,
        "message": txn.message,
    }
    kind, txn.kind = txn.kind, "begin"
    txn.move(RUNNING, running, old=None)
    txn.commit()
    after = Dataset(repo.store, after.roots)
    try:
        done = update(repo, plan, after, before_token=before.token, progress=progress)
    except OSError as error:
        raise _stopped(kind, error) from error
    with repo.transaction(kind, txn.message) as ending:
        _finish(repo, ending, staging, goal, running)
    return done


def _stopped(kind: str, error: OSError) -> StateError:
    """What to say when a file could not be written or removed half-way."""
    where = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    reason = (error.strerror or str(error)).lower()
    return StateError(
        f"the {kind} stopped half-way{where}: {reason}",
        hint="mend that, then vgr checkout --continue, or vgr checkout --abort",
        path=None if error.filename is None else os.fsdecode(error.filename),
    )


def _plan(
    repo: Repository,
    before: Dataset,
    after: Dataset,
    *,
    force: bool,
    what: str,
    progress: Progress,
) -> Plan:
    if repo.root is None:
        return Plan([], [])
    if not force:
        return plan_safely(repo, before, after, what)
    plan = plan_reset(repo, before, after, progress)
    refuse_folders(repo, (tracked.key for tracked in plan.write), set(plan.remove), what)
    refuse_folding(repo, after, plan)
    return plan


def _finish(
    repo: Repository,
    txn: Transaction,
    staging: Staging,
    goal: Goal,
    running: dict[str, Any] | None = None,
) -> None:
    """Move HEAD, the staging area and a ref to the goal, all at once."""
    now = repo.head
    if goal.head.branch != now.branch or (now.detached and goal.head.commit != now.commit):
        move_head(txn, goal.head, old=now)
    if goal.ref is not None and goal.ref[1] != goal.ref[2]:
        move_ref(txn, goal.ref[0], goal.ref[2], old=goal.ref[1])
    replace_staging(txn, staging, base=goal.base, snapshot=goal.snapshot)
    drop_reports(txn, repo, goal.base, goal.snapshot)
    move_merging(txn, repo.store, goal.merging)
    if running is not None:
        txn.move(RUNNING, None, old=running)
        txn.on_undo(RUNNING, None)
    txn.commit()


# -- after an interruption ------------------------------------------------------------------------


def continue_switch(repo: Repository, *, progress: Progress = no_progress) -> Updated:
    """Finish an interrupted switch; files equal to either side, or half written, are ours.

    A forced one goes on to overwrite every other file too, as it was asked to.
    """
    running = _running(repo)
    goal = Goal.from_value(running["goal"])
    before, after = _sides(repo, running)
    if running["force"]:
        plan = plan_reset(repo, before, after, progress)
    else:
        plan = drop_finished(repo, plan_switch(before, after), before)
    done = update(repo, plan, after, progress=progress)
    with repo.transaction(running["kind"], running["message"]) as txn:
        _finish(repo, txn, repo.staging, goal, running)
    return followed(repo, done, force=bool(running["force"]))


def abort_switch(repo: Repository, *, progress: Progress = no_progress) -> Updated:
    """Take an interrupted switch back: the files become those of the version it left.

    Edits that a forced one has not overwritten yet are left alone.
    """
    running = _running(repo)
    before, after = _sides(repo, running)
    forced = bool(running["force"])
    plan = drop_finished(repo, plan_switch(after, before), after, leave_edited=forced)
    done = update(repo, plan, before, progress=progress)
    with repo.transaction("abort", running["message"]) as txn:
        staging = repo.staging
        drop_reports(txn, repo, staging.base, fold_staging(txn, staging))
        txn.move(RUNNING, None, old=running)
        txn.on_undo(RUNNING, None)
        txn.commit()
    return done


def _running(repo: Repository) -> dict[str, Any]:
    running: dict[str, Any] | None = repo.store.value(RUNNING)
    if running is None:
        raise StateError("no checkout is interrupted", hint="vgr status")
    return running


def _sides(repo: Repository, running: dict[str, Any]) -> tuple[Dataset, Dataset]:
    goal = Goal.from_value(running["goal"])
    sides = (bytes(running["from"].data), goal.snapshot)
    before, after = (Dataset(repo.store, read_snapshot(repo.store, side)) for side in sides)
    return before, after
