"""Proving that all that new tips need is here, and right: no ref may name what is missing.

Walks from the tips to commits that were here before, and down the nodes that their versions do not
share with these. Every row is held against the schema, every map against its rows (spec 2.6, 9.1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from voyager.errors import CorruptError, InvalidDataError
from voyager.remotes.incoming import Incoming
from voyager.repo.check import row_problem
from voyager.repo.keys import shown
from voyager.repo.repository import Progress, no_progress
from voyager.repo.snapshot import read_snapshot
from voyager.store import bulk, prolly
from voyager.store.history import Commit, iter_history, read_commit
from voyager.store.ids import Kind
from voyager.store.reachable import BLOB_PREFIX, OBJECT_PREFIX
from voyager.store.runs import open_tips
from voyager.wire import BLOB_EXT, OBJECT_EXT, iter_references


class Closure:
    """One proof; `absent` are the blobs that are needed and not here."""

    def __init__(
        self,
        objects: Incoming,
        *,
        progress: Progress = no_progress,
    ) -> None:
        self.absent: set[bytes] = set()
        self.commits = 0
        self._objects = objects
        self._progress = progress
        self._known: dict[str, bytes] = {}
        self._nodes: dict[str, set[bytes]] = {}
        self._met: set[bytes] = set()

    def open(self, tips: Iterable[bytes]) -> list[bytes]:
        """The commits that tips mean, after noting the files of the runs among them.

        Raises CorruptError for a tip that means none, InvalidDataError for a run that is none.
        """
        found = open_tips(self._objects, tips)
        self._need_blobs(found.blobs)
        return list(found.commits)

    def prove(self, tips: Iterable[bytes], known: Iterable[bytes]) -> None:
        """Walk from commits to those whose all is here.

        Raises CorruptError for what is missing or of another kind, InvalidDataError for what
        breaks the rules of its kind.
        """
        new = list(iter_history(self._objects, tips, without=known))[::-1]
        with bulk.paused_gc():
            for done, (commit_id, commit) in enumerate(new):
                self._progress(done, len(new))
                self._check_commit(commit_id, commit)
        self.commits += len(new)

    def _check_commit(self, commit_id: bytes, commit: Commit) -> None:
        parents = [read_commit(self._objects, parent) for parent in commit.parent_ids]
        depth = 1 + max((parent.depth for parent in parents), default=-1)
        if commit.depth != depth and commit_id not in self._objects.shallow:
            raise InvalidDataError(f"commit {commit_id.hex()} says a wrong depth")
        for parent in parents:
            self._pass_over(parent.snapshot_id)
        data = self._objects.get(commit_id, Kind.COMMIT)
        own = msgspec.msgpack.decode(data, type=Commit)
        self._follow(data, {commit.snapshot_id, *own.parent_ids})
        self._check_snapshot(commit.snapshot_id)

    def _follow(self, data: bytes, apart: Collection[bytes] = ()) -> None:
        """What an object that is no node refers to, but for some ids."""
        for code, found in iter_references(data):
            if code == BLOB_EXT:
                self._need_blobs([found])
            elif code == OBJECT_EXT and found not in apart and found not in self._met:
                self._met.add(found)
                self._follow_object(found)

    def _follow_object(self, object_id: bytes) -> None:
        kind, data = self._objects.get_any(object_id)
        if kind is Kind.BLOB:
            raise CorruptError(f"{object_id.hex()} is a blob, expected an object")
        if kind not in (Kind.COMMIT, Kind.DICTIONARY):
            self._follow(data)

    # -- versions --------------------------------------------------------------------------------

    def _pass_over(self, snapshot_id: bytes) -> None:
        """Note the nodes of a version that is here, which need not be looked at."""
        if snapshot_id in self._met:
            return
        self._met.add(snapshot_id)
        for space, root in read_snapshot(self._objects, snapshot_id).items():
            seen = self._nodes.setdefault(space, set())
            for _ in prolly.Map(self._objects, root).walk(seen):
                pass
            self._known[space] = root

    def _check_snapshot(self, snapshot_id: bytes) -> None:
        if snapshot_id in self._met:
            return
        self._met.add(snapshot_id)
        for space, root in read_snapshot(self._objects, snapshot_id).items():
            if root in self._nodes.setdefault(space, set()):
                continue
            self._check_map(space, root)
            self._known[space] = root

    def _check_map(self, space: str, root: bytes) -> None:
        for node, level in prolly.Map(self._objects, root).walk(self._nodes[space]):
            if not level:
                self._check_leaf(space, node)
        wrong = next(
            prolly.check(self._objects, root, known=self._known.get(space), rows=False), None
        )
        if wrong is not None:
            raise InvalidDataError(f"space {space} of a version: {wrong}")

    def _check_leaf(self, space: str, node: bytes) -> None:
        blobs: list[bytes] = []
        for key, row in prolly.Map(self._objects, node).items():
            problem = row_problem(space, key, row)
            if problem is not None:
                name = shown(key.decode(errors="surrogateescape"))
                raise InvalidDataError(f"{space} {name} of a version: {problem}")
            if OBJECT_PREFIX in row:
                self._follow(row)
            elif BLOB_PREFIX in row:
                blobs += [found for code, found in iter_references(row) if code == BLOB_EXT]
        self._need_blobs(blobs)

    def _need_blobs(self, ids: Iterable[bytes]) -> None:
        fresh = set(ids) - self.absent
        self.absent |= fresh - self._objects.present(fresh)
