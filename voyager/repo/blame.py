"""Blame: for everything that is said of a sample, the commit where it became what it is.

A value is followed to the first parent that has the same one (by its encoded bytes), the sample
itself through renames by uid; where no parent has it, that commit is to blame. So a merge is named
only for what it made itself: what a region says that was joined from two goes on in the one that
said it. A label counts as one value: another state or score is another label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass

from voyager.errors import NotFoundError
from voyager.repo.assignments import known_task
from voyager.repo.blame_walk import Place, introductions, link_names
from voyager.repo.import_reports import named_reports, reports_of
from voyager.repo.keys import shown
from voyager.repo.merging import running_merge
from voyager.repo.repository import Repository
from voyager.schema import HUMAN, FileRow, Label, Region, Sample, parse_source
from voyager.schema.conflict import join_field
from voyager.schema.fields import (
    FILE,
    KEY,
    SAMPLE,
    find_region,
    iter_paths,
    label_slot,
    parse_path,
    region_of,
    region_path,
    task_of,
)
from voyager.schema.vocabulary import Vocabulary
from voyager.store.history import Commit, read_commit
from voyager.store.objectstore import Store


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
    found = introductions(repo.store, start, {path: start.term(path) for path in asked})
    telling = _Telling(repo.store, start, found)
    return [telling.of(path, value) for path, value in values.items()]


# -- values ---------------------------------------------------------------------------------------


def _iter_values(place: Place, words: Vocabulary) -> Iterator[tuple[str, object]]:
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
            own.append((region_path(region.id, *link_names(link)), link))
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


# -- where it begins -------------------------------------------------------------------------------


def _start(repo: Repository, key: str, revision: str | None) -> Place:
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
    return Place(version, space, key.encode(), row, parents, commit_id, commit)


def _heads(repo: Repository) -> list[bytes]:
    """What the next commit will have for parents."""
    head, merging = repo.head.commit, running_merge(repo.store)
    return ([] if head is None else [head]) + ([] if merging is None else [*merging.heads])


# -- what is told of it ---------------------------------------------------------------------------


class _Telling:
    """Which import and which model stand behind values, once it is known where they began."""

    def __init__(self, store: Store, start: Place, found: dict[str, Place]) -> None:
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

    def _reports(self, place: Place) -> tuple[str, ...]:
        if place.commit is None or not named_reports(place.commit):
            return ()
        if place.commit_id not in self._names:
            reports = reports_of(self._store, place.commit)
            self._names[place.commit_id] = tuple(one.name for one in reports if one.name)
        return self._names[place.commit_id]
