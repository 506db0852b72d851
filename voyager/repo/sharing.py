"""Who shares a blob: the keys, refs and versions that name it, before it is purged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from voyager.repo.dataset import Dataset, decode_row
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import TRACKED, read_snapshot
from voyager.schema import FileRow
from voyager.store.history import iter_history, read_commit
from voyager.store.ids import Kind
from voyager.store.objectstore import Store
from voyager.store.operation import NIL
from voyager.store.reachable import BLOB_PREFIX
from voyager.store.refs import HEAD, iter_refs
from voyager.wire import OBJECT_EXT, Ext, decode, encode

STAGED = "STAGED"
"""Stands for the staging area among refs."""


@dataclass(slots=True)
class Sharing:
    """What names one of some blobs.

    `keys` in any version; `refs` whose version has one, by full name, and STAGED; `commits` how
    many of history do; `forgotten` how many commits do that only the reflog knows.
    """

    keys: set[str] = field(default_factory=set)
    refs: list[str] = field(default_factory=list)
    commits: int = 0
    forgotten: int = 0


def sharing_of(
    repo: Repository, blobs: Iterable[bytes], *, progress: Progress = no_progress
) -> Sharing:
    """Look through every version there is; each stored node is read once."""
    finder = _Finder(repo.store, set(blobs))
    found = Sharing()
    staged = set(_staged_keys(repo, finder))
    if staged:
        found.refs.append(STAGED)
        found.keys |= staged
    refs = _tips(repo)
    for name, commit_id in refs.items():
        if finder.keys_at(commit_id):
            found.refs.append(name)
    history = {commit_id for commit_id, _ in iter_history(repo.store, refs.values())}
    older = {commit_id for commit_id in _logged(repo.store) if commit_id not in history}
    lost = {commit_id for commit_id, _ in iter_history(repo.store, older)} - history
    total = len(history) + len(lost)
    for done, commit_id in enumerate([*history, *lost]):
        progress(done, total)
        keys = finder.keys_at(commit_id)
        found.keys |= keys
        found.commits += bool(keys) and commit_id in history
        found.forgotten += bool(keys) and commit_id in lost
    return found


def _tips(repo: Repository) -> dict[str, bytes]:
    """Commit by ref; a detached HEAD is one too."""
    from voyager.repo.revisions import peel

    tips = {name: peel(repo.store, ref) for name, ref in iter_refs(repo.store).items()}
    head = repo.head
    if head.detached and head.commit is not None:
        tips[HEAD] = head.commit
    return tips


def _staged_keys(repo: Repository, finder: _Finder) -> Iterator[str]:
    staging = repo.staging
    gone = {key for _, key in staging.overlay}
    yield from (key for key in finder.keys_in(staging.snapshot) if key.encode() not in gone)
    overlay = Dataset(repo.store, {}, staging.overlay)
    for space in TRACKED:
        for key, row in overlay.rows(space):
            if finder.names(row):
                yield key.decode()


def _logged(store: Store) -> Iterator[bytes]:
    """Every commit that a ref or HEAD was moved from or to."""
    for operation in store.operations():
        for move in operation.moves:
            for side in (bytes(move.old), bytes(move.new)):
                value = None if side == NIL else decode(side)
                if isinstance(value, dict):
                    value = value.get("base")
                if not isinstance(value, Ext) or value.code != OBJECT_EXT:
                    continue
                commit_id = bytes(value.data)
                if commit_id in store and store.header(commit_id).kind is Kind.COMMIT:
                    yield commit_id


class _Finder:
    """Finds the keys of rows that name a blob, remembering what it found below each node."""

    def __init__(self, store: Store, blobs: set[bytes]) -> None:
        self._store = store
        self._marks = [BLOB_PREFIX + blob for blob in blobs]
        self._below: dict[bytes, frozenset[str]] = {}

    def names(self, row: bytes) -> bool:
        """Whether a row names one of the blobs; a long row is only a reference to itself."""
        return any(mark in row for mark in self._marks)

    def keys_at(self, commit_id: bytes) -> frozenset[str]:
        """The keys of a commit's version that name one of the blobs."""
        return self.keys_in(read_commit(self._store, commit_id).snapshot_id)

    def keys_in(self, snapshot: bytes) -> frozenset[str]:
        """The same of a snapshot."""
        roots = read_snapshot(self._store, snapshot)
        found = (self._keys_below(roots[space]) for space in TRACKED if space in roots)
        return frozenset().union(*found)

    def _keys_below(self, node_id: bytes) -> frozenset[str]:
        if node_id not in self._below:
            self._below[node_id] = frozenset(self._look_below(node_id))
        return self._below[node_id]

    def _look_below(self, node_id: bytes) -> Iterator[str]:
        data = self._store.get(node_id, Kind.NODE)
        node = decode(data)
        if node["l"]:
            for child in node["v"]:
                yield from self._keys_below(bytes(child.data))
            return
        if not self.names(data) and not any(isinstance(cell, Ext) for cell in node["v"]):
            return
        for key, cell in zip(node["k"], node["v"], strict=True):
            if self._names_any(cell):
                yield key.decode()

    def _names_any(self, cell: object) -> bool:
        """Whether a decoded row, or the long row that a cell refers to, names one of the blobs."""
        if isinstance(cell, Ext) and cell.code == OBJECT_EXT:
            return self.names(self._store.get(bytes(cell.data), Kind.ROW))
        return self.names(encode(cell))


def blob_at(dataset: Dataset, space: str, key: str) -> tuple[bytes, int] | None:
    """(blob id, size) of the image or file at a key; None for an image that is not here."""
    row = dataset.row(space, key.encode())
    if row is None:
        return None
    value = decode_row(space, row)
    if isinstance(value, FileRow):
        return value.blob_id, value.bytes
    image = value.image
    return None if image.blob_id is None else (image.blob_id, image.bytes or 0)
