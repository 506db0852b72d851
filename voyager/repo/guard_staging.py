"""The guard at `add` and `commit`: new copies of protected images are held, by their bytes alone.

Nothing is decoded, and the cost follows what is new. Where nothing is protected there is next to
none: rows are searched for the name of a protected split, and the rest is in a cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from voyager.repo.dataset import Dataset
from voyager.repo.guard_images import SplitTest
from voyager.repo.guard_policy import read_policy
from voyager.repo.protected import ProtectedCache
from voyager.repo.repository import Repository
from voyager.repo.staging import RowChange, Staging, overlay_of
from voyager.schema.guard import BYTES

if TYPE_CHECKING:
    from voyager.repo.guard import Review, Stage


class StagingGuard:
    """Looks at what is added to a staging area, or about to be committed; `found` is what it saw.

    `settle` is called when that is done, so that the next one need not look again.
    """

    def __init__(self, repo: Repository, staging: Staging) -> None:
        self._repo = repo
        self._staging = staging
        self._cache = ProtectedCache(repo.folder)
        self._clean = False
        self.found: Review | None = None

    def at_add(self, before: Dataset, changes: Sequence[RowChange]) -> list[RowChange]:
        """The rows to stage besides `changes`, or instead of some of them."""
        policy = read_policy(before)
        if BYTES not in policy.used_detectors:
            return []
        splits = SplitTest(policy)
        protected = self._cache.images_of(before, policy)
        if not protected and not any(row and splits.may_be_protected(row) for *_, row in changes):
            return []
        overlay = {**self._staging.overlay, **overlay_of(changes)}
        after = Dataset(before.objects, before.roots, overlay)
        self._clean = not protected or self._cache.was_looked_at(before)
        return self._look("add", before, after)

    def at_commit(self) -> list[RowChange]:
        """The rows to commit instead of some that are staged."""
        staged = self._repo.staged_view(self._staging)
        policy = read_policy(staged)
        if BYTES not in policy.used_detectors or not self._cache.images_of(staged, policy):
            return []
        self._clean = True
        if self._cache.was_looked_at(staged):
            return []
        return self._look("commit", self._repo.dataset_of(self._staging.base), staged)

    def _look(self, stage: Stage, before: Dataset, after: Dataset) -> list[RowChange]:
        from voyager.repo.guard import review

        places = self._repo.store.places  # of what is stored: what is being added is not yet
        known = (lambda ids: set(places(ids))) if stage == "add" else None
        self.found = review(self._repo, before, after, stage=stage, known_blobs=known)
        return self.found.changes

    def settle(self) -> None:
        """Keep in mind that what is staged now was looked at."""
        if self._clean:
            self._cache.note_looked_at(self._repo.staged())
