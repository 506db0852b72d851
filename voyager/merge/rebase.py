"""Rebase: the commits of a branch that another one lacks, made again on top of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from blake3 import blake3

from voyager import wire
from voyager.errors import StateError
from voyager.merge import Merged, refuse_shallow, refuse_unready
from voyager.merge.replay import Replay, Replayed, Step, run
from voyager.repo.branches import branch_names, find_branch
from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows
from voyager.repo.guard_decisions import decision_blobs
from voyager.repo.ranges import Range, iter_range
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import read_snapshot
from voyager.store.history import Commit, merge_bases
from voyager.store.refs import Head


def rebase(
    repo: Repository,
    upstream: str,
    branch: str | None = None,
    *,
    onto: str | None = None,
    strategies: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Replayed:
    """Replay what a branch (HEAD's) has and `upstream` lacks on top of that, or `onto` another.

    Merges are left out, and commits whose change is there already. The branch moves at the end
    only; until then HEAD is on none. `strategies` decide conflicts as in `merge`, ours being what
    it goes on top of; those that are left stop it: `proceed`, `skip` or `abort`.
    Raises StateError for staged changes, and for a branch that has nothing in common with
    `upstream`; nothing is changed then.
    """
    refuse_unready(repo)
    head = _head(repo, branch)
    if head.commit is None:
        raise StateError(
            f"branch '{head.branch}' has no commits yet", hint=f"vgr switch {upstream}"
        )
    there = repo.resolve(upstream)
    tip = there if onto is None else repo.resolve(onto)
    if not merge_bases(repo.store, head.commit, there):
        refuse_shallow(repo, upstream)
        raise StateError(
            f"'{upstream}' and {branch or 'HEAD'} have no commit in common",
            hint=f"vgr merge --allow-unrelated-histories {upstream}",
        )
    own = list(iter_range(repo.store, Range([head.commit], [there])))[::-1]
    line = [(commit_id, commit) for commit_id, commit in own if len(commit.parents) < 2]
    known = _known_there(repo, line, iter_range(repo.store, Range([there], [head.commit])))
    decided = [
        blob for _, commit in own if len(commit.parents) > 1 for blob in decision_blobs(commit)
    ]
    todo = tuple(commit_id for commit_id, _ in line if commit_id not in known)
    replay = Replay(
        "rebase",
        todo,
        head,
        decided=tuple(dict.fromkeys(decided)),
        strategies=tuple(strategies),
    )
    before = [
        Step(commit_id, Merged("up-to-date", tip)) for commit_id, _ in line if commit_id in known
    ]
    words = upstream if onto is None else f"{upstream} onto {onto}"
    return run(repo, replay, tip, words, before=before, progress=progress)


def _head(repo: Repository, branch: str | None) -> Head:
    if branch is None:
        return repo.head
    if branch in branch_names(repo):
        return find_branch(repo, branch)
    return Head(None, repo.resolve(branch))


def _known_there(
    repo: Repository,
    line: Sequence[tuple[bytes, Commit]],
    others: Iterable[tuple[bytes, Commit]],
) -> set[bytes]:
    """The commits whose very change another history has.

    A replay keeps author and time, so only commits that share both are compared.
    """
    signed: dict[tuple[str, int], list[tuple[bytes, Commit]]] = {}
    for commit_id, commit in line:
        signed.setdefault((commit.author, commit.time), []).append((commit_id, commit))
    found: set[bytes] = set()
    for _, commit in others:
        alike = signed.get((commit.author, commit.time), ())
        if alike and len(commit.parents) < 2:
            change = _change_of(repo, commit)
            found.update(own for own, mine in alike if _change_of(repo, mine) == change)
    return found


def _change_of(repo: Repository, commit: Commit) -> bytes:
    """A hash of the rows that a commit changed, as they were and as they became."""
    parent = commit.parent_ids[0] if commit.parents else None
    before, after = repo.dataset_of(parent), _version(repo, commit)
    digest = blake3()
    for space in sorted({*before.roots, *after.roots}):
        for row in changed_rows(before, after, space):
            digest.update(wire.encode([space, *row]))
    return digest.digest()


def _version(repo: Repository, commit: Commit) -> Dataset:
    return Dataset(repo.store, read_snapshot(repo.store, commit.snapshot_id))
