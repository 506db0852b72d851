"""What another repository lacks: found by walking history and the nodes that differ, never a list.

The other side is taken to have what is reachable from tips that both sides know. So a commit is
compared with its parents: each of them is either known there or sent as well. References are
followed by their ext type alone; bytes that only look like one send something needless at worst.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import NamedTuple

from voyager.errors import CorruptError
from voyager.store import bulk
from voyager.store.history import Commit, iter_history, read_commit
from voyager.store.ids import Kind
from voyager.store.objectstore import Store
from voyager.store.prolly import new_nodes
from voyager.store.prolly.rows import resolve
from voyager.store.reachable import BLOB_PREFIX, OBJECT_PREFIX, find_ids
from voyager.store.runs import open_tips
from voyager.wire import BLOB_EXT, OBJECT_EXT, Ext, decode, iter_references

Progress = Callable[[int, int | None], None]

Ids = dict[bytes, None]
"""A set of ids that keeps their order."""

_OPAQUE = frozenset({Kind.BLOB, Kind.DICTIONARY})


@dataclass(slots=True)
class Lacking:
    """Ids to send in the order in which they were met: blobs in that of keys."""

    objects: Ids = field(default_factory=dict)
    blobs: Ids = field(default_factory=dict)
    commits: int = 0

    def __bool__(self) -> bool:
        return bool(self.objects or self.blobs)


class _References(NamedTuple):
    """What some rows refer to."""

    blobs: MutableMapping[bytes, None]
    objects: MutableMapping[bytes, None]

    def add(self, data: bytes) -> None:
        self.blobs.update(dict.fromkeys(find_ids(data, BLOB_PREFIX)))
        self.objects.update(dict.fromkeys(find_ids(data, OBJECT_PREFIX)))


def lacking(
    store: Store,
    wanted: Iterable[bytes],
    known: Iterable[bytes],
    *,
    progress: Progress | None = None,
) -> Lacking:
    """What one lacks that has all that `known` tips reach, to have the `wanted` ones: commits, tags
    and runs.

    Known ids that are not in this store are passed over. Blobs are named whether they are here or
    not. Raises CorruptError for other objects that are missing.
    """
    there = open_tips(store, known, among=store)
    new = open_tips(store, wanted)
    walk = _Walk(store)
    walk.found.objects.update((one, None) for one in new.objects if one not in there.objects)
    with bulk.paused_gc():
        for commit_id, commit in iter_history(store, new.commits, without=there.commits):
            walk.add_commit(commit_id, commit)
            if progress is not None:
                progress(walk.found.commits, None)
    files = there.blobs
    walk.found.blobs.update((blob, None) for blob in new.blobs if blob not in files)
    return walk.found


class _Walk:
    """Gathers what is new in commits; what was met once is not followed again."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.found = Lacking()

    def add_commit(self, commit_id: bytes, commit: Commit) -> None:
        self.found.commits += 1
        self.found.objects[commit_id] = None
        before = _References({}, dict.fromkeys([*commit.parent_ids, commit.snapshot_id]))
        for parent in commit.parent_ids:
            before.add(self.store.get(parent, Kind.COMMIT))
        parents = [read_commit(self.store, parent).snapshot_id for parent in commit.parent_ids]
        if commit.snapshot_id not in parents:
            self._add_snapshot(commit.snapshot_id, parents)
        self._follow([self.store.get(commit_id, Kind.COMMIT)], before)

    def _add_snapshot(self, snapshot_id: bytes, parents: Iterable[bytes]) -> None:
        """A snapshot: each of its maps against those of the same space in the parents' ones."""
        if snapshot_id in self.found.objects:
            return
        self.found.objects[snapshot_id] = None
        data = self.store.get(snapshot_id, Kind.SNAPSHOT)
        olds = [_roots(self.store, one) for one in parents]
        roots = _roots(self.store, snapshot_id)
        before = _References({}, dict.fromkeys(roots.values()))
        for old in olds:
            before.objects.update(dict.fromkeys(old.values()))
        for space, root in roots.items():
            self._add_map(root, [old[space] for old in olds if space in old])
        self._follow([data], before)

    def _add_map(self, root: bytes, olds: list[bytes]) -> None:
        """The nodes that none of the old maps has, and what their rows refer to anew."""
        if root in olds or root in self.found.objects:
            return
        before = _References({}, {})
        for old in olds:
            for cells in _new_rows(self.store, [root], old, {}):
                before.add(b"".join(cells))
        if before.objects:
            self._add_long_rows(before, root, olds)
        for cells in _new_rows(self.store, olds, root, self.found.objects):
            self._follow(cells, before)

    def _add_long_rows(self, before: _References, root: bytes, olds: list[bytes]) -> None:
        """What a long row that is gone said stood there too: rows grow long and short again."""
        after = _References({}, {})
        for cells in _new_rows(self.store, olds, root, {}):
            after.add(b"".join(cells))
        for gone in before.objects.keys() - after.objects.keys():
            if gone in self.store:
                before.add(self.store.get_any(gone)[1])

    def _follow(self, values: list[bytes], before: _References) -> None:
        """Note what encoded values refer to and what that refers to, but for what was there."""
        waiting = [values]
        while waiting:
            values = waiting.pop()
            data = b"".join(values)
            for blob in find_ids(data, BLOB_PREFIX):
                if blob not in before.blobs:
                    self.found.blobs[blob] = None
            for one in find_ids(data, OBJECT_PREFIX):
                if one in before.objects or one in self.found.objects:
                    continue
                if one not in self.store:
                    _refuse_missing(values, one)
                    continue
                kind, body = self.store.get_any(one)
                self.found.objects[one] = None
                if kind not in _OPAQUE:
                    waiting.append([body])


