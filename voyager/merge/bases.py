"""What versions are merged against: their merge base, or the merge of several of them."""

from __future__ import annotations

from collections.abc import Sequence

from voyager.merge.three_way import merge_versions
from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import read_snapshot
from voyager.store.history import is_ancestor, merge_bases, read_commit
from voyager.store.objects import ObjectReader, ScratchObjects


def common_bases(objects: ObjectReader, commits: Sequence[bytes]) -> list[bytes]:
    """The best commits that all of some commits descend from; none for unrelated ones."""
    found = [commits[0]]
    for commit in commits[1:]:
        bases = {base for one in found for base in merge_bases(objects, one, commit)}
        found = _best(objects, sorted(bases))
    return found


def _best(objects: ObjectReader, commits: Sequence[bytes]) -> list[bytes]:
    """Those that are no ancestors of others."""
    return [
        one
        for one in commits
        if not any(one != other and is_ancestor(objects, one, other) for other in commits)
    ]


def base_version(objects: ObjectReader, bases: Sequence[bytes]) -> Dataset:
    """The version of a base; of several (criss-cross) what they make together, conflicts and all.

    It lives in memory: no history names it.
    """
    if len(bases) == 1:
        return _version(objects, bases[0])
    if not bases:
        return Dataset(objects, {})
    scratch = ScratchObjects(objects)
    below = base_version(scratch, common_bases(objects, bases))
    merged = merge_versions(scratch, below, [_version(scratch, base) for base in bases])
    return Dataset(scratch, merged.roots)


def _version(objects: ObjectReader, commit: bytes) -> Dataset:
    snapshot = read_commit(objects, commit).snapshot_id
    return Dataset(objects, read_snapshot(objects, snapshot), commit=commit)
