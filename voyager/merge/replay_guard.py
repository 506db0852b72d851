"""The guard of replayed commits: what was decided is applied, and only what is new is decided.

A commit that goes somewhere else may meet protected images there that nobody compared it with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows
from voyager.repo.guard import Review, brings_images, review
from voyager.repo.guard_decisions import Decision, apply_decisions
from voyager.repo.guard_policy import is_released, read_policy
from voyager.repo.repository import Progress, Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import RowChange, overlay_of


def recorded_guard(
    repo: Repository,
    own: Sequence[Decision],
    others: Sequence[Decision],
    progress: Progress,
) -> Callable[[Dataset, Dataset], Review]:
    """The guard of a commit with decisions of its `own`; `others` are of merges that are left out.

    The review's decisions are those that the commit does not have on record.
    """

    def guard(before: Dataset, after: Dataset) -> Review:
        applied = _brought(before, after, apply_decisions(after, own))
        standing = Dataset(after.objects, after.roots, overlay_of(applied))
        inherited = [one for one in others if not _is_let_go(after, one)]
        more = _brought(before, standing, apply_decisions(standing, inherited))
        settled = Dataset(after.objects, after.roots, overlay_of([*applied, *more]))
        found = _reviewed(repo, before, settled, progress)
        keys = {key.decode() for _, key, _ in more}
        known = {_gist(one) for one in own}
        found.decisions = [
            *(one for one in inherited if one.key in keys),
            *(one for one in found.decisions if _gist(one) not in known),
        ]
        rows = {(space, key): row for space, key, row in (*applied, *more, *found.changes)}
        found.changes = [(space, key, row) for (space, key), row in sorted(rows.items())]
        return found

    return guard


def _reviewed(repo: Repository, before: Dataset, after: Dataset, progress: Progress) -> Review:
    """What the guard says of a step; of labels alone it says nothing."""
    changed = list(changed_rows(before, after, SAMPLES))
    if not brings_images(read_policy(after), changed):
        return Review()
    return review(repo, before, after, stage="merge", changed=changed, progress=progress)


def _brought(before: Dataset, after: Dataset, changes: Iterable[RowChange]) -> list[RowChange]:
    """The changes of rows that a step brings; what was here before was decided here."""
    return [
        (space, key, row)
        for space, key, row in changes
        if before.row(space, key) != after.row(space, key)
    ]


def _is_let_go(version: Dataset, one: Decision) -> bool:
    return is_released(version, one.uid, one.protected_uid, one.kind)


def _gist(one: Decision) -> tuple[bytes, bytes, str, str]:
    return one.uid, one.protected_uid, one.kind, one.action