def _new_rows(
    store: Store, olds: list[bytes], root: bytes, nodes: MutableMapping[bytes, None]
) -> Iterator[list[bytes]]:
    """The cells of each leaf that the old maps have not; ids of all new nodes go to `nodes`."""
    for node in new_nodes(store, olds, root):
        nodes[node.id] = None
        if not node.level:
            yield node.cells


def _roots(store: Store, snapshot_id: bytes) -> dict[str, bytes]:
    """The maps of a snapshot by space; what else stands in it is followed as in any object."""
    value = decode(store.get(snapshot_id, Kind.SNAPSHOT))
    return {
        space: bytes(ref.data)
        for space, ref in value.items()
        if isinstance(ref, Ext) and store.header(bytes(ref.data)).kind is Kind.NODE
    }


def _refuse_missing(values: Iterable[bytes], one: bytes) -> None:
    """CorruptError for a true reference to an absent object; a lookalike is nothing."""
    if any((OBJECT_EXT, one) in iter_references(bytes(value)) for value in values):
        raise CorruptError(f"object {one.hex()} is missing", hint="vgr fsck")


# -- blobs that are not here -----------------------------------------------------------------------


def name_missing(
    store: Store, blobs: Collection[bytes], wanted: Iterable[bytes], known: Iterable[bytes]
) -> list[str]:
    """Where the wanted tips need blobs that this store has not: a key and a commit of each."""
    if not blobs:
        return []
    new = open_tips(store, wanted)
    names: dict[bytes, str] = {}
    for run in new.runs.values():
        for name, ref in run.files.items():
            if bytes(ref.data) in blobs:
                names[bytes(ref.data)] = f"'{name}' of a run of {bytes(run.commit.data).hex()[:12]}"
    hidden = open_tips(store, known, among=store).commits
    for commit_id, commit in iter_history(store, new.commits, without=hidden):
        for name, blob in _holders(store, commit_id, commit, blobs):
            names.setdefault(blob, f"{name} of {commit_id.hex()[:12]}")
    return sorted(names.values())


def _holders(
    store: Store, commit_id: bytes, commit: Commit, blobs: Container[bytes]
) -> Iterator[tuple[str, bytes]]:
    """(key, blob) for blobs that a commit refers to and its parents may not."""
    for code, blob in iter_references(store.get(commit_id, Kind.COMMIT)):
        if code == BLOB_EXT and blob in blobs:
            yield "a report", blob
    olds = [_roots(store, read_commit(store, parent).snapshot_id) for parent in commit.parent_ids]
    for space, root in _roots(store, commit.snapshot_id).items():
        for node in new_nodes(store, [old[space] for old in olds if space in old], root):
            if node.level:
                continue
            for key, cell in zip(node.keys, node.cells, strict=True):
                for code, blob in iter_references(resolve(store, cell)):
                    if code == BLOB_EXT and blob in blobs:
                        yield f"'{key.decode(errors='replace')}'", blob
