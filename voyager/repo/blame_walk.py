"""The walk of blame: from children to parents, to where values became what they are."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from voyager import wire
from voyager.repo.dataset import Dataset, decode_row
from voyager.repo.diff import changed_rows
from voyager.repo.shape_diff import LIKE, ShapePair, likenesses
from voyager.repo.snapshot import FILES, read_snapshot
from voyager.schema import FileRow, Link, Sample
from voyager.schema.conflict import ABSENT
from voyager.schema.fields import (
    KEY,
    SAMPLE,
    encode_field,
    find_region,
    parse_path,
    read_field,
    region_of,
    region_path,
    task_of,
)
from voyager.schema.thin_rows import uid_of
from voyager.store.history import Commit, read_commit
from voyager.store.ids import Kind
from voyager.store.objectstore import Store

THERE: Final = wire.encode(True)
"""The term of what is there or not: a sample, a region, a member of a set."""


@dataclass(frozen=True)
class Place:
    """The sample or file in one version of its history."""

    version: Dataset
    space: str
    key: bytes
    row: bytes
    parents: list[bytes]
    commit_id: bytes | None = None
    commit: Commit | None = None
    names: dict[bytes, bytes] = field(default_factory=dict)
    """What regions are called here that a later merge joined to another one."""

    @cached_property
    def value(self) -> Sample | FileRow:
        return decode_row(self.space, self.row)

    @cached_property
    def identity(self) -> bytes:
        """What survives a rename: the uid of a sample, the content of a file."""
        return self.row if self.space == FILES else uid_of(self.row)

    @property
    def order(self) -> tuple[int, bytes]:
        """Sorts children before parents; what is staged comes first of all."""
        if self.commit is None or self.commit_id is None:
            return -1 << 62, b""
        return -self.commit.depth, self.commit_id

    def term(self, path: str) -> bytes:
        """What a path holds here, encoded."""
        if path == KEY:
            return self.key
        if self.space == FILES:
            return THERE if path == SAMPLE else self.row
        sample = self.value
        assert isinstance(sample, Sample)
        path = self._own_path(path)
        there = _is_there(sample, parse_path(path))
        if there is None:
            return encode_field(path, read_field(sample, path))
        return THERE if there else ABSENT

    def _own_path(self, path: str) -> str:
        """A path with what its region is called here."""
        name = self.names.get(region_of(path) or b"")
        return path if name is None else region_path(name, *parse_path(path)[2:])


def introductions(store: Store, start: Place, terms: dict[str, bytes]) -> dict[str, Place]:
    """Path → where it became what it is."""
    walk = _Walk(store)
    walk.want(start, terms)
    return walk.run()


class _Walk:
    """Goes from children to parents with the paths of which it is not known where they began.

    Deep commits first, so that all who pass paths to a commit have done so when its turn comes.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[str, Place] = {}
        self._places: dict[bytes | None, Place] = {}
        self._wanted: dict[bytes | None, dict[str, bytes]] = {}
        self._heap: list[tuple[tuple[int, bytes], bytes | None]] = []

    def want(self, place: Place, terms: dict[str, bytes]) -> None:
        """Ask where paths became what they are, from a place where they are so."""
        if terms and place.commit_id not in self._wanted:
            self._places[place.commit_id], self._wanted[place.commit_id] = place, {}
            heapq.heappush(self._heap, (place.order, place.commit_id))
        if terms:
            self._wanted[place.commit_id].update(terms)

    def run(self) -> dict[str, Place]:
        """Path → place, once all is found."""
        while self._heap:
            commit_id = heapq.heappop(self._heap)[1]
            after, left = self._places.pop(commit_id), self._wanted.pop(commit_id)
            left = self._pass_on(after, left, _same)
            if len(after.parents) > 1 and any(_may_be_joined(path) for path in left):
                left = self._pass_on(after, left, self._joined)
            self._found.update(dict.fromkeys(left, after))
        return self._found

    def _pass_on(
        self,
        after: Place,
        left: dict[str, bytes],
        same: Callable[[Place, Place, dict[str, bytes]], dict[str, bytes]],
    ) -> dict[str, bytes]:
        """Ask parents for what they have alike; what is left."""
        for parent in after.parents:
            before = self._before(parent, after) if left else None
            if before is not None:
                passed = same(before, after, left)
                self.want(before, passed)
                left = {path: term for path, term in left.items() if path not in passed}
        return left

    def _before(self, parent: bytes, after: Place) -> Place | None:
        known = self._places.get(parent) or _before(self._store, parent, after)
        for region, name in after.names.items():
            if known is not None:
                known.names.setdefault(region, name)
        return known

    def _joined(self, before: Place, after: Place, terms: dict[str, bytes]) -> dict[str, bytes]:
        """As `_same`, for what is said of regions that a parent had under another id."""
        paths = {path: term for path, term in terms.items() if _may_be_joined(path)}
        for region in map(bytes.fromhex, {parse_path(path)[1] for path in paths}):
            name = self._name_before(before, after, region)
            if name is not None:
                before.names[region] = name
        return _same(before, after, paths)

    def _name_before(self, before: Place, after: Place, region: bytes) -> bytes | None:
        """The region of a parent that is gone and lay where one is that the parent did not have."""
        old, new = before.value, after.value
        if not isinstance(old, Sample) or not isinstance(new, Sample):
            return None
        joined = find_region(new, after.names.get(region, region))
        if joined is None or find_region(old, joined.id) is not None:
            return None
        kept = {one.id for one in new.regions}
        gone = [one for one in old.regions if one.id not in kept and one.geometry is not None]
        if joined.geometry is None or not gone:
            return None
        pairs = [ShapePair(None, one.geometry, joined.geometry) for one in gone if one.geometry]
        scores = [one.score or 0.0 for one in likenesses(pairs, self._load)]
        best, name = max(zip(scores, (one.id for one in gone), strict=True))
        return name if best >= LIKE else None

    def _load(self, blob: bytes) -> bytes:
        return self._store.get(blob, Kind.BLOB)


