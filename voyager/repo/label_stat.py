"""Facts counted: by scope and kind, by class, by task and by folder; what a summary is made of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from voyager.repo.label_facts import Fact, RegionDiff, SampleDiff, Terms
from voyager.repo.snapshot import FILES
from voyager.schema.partial import partial_decoder
from voyager.schema.sample import Label, Region, Sample

ClassKey: TypeAlias = tuple[str, str]
"""Task, and the path of the class."""

COLUMNS = ("added", "removed", "moved", "redrawn", "other", "in", "out")
"""What is counted of a class: regions by what became of them, labels that came to it and left."""

TASK_COLUMNS = (
    "added", "removed", "changed", "refined", "coarsened", "rescored", "state", "negative",
)  # fmt: skip
_STATES = ("proposed", "accepted", "verified", "rejected")
_PARTS = tuple(
    f"{place}.{name}"
    for place in ("labels", "regions.labels")
    for name in ("task", "node", "value", "ordinal", "language", "source", "state")
)


@dataclass(slots=True)
class Stat:
    """Counts of facts.

    `shapes` are the likenesses of regions moved or redrawn by (kind, type); `changed` are labels
    changed by (task, before, after); `classes` and `tasks` are the tables of --stat; `whole` counts
    regions and labels of samples that were added or removed, which are no facts of their own.
    """

    terms: Terms
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    keys: Counter[tuple[str, str]] = field(default_factory=Counter)
    folders: dict[str, Counter[tuple[str, str]]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    shapes: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    changed: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    regions: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    classes: dict[ClassKey, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    tasks: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    whole: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, found: SampleDiff) -> None:
        """Count the facts of one key."""
        scope = "file" if found.space == FILES else "sample"
        self.keys[scope, found.kind] += 1
        folder = found.key.rpartition("/")[0]
        self.folders[folder][scope, found.kind] += 1
        for fact in found:
            self.count(fact)
        if found.kind in ("added", "removed") and scope == "sample":
            self._add_whole(found)
            return
        self._add_said(found.facts)
        for region in found.regions:
            self._add_region(region)

    def count(self, fact: Fact) -> None:
        """Count a fact by its scope and kind alone."""
        self.counts[fact.scope][fact.kind] += 1

    def summary(self) -> dict[str, dict[str, int]]:
        """Scope → kind → how many."""
        return {scope: dict(counts) for scope, counts in self.counts.items()}

    def likeness(self, kind: str, shape: str) -> float | None:
        """The median likeness of the regions of a type that were moved or redrawn."""
        known = sorted(score for score in self.shapes.get((kind, shape), ()) if score >= 0)
        middle = len(known) // 2  # `statistics` takes as long to import as this to count
        return (known[middle] + known[~middle]) / 2 if known else None

    # -- one sample ------------------------------------------------------------------------------

    def _add_whole(self, found: SampleDiff) -> None:
        row = found.after if found.before is None else found.before
        sample = row if isinstance(row, Sample) else _decoder()(row)
        kind, way = ("added", "in") if found.before is None else ("removed", "out")
        self.whole[kind, "region"] += len(sample.regions)
        self.whole[kind, "label"] += len(sample.labels)
        old = kind == "removed"
        for label in sample.labels:
            self._task(label.task, kind)
        for label in self.terms.answering(sample.labels, old=old):
            self._class(label, way)
        for region in sample.regions:
            self._classes_of(region, kind, old=old)
            for label in region.labels:
                self._task(label.task, kind)

    def _add_region(self, found: RegionDiff) -> None:
        for fact in found.facts:
            if fact.scope != "region":
                continue
            kind = fact.kind
            if kind in ("moved", "redrawn"):
                shape = fact.after.name
                score = -1.0 if fact.similarity is None else fact.similarity
                self.shapes[kind, shape].append(score)
            old = found.after is None
            self.regions[kind][self._name(found.region, old=old)] += 1
            self._classes_of(found.region, kind if kind in COLUMNS else "other", old=old)
            if kind in ("added", "removed"):
                for label in found.region.labels:
                    self._task(label.task, kind)
        self._add_said(found.facts)

    def _name(self, region: Region, *, old: bool) -> str:
        labels = self.terms.answering(region.labels, old=old)
        label = next((label for label in labels if label.node is not None), None)
        return "" if label is None else self.terms.now(label)

    def _classes_of(self, region: Any, column: str, *, old: bool) -> None:
        """Count a region under its class in each task, under several where nothing answers."""
        labels = self.terms.answering(region.labels, old=old)
        if len(labels) == 1:
            self._class(labels[0], column)
            return
        seen = set()
        for label in labels:
            if (label.task, label.node) not in seen:
                seen.add((label.task, label.node))
                self._class(label, column)

    def _class(self, label: Any, column: str) -> None:
        if label.node is not None:
            path = self.terms.path(label.task, label.node)
            self.classes[label.task, path][column] += 1

    def _task(self, task: str, column: str) -> None:
        self.tasks[task][column] += 1

    def _add_said(self, facts: Iterable[Fact]) -> None:
        """Count what is said of one thing; classes by the answers, each task's once."""
        answered = set()
        for fact in facts:
            if fact.scope != "label" or fact.task is None:
                continue
            was, now = fact.before, fact.after
            if fact.kind in ("changed", "refined", "coarsened"):
                words = self.terms.was(was), self.terms.now(now)
                self.changed[fact.task, fact.kind, *words] += 1
            if fact.answers is None:
                self._in_and_out(fact)
            elif fact.task not in answered:
                answered.add(fact.task)
                self._turn(*fact.answers)
            kind = "state" if fact.kind in _STATES else fact.kind.partition("-")[0]
            self._task(fact.task, kind if kind in TASK_COLUMNS else "state")

    def _in_and_out(self, fact: Fact) -> None:
        """Count a label that counts for itself: nothing answers, or any number may."""
        if fact.kind in ("changed", "refined", "coarsened"):
            self._turn((fact.before,), (fact.after,))
        elif fact.kind == "added":
            self._class(fact.after, "in")
        elif fact.kind == "removed":
            self._class(fact.before, "out")

    def _turn(self, was: tuple[Label, ...], now: tuple[Label, ...]) -> None:
        if not _same_classes(was, now, self.terms):
            for label in was:
                self._class(label, "out")
            for label in now:
                self._class(label, "in")


def _same_classes(was: tuple[Label, ...], now: tuple[Label, ...], terms: Terms) -> bool:
    return len(was) == len(now) and all(
        old.node == new.node
        or (
            old.node is not None
            and new.node is not None
            and terms.relation(old.task, old.node, new.node) == "same"
        )
        for old, new in zip(was, now, strict=True)
    )


@lru_cache(maxsize=1)
def _decoder() -> Any:
    return partial_decoder(_PARTS)


def stat_of(found: Iterable[SampleDiff], terms: Terms, words: Iterable[Fact] = ()) -> Stat:
    """The counts of some diffs, and of facts about the vocabulary."""
    stat = Stat(terms)
    for fact in words:
        stat.count(fact)
    for one in found:
        stat.add(one)
    return stat


def counted_while(found: Iterable[SampleDiff], stat: Stat) -> Iterator[SampleDiff]:
    """The same diffs, counted as they pass by."""
    for one in found:
        stat.add(one)
        yield one
