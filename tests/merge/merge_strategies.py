"""Samples and versions that differ in every way, for the laws of merging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import schema_strategies as schema
from hypothesis import strategies as st

from voyager import wire
from voyager.merge.merged_version import MergedVersion
from voyager.merge.three_way import merge_versions
from voyager.repo.conflicts import iter_conflicted, settle
from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import FILES, SAMPLES, read_snapshot, write_snapshot
from voyager.repo.staging import edit_map
from voyager.repo.vocabulary import vocabulary_changes
from voyager.schema import (
    Asset,
    Box,
    FileRow,
    Group,
    Image,
    Keypoints,
    Label,
    Link,
    Mask,
    Origin,
    Polygon,
    Region,
    Sample,
    decode_sample,
    encode_file,
    encode_sample,
)
from voyager.schema.conflict import Terms
from voyager.schema.fields import decode_field, write_field
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.store.objects import MemoryObjects

# -- a small world ---------------------------------------------------------------------------------


def draft() -> Draft:
    """Tasks of one answer (`kind`, `count`) and of several (`tags`, `caption`), and classes."""
    draft = Draft(Vocabulary())
    draft.define("kind", taxonomy="things")
    draft.define("tags", taxonomy="things", many=True)
    draft.define("caption", kind="text", many=True)
    draft.define("count", kind="number")
    for path in ("animal", "animal/cat", "animal/cat/tabby", "animal/dog", "car"):
        draft.mint_path("things", path)
    return draft


@cache
def vocabulary() -> Vocabulary:
    """What `draft` drafts."""
    return Vocabulary(draft().tasks, draft().taxonomies)


def node(name: str) -> bytes:
    """The node of a class of `things`, by its last name."""
    nodes = vocabulary().taxonomies["things"].nodes
    return next(own for own, each in nodes.items() if each.name == name)


CLASSES = ("animal", "cat", "tabby", "dog", "car")
UIDS = tuple(bytes([number]) * 16 for number in range(1, 7))
REGIONS = tuple(bytes([16 + number]) * 16 for number in range(5))
BLOBS = tuple(wire.blob_ref(bytes([number]) * 32) for number in range(1, 5))

classes = st.sampled_from(CLASSES).map(node)
sources = st.sampled_from(["human", "human:ann", "model:m"])
states = st.sampled_from(["accepted", "proposed", "verified", "rejected"])
origins = st.none() | st.builds(Origin, id=st.integers(1, 2))
voices: dict[str, Any] = {
    "source": sources,
    "state": states,
    "score": st.sampled_from([None, 0.25, 0.75]),
    "origin": origins,
}
few = st.sampled_from(["a", "b"])
scalars = st.sampled_from([1, 1.0, True, 0, False, "a", "b", 2.5])
extras = st.dictionaries(few, scalars | st.none() | st.lists(scalars, max_size=2), max_size=2)

boxes = st.sampled_from(
    [Box(x, 0, x + side, 100) for x in (0, 1, 3, 20, 300) for side in (100, 130)]
)
shapes = (
    boxes
    | st.sampled_from([0, 2, 40]).map(
        lambda x: Polygon([[[x, 0.0, x + 90.0, 0.0, x + 90.0, 90.0, x, 95.0]]])
    )
    | st.sampled_from([0, 5]).map(lambda x: Keypoints([x, 1.0, 20.0, 30.0], [2, 1]))
    | st.sampled_from([b"6n0", b"7m0", b"broken"]).map(lambda counts: Mask(6, 6, counts))
)


@st.composite
def labels(draw: st.DrawFn) -> Label:
    """A label that is right for its task."""
    task = draw(st.sampled_from(["kind", "kind", "tags", "caption", "count"]))
    voice = {name: draw(voice) for name, voice in voices.items()}
    if task in ("kind", "tags"):
        return Label(task=task, node=draw(classes), **voice)
    if task == "count":
        return Label(task=task, value=draw(st.sampled_from([1.0, 2.0])), **voice)
    return Label(task=task, value=draw(few), ordinal=draw(st.sampled_from([None, 1])), **voice)


def _slot(label: Label) -> tuple[Any, ...]:
    many = (label.node or label.value) if label.task in ("tags", "caption") else None
    return label.task, label.source, many, label.ordinal, label.language


label_lists = st.lists(labels(), max_size=3, unique_by=_slot)
links = st.builds(
    Link, uid=st.sampled_from(UIDS[:2]), region=st.sampled_from(REGIONS), kind=st.just("on")
)


@st.composite
def region(draw: st.DrawFn, own: bytes) -> Region:
    """A region of a given id."""
    drawn = draw(st.dictionaries(st.sampled_from(["box", "mask"]), shapes, min_size=1, max_size=2))
    return Region(
        id=own,
        geometries=drawn,
        primary=draw(st.sampled_from(sorted(drawn))),
        labels=draw(label_lists),
        flags=draw(st.lists(st.sampled_from(["crowd", "ignore", "new"]), max_size=2)),
        attrs=draw(st.dictionaries(few, scalars, max_size=2)),
        links=draw(st.lists(links, max_size=2, unique=True)),
        track=draw(st.none() | few),
        frame_state=draw(st.sampled_from([None, "keyframe", "outside"])),
        extra=draw(extras),
        **{name: draw(voice) for name, voice in voices.items()},
    )


region_lists = st.lists(st.sampled_from(REGIONS), max_size=3, unique=True).flatmap(
    lambda ids: st.tuples(*(region(own) for own in ids))
)


def coverages() -> st.SearchStrategy[dict[str, str]]:
    """How completely a task, or one class of it, is labeled."""
    keys = st.sampled_from(["kind", f"kind:{node('animal').hex()}"])
    return st.dictionaries(keys, st.sampled_from(["partial", "exhaustive"]), max_size=2)


def samples(uid: bytes = UIDS[0]) -> st.SearchStrategy[Sample]:
    """Samples of a few values, so that sides meet each other often."""
    return st.builds(
        Sample,
        uid=st.just(uid),
        image=st.sampled_from([uid[:1], b"new" + uid[:1]]).map(
            lambda seed: Image(blob=wire.blob_ref(seed.ljust(32)), width=400, height=200)
        ),
        split=st.sampled_from([None, "train", "val"]),
        labels=label_lists,
        regions=region_lists,
        negatives=st.dictionaries(st.just("kind"), st.lists(classes, max_size=2), max_size=1),
        coverage=coverages(),
        meta=st.dictionaries(few, scalars, max_size=2),
        group=st.none() | st.builds(Group, id=few, index=st.integers(0, 1)),
        assets=st.dictionaries(
            few, st.sampled_from(BLOBS[:2]).map(lambda blob: Asset(blob=blob, bytes=1)), max_size=2
        ),
        origin=origins,
        extra=extras,
    )


# -- sides of a base -------------------------------------------------------------------------------

_FIELDS = tuple(name for name in Sample.__struct_fields__ if name != "uid")
_REGION_FIELDS = tuple(
    name for name in Region.__struct_fields__ if name not in ("id", "geometries", "primary")
)
FIELDS = _FIELDS
"""What of a sample can be of one side or of another."""


def crossed(draw: st.DrawFn, one: Sample, other: Sample) -> Sample:
    """A sample whose fields, and regions field by field, are of one or of another."""
    taken = draw(st.sets(st.sampled_from(_FIELDS), max_size=4))
    found = one.replace(**{name: getattr(other, name) for name in taken if name != "regions"})
    if "regions" not in taken:
        return found
    here = {each.id: each for each in one.regions}
    there = {each.id: each for each in other.regions}
    regions = []
    for own in {**here, **there}:
        before, after = here.get(own), there.get(own)
        if before is None or after is None:
            if draw(st.booleans()):
                regions.append(before or after)
        else:
            regions.append(_crossed_region(draw, before, after))
    return found.replace(regions=tuple(regions))


def _crossed_region(draw: st.DrawFn, one: Region, other: Region) -> Region:
    taken = draw(st.sets(st.sampled_from((*_REGION_FIELDS, "geometries")), max_size=3))
    changes = {name: getattr(other, name) for name in taken}
    if "geometries" in taken:
        changes["primary"] = other.primary
    return one.replace(**changes)


@st.composite
def families(draw: st.DrawFn, sides: int = 2, rich: bool = False) -> tuple[Sample, ...]:
    """A base and sides, each of which changed some of its fields to others' values."""
    pool = schema.samples if rich else samples()
    base, one, other = (draw(pool) for _ in range(3))
    one, other = one.replace(uid=base.uid), other.replace(uid=base.uid)
    made = (crossed(draw, base, draw(st.sampled_from([base, one, other]))) for _ in range(sides))
    return base, *made


