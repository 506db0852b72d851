"""A replay that waits: it goes on once its step is resolved, leaves it out, or is given up."""

from __future__ import annotations

from voyager.errors import StateError
from voyager.merge import Merged, refuse_staged
from voyager.merge.replay import Replay, Replayed, ReplayKind, Step, run
from voyager.repo.commit import commit as commit_staged
from voyager.repo.conflicts import refuse_conflicts
from voyager.repo.diff import changed_rows
from voyager.repo.merging import Merging, running_merge
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.switch import Goal, followed, go
from voyager.repo.worktree import Updated
from voyager.store.history import read_commit
from voyager.store.refs import HEADS, read_ref


def _waiting(repo: Repository, kind: ReplayKind, what: str) -> Merging:
    """What waits; StateError where that is none of this kind."""
    repo.refuse_if_running()
    merging = running_merge(repo.store)
    if merging is None:
        raise StateError(f"no {kind} is in progress", hint="vgr status")
    if merging.kind != kind:
        hint = merging.way_on(what)
        raise StateError(f"it is {merging.noun} that waits, and no {kind}", hint=hint)
    return merging


def proceed(
    repo: Repository,
    kind: ReplayKind,
    message: str | None = None,
    *,
    progress: Progress = no_progress,
) -> Replayed:
    """Commit the step that waits, now that its conflicts are resolved, and go on.

    Raises StateError where none of this kind waits, and where something is in conflict still.
    """
    merging = _waiting(repo, kind, "continue")
    replay = Replay.of(merging)
    finished: list[Step] = []
    if not merging.is_step:
        refuse_staged(repo)
    elif replay.commit and not _is_clean(repo):
        made = commit_staged(repo, message or "", verify=False).commit
        finished = [Step(bytes(merging.more["step"].data), Merged("merged", made))]
    elif not replay.commit:
        refuse_conflicts(repo.staged(), f"vgr {kind} --continue")
    if running_merge(repo.store) is None:
        return Replayed(kind, repo.head.commit, finished, result="replayed")
    done = run(repo, replay, _tip(repo), "continue", before=finished, progress=progress)
    if finished and done.result in ("up-to-date", "fast-forward"):
        done.result = "replayed"
    return done


def skip(repo: Repository, kind: ReplayKind, *, progress: Progress = no_progress) -> Replayed:
    """Give up the step that waits, and go on with the others."""
    merging = _waiting(repo, kind, "skip")
    replay = Replay.of(merging)
    if not merging.is_step:
        raise StateError("no step waits: its commit is made", hint=f"vgr {kind} --continue")
    if not replay.commit:
        raise StateError(
            "without commits no single step can be given up", hint=f"vgr {kind} --abort"
        )
    return run(repo, replay, _tip(repo), "skip", progress=progress)


def abort(repo: Repository, kind: ReplayKind, *, progress: Progress = no_progress) -> Updated:
    """Give up all of it: HEAD, the branch, staging and files become what they were before.

    Raises StateError where none of this kind waits, or where files were edited that it would
    overwrite.
    """
    replay = Replay.of(_waiting(repo, kind, "abort"))
    head, now = replay.head, repo.head
    assert head.commit is not None
    snapshot = read_commit(repo.store, head.commit).snapshot_id
    ref = None
    if head.branch is not None:
        ref = (HEADS + head.branch, read_ref(repo.store, HEADS + head.branch), head.commit)
    if kind != "rebase" and now.branch != head.branch:
        raise StateError(
            f"HEAD is not where the {kind} began, on {head.branch or 'no branch'}",
            hint="vgr reset --hard ends it where HEAD is",
        )
    with repo.transaction(f"{kind}-abort", head.branch or head.commit.hex()[:12]) as txn:
        goal = Goal(head, head.commit, snapshot, ref)
        done = go(repo, txn, repo.staging, goal, progress=progress)
    return followed(repo, done)


def _tip(repo: Repository) -> bytes:
    commit = repo.head.commit
    if commit is None:
        raise StateError("there is no commit to replay on", hint="vgr commit -m 'first version'")
    return commit


def _is_clean(repo: Repository) -> bool:
    """Whether what is staged is HEAD's version."""
    staged = repo.staged()
    committed = repo.dataset_of(repo.head.commit)
    return all(
        next(changed_rows(committed, staged, space), None) is None
        for space in {*staged.roots, *committed.roots, *(space for space, _ in staged.overlay)}
    )
