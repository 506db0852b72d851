"""The commits that changed a key: followed through renames by uid, a folder or glob as it is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from voyager.repo.dataset import Dataset, decode_row
from voyager.repo.diff import changed_rows
from voyager.repo.keys import KeyPattern
from voyager.repo.ranges import Range, iter_range
from voyager.repo.snapshot import TRACKED, read_snapshot
from voyager.schema import Sample
from voyager.store.history import Commit, read_commit
from voyager.store.objectstore import Store

_KEPT = 16


def iter_key_history(
    store: Store, span: Range, keys: Iterable[str]
) -> Iterator[tuple[bytes, Commit]]:
    """Commits of a range that changed one of the keys, folders or globs, the newest first.

    A merge counts when it differs from every parent. Cost: a look-up a commit for a key, the
    changes of a commit for a folder or glob.
    """
    versions = _Versions(store)
    keys = list(keys)
    wanted = {tip: set(keys) for tip in span.tips}
    for commit_id, commit in iter_range(store, span):
        after = versions.of(commit)
        names = wanted.pop(commit_id, set())
        changed = True
        if not commit.parents:
            changed = any(_differs(Dataset(store, {}), after, name) for name in names)
        for parent in commit.parent_ids:
            before = versions.of(read_commit(store, parent))
            changed &= any(_differs(before, after, name) for name in names)
            older = {_name_before(before, after, name) for name in names}
            wanted.setdefault(parent, set()).update(older)
        if changed:
            yield commit_id, commit


class _Versions:
    """The last few versions looked at: a commit is first somebody's parent."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[bytes, Dataset] = OrderedDict()

    def of(self, commit: Commit) -> Dataset:
        snapshot = commit.snapshot_id
        found = self._kept.pop(snapshot, None)
        if found is None:
            found = Dataset(self._store, read_snapshot(self._store, snapshot))
        self._kept[snapshot] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


def _differs(before: Dataset, after: Dataset, name: str) -> bool:
    if _is_row(before, name) or _is_row(after, name):
        key = name.encode()
        return any(before.row(space, key) != after.row(space, key) for space in TRACKED)
    pattern = KeyPattern(name)
    return any(
        pattern.matches(key.decode())
        for space in TRACKED
        for key, _, _ in changed_rows(before, after, space)
    )


def _is_row(dataset: Dataset, name: str) -> bool:
    return bool(name) and dataset.space_of(name) is not None


def _name_before(before: Dataset, after: Dataset, name: str) -> str:
    """What the row at a key was called one commit earlier."""
    space = after.space_of(name) if name else None
    if space is None:
        return name
    row = after.row(space, name.encode())
    assert row is not None
    old = before.row(space, name.encode())
    if old is not None and (old == row or _identity(space, old) == _identity(space, row)):
        return name
    identity = _identity(space, row)
    for key, was, now in changed_rows(before, after, space):
        moved = was is not None and (now is None or _identity(space, now) != identity)
        if was is not None and moved and _identity(space, was) == identity:
            return key.decode()
    return name


def _identity(space: str, row: bytes) -> bytes:
    """What survives a rename: the uid of a sample, the content of a file."""
    value = decode_row(space, row)
    return value.uid if isinstance(value, Sample) else row