# -- versions --------------------------------------------------------------------------------------

Rows = Mapping[str, Sample]
KEYS = ("a", "b", "c", "d/e")


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Sample]:
    """A few samples by key."""
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=3, unique=True))
    return {key: draw(samples(uid)) for key, uid in zip(keys, UIDS, strict=False)}


@st.composite
def edited(draw: st.DrawFn, rows: Rows, most: int = 3) -> dict[str, Sample]:
    """Some samples after a few edits, renames, swaps, removals and additions."""
    found = dict(rows)
    for _ in range(draw(st.integers(0, most))):
        verb = draw(st.sampled_from(["edit", "edit", "edit", "drop", "move", "swap", "add"]))
        keys = sorted(found)
        if verb == "add":
            _add(draw, found)
        elif keys:
            key = draw(st.sampled_from(keys))
            if verb == "edit":
                found[key] = crossed(draw, found[key], draw(samples()))
            elif verb == "drop":
                del found[key]
            elif verb == "swap":
                other = draw(st.sampled_from(keys))
                found[key], found[other] = found[other], found[key]
            elif free := sorted(set(KEYS) - found.keys()):
                found[draw(st.sampled_from(free))] = found.pop(key)
    return found


def _add(draw: st.DrawFn, found: dict[str, Sample]) -> None:
    keys = sorted(set(KEYS) - found.keys())
    uids = sorted(set(UIDS) - {sample.uid for sample in found.values()})
    if keys and uids:
        uid = draw(st.sampled_from(uids))
        found[draw(st.sampled_from(keys))] = draw(samples(uid))


