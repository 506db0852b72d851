"""The guard where rows are staged and committed.

`add` and `commit` hold new copies of protected images by their bytes alone: nothing is decoded, and
the cost follows what is new. An import looks at pixels too. Where nothing is protected there is
next to no cost: rows are searched for the name of a protected split, and the rest is in a cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from voyager.repo.dataset import Dataset
from voyager.repo.guard_images import SplitTest
from voyager.repo.guard_policy import read_policy
from voyager.repo.protected import ProtectedCache
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES, read_snapshot, write_snapshot
from voyager.repo.staging import (
    STAGING,
    RowChange,
    Rows,
    Staging,
    edit_map,
    overlay_of,
    staging_value,
)
from voyager.schema.guard import BYTES
from voyager.store.transaction import Transaction

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


class ImportGuard:
    """Looks at what an import stages; `found` is what it decided, which the next commit records."""

    def __init__(
        self,
        repo: Repository,
        txn: Transaction,
        staging: Staging,
        before: Dataset,
        *,
        take_labels: bool = False,
        progress: Progress = no_progress,
    ) -> None:
        self._repo = repo
        self._txn = txn
        self._staging = staging
        self._before = before
        self._take_labels = take_labels
        self._progress = progress
        self._splits = SplitTest(read_policy(before))
        self._brings_protected = False
        self.found: Review | None = None

    def watched(self, rows: Rows) -> Rows:
        """The rows as they are, looked at in passing."""
        may_be_protected = self._splits.may_be_protected
        for key, row in rows:
            if not self._brings_protected and row is not None and may_be_protected(row):
                self._brings_protected = True
            yield key, row

    def look(self, after: Dataset) -> Review | None:
        """What the guard decides of a version with the rows; None where nothing is guarded."""
        policy = read_policy(self._before)
        protected = ProtectedCache(self._repo.folder).images_of(self._before, policy)
        if self._brings_protected or protected:
            from voyager.repo.guard import review

            places = self._repo.store.places
            self.found = review(
                self._repo,
                self._before,
                after,
                stage="import",
                known_blobs=lambda ids: set(places(ids)),
                take_labels=self._take_labels,
                progress=self._progress,
            )
        return self.found

    def settle(self, roots: Mapping[str, bytes]) -> dict[str, bytes]:
        """Stage what the guard makes of the rows that are staged as `roots`; the roots then."""
        found = self.look(Dataset(self._txn, roots))
        if found is None:
            return dict(roots)
        from voyager.repo.guard_decisions import note_decisions

        note_decisions(self._txn, self._repo, found.decisions)
        if not found.changes:
            return dict(roots)
        rows = sorted((key, row) for _, key, row in found.changes)
        settled = {**roots, SAMPLES: edit_map(self._txn, roots.get(SAMPLES), rows)}
        snapshot = write_snapshot(self._txn, settled)
        value = staging_value(self._staging.base, snapshot)
        self._txn.move(STAGING, value, old=None)  # a second move: the first one knows the old value
        return read_snapshot(self._txn, snapshot)

    def done(self) -> None:
        """Keep in mind that what is staged now was looked at: a commit need not do it again."""
        cache = ProtectedCache(self._repo.folder)
        if self.found is not None and cache.was_looked_at(self._before):
            cache.note_looked_at(self._repo.staged())

    @property
    def changed(self) -> bool:
        """Whether rows are staged that are not as the import brought them."""
        return self.found is not None and any(row is not None for *_, row in self.found.changes)

    @property
    def dropped(self) -> set[str]:
        """The keys that were dropped."""
        found = self.found
        return set() if found is None else {one.key for one in found.done("drop")}
