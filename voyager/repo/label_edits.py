"""Verbs on labels, regions and links in an edit of rows; each tells how much it changed.

They work on whatever reads and puts rows by key: a `StagedEdit` (commands) or an `Edit` (Python).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from voyager.errors import NotFoundError, StateError, UsageError
from voyager.repo.assignments import known_task, meanings
from voyager.repo.keys import shown
from voyager.repo.lookups import Lookups
from voyager.schema import (
    MASK_INLINE_LIMIT,
    Coverage,
    Geometry,
    Link,
    Mask,
    Region,
    Sample,
    State,
    decode_sample,
    encode_sample,
)
from voyager.schema import label_edit as edits
from voyager.schema.label_edit import Assignment, Labels
from voyager.schema.task import Task
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Vocabulary
from voyager.wire import Ext

Target: TypeAlias = tuple[str, bytes | None]
"""A key, and the id of one of its regions; None for the sample itself."""

_MOST_NAMED = 3


class RowEdit(Protocol):
    """What reads and puts encoded rows by key."""

    def row(self, key: bytes) -> bytes | None:
        """The encoded row at a key as edited so far."""

    def put_row(self, key: bytes, row: bytes | None) -> None:
        """Put an encoded row that is known to be right."""


class BlobEdit(RowEdit, Protocol):
    """One that stores blobs too."""

    def put_blob(self, data: bytes) -> Ext:
        """The reference of a blob that will be stored."""


@dataclass(slots=True)
class Changed:
    """How much an edit changed: the keys of samples, and how many regions and labels of them."""

    keys: list[str] = field(default_factory=list)
    regions: int = 0
    labels: int = 0

    def note(self, key: str, before: Sample, after: Sample) -> None:
        """Count what differs between two states of a sample."""
        self.keys.append(key)
        self.labels += _count(before.labels, after.labels)
        old = {region.id: region for region in before.regions}
        new = {region.id: region for region in after.regions}
        for region in old.keys() | new.keys():
            was, now = old.get(region), new.get(region)
            self.regions += was != now
            self.labels += _count(was.labels if was else (), now.labels if now else ())


def _count(before: Labels, after: Labels) -> int:
    """How many labels were added, removed or changed."""
    if before is after:
        return 0
    gone = sum(label not in after for label in before)
    come = sum(label not in before for label in after)
    return max(gone, come)


def read(edit: RowEdit, key: str) -> Sample:
    """The sample at a key as edited so far; NotFoundError when there is none."""
    row = edit.row(key.encode())
    if row is None:
        raise NotFoundError(f"no sample '{shown(key)}'", hint="vgr ls")
    return decode_sample(row)


def change(edit: RowEdit, keys: Iterable[str], how: Callable[[str, Sample], Sample]) -> Changed:
    """Change samples one after the other; one that comes back the same is not touched."""
    done = Changed()
    for key in keys:
        before = read(edit, key)
        after = how(key, before)
        if after is not before and after != before:
            edit.put_row(key.encode(), encode_sample(after))
            done.note(key, before, after)
    return done


def by_key(targets: Iterable[Target]) -> dict[str, set[bytes | None]]:
    """Targets gathered by their key, in the order of first sight."""
    found: dict[str, set[bytes | None]] = {}
    for key, region in targets:
        found.setdefault(key, set()).add(region)
    return found


# -- labels ---------------------------------------------------------------------------------------


def label(
    edit: RowEdit,
    vocabulary: Vocabulary,
    targets: Iterable[Target],
    assignments: Sequence[Assignment],
) -> Changed:
    """Say things of samples and regions.

    Raises UsageError for a task that is not asked of what is meant, or that takes one answer and
    would get a second.
    """
    tasks = {item.task: known_task(vocabulary.tasks, item.task) for item in assignments}
    chosen = by_key(targets)
    for key, parts in chosen.items():
        _refuse_scope(tasks, key, parts)

    def said(key: str, labels: Labels) -> Labels:
        for item in assignments:
            if item.operator == "+=" and not tasks[item.task].many:
                _refuse_second(vocabulary, key, labels, item)
            labels = edits.assign(labels, item)
        return labels

    def edited(key: str, sample: Sample) -> Sample:
        parts = chosen[key]
        if None in parts:
            sample = edits.with_labels(sample, said(key, sample.labels))
        return edits.edit_regions(
            sample, parts, lambda it: edits.with_region_labels(it, said(key, it.labels))
        )

    return change(edit, chosen, edited)


def _refuse_scope(tasks: Mapping[str, Task], key: str, parts: Collection[bytes | None]) -> None:
    for name, task in tasks.items():
        if None in parts and not task.asks("image"):
            raise UsageError(
                f"task '{name}' is asked of regions, and '{shown(key)}' is a sample",
                hint=f"{key}#1, {key}#* or --regions; or vgr task set {name} --on both",
            )
        if parts - {None} and not task.asks("region"):  # type: ignore[operator]
            raise UsageError(
                f"task '{name}' is asked of whole images, not of regions",
                hint=f"vgr task set {name} --on both",
            )


def _refuse_second(vocabulary: Vocabulary, key: str, labels: Labels, item: Assignment) -> None:
    there = edits.in_the_way(labels, item)
    if there is not None:
        raise UsageError(
            f"task '{item.task}' takes one answer, and of '{shown(key)}' {there.source} says"
            f" '{vocabulary.word(there)}' already",
            hint=f"{item.task}= instead of {item.task}+=",
        )


def put_state(
    edit: RowEdit,
    targets: Iterable[Target],
    state: State,
    *,
    task: str | None = None,
    source: str | None = None,
) -> Changed:
    """Accept, verify, propose or reject what is said of samples, or regions and what they are.

    With `task` only labels of that task, and no region; with `source` only what it said.
    """
    chosen = by_key(targets)

    def of_region(region: Region) -> Region:
        labels = edits.restate(region.labels, state, task=task, source=source)
        region = edits.with_region_labels(region, labels)
        whole = task is None and source in (None, region.source)
        return edits.restate_region(region, state) if whole else region

    def edited(key: str, sample: Sample) -> Sample:
        if None in chosen[key]:
            labels = edits.restate(sample.labels, state, task=task, source=source)
            sample = edits.with_labels(sample, labels)
        return edits.edit_regions(sample, chosen[key], of_region)

    return change(edit, chosen, edited)


# -- regions --------------------------------------------------------------------------------------


def add_region(edit: RowEdit, key: str, region: Region) -> Changed:
    """Give a sample one more region, after the others."""
    return change(edit, [key], lambda _, it: edits.with_regions(it, (*it.regions, region)))


def reshape(edit: RowEdit, targets: Iterable[Target], how: Callable[[Region], Region]) -> Changed:
    """Change the geometries of regions."""
    chosen = by_key(targets)
    return change(edit, chosen, lambda key, it: edits.edit_regions(it, chosen[key], how))


def remove_regions(edit: RowEdit, targets: Iterable[Target]) -> Changed:
    """Take regions away, with their labels and the links that their own samples had to them."""
    chosen = by_key(targets)
    return change(edit, chosen, lambda key, it: edits.drop_regions(it, chosen[key]))


def shift(
    edit: BlobEdit,
    targets: Iterable[Target],
    dx: float,
    dy: float,
    *,
    read: Callable[[bytes], bytes] | None = None,
) -> Changed:
    """Move regions by so many pixels, all geometries of each; `read` gives the bytes of a blob."""

    def moved(region: Region) -> Region:
        for role, geometry in region.geometries.items():
            shape = stored_geometry(edit, edits.shifted(geometry, dx, dy, load=read))
            region = edits.reshape(region, shape, role)
        return region

    return reshape(edit, targets, moved)


def stored_geometry(edit: BlobEdit, geometry: Geometry) -> Geometry:
    """A geometry as it stands in a row: the counts of a large mask go to a blob."""
    if not isinstance(geometry, Mask) or not isinstance(geometry.counts, bytes):
        return geometry
    if len(geometry.counts) <= MASK_INLINE_LIMIT:
        return geometry
    return geometry.replace(counts=edit.put_blob(geometry.counts))


def put_geometry(
    edit: RowEdit, targets: Iterable[Target], geometry: Geometry, role: str | None = None
) -> Changed:
    """Give regions another geometry in a role, by default the primary one."""
    return reshape(edit, targets, lambda region: edits.reshape(region, geometry, role))


# -- links ----------------------------------------------------------------------------------------


def link(edit: RowEdit, source: Target, target: Target, kind: str) -> Changed:
    """Link a region to another, of any sample; UsageError for a link to itself."""
    to = _end(edit, target)
    made = Link(kind=kind, uid=to[0], region=to[1])
    if _end(edit, source) == to:
        raise UsageError(
            f"both ends of the link are one region of '{shown(target[0])}'",
            hint="vgr link A#1 B#1 --as KIND",
        )
    return reshape(edit, [source], lambda region: edits.add_link(region, made))


def unlink(edit: RowEdit, source: Target, target: Target, kind: str | None = None) -> Changed:
    """Take away the links from a region to another, or those of one kind."""
    uid, region = _end(edit, target)
    return reshape(edit, [source], lambda it: edits.drop_links(it, uid, region, kind))


def unlink_lost(edit: RowEdit, source: Target, lookups: Lookups) -> Changed:
    """Take away the links of a region that lead to none any more."""
    _end(edit, source)

    def linked(region: Region) -> Region:
        for link in region.links:
            if not lookups.has_region(link.uid, link.region):
                region = edits.drop_links(region, link.uid, link.region)
        return region

    return reshape(edit, [source], linked)


def _end(edit: RowEdit, target: Target) -> tuple[bytes, bytes]:
    """(uid of the sample, region) that a link names."""
    key, region = target
    sample = read(edit, key)
    if region is None:
        raise UsageError(f"'{shown(key)}' names a sample, not a region", hint=f"{key}#1")
    return sample.uid, edits.region_of(sample, region).id


# -- what is not there, and how completely is said what is ----------------------------------------


def put_negatives(
    edit: RowEdit,
    vocabulary: Vocabulary,
    keys: Iterable[str],
    classes: Iterable[tuple[str, NodeId]],
    *,
    remove: bool = False,
    force: bool = False,
) -> Changed:
    """Say that classes, (task, node) each, are verified not to be in samples; or take that back.

    Raises StateError naming samples that say the contrary, unless `force`.
    """
    by_task: dict[str, list[NodeId]] = {}
    for task, node in classes:
        by_task.setdefault(task, []).append(node)
    if remove:
        by_task = {task: [*meanings(vocabulary, task, nodes)] for task, nodes in by_task.items()}
    against: list[str] = []

    def edited(key: str, sample: Sample) -> Sample:
        for task, nodes in by_task.items():
            if not remove and not force:
                against.extend(_against(vocabulary, key, sample, task, nodes))
            sample = edits.put_negatives(sample, task, nodes, remove=remove)
        return sample

    done = change(edit, keys, edited)
    if against:
        against = list(dict.fromkeys(against))  # one source after the other may say it
        more = len(against) - _MOST_NAMED
        named = "; ".join(against[:_MOST_NAMED]) + (f"; and {more:,} more" if more > 0 else "")
        raise StateError(
            f"what is said contradicts it: {named}",
            hint="vgr label KEY TASK-=CLASS takes a label away, --force says both",
        )
    return done


def _against(
    vocabulary: Vocabulary, key: str, sample: Sample, task: str, nodes: Sequence[NodeId]
) -> list[str]:
    """What a sample says to be there, of some classes and those below them, in words."""
    taxonomy = vocabulary.taxonomy_of(task)
    below = {node for top in nodes for node in (taxonomy.below(top) if taxonomy else ())}
    meant = meanings(vocabulary, task, below.union(nodes))
    places = {region.id: number for number, region in enumerate(sample.regions, 1)}
    return [
        f"{shown(key)}{f'#{places[region.id]}' if region else ''} is '{vocabulary.word(said)}'"
        for region, said in edits.contradictions(sample, task, meant)
    ]


def put_coverage(
    edit: RowEdit, keys: Iterable[str], levels: Mapping[str, Coverage | None]
) -> Changed:
    """Say how completely samples are labeled, by `coverage_key`; None for unknown."""

    def edited(_: str, sample: Sample) -> Sample:
        for key, level in levels.items():
            sample = edits.put_coverage(sample, key, level)
        return sample

    return change(edit, keys, edited)


# -- a whole sample -------------------------------------------------------------------------------


def put_split(edit: RowEdit, splits: Mapping[str, str | None]) -> Changed:
    """Put samples into splits, or with None into none."""
    return change(
        edit,
        splits,
        lambda key, it: it if it.split == splits[key] else it.replace(split=splits[key]),
    )
