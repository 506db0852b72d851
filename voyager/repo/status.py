"""What stands between HEAD, the staging area and the working tree."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voyager.repo.bound import UNADDED
from voyager.repo.conflicts import iter_conflicts
from voyager.repo.diff import Change, diff
from voyager.repo.guard_policy import read_policy
from voyager.repo.merging import BISECT, running_merge
from voyager.repo.protected import ProtectedCache
from voyager.repo.repository import RUNNING, Progress, Repository, no_progress
from voyager.repo.worktree import changes_in, hidden_keys
from voyager.store.refs import Head

if TYPE_CHECKING:
    from voyager.repo.bound import BoundFile
    from voyager.repo.conflicts import Conflict
    from voyager.repo.dataset import Dataset
    from voyager.repo.merging import Merging
    from voyager.repo.vocabulary_diff import VocabularyChange


@dataclass(slots=True)
class Status:
    """`staged` against HEAD, the rest against the staging area; keys in order.

    `operation` names an interrupted one.
    """

    head: Head
    operation: str | None
    staged: list[Change]
    modified: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    """Tracked keys whose file cannot be seen: at or below what is skipped."""
    conflicts: list[Conflict] = field(default_factory=list)
    """Fields in conflict, of what is staged."""
    merging: Merging | None = None
    """The merge or replay that waits for its commit."""
    bisecting: bool = False
    vocabulary: list[VocabularyChange] = field(default_factory=list)
    """Staged changes of tasks and taxonomies."""
    bound: list[BoundFile] = field(default_factory=list)
    """Bound label files, and how they stand."""
    held: int = 0
    """Samples that the guard holds back."""
    protected: int = 0
    """Images that the guard keeps out of other splits; without any it has nothing to guard."""
    guarded_splits: tuple[str, ...] = ()
    """The splits that it protects; none when it is off, or there is no sample."""

    @property
    def nothing_staged(self) -> bool:
        """Whether the next commit would hold what HEAD holds."""
        return not (self.staged or self.vocabulary)

    @property
    def clean(self) -> bool:
        """Whether nothing is staged and no tracked file differs or is hidden."""
        unclean = self.modified or self.deleted or self.hidden or self.operation
        return self.nothing_staged and not (unclean or self.merging or self.bound_edited)

    @property
    def bound_edited(self) -> bool:
        """Whether a bound label file has edits that were not added."""
        return any(one.state in UNADDED for one in self.bound)


def status(repo: Repository, *, progress: Progress = no_progress) -> Status:
    """Look at everything once; the working tree through the stat cache."""
    staging = repo.staging
    staged = repo.staged_view(staging)
    running = repo.store.value(RUNNING)
    base = repo.dataset_of(staging.base)
    same = base.roots == dict(staging.roots) and not staging.overlay
    changes = [] if same else diff(base, staged)
    found = Status(repo.head, None if running is None else running["kind"], changes)
    if not same:
        from voyager.repo.vocabulary_diff import vocabulary_diff

        found.vocabulary = vocabulary_diff(base, staged)
    found.conflicts = list(iter_conflicts(staged))
    found.merging = running_merge(repo.store)
    found.bisecting = repo.store.value(BISECT) is not None
    _look_at_guard(repo, staged, found)
    if repo.root is not None:
        tree = changes_in(repo, staged, progress=progress)
        found.modified = sorted(entry.key for entry in (*tree.modified, *tree.mode_changed))
        found.deleted = sorted(tree.deleted)
        found.bound = [] if repo.follower is None else repo.follower.look()
        bound = {one.key for one in found.bound}
        found.untracked = sorted(entry.key for entry in tree.untracked if entry.key not in bound)
        found.skipped = list(tree.skipped)
        found.hidden = hidden_keys(tree, staged)
    return found


def _look_at_guard(repo: Repository, staged: Dataset, found: Status) -> None:
    policy = read_policy(staged)
    images = ProtectedCache(repo.folder).images_of(staged, policy)
    found.held, found.protected = len(images.held), len(images)
    if len(staged) and not policy.off:
        found.guarded_splits = policy.protected


def untracked_tops(repo: Repository, untracked: Iterable[str]) -> list[str]:
    """Untracked keys as git lists them: a folder without tracked keys as one, ending in '/'."""
    staged = repo.staged()
    tops: dict[str, str] = {}  # folder → its topmost folder without tracked keys, or empty

    def top_of(folder: str) -> str:
        if folder not in tops:
            above = top_of(os.path.dirname(folder)) if folder else ""
            tops[folder] = above or ("" if not folder or staged.has_folder(folder) else folder)
        return tops[folder]

    named = ((top_of(os.path.dirname(key)), key) for key in untracked)
    return list(dict.fromkeys(f"{top}/" if top else key for top, key in named))