class Lab:
    """Versions in memory, and merges of them."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.vocabulary = edit_vocabulary(self.objects)

    def version(
        self, samples: Rows, files: Mapping[str, FileRow] | None = None, **roots: bytes
    ) -> Dataset:
        """A version of samples, and of files, by key."""
        found = {**self.vocabulary, **roots}
        rows = sorted((key.encode(), encode_sample(each)) for key, each in samples.items())
        found[SAMPLES] = edit_map(self.objects, None, iter(rows))
        rows = sorted((key.encode(), encode_file(each)) for key, each in (files or {}).items())
        found[FILES] = edit_map(self.objects, None, iter(rows))
        return self.read(write_snapshot(self.objects, found))

    def read(self, snapshot: bytes) -> Dataset:
        """The version of a snapshot."""
        return Dataset(self.objects, read_snapshot(self.objects, snapshot))

    def merge(self, base: Dataset, *sides: Dataset, **more: Any) -> Dataset:
        """What sides make of a base."""
        return self.read(self.told(base, *sides, **more).snapshot)

    def told(self, base: Dataset, *sides: Dataset, **more: Any) -> MergedVersion:
        """As `merge`, with what the merge tells."""
        return merge_versions(self.objects, base, sides, **more)

    def staged(self, version: Dataset, changes: Mapping[str, Sample | None]) -> Dataset:
        """A version in which somebody wrote samples (None: took them out)."""
        rows = [
            (SAMPLES, key.encode(), None if sample is None else encode_sample(sample))
            for key, sample in changes.items()
        ]
        roots = dict(version.roots)
        by_space: dict[str, list[tuple[bytes, bytes | None]]] = {}
        for space, key, row in settle(version, rows):
            by_space.setdefault(space, []).append((key, row))
        for space, found in by_space.items():
            roots[space] = edit_map(self.objects, roots.get(space), iter(sorted(found)))
        return self.read(write_snapshot(self.objects, roots))


def edit_vocabulary(objects: MemoryObjects) -> dict[str, bytes]:
    """The roots of the small world's tasks and classes."""
    rows: dict[str, list[tuple[bytes, bytes | None]]] = {}
    for space, key, row in vocabulary_changes(draft()):
        rows.setdefault(space, []).append((key, row))
    return {space: edit_map(objects, None, iter(sorted(found))) for space, found in rows.items()}


def same(one: Dataset, other: Dataset) -> bool:
    """Whether two versions are one, to the byte."""
    return one.roots == other.roots


def conflicts_of(version: Dataset) -> dict[str, dict[str, Terms]]:
    """What is in conflict, by key and path."""
    return {key.decode(): found for _, key, found in iter_conflicted(version)}


def samples_of(version: Dataset) -> dict[str, Sample]:
    """The samples of a version by key."""
    return dict(version.items())


Said = tuple[bytes, bytes, Any]
"""Whose label it is, of which region (or none), and what it says: node or value, and source."""


def said_in(sample: Sample) -> Iterator[Said]:
    """Every label of a sample and of its regions."""
    for own, labels in ((b"", sample.labels), *((r.id, r.labels) for r in sample.regions)):
        for label in labels:
            yield sample.uid, own, (label.task, label.source, label.node, label.value)


def said_of(version: Dataset) -> set[Said]:
    """Every label of a version."""
    return {said for sample in samples_of(version).values() for said in said_in(sample)}


def said_in_conflict(version: Dataset) -> set[Said]:
    """Every label among the terms of what is in conflict."""
    found: set[Said] = set()
    for key, conflicts in conflicts_of(version).items():
        row = version.row(SAMPLES, key.encode())
        for path, terms in conflicts.items():
            for term in terms.adds:
                value = decode_field(path, term)
                if isinstance(value, Sample):
                    found.update(said_in(value))
                elif row is not None and isinstance(value, (Label, Region)):
                    sample = decode_sample(row)
                    found.update(said_in(write_field(sample, path, value)))
    return found
