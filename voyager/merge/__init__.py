"""Merging histories: three-way at the level of a label, with conflicts as data.

The story of `merge`, on one screen: find the bases, fast-forward where that is all, else merge the
versions (`three_way`, pure), let strategies decide what they can, let the guard look at what comes
in, and either commit or leave the conflicts in staging.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from voyager.errors import StateError, UsageError
from voyager.merge.bases import base_version, common_bases
from voyager.merge.check import follow_joined, iter_violations
from voyager.merge.dispute import Resolver
from voyager.merge.merged_version import MergedVersion
from voyager.merge.outcome import Merged as Merged
from voyager.merge.question import named_sides
from voyager.merge.three_way import merge_versions
from voyager.repo.commit import commit as commit_staged
from voyager.repo.commit import run_hook
from voyager.repo.conflicts import count_conflicts, settle
from voyager.repo.dataset import Dataset
from voyager.repo.guard import Review, review
from voyager.repo.guard_decisions import extra_with_decisions, note_decisions
from voyager.repo.merging import Merging, refuse_if_merging, running_merge
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import read_snapshot
from voyager.repo.staging import fold, overlay_of
from voyager.repo.switch import Goal, followed, go
from voyager.repo.worktree import Updated
from voyager.store.history import is_ancestor, read_commit, write_commit
from voyager.store.refs import HEADS, Head, iter_refs
from voyager.store.transaction import Transaction

if TYPE_CHECKING:
    from voyager.merge.choices import Choices

FastForward: TypeAlias = Literal["allowed", "never", "only"]


def merge(
    repo: Repository,
    *revisions: str,
    message: str | None = None,
    strategies: Sequence[str] = (),
    resolver: Resolver | None = None,
    ff: FastForward = "allowed",
    commit: bool = True,
    squash: bool = False,
    allow_unrelated: bool = False,
    take_labels: bool = False,
    verify: bool = True,
    progress: Progress = no_progress,
) -> Merged:
    """Merge other revisions into HEAD.

    Conflicts stop it in staging, with `result` "conflicts": resolve them and commit, or `abort`.
    `strategies` decide them (`choices.parse_choices`: "theirs", "color=vote"), or else `resolver`.
    `commit=False` stops there always; `squash` stages the outcome for a commit of one parent.
    Where the guard has something to do there is no fast-forward, as a commit has to say so.
    Raises StateError for staged changes, for unrelated histories (without `allow_unrelated`) and
    where files would be overwritten; nothing is changed then.
    """
    choices = _choices(strategies)
    refuse_unready(repo)
    head = repo.head
    heads = _new_heads(repo, head, revisions)
    if not heads:
        return Merged("up-to-date", head.commit)
    if ff != "never" and not squash and len(heads) == 1 and _descends(repo, heads[0], head.commit):
        guard = _guard_ahead(repo, head, heads[0], progress)
        if not guard.changes:
            return _fast_forward(repo, head, heads[0], guard, progress=progress)
        if ff == "only":
            raise StateError(
                f"'{revisions[0]}' cannot be fast-forwarded to: the guard would change"
                f" {len(guard.decisions):,} of its samples, first '{guard.decisions[0].key}'",
                hint=f"vgr merge {revisions[0]}",
            )
    if ff == "only":
        raise StateError(
            f"'{revisions[0]}' cannot be fast-forwarded to: both sides have commits of their own",
            hint=f"vgr merge {' '.join(revisions)}",
        )
    if head.commit is None:
        raise StateError("there is no commit to merge into", hint=f"vgr switch {revisions[0]}")
    bases = common_bases(repo.store, [head.commit, *heads])
    if not bases and not allow_unrelated:
        refuse_shallow(repo, revisions[0])
        raise StateError(
            f"'{revisions[0]}' and HEAD have no commit in common",
            hint=f"vgr merge --allow-unrelated-histories {' '.join(revisions)}",
        )
    names = _names(repo, revisions, heads)
    with repo.transaction("merge", ", ".join(names)) as txn:
        base = base_version(txn, bases)
        sides = [_version(txn, each) for each in (head.commit, *heads)]
        merging = Merging(
            "merge",
            () if squash else tuple(heads),
            message or _message(repo, names, head),
            sides=tuple(heads),
        )
        if choices is not None:
            ours = head.branch or head.commit.hex()[:12]
            sided = named_sides(txn, [ours, *names], (head.commit, *heads))
            resolver = choices.resolver(sided)
        done = land(
            repo,
            txn,
            base,
            sides,
            merging,
            resolver=resolver,
            commit=commit and not squash,
            take_labels=take_labels,
            verify=verify,
            progress=progress,
        )
    done.bases = bases
    return done


def refuse_unready(repo: Repository) -> None:
    """StateError when something is staged, or another merge or switch waits."""
    repo.refuse_if_running()
    refuse_if_merging(repo)
    refuse_staged(repo)


def refuse_shallow(repo: Repository, revision: str) -> None:
    """StateError where what HEAD has in common with another may lie below the end of history."""
    if repo.store.shallow:
        raise StateError(
            f"'{revision}' and HEAD have no commit in common that is here, for history is cut off",
            hint="vgr fetch --deepen 100, or vgr fetch --unshallow",
        )


def refuse_staged(repo: Repository) -> None:
    """StateError when something is staged, or a bound label file has edits of its own."""
    staging = repo.staging
    head = repo.head.commit
    clean = (
        {} if head is None else read_snapshot(repo.store, read_commit(repo.store, head).snapshot_id)
    )
    if staging.overlay or dict(staging.roots) != dict(clean):
        raise StateError(
            "staged changes would be mixed into the merge", hint="vgr commit, or vgr stash"
        )
    if repo.follower is not None:
        repo.follower.refuse_edited("merge", repo.dataset_of(head))


def _new_heads(repo: Repository, head: Head, revisions: Sequence[str]) -> list[bytes]:
    """The commits to merge that HEAD does not have; UsageError where none were named."""
    if not revisions:
        raise UsageError("vgr merge wants a branch or commit", hint="vgr branch")
    found: list[bytes] = []
    for revision in revisions:
        commit = repo.resolve(revision)
        if not _descends(repo, head.commit, commit) and commit not in found:
            found.append(commit)
    return [
        one
        for one in found
        if not any(one != other and _descends(repo, other, one) for other in found)
    ]


def _choices(strategies: Sequence[str]) -> Choices | None:
    """The strategies of a merge, which most have none of."""
    if not strategies:
        return None
    from voyager.merge.choices import parse_choices

    return parse_choices(strategies)


def _names(repo: Repository, revisions: Sequence[str], heads: Sequence[bytes]) -> list[str]:
    """How commits to merge were named."""
    names = {repo.resolve(revision): revision for revision in reversed(revisions)}
    return [names[head] for head in heads]


def _descends(repo: Repository, commit: bytes | None, ancestor: bytes | None) -> bool:
    """Whether a commit is, or has in its history, another; all have none."""
    if ancestor is None:
        return True
    return commit is not None and is_ancestor(repo.store, ancestor, commit)


def _version(txn: Transaction, commit: bytes) -> Dataset:
    return Dataset(txn, read_snapshot(txn, read_commit(txn, commit).snapshot_id), commit=commit)


def _message(repo: Repository, revisions: Sequence[str], head: Head) -> str:
    branches = {name.removeprefix(HEADS) for name in iter_refs(repo.store, HEADS)}
    kind = "branch" if set(revisions) <= branches else "commit"
    names = ", ".join(f"'{revision}'" for revision in revisions)
    many = "" if len(revisions) == 1 else "es" if kind == "branch" else "s"
    into = "" if head.branch in (None, "main", "master") else f" into {head.branch}"
    return f"Merge {kind}{many} {names}{into}"


def _guard_ahead(repo: Repository, head: Head, commit: bytes, progress: Progress) -> Review:
    """What the guard says of the samples that a fast-forward brings in."""
    if head.commit is None:
        return Review()
    before, after = repo.dataset_of(head.commit), repo.dataset_of(commit)
    return review(repo, before, after, stage="merge", progress=progress)


def _fast_forward(
    repo: Repository, head: Head, commit: bytes, guard: Review, *, progress: Progress
) -> Merged:
    snapshot = read_commit(repo.store, commit).snapshot_id
    with repo.transaction("merge", f"fast-forward to {commit.hex()[:12]}") as txn:
        goal = _goal(head, commit, snapshot)
        updated = go(repo, txn, repo.staging, goal, progress=progress)
    return Merged(
        "fast-forward",
        commit,
        [head.commit] if head.commit else [],
        guard=guard,
        updated=followed(repo, updated),
    )


def _goal(head: Head, commit: bytes, snapshot: bytes) -> Goal:
    """HEAD and its branch at a new commit."""
    if head.branch is None:
        return Goal(Head(None, commit), commit, snapshot)
    return Goal(
        Head(head.branch, commit), commit, snapshot, (HEADS + head.branch, head.commit, commit)
    )


# -- landing: what every merge and replay ends in ------------------------------------------------


def land(
    repo: Repository,
    txn: Transaction,
    base: Dataset,
    sides: Sequence[Dataset],
    merging: Merging,
    *,
    resolver: Resolver | None = None,
    commit: bool = True,
    take_labels: bool = False,
    verify: bool = True,
    progress: Progress = no_progress,
) -> Merged:
    """Merge versions into HEAD (the first side); commit, or leave it staged with its conflicts."""
    snapshot, found = merge_guarded(
        repo, txn, base, sides, resolver=resolver, take_labels=take_labels, progress=progress
    )
    if found.conflicts or not commit:
        found.result = "conflicts" if found.conflicts else "staged"
        _stop(repo, txn, snapshot, merging, found, progress=progress)
    else:
        _commit(repo, txn, snapshot, merging, found, verify=verify, progress=progress)
    return found


def merge_guarded(
    repo: Repository,
    txn: Transaction,
    base: Dataset,
    sides: Sequence[Dataset],
    *,
    resolver: Resolver | None = None,
    take_labels: bool = False,
    guard: Callable[[Dataset, Dataset], Review] | None = None,
    progress: Progress = no_progress,
) -> tuple[bytes, Merged]:
    """The snapshot that versions make once the guard was there, and what there is to tell of it.

    `guard` decides in the guard's stead, where its decisions are on record.
    """
    merged = merge_versions(txn, base, sides, resolver=resolver, progress=progress)
    gone = follow_joined(txn, base, sides[0], merged)
    found = _describe(merged)
    before = sides[0]
    guarded = guard or (
        lambda ours, after: review(
            repo,
            ours,
            after,
            stage="merge",
            changed=merged.changed_rows(base, ours),
            take_labels=take_labels,
            progress=progress,
        )
    )
    found.guard = guarded(before, Dataset(txn, merged.roots))
    snapshot = _guarded(txn, merged, found.guard)
    found.violations = list(iter_violations(txn, base, sides, merged, gone))
    after = Dataset(txn, read_snapshot(txn, snapshot))
    found.conflicts = count_conflicts(after)
    return snapshot, found


def _guarded(txn: Transaction, merged: MergedVersion, found: Review) -> bytes:
    """The merged snapshot as the guard lets it pass."""
    if not found.changes:
        return merged.snapshot
    changes = settle(Dataset(txn, merged.roots), found.changes)
    return fold(txn, merged.roots, overlay_of(changes))


def _describe(merged: MergedVersion) -> Merged:
    return Merged(
        "merged",
        resolved=merged.resolved,
        twins=[(a.decode(), b.decode()) for a, b in merged.twins],
        lowered=[(key.decode(), name) for key, name in merged.lowered],
        joined=len(merged.joined),
    )


def _stop(
    repo: Repository,
    txn: Transaction,
    snapshot: bytes,
    merging: Merging,
    found: Merged,
    *,
    progress: Progress,
) -> None:
    """Leave the outcome staged, for the next commit to take."""
    head = repo.head
    found.commit = head.commit
    waits = merging if merging.heads or found.conflicts or merging.kind != "merge" else None
    goal = Goal(head, head.commit, snapshot, merging=waits)
    note_decisions(txn, repo, found.guard.decisions)
    found.updated = followed(repo, go(repo, txn, repo.staging, goal, progress=progress))


def _commit(
    repo: Repository,
    txn: Transaction,
    snapshot: bytes,
    merging: Merging,
    found: Merged,
    *,
    verify: bool,
    progress: Progress,
) -> None:
    head = repo.head
    assert head.commit is not None
    if verify:
        run_hook(repo, "pre-commit")
    time, zone = repo.config.now()
    author = str(repo.config.author())
    found.commit = write_commit(
        txn,
        snapshot=snapshot,
        parents=[head.commit, *merging.heads],
        author=merging.author or author,
        message=merging.message,
        time=time,
        zone=zone,
        extra=extra_with_decisions(txn, {}, found.guard.decisions),
    )
    goal = _goal(head, found.commit, snapshot)
    found.updated = followed(repo, go(repo, txn, repo.staging, goal, progress=progress))


# -- a merge that waits ---------------------------------------------------------------------------


def abort(repo: Repository, *, progress: Progress = no_progress) -> Updated:
    """Give up the merge that waits: staging and files become those of HEAD again.

    Raises StateError where none waits, or where files were edited that it would overwrite.
    """
    repo.refuse_if_running()
    merging = _waiting(repo, "abort")
    head = repo.head
    assert head.commit is not None
    snapshot = read_commit(repo.store, head.commit).snapshot_id
    with repo.transaction("merge-abort", merging.message.split("\n", 1)[0]) as txn:
        goal = Goal(head, head.commit, snapshot)
        done = go(repo, txn, repo.staging, goal, progress=progress)
    return followed(repo, done)


def proceed(repo: Repository, message: str | None = None, *, verify: bool = True) -> Merged:
    """Commit the merge that waits, now that its conflicts are resolved.

    Raises StateError where none waits, or where something is in conflict still.
    """
    merging = _waiting(repo, "continue")
    made = commit_staged(repo, message or merging.message, verify=verify)
    return Merged("merged", made.commit)


def _waiting(repo: Repository, what: str) -> Merging:
    """The merge that waits; StateError where none does, or a replay, which has a way of its own."""
    merging = running_merge(repo.store)
    if merging is None:
        raise StateError("no merge is in progress", hint="vgr status")
    if merging.kind != "merge":
        hint = merging.way_on(what)
        raise StateError(f"it is {merging.noun} that waits, and no merge", hint=hint)
    return merging


class _Callable(ModuleType):
    """This package, which `voyager.merge(repo, "relabel")` calls as well."""

    def __call__(self, repo: Repository, *revisions: str, **options: Any) -> Merged:
        return merge(repo, *revisions, **options)


sys.modules[__name__].__class__ = _Callable
