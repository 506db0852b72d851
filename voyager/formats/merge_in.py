"""Imports that merge: what a source says and what was changed here meanwhile, brought together.

The merge itself is handed in (`MergeEdits`) by whoever composes the two: formats read a source into
a version, and know nothing of how versions are merged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from voyager.errors import StateError
from voyager.repo.conflicts import iter_conflicts
from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows
from voyager.repo.keys import shown
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES, read_snapshot, write_snapshot
from voyager.repo.staging import RowChange, edit_map, fold_staging, overlay_of
from voyager.repo.worktree import plan_safely
from voyager.store.transaction import Transaction

if TYPE_CHECKING:
    from voyager.formats.importing import ImportJob
    from voyager.repo.guard import Review

_MOST_NAMED: Final = 5
_REGION: Final = re.compile(r"(regions/[0-9a-f]{8})[0-9a-f]{24}")


class Outcome(Protocol):
    """What a merge tells of itself."""

    conflicts: int
    guard: Review


class MergeEdits(Protocol):
    """Merges what the snapshot `theirs` makes of `base` into what is staged, and stages that.

    `of` is the commit that was edited (None: the base is no commit), `name` what the edits are
    called. Gives the snapshot; nothing is staged with `dry_run`.
    """

    def __call__(
        self,
        repo: Repository,
        txn: Transaction,
        base: Dataset,
        theirs: bytes,
        *,
        of: bytes | None,
        name: str,
        take_labels: bool = False,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> tuple[bytes, Outcome]:
        """Merge."""
        ...


LoadMerge: TypeAlias = Callable[[], MergeEdits]
"""Gives what merges, where it comes to that."""


def merge_rows(
    job: ImportJob, roots: Mapping[str, bytes], bases: Mapping[bytes, bytes], *, dry_run: bool
) -> None:
    """Merge what the source made of what the job stands on into what is staged; commit that.

    `bases` are rows to merge upon, of samples where the source was no commit before. Raises
    StateError for conflicts where the job is strict.
    """
    repo, txn, result = job.repo, job.txn, job.result
    assert job.merge is not None
    staging, before = repo.staging, repo.staged()
    snapshot, found = job.merge()(
        repo,
        txn,
        _base(job, bases),
        write_snapshot(txn, roots),
        of=job.made_of,
        name=job.name,
        take_labels=job.take_labels,
        dry_run=dry_run,
        progress=job.progress,
    )
    after = Dataset(txn, read_snapshot(txn, snapshot))
    if job.strict and found.conflicts:
        raise refused(
            [f"{one.name} {one.path}" for one in iter_conflicts(after)], None, strict=True
        )
    result.merged, result.conflicts = found, found.conflicts
    result.guard = found.guard if found.guard.protected else None
    job.leave_out({one.key for one in found.guard.done("drop")})
    is_known = snapshot == fold_staging(txn, staging)
    if is_known:
        result.note_known()
    if dry_run:
        overlay = {**staging.overlay, **overlay_of(_changes(before, after))}
        result.view = Dataset(repo.store, staging.roots, overlay)
        result.new_blobs = job.blobs or {}
    elif not is_known:
        if repo.root is not None:
            job.plan = plan_safely(repo, before, after, "import")
        job.note(roots)
        txn.commit()
        result.staged = True


def _base(job: ImportJob, bases: Mapping[bytes, bytes]) -> Dataset:
    """The version to merge upon: the commit, or what is staged with the rows of `bases`."""
    if job.made_of is not None:
        return Dataset(job.txn, job.staging.roots, commit=job.made_of)
    roots = dict(read_snapshot(job.txn, fold_staging(job.txn, job.staging)))
    rows = sorted((job.left(key), row) for key, row in bases.items())
    roots[SAMPLES] = edit_map(job.txn, roots.get(SAMPLES), rows)
    return Dataset(job.txn, roots)


def _changes(before: Dataset, after: Dataset) -> Iterator[RowChange]:
    for space in sorted({*before.roots, *after.roots, *(space for space, _ in before.overlay)}):
        for key, _, row in changed_rows(before, after, space):
            yield space, key, row


def refused(conflicts: list[str], commit: bytes | None, *, strict: bool = False) -> StateError:
    """What to say where the same things changed on both sides and are not to be merged."""
    short = [shown(_REGION.sub(r"\1", text)) for text in conflicts[:_MOST_NAMED]]
    more = f" and {len(conflicts) - _MOST_NAMED} more" if len(conflicts) > _MOST_NAMED else ""
    where = "HEAD" if commit is None else commit.hex()[:10]
    return StateError(
        f"changed both here and in the file since it was written: {', '.join(short)}{more}",
        hint="leave out --strict to have conflicts"
        if strict
        else f"vgr switch -c edited {where}, import there, and merge the branch",
    )
