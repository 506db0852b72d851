"""Facts: what is different between two versions, one thing each, in the words of vision.

A fact is plain data. `SampleDiff` and `RegionDiff` hold the facts of one sample and of one region
of it together with both of their sides, for those who count, show or draw them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from voyager.schema.rle import Load
from voyager.schema.sample import Label, Region, State
from voyager.schema.vocabulary import Vocabulary

Scope: TypeAlias = Literal[
    "sample",
    "region",
    "label",
    "class",
    "taxonomy",
    "coverage",
    "meta",
    "task",
    "policy",
    "guard",
    "file",
]

_STATES: Final[tuple[State, ...]] = ("proposed", "accepted", "verified", "rejected")

KINDS: Final[dict[Scope, tuple[str, ...]]] = {
    "sample": (
        "added",
        "removed",
        "renamed",
        "re-split",
        "replaced",  # another image
        "re-encoded",  # other bytes, the same pixels
        "transformed",  # its regions turned as a whole
        "attached",  # an image that was pending is stored
        "purged",
        "image",  # described anew: size, type, orientation
        "group",
        "asset",
        "held",
        "details",
    ),
    "region": (
        "added",
        "removed",
        "moved",
        "redrawn",
        "retyped",
        "gained",  # one more geometry
        "lost",
        "divided",
        "joined",
        *_STATES,
        "rescored",
        "flags",
        "attrs",
        "track",
        "frame",
        "links",
        "source",
        "details",
    ),
    "label": (
        "added",
        "removed",
        "changed",
        "refined",
        "coarsened",
        *_STATES,
        "rescored",
        "negative-added",
        "negative-removed",
        "details",
    ),
    "class": ("added", "removed", "renamed", "moved", "merged", "aliased", "renumbered", "changed"),
    "taxonomy": ("added", "removed", "renamed"),
    "coverage": ("raised", "lowered"),
    "meta": ("added", "removed", "changed"),
    "task": ("added", "removed", "changed"),
    "policy": ("changed",),
    "guard": ("added", "removed", "changed"),
    "file": ("added", "removed", "renamed", "replaced", "mode"),
}
"""Every scope, and the kinds of change it has."""


class Fact(NamedTuple):
    """One thing that is different.

    `before` and `after` are values of the schema (a label, a geometry, a region, text…), None for
    what was or is not there. `name` tells which of several: a meta or attribute name, a geometry
    role, a field of a task. `old_region` is the id that a region had before, where it has another.
    `answers` are, of a label of a task with one answer, the labels that answered it before and that
    answer it after; None where nothing does, or any number may.
    """

    scope: Scope
    kind: str
    key: str | None = None
    old_key: str | None = None
    region: bytes | None = None
    task: str | None = None
    node: bytes | None = None
    source: str | None = None
    similarity: float | None = None
    before: Any = None
    after: Any = None
    name: str | None = None
    old_region: bytes | None = None
    answers: tuple[tuple[Label, ...], tuple[Label, ...]] | None = None


Facts: TypeAlias = tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class RegionDiff:
    """One region that differs: its sides, its place (from 0) in each, and what is different."""

    before: Region | None
    after: Region | None
    old_place: int | None
    place: int | None
    facts: Facts

    @property
    def region(self) -> Region:
        """The region as it is, or as it was when it is gone."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class SampleDiff:
    """One key that differs: `kind` is added, removed, renamed or modified.

    `facts` are those of the sample as a whole and its labels; `before` and `after` are the encoded
    rows of it (`space` samples or files), or the samples themselves.
    """

    kind: str
    key: str
    old_key: str | None
    space: str
    before: Any
    after: Any
    facts: Facts = ()
    regions: tuple[RegionDiff, ...] = ()

    def __iter__(self) -> Iterator[Fact]:
        """All facts, those of regions last."""
        yield from self.facts
        for region in self.regions:
            yield from region.facts

    def __bool__(self) -> bool:
        return bool(self.facts or self.regions)

    def with_facts(self, facts: Facts, regions: tuple[RegionDiff, ...]) -> SampleDiff:
        """The same key with other facts."""
        return replace(self, facts=facts, regions=regions)


Relation: TypeAlias = Literal["same", "refined", "coarsened", "changed"]


class Terms:
    """The vocabularies of both sides: what labels are called, and how classes stand to each other.

    `load` fetches the counts of masks that are blobs. Without `voices` it is no difference who
    says something, how surely, and how far it is checked (predictions against labels).
    """

    def __init__(
        self,
        before: Vocabulary,
        after: Vocabulary,
        load: Load | None = None,
        *,
        voices: bool = True,
    ) -> None:
        self.before = before
        self.after = after
        self.load = load
        self.voices = voices
        self._relations: dict[tuple[str, bytes, bytes], Relation] = {}
        self._paths: dict[tuple[str, bytes, bool], str] = {}

    def was(self, label: Label) -> str:
        """What a label of the version before says, in words."""
        if label.node is None:
            return self.before.word(label)
        return self.told(label.task, label.node, old=True)

    def now(self, label: Label) -> str:
        """What a label of the version after says, in words."""
        return self.after.word(label) if label.node is None else self.told(label.task, label.node)

    def told(self, task: str, node: bytes, *, old: bool = False) -> str:
        """As `path`, of a class that is gone in both versions `PATH (removed)`."""
        path = self.path(task, node, old=old)
        return self.after.told(task, node) if path == node.hex() else path

    def path(self, task: str, node: bytes, *, old: bool = False) -> str:
        """The path of a class; of one that is gone what it was, else its id in hex."""
        found = self._paths.get((task, node, old))
        if found is None:
            first, second = (self.before, self.after) if old else (self.after, self.before)
            found = first.resolve(task, node) or second.resolve(task, node) or node.hex()
            self._paths[task, node, old] = found
        return found

    def many(self, task: str) -> bool:
        """Whether one source may give several answers."""
        known = self.after.tasks.get(task) or self.before.tasks.get(task)
        return known is not None and known.many

    def answering(self, labels: Sequence[Any], *, old: bool = False) -> Sequence[Any]:
        """Of the labels of one thing those that answer; all of a task that has no answer."""
        if len(labels) < 2:
            return labels
        vocabulary = self.before if old else self.after
        found: list[Any] = []
        for task in dict.fromkeys(label.task for label in labels):
            said = tuple(label for label in labels if label.task == task)
            found += vocabulary.answer(task, said).labels or said
        return found

    def relation(self, task: str, old: bytes, new: bytes) -> Relation:
        """How a class stands to the one that it was."""
        if old == new:
            return "same"
        found = self._relations.get((task, old, new))
        if found is None:
            found = self._relations[task, old, new] = self._relation(task, old, new)
        return found

    def _relation(self, task: str, old: bytes, new: bytes) -> Relation:
        for vocabulary in (self.after, self.before):
            taxonomy = vocabulary.taxonomy_of(task)
            if taxonomy is None:
                continue
            was, now = taxonomy.live(old), taxonomy.live(new)
            if was is None or now is None:
                continue
            if was == now:
                return "same"  # one was merged into the other
            if was in taxonomy.above(now):
                return "refined"
            return "coarsened" if now in taxonomy.above(was) else "changed"
        return "changed"

    def sigmas(self, region: Region) -> tuple[float, ...] | None:
        """Those of the skeleton of the region's keypoint task."""
        for label in region.labels:
            task = self.after.tasks.get(label.task) or self.before.tasks.get(label.task)
            if task is not None and task.skeleton is not None and task.skeleton.sigmas:
                return task.skeleton.sigmas
        return None
