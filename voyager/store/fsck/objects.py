"""Checking objects: whether what roots reach is there, and of the right kind, form and encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from voyager.errors import CorruptError, InvalidDataError
from voyager.store import prolly
from voyager.store.apply import TOMBSTONES
from voyager.store.fsck.report import Problem, Report
from voyager.store.history import Commit, Tag
from voyager.store.ids import Kind
from voyager.store.objectstore import SHALLOW, Store
from voyager.store.reachable import BLOB_PREFIX, OBJECT_PREFIX, find_ids
from voyager.store.refs import HEAD, HEADS, PREDICTIONS, REMOTES, RUNS, STASH, TAGS
from voyager.store.runs import check_run
from voyager.wire import BLOB_EXT, ID_BYTES, OBJECT_EXT, Ext, decode, is_canonical, iter_references

Promised = Callable[[bytes], bool]
Progress = Callable[[int, int | None], None]
Kinds = frozenset[Kind]

_BIN_PREFIX = bytes([0xC4, ID_BYTES])
_TELL_EVERY = 1024
_NO_DEPTH = 1 << 63
_REF_KINDS = {
    HEADS: Kinds({Kind.COMMIT}),
    REMOTES: Kinds({Kind.COMMIT}),
    STASH: Kinds({Kind.COMMIT}),
    PREDICTIONS: Kinds({Kind.COMMIT}),
    RUNS: Kinds({Kind.RUN}),
    TAGS: Kinds({Kind.COMMIT, Kind.TAG}),
}
_NOTED = Kinds({Kind.COMMIT, Kind.TAG, Kind.SNAPSHOT, Kind.RUN})


def inspect(store: Store, where: str, data: bytes) -> Iterator[Problem]:
    """What is wrong with an object by itself: its encoding, and ids that are no references."""
    if not is_canonical(data):
        yield Problem("object", "it is not canonical msgpack", where)
        return
    # spec 1.3: an id of a stored object inside a bin would be hidden from every walk.
    suspects = {found for found in find_ids(data, _BIN_PREFIX) if found in store}
    if suspects and not suspects.isdisjoint(_bins(decode(data))):
        yield Problem("object", "it holds an id as plain bytes instead of a reference", where)


def _bins(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _bins(item)
    elif isinstance(value, list):
        for item in value:
            yield from _bins(item)


class Reachability:
    """A walk over all that values and staged rows reach; `run` reports into `report`."""

    def __init__(
        self, store: Store, report: Report, promised: Promised, progress: Progress | None
    ) -> None:
        self.store = store
        self.report = report
        self._promised = promised
        self._progress = progress
        self._seen: set[bytes] = set()
        self._blobs: set[bytes] = set()
        self._todo: list[tuple[bytes, str]] = []
        self._demands: list[tuple[bytes, Kinds, str]] = []
        self._kinds: dict[bytes, Kind] = {}
        self._depths: dict[bytes, int] = {}  # of commits, by the snapshot they name
        self._shallow = {bytes(ref.data) for ref in store.value(SHALLOW) or []}

    def run(self) -> None:
        """Walk everything; report what is missing or of a wrong kind."""
        for name, value in self.store.values().items():
            self._start(name, value)
        for (space, key), row in self.store.overlay().items():
            self._follow(row, f"staged {space}/{key.decode(errors='replace')}")
        while self._todo:
            self._visit(*self._todo.pop())
            if self._progress is not None and not len(self._seen) % _TELL_EVERY:
                self._progress(len(self._seen), None)
        for object_id, kinds, name in self._demands:
            self._check_kind(object_id, kinds, name)
        self.report.counts["objects"] = len(self._seen)
        self.report.counts["blobs"] = len(self._blobs)

    def snapshots(self) -> list[bytes]:
        """The snapshots that were met, in the order of history; those of no commit last."""
        found = [each for each, kind in self._kinds.items() if kind is Kind.SNAPSHOT]
        return sorted(found, key=lambda each: self._depths.get(each, _NO_DEPTH))

    def _start(self, name: str, value: Any) -> None:
        for prefix, kinds in _REF_KINDS.items():
            if name.startswith(prefix):
                self._demand(value, kinds, name)
        if name == HEAD and not isinstance(value, str):
            self._demand(value, _REF_KINDS[HEADS], name)
        self._follow(self.store.value_bytes(name) or b"", name)

    def _demand(self, value: Any, kinds: Kinds, name: str) -> None:
        if isinstance(value, Ext) and value.code == OBJECT_EXT:
            self._demands.append((bytes(value.data), kinds, name))
        else:
            self.report.add(Problem("object", "it holds no object id", name))

    def _check_kind(self, object_id: bytes, kinds: Kinds, name: str) -> None:
        if object_id in self.store and self._kinds.get(object_id) not in kinds:
            wanted = " or ".join(sorted(kind.label for kind in kinds))
            self.report.add(
                Problem("object", f"{object_id.hex()} should be a {wanted} and is not", name)
            )

    def _visit(self, object_id: bytes, name: str) -> None:
        try:
            kind = self.store.header(object_id).kind
            if kind is Kind.BLOB:
                self.report.add(Problem("object", f"{object_id.hex()} is a blob, no object", name))
            elif kind is not Kind.DICTIONARY:
                self._read(object_id, kind)
        except CorruptError as error:
            self.report.add(Problem("object", error.message, f"object {object_id.hex()}"))

    def _read(self, object_id: bytes, kind: Kind) -> None:
        data = self.store.get(object_id, kind)
        here = f"{kind.label} {object_id.hex()}"
        if kind in _NOTED:
            self._kinds[object_id] = kind
            self._look_inside(kind, data, here)
        self._follow(data, here, may_lack_parents=object_id in self._shallow)

    def _look_inside(self, kind: Kind, data: bytes, here: str) -> None:
        try:
            if kind is Kind.COMMIT:
                commit = msgspec.msgpack.decode(data, type=Commit)
                self._demands.append((commit.snapshot_id, Kinds({Kind.SNAPSHOT}), here))
                self._demands += [
                    (parent, Kinds({Kind.COMMIT}), here) for parent in commit.parent_ids
                ]
                self._depths[commit.snapshot_id] = commit.depth
            elif kind is Kind.TAG:
                tag = msgspec.msgpack.decode(data, type=Tag)
                self._demand(tag.target, _REF_KINDS[TAGS], here)
            elif kind is Kind.RUN:
                run = check_run(data)
                for link in (run.commit, run.predictions):
                    if link is not None:
                        self._demand(link, _REF_KINDS[HEADS], here)
                if run.start is not None:
                    self._demand(run.start, _REF_KINDS[RUNS], here)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.report.add(Problem("object", f"it does not decode: {error}", here))
        except InvalidDataError as error:
            self.report.add(Problem("object", error.message, here))

    def _follow(self, data: bytes, here: str, *, may_lack_parents: bool = False) -> None:
        """Queue the references in `data`; report those that lead nowhere or to the other kind."""
        objects = set(find_ids(data, OBJECT_PREFIX)) - self._seen
        blobs = set(find_ids(data, BLOB_PREFIX)) - self._blobs
        places = self.store.places(objects | blobs)
        self._seen |= objects & places.keys()
        self._blobs |= blobs
        self._todo += [(found, here) for found in objects if found in places]
        absent = (objects | blobs) - places.keys()
        if absent:
            self._report_absent(data, here, absent, may_lack_parents=may_lack_parents)

    def _report_absent(
        self, data: bytes, here: str, absent: set[bytes], *, may_lack_parents: bool
    ) -> None:
        # What was found may only look like a reference; decoding settles it.
        for code, found in set(iter_references(data)):
            if found not in absent:
                continue
            if code == BLOB_EXT:
                self._report_absent_blob(found, here)
            elif not may_lack_parents:
                self._seen.add(found)
                self.report.add(Problem("missing", f"object {found.hex()} is missing", here))

    def _report_absent_blob(self, blob_id: bytes, here: str) -> None:
        if self.store.value_bytes(TOMBSTONES + blob_id.hex()) or self._promised(blob_id):
            return
        self.report.add(Problem("missing", f"blob {blob_id.hex()} is missing", here))


def check_maps(store: Store, snapshots: Iterable[bytes], report: Report) -> None:
    """Check every map of every snapshot, each against the one before it.

    In the order of history neighbours differ little, and the cost follows the differences.
    """
    right: set[bytes] = set()
    last: dict[str, bytes] = {}
    for snapshot_id in snapshots:
        try:
            roots = decode(store.get(snapshot_id, Kind.SNAPSHOT))
            spaces = {space: bytes(ref.data) for space, ref in roots.items()}
        except (CorruptError, AttributeError) as error:
            where = f"snapshot {snapshot_id.hex()}"
            report.add(Problem("map", f"it is no map of spaces: {error}", where))
            continue
        for space, root in spaces.items():
            if root in right:
                continue
            wrong = list(prolly.check(store, root, known=last.get(space)))
            for what in wrong:
                report.add(Problem("map", what, f"space {space} of snapshot {snapshot_id.hex()}"))
            if not wrong:
                right.add(root)
                last[space] = root
