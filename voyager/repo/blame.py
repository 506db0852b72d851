"""Blame: for everything that is said of a sample, the commit where it became what it is.

A value is followed to the first parent that has the same one (by its encoded bytes), the sample
itself through renames by uid; where no parent has it, that commit is to blame. So a merge is named
only for what it made itself. A label counts as one value: another state or score is another label.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from voyager import wire
from voyager.errors import NotFoundError
from voyager.repo.assignments import known_task
from voyager.repo.dataset import Dataset, decode_row
from voyager.repo.diff import changed_rows
from voyager.repo.import_reports import named_reports, reports_of
from voyager.repo.keys import shown
from voyager.repo.merging import running_merge
from voyager.repo.repository import Repository
from voyager.repo.snapshot import FILES, read_snapshot
from voyager.schema import HUMAN, FileRow, Label, Link, Region, Sample, parse_source
from voyager.schema.conflict import ABSENT, join_field
from voyager.schema.fields import (
    FILE,
    KEY,
    SAMPLE,
    encode_field,
    find_region,
    iter_paths,
    label_slot,
    parse_path,
    read_field,
    region_of,
    region_path,
    task_of,
)
from voyager.schema.thin_rows import uid_of
from voyager.schema.vocabulary import Vocabulary
from voyager.store.history import Commit, read_commit
from voyager.store.objectstore import Store

_THERE: Final = wire.encode(True)
"""The term of what is there or not: a sample, a region, a member of a set."""


@dataclass(frozen=True, slots=True)
class Blamed:
    """One value of a sample, and the commit where it became what it is (None: it is staged).

    `key` is what the sample was called there; `import_` the import that the value came with and
    `model` the model whose voice it is, where there is one; `reports` are the imports that the
    commit has reports of.
    """

    path: str
    value: object
    key: str
    commit_id: bytes | None
    commit: Commit | None
    import_: str | None = None
    model: str | None = None
    reports: tuple[str, ...] = ()


def blame(
    repo: Repository,
    key: str,
    revision: str | None = None,
    *,
    regions: Container[bytes] | None = None,
    task: str | None = None,
) -> list[Blamed]:
    """Who made each value of the sample or file at a key what it is, in the order of its fields.

    Of what is staged, or of a revision; of some regions alone, of what is said for one task alone.
    Cost: a look-up for each commit, until all is found. NotFoundError for an unknown key or task.
    """
    start = _start(repo, key, revision)
    words = start.version.vocabulary
    if task is not None and task not in words.tasks:
        known_task(words.tasks, task)
    values = {
        path: value
        for path, value in _iter_values(start, words)
        if (task is None or _task_of(path) == task)
        and (regions is None or region_of(path) in regions)
    }
    wholes = (region_path(region) for region in map(region_of, values) if region is not None)
    asked = {SAMPLE, *values, *wholes}
    found = _introductions(repo.store, start, {path: start.term(path) for path in asked})
    telling = _Telling(repo.store, start, found)
    return [telling.of(path, value) for path, value in values.items()]


# -- values ---------------------------------------------------------------------------------------


def _iter_values(place: _Place, words: Vocabulary) -> Iterator[tuple[str, object]]:
    """Every path of a sample with its value, what has none in `fields` too: members of sets."""
    sample = place.value
    yield KEY, place.key.decode()
    if isinstance(sample, FileRow):
        yield FILE, sample
        return
    yield SAMPLE, sample
    members = _members(sample)
    for path, value in iter_paths(sample, _many(sample, words)):
        yield path, value
        if path in members:
            yield from members.pop(path)
    for left in members.values():
        yield from left


def _members(sample: Sample) -> dict[str, list[tuple[str, object]]]:
    """The members of the sets of a region by its path, those of the sample itself last."""
    found: dict[str, list[tuple[str, object]]] = {}
    for region in sample.regions:
        own = found.setdefault(region_path(region.id), [])
        own += ((region_path(region.id, "flags", flag), flag) for flag in region.flags)
        for link in region.links:
            own.append((region_path(region.id, *_link_names(link)), link))
    found["negatives"] = [
        (join_field(["negatives", task, node.hex()]), node)
        for task, nodes in sample.negatives.items()
        for node in nodes
    ]
    return found


def _many(sample: Sample, words: Vocabulary) -> set[str]:
    """The tasks whose labels are told apart by what they say: where one source says several."""
    found = {name for name, task in words.tasks.items() if task.many}
    parts: list[Sample | Region] = [sample, *sample.regions]
    for part in parts:
        slots = Counter(label_slot(label, many=False) for label in part.labels)
        found.update(slot[0] for slot, count in slots.items() if count > 1)
    return found


def _task_of(path: str) -> str | None:
    parts = parse_path(path)
    return parts[1] if parts[0] == "negatives" else task_of(path)


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
    return any(_link_names(link) == parts[2:] for link in region.links)


def _link_names(link: Link) -> tuple[str, ...]:
    return "links", link.kind, link.uid.hex(), link.region.hex()


# -- the walk -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """The sample or file in one version of its history."""

    version: Dataset
    space: str
    key: bytes
    row: bytes
    parents: list[bytes]
    commit_id: bytes | None = None
    commit: Commit | None = None

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
            return _THERE if path == SAMPLE else self.row
        sample = self.value
        assert isinstance(sample, Sample)
        there = _is_there(sample, parse_path(path))
        if there is None:
            return encode_field(path, read_field(sample, path))
        return _THERE if there else ABSENT


def _start(repo: Repository, key: str, revision: str | None) -> _Place:
    """The sample as it is staged, or in a revision."""
    if revision is None:
        version, parents, commit_id, commit = repo.staged(), _heads(repo), None, None
    else:
        commit_id = repo.resolve(revision)
        commit = read_commit(repo.store, commit_id)
        version, parents = repo.dataset_of(commit_id), commit.parent_ids
    space = version.space_of(key)
    if space is None:
        where = "" if revision is None else f" in {revision}"
        raise NotFoundError(f"no sample or file '{shown(key)}'{where}", hint="vgr ls")
    row = version.row(space, key.encode())
    assert row is not None
    return _Place(version, space, key.encode(), row, parents, commit_id, commit)


def _heads(repo: Repository) -> list[bytes]:
    """What the next commit will have for parents."""
    head, merging = repo.head.commit, running_merge(repo.store)
    return ([] if head is None else [head]) + ([] if merging is None else [*merging.heads])


def _introductions(store: Store, start: _Place, terms: dict[str, bytes]) -> dict[str, _Place]:
    """Path → where it became what it is.

    Deep commits first, so that all who pass paths to a commit have done so when its turn comes.
    """
    found: dict[str, _Place] = {}
    places: dict[bytes | None, _Place] = {start.commit_id: start}
    wanted: dict[bytes | None, dict[str, bytes]] = {start.commit_id: terms}
    heap = [(start.order, start.commit_id)]
    while heap:
        commit_id = heapq.heappop(heap)[1]
        after, left = places.pop(commit_id), wanted.pop(commit_id)
        for parent in after.parents:
            before = places.get(parent) or (_before(store, parent, after) if left else None)
            if before is None or not left:
                continue
            same = _same(before, after, left)
            if same and parent not in wanted:
                places[parent], wanted[parent] = before, {}
                heapq.heappush(heap, (before.order, parent))
            if same:
                wanted[parent].update(same)
                left = {path: term for path, term in left.items() if path not in same}
        found.update(dict.fromkeys(left, after))
    return found


def _same(before: _Place, after: _Place, terms: dict[str, bytes]) -> dict[str, bytes]:
    """Those of some paths that hold the same in both places."""
    if before.key == after.key and before.row == after.row:
        return terms
    return {path: term for path, term in terms.items() if before.term(path) == term}


def _before(store: Store, parent: bytes, after: _Place) -> _Place | None:
    """The sample as a parent has it, whatever it was called there; None where it is not."""
    commit = read_commit(store, parent)

    def place(key: bytes, row: bytes) -> _Place:
        return _Place(version, after.space, key, row, commit.parent_ids, parent, commit)

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


# -- what is told of it ---------------------------------------------------------------------------


class _Telling:
    """Which import and which model stand behind values, once it is known where they began."""

    def __init__(self, store: Store, start: _Place, found: dict[str, _Place]) -> None:
        self._store = store
        self._now = start.value
        self._found = found
        self._names: dict[bytes | None, tuple[str, ...]] = {}

    def of(self, path: str, value: object) -> Blamed:
        """The answer for one path.

        What came with a region or sample is of its import and model; a label may name its own.
        """
        place, reports = self._found[path], self._reports(self._found[path])
        whole, path_of_whole = self._whole(path)
        came = place is self._found[path_of_whole]
        origin = None if isinstance(whole, FileRow) else whole.origin
        import_ = None if origin is None else origin.import_
        if not came and import_ not in reports:
            import_ = None
        source = whole.source if came and isinstance(whole, Region) else HUMAN
        if isinstance(value, Label):
            source = value.source
            import_ = import_ if value.origin is None else value.origin.import_
        kind, name = parse_source(source)
        return Blamed(
            path,
            value,
            place.key.decode(),
            place.commit_id,
            place.commit,
            import_,
            (name or kind) if kind == "model" else None,
            reports,
        )

    def _whole(self, path: str) -> tuple[Sample | Region | FileRow, str]:
        """The region or sample that a path is a part of, and its own path."""
        region = region_of(path)
        found = None
        if region is not None and isinstance(self._now, Sample):
            found = find_region(self._now, region)
        if region is None or found is None:
            return self._now, SAMPLE
        return found, region_path(region)

    def _reports(self, place: _Place) -> tuple[str, ...]:
        if place.commit is None or not named_reports(place.commit):
            return ()
        if place.commit_id not in self._names:
            reports = reports_of(self._store, place.commit)
            self._names[place.commit_id] = tuple(one.name for one in reports if one.name)
        return self._names[place.commit_id]
