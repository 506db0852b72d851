"""Replaying commits somewhere else: the steps that revert, cherry-pick and rebase are made of.

A step merges what a commit changed into the version before it. A run of steps is one transaction:
commits are made one on the other, and HEAD, staging and files go to the last of them at once, so
that a kill leaves the old state or the new one, and one undo takes back all. A step with conflicts
ends the run: it waits in staging, and what is left to do waits with it (`Merging.more`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from voyager.errors import StateError
from voyager.merge import Merged, merge_guarded
from voyager.merge.dispute import Resolver
from voyager.merge.only import EVERYTHING, Only, select
from voyager.merge.question import Side
from voyager.merge.replay_guard import recorded_guard
from voyager.merge.replay_words import picked_message, reverted_message
from voyager.repo.conflicts import conflicts_at, iter_conflicted
from voyager.repo.dataset import Dataset
from voyager.repo.guard import Review
from voyager.repo.guard_decisions import (
    decisions_of,
    decode_decisions,
    extra_with_decisions,
    note_decisions,
)
from voyager.repo.import_reports import put_back_reports
from voyager.repo.merging import Merging, running_merge
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import read_snapshot
from voyager.repo.staging import fold_staging
from voyager.repo.switch import Goal, followed, go
from voyager.repo.worktree import Updated
from voyager.store.history import Commit, read_commit, write_commit
from voyager.store.ids import Kind
from voyager.store.refs import HEADS, Head, read_ref
from voyager.store.transaction import Transaction
from voyager.wire import blob_ref, object_ref

if TYPE_CHECKING:
    from voyager.merge.choices import Choices

ReplayKind: TypeAlias = Literal["cherry-pick", "revert", "rebase"]


@dataclass(frozen=True, slots=True)
class Replay:
    """What is to be replayed, and how.

    `head` is where HEAD was, and where giving up goes back to; its branch is the one that moves.
    `mainline` is the parent (from 1) whose version merge commits are compared with. `decided` are
    records of the guard, of merges that a rebase leaves out. `strategies` decide conflicts, as in
    merges: ours is what a commit is replayed on, theirs what it says.
    """

    kind: ReplayKind
    todo: tuple[bytes, ...]
    head: Head
    mainline: int | None = None
    note_origin: bool = False
    commit: bool = True
    only: Only = EVERYTHING
    decided: tuple[bytes, ...] = ()
    strategies: tuple[str, ...] = ()

    @property
    def choices(self) -> Choices | None:
        """The strategies, of which most replays have none; UsageError for one that is none."""
        if not self.strategies:
            return None
        from voyager.merge.choices import parse_choices

        return parse_choices(self.strategies, command=f"vgr {self.kind}")

    def as_more(self) -> dict[str, Any]:
        """How it stands with the merge that waits."""
        commit = self.head.commit
        return {
            "branch": self.head.branch,
            "by": self.only.by,
            "classes": list(self.only.classes),
            "commit": self.commit,
            "decided": [blob_ref(blob) for blob in self.decided],
            "from": None if commit is None else object_ref(commit),
            "mainline": self.mainline,
            "note_origin": self.note_origin,
            "strategies": list(self.strategies),
            "tasks": list(self.only.tasks),
            "todo": [object_ref(each) for each in self.todo],
        }

    @classmethod
    def of(cls, merging: Merging) -> Replay:
        """The replay that waits."""
        more: Mapping[str, Any] = merging.more
        return cls(
            _KINDS[merging.kind],
            tuple(bytes(ref.data) for ref in more["todo"]),
            Head(more["branch"], bytes(more["from"].data)),
            more["mainline"],
            more["note_origin"],
            more["commit"],
            Only(tuple(more["tasks"]), tuple(more["classes"]), more["by"]),
            tuple(bytes(ref.data) for ref in more["decided"]),
            tuple(more.get("strategies", ())),
        )


_KINDS: dict[str, ReplayKind] = {
    "cherry-pick": "cherry-pick",
    "revert": "revert",
    "rebase": "rebase",
}


@dataclass(slots=True)
class Step:
    """What became of one commit: merged, up-to-date (it was there already), conflicts, staged.

    A rebase keeps a commit (fast-forward) that stands where it belongs. `passed` counts added and
    removed samples, which a part of a commit never takes.
    """

    source: bytes
    merged: Merged
    passed: int = 0
    taken: int = 1


@dataclass(slots=True)
class Replayed:
    """What a run of steps did; `left` is how many are to be done yet.

    `result` is up-to-date, fast-forward, replayed, staged or conflicts.
    """

    kind: ReplayKind
    commit: bytes | None = None
    steps: list[Step] = field(default_factory=list)
    left: int = 0
    result: Literal["up-to-date", "fast-forward", "replayed", "staged", "conflicts"] = "up-to-date"
    updated: Updated = field(default_factory=Updated)

    def as_json(self) -> dict[str, Any]:
        """As `vgr rebase --json` and its like say it: steps as in merge, and whose they are."""
        return {
            "result": self.result,
            "commit": None if self.commit is None else self.commit.hex(),
            "steps": [{"of": step.source.hex(), **step.merged.as_json()} for step in self.steps],
            "left": self.left,
        }


def run(
    repo: Repository,
    replay: Replay,
    tip: bytes,
    message: str,
    *,
    before: Sequence[Step] = (),
    progress: Progress = no_progress,
) -> Replayed:
    """Replay what is to do on top of a commit, until the end or the first conflict.

    `before` are steps that are told with these. Raises StateError where files would be overwritten;
    nothing is changed then.
    """
    with repo.transaction(replay.kind, message) as txn:
        steps = _Run(repo, txn, replay, tip, progress)
        steps.done.steps += before
        steps.walk()
        return steps.arrive()


class _Run:
    """Steps within one transaction; `tip` and `version` are where they are."""

    def __init__(
        self, repo: Repository, txn: Transaction, replay: Replay, tip: bytes, progress: Progress
    ) -> None:
        self._repo, self._txn, self._replay, self._progress = repo, txn, replay, progress
        self._tip = tip
        snapshot = read_commit(txn, tip).snapshot_id
        if not replay.commit:  # on top of what earlier steps staged
            snapshot = fold_staging(txn, repo.staging)
        self._snapshot = snapshot
        self._waits: Merging | None = None
        self._left = replay.todo
        self._choices = replay.choices
        self._decided = [
            one for blob in replay.decided for one in decode_decisions(txn.get(blob, Kind.BLOB))
        ]
        self.done = Replayed(replay.kind)

    # -- steps -----------------------------------------------------------------------------------

    def walk(self) -> None:
        """Take steps until none is left, or one stops."""
        while self._left and self._waits is None:
            source, self._left = self._left[0], self._left[1:]
            self.done.steps.append(self._step(source))

    def _step(self, source: bytes) -> Step:
        commit = read_commit(self._txn, source)
        parent = parent_of(source, commit, self._replay.mainline)
        if self._replay.kind == "rebase" and parent == self._tip:
            self._tip, self._snapshot = source, commit.snapshot_id
            return Step(source, Merged("fast-forward", source))
        base_id, theirs_id = (source, parent) if self._reverts else (parent, source)
        base, theirs, ours = self._version(base_id), self._version(theirs_id), self._ours
        step = Step(source, Merged("merged"))
        if self._replay.only:
            chosen = select(self._txn, base, theirs, commit, self._replay.only)
            theirs, step.passed, step.taken = chosen.version, chosen.passed, chosen.taken
        snapshot, found = merge_guarded(
            self._repo,
            self._txn,
            base,
            [ours, theirs],
            resolver=self._resolver(commit, theirs_id),
            guard=self._guard(commit),
            progress=self._progress,
        )
        found.bases = [] if base_id is None else [base_id]
        step.merged = found
        merging = self._merging(source, commit, parent, theirs_id)
        if self._is_news(Dataset(self._txn, read_snapshot(self._txn, snapshot)), ours, theirs):
            found.result, found.commit = "conflicts", self._tip
            self._stage(snapshot, commit, found)
            self._waits = merging
        elif snapshot == self._snapshot and not self._was_empty(commit, parent):
            found.result, found.commit = "up-to-date", self._tip
        elif self._replay.commit:
            self._commit(snapshot, commit, merging, found)
        else:
            found.result, found.commit = "staged", self._tip
            self._stage(snapshot, commit, found)
        return step

    @property
    def _reverts(self) -> bool:
        return self._replay.kind == "revert"

    @property
    def _ours(self) -> Dataset:
        return Dataset(self._txn, read_snapshot(self._txn, self._snapshot), commit=self._tip)

    def _version(self, commit: bytes | None) -> Dataset:
        if commit is None:
            return Dataset(self._txn, {})
        snapshot = read_commit(self._txn, commit).snapshot_id
        return Dataset(self._txn, read_snapshot(self._txn, snapshot), commit=commit)

    def _resolver(self, commit: Commit, theirs: bytes | None) -> Resolver | None:
        """What decides conflicts; sides go by the branch and the commit that they are."""
        if self._choices is None:
            return None
        branch = self._replay.head.branch if self._replay.kind != "rebase" else None
        now = read_commit(self._txn, self._tip)
        ours = Side(branch or self._tip.hex()[:12], self._tip, now.time)
        name = "nothing" if theirs is None else theirs.hex()[:12]
        return self._choices.resolver([ours, Side(name, theirs, commit.time)])

    def _guard(self, commit: Commit) -> Callable[[Dataset, Dataset], Review]:
        own = [] if self._reverts else decisions_of(self._txn, commit)
        return recorded_guard(self._repo, own, self._decided, self._progress)

    def _is_news(self, after: Dataset, ours: Dataset, theirs: Dataset) -> bool:
        """Whether something is in conflict that was not so here before.

        Conflicts that a branch has on record go with it when it is rebased.
        """
        known = [ours, theirs] if self._replay.kind == "rebase" else [ours]
        for space, key, found in iter_conflicted(after):
            standing = [conflicts_at(version, space, key) for version in known]
            for path, terms in found.items():
                if all(each.get(path) != terms for each in standing):
                    return True
        return False

    def _was_empty(self, commit: Commit, parent: bytes | None) -> bool:
        """Whether a rebase meets a commit that was made to change nothing."""
        if self._replay.kind != "rebase" or parent is None:
            return False
        return read_commit(self._txn, parent).snapshot_id == commit.snapshot_id

    # -- commits ---------------------------------------------------------------------------------

    def _merging(
        self, source: bytes, commit: Commit, parent: bytes | None, theirs: bytes | None
    ) -> Merging:
        """What waits if this step has to, and how its commit is to be signed."""
        more = replace(self._replay, todo=self._left).as_more()
        more["step"] = object_ref(source)
        sides = () if theirs is None else (theirs,)
        if self._reverts:
            message = reverted_message(source, commit, parent)
            return Merging("revert", (), message, sides=sides, more=more)
        message = picked_message(source, commit, note_origin=self._replay.note_origin)
        more["when"] = [commit.time, commit.zone]
        return Merging(self._replay.kind, (), message, commit.author, sides, more)

    def _commit(self, snapshot: bytes, commit: Commit, merging: Merging, found: Merged) -> None:
        extra = {} if self._reverts or self._replay.only else commit.extra
        time, zone = merging.when or self._repo.config.now()
        me = str(self._repo.config.author())
        self._tip = found.commit = write_commit(
            self._txn,
            snapshot=snapshot,
            parents=[self._tip],
            author=merging.author or me,
            committer=me,
            message=merging.message,
            time=time,
            zone=zone,
            extra=extra_with_decisions(self._txn, extra, found.guard.decisions),
        )
        self._snapshot = snapshot

    def _stage(self, snapshot: bytes, commit: Commit, found: Merged) -> None:
        """Leave a step staged; what its commit is to name is pending."""
        self._snapshot = snapshot
        if not self._reverts and not self._replay.only:
            put_back_reports(self._txn, self._repo, commit)
        note_decisions(self._txn, self._repo, found.guard.decisions)

    # -- the end ---------------------------------------------------------------------------------

    def arrive(self) -> Replayed:
        """Go where the steps lead: HEAD, the branch, staging and files."""
        self._refuse_moved()
        done = self.done
        done.commit, done.left = self._tip, len(self._left)
        done.result = self._result()
        goal = self._goal()
        if not self._is_here(goal):
            done.updated = go(
                self._repo, self._txn, self._repo.staging, goal, progress=self._progress
            )
            followed(self._repo, done.updated)
        return done

    def _result(self) -> Literal["up-to-date", "fast-forward", "replayed", "staged", "conflicts"]:
        if self._waits is not None:
            return "conflicts"
        results = {step.merged.result for step in self.done.steps}
        if "staged" in results:
            return "staged"
        if "merged" in results:
            return "replayed"
        return "up-to-date" if self._tip == self._replay.head.commit else "fast-forward"

    def _goal(self) -> Goal:
        branch, merging = self._replay.head.branch, self._waits
        if branch is None or (self._replay.kind == "rebase" and merging is not None):
            return Goal(Head(None, self._tip), self._tip, self._snapshot, merging=merging)
        now = self._replay.head.commit if self._replay.kind == "rebase" else self._repo.head.commit
        ref = (HEADS + branch, now, self._tip)
        return Goal(Head(branch, self._tip), self._tip, self._snapshot, ref, merging)

    def _refuse_moved(self) -> None:
        """StateError when somebody else moved the branch that a rebase is to move."""
        head = self._replay.head
        if self._replay.kind == "rebase" and head.branch is not None:
            name = HEADS + head.branch
            if read_ref(self._repo.store, name) != head.commit:
                raise StateError(
                    f"branch '{head.branch}' was moved since the rebase began",
                    hint="vgr rebase --abort, and rebase it as it is now",
                )

    def _is_here(self, goal: Goal) -> bool:
        """Whether all is there already."""
        repo, staging = self._repo, self._repo.staging
        staged = fold_staging(self._txn, staging)
        same = repo.head == goal.head and staging.base == goal.base and staged == goal.snapshot
        return same and goal.merging is None and running_merge(repo.store) is None


def parent_of(source: bytes, commit: Commit, mainline: int | None) -> bytes | None:
    """The commit that another is compared with, None for the first one of a history.

    StateError for a merge without a `mainline`, and for one that is none or has fewer parents.
    """
    parents = commit.parent_ids
    name = f"{source.hex()[:10]} ({commit.subject})"
    if len(parents) > 1 and mainline is None:
        raise StateError(f"{name} is a merge: of which parent are its changes?", hint="-m 1")
    if mainline is None:
        return parents[0] if parents else None
    if len(parents) < 2:
        raise StateError(f"{name} is no merge, so -m has no use for it", hint="leave -m out")
    if not 1 <= mainline <= len(parents):
        raise StateError(f"{name} has {len(parents)} parents, and no parent {mainline}")
    return parents[mainline - 1]
