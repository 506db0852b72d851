"""Versions before a version, for caches that make what they lack from what they have."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from voyager.errors import CorruptError, NotFoundError
from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES, read_snapshot
from voyager.store.history import read_commit

_MOST_COMMITS: Final = 256
"""Commits to look at: beyond that a version is as near as any."""


def sample_roots_before(version: Dataset, known: Collection[bytes]) -> Iterator[bytes]:
    """Those of some roots of samples that a version or its ancestors have, the nearest first."""
    own = version.roots.get(SAMPLES)
    if own in known and own is not None:
        yield own
    waiting = [] if version.commit is None else [version.commit]
    seen = set(waiting)
    for _ in range(_MOST_COMMITS if known else 0):
        if not waiting:
            return
        try:
            commit = read_commit(version.objects, waiting.pop(0))
            root = read_snapshot(version.objects, commit.snapshot_id).get(SAMPLES)
        except (CorruptError, NotFoundError):
            return  # a shallow history ends here
        if root is not None and root in known and root != own:
            yield root
        fresh = [parent for parent in commit.parent_ids if parent not in seen]
        waiting += fresh
        seen.update(fresh)