def _may_be_joined(path: str) -> bool:
    """Whether a path is of what is said of a region, not of it as a whole."""
    return region_of(path) is not None and task_of(path) is not None


def _same(before: Place, after: Place, terms: dict[str, bytes]) -> dict[str, bytes]:
    """Those of some paths that hold the same in both places."""
    if before.key == after.key and before.row == after.row:
        return terms
    return {path: term for path, term in terms.items() if before.term(path) == term}


def _before(store: Store, parent: bytes, after: Place) -> Place | None:
    """The sample as a parent has it, whatever it was called there; None where it is not."""
    commit = read_commit(store, parent)

    def place(key: bytes, row: bytes) -> Place:
        return Place(version, after.space, key, row, commit.parent_ids, parent, commit)

    version = Dataset(store, read_snapshot(store, commit.snapshot_id), commit=parent)
    root = version.roots.get(after.space)
    if root is None:
        return None
    if root == after.version.roots.get(after.space) and not after.version.overlay:
        return place(after.key, after.row)
    row = version.row(after.space, after.key)
    if row is not None:
        here = place(after.key, row)
        if after.space == FILES or row == after.row or here.identity == after.identity:
            return here
    for key, was, _ in changed_rows(version, after.version, after.space):
        if was is not None and place(key, was).identity == after.identity:
            return place(key, was)
    return None


def _is_there(sample: Sample, parts: tuple[str, ...]) -> bool | None:
    """Whether a thing or a member of a set is there; None for the path of a field with a value."""
    if parts[0] == SAMPLE:
        return True
    if parts[0] == "negatives":
        return bytes.fromhex(parts[2]) in sample.negatives.get(parts[1], ())
    if parts[0] != "regions" or (len(parts) > 2 and parts[2] not in ("flags", "links")):
        return None
    region = find_region(sample, bytes.fromhex(parts[1]))
    if region is None or len(parts) == 2:
        return region is not None
    if parts[2] == "flags":
        return parts[3] in region.flags
    return any(link_names(link) == parts[2:] for link in region.links)


def link_names(link: Link) -> tuple[str, ...]:
    return "links", link.kind, link.uid.hex(), link.region.hex()
