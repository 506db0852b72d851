"""A part of what a commit changed: labels and regions of some tasks, of some classes, of one voice.

The version to merge is then the base with only these changes, so that all else follows from the
merge itself. Regions go whole where all of them is meant; where only labels of theirs are, a new
region comes along to carry them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, TypeVar

from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows, iter_row_pairs
from voyager.repo.snapshot import SAMPLES, TASKS, TAXONOMIES
from voyager.repo.staging import RowChange, fold_roots, overlay_of
from voyager.schema import Label, Region, Sample, decode_sample, encode_sample, parse_source
from voyager.schema.fields import label_slot
from voyager.schema.sample import parse_coverage_key
from voyager.schema.taxonomy import NodeId
from voyager.schema.taxonomy_paths import Place, match_path
from voyager.schema.vocabulary import Vocabulary
from voyager.schema.vocabulary_rows import parse_node_key
from voyager.store.history import Commit
from voyager.store.objects import ObjectWriter

_KINDS = ("task", "class")
_Part = TypeVar("_Part", Sample, Region)


@dataclass(frozen=True, slots=True)
class Only:
    """What to take of commits: all that is of one of the tasks or classes, and `by` somebody.

    Somebody is the author of a commit, whose commits are theirs as a whole; in commits of others,
    what has them as its source is theirs.
    """

    tasks: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    by: str | None = None

    def __bool__(self) -> bool:
        return bool(self.tasks or self.classes or self.by)

    def __str__(self) -> str:
        parts = [f"task {name}" for name in self.tasks] + [f"class {name}" for name in self.classes]
        named = [f"of {' or '.join(parts)}"] if parts else []
        return " ".join([*named, *([f"by {self.by}"] if self.by else [])])


EVERYTHING: Final = Only()


def parse_only(texts: Iterable[str], by: str | None = None) -> Only:
    """What `task=NAME` and `class=PATH` say; UsageError with a near miss for anything else."""
    found: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for text in texts:
        kind, _, value = text.partition("=")
        if kind not in found or not value:
            near = get_close_matches(kind, _KINDS, 1)
            hint = f"--only {near[0] if near else 'task'}={value or 'NAME'}"
            raise UsageError(f"'{text}' is neither task=NAME nor class=PATH", hint=hint)
        found[kind].append(value)
    return Only(tuple(found["task"]), tuple(found["class"]), by)


def refuse_unknown_classes(only: Only, words: Sequence[Vocabulary]) -> None:
    """NotFoundError, with a near miss, for a class that none of some vocabularies has."""
    for text in only.classes:
        errors: list[NotFoundError] = []
        for known in words:
            try:
                match_path(known, text)
                break
            except NotFoundError as error:
                errors.append(error)
        else:
            raise errors[0]


def near_task(only: Only, words: Sequence[Vocabulary]) -> str | None:
    """The task that an unknown one may be meant for."""
    tasks = {name for known in words for name in known.tasks}
    for name in only.tasks:
        near = get_close_matches(name, tasks, 1)
        if name not in tasks and near:
            return near[0]
    return None


def is_person(author: str, who: str) -> bool:
    """Whether an author `Name <email>` goes by a name: that, the address, or its first part."""
    name, _, rest = author.partition(" <")
    address = rest.removesuffix(">")
    names = {author, name, address, address.partition("@")[0]}
    return who.casefold() in {known.casefold() for known in names if known}


# -- what one commit has of it --------------------------------------------------------------------


@dataclass(slots=True)
class Selected:
    """A version with a part of the changes; `taken` counts the samples that have some.

    `passed` counts samples that were added or removed: such changes are of no task or class.
    """

    version: Dataset
    taken: int = 0
    passed: int = 0


def select(
    objects: ObjectWriter, base: Dataset, theirs: Dataset, commit: Commit, only: Only
) -> Selected:
    """The base with those of a commit's changes that are wanted."""
    who = None if only.by is None or is_person(commit.author, only.by) else only.by
    if who is None and not only.tasks and not only.classes:
        return Selected(theirs, taken=1)
    return _Selection(base, theirs, only, who).run(objects)


def _nodes(words: Sequence[Vocabulary], classes: Iterable[str]) -> Iterator[NodeId]:
    """The classes that paths name in any of some vocabularies, and all below them."""
    for text in classes:
        for known in words:
            try:
                places: list[Place] = match_path(known, text)
            except NotFoundError:
                continue
            for place in places:
                yield from known.taxonomies[place.taxonomy].below(place.node)
                if place.node is not None:
                    yield place.node


@dataclass(slots=True)
class _Needed:
    """What the labels that are taken ask of the vocabulary."""

    tasks: set[str] = field(default_factory=set)
    taxonomies: set[str] = field(default_factory=set)
    nodes: set[NodeId] = field(default_factory=set)


class _Selection:
    """The changes of one commit that are wanted; `who` is whose voice it is to be, of any's."""

    def __init__(self, base: Dataset, theirs: Dataset, only: Only, who: str | None) -> None:
        self._base, self._theirs, self._who = base, theirs, who
        self._words = theirs.vocabulary
        self._tasks = set(only.tasks)
        self._nodes = set(_nodes((base.vocabulary, self._words), only.classes))
        self._anything = not only.tasks and not only.classes
        self._many = {name for name, task in self._words.tasks.items() if task.many}
        self._needed = _Needed()

    def run(self, objects: ObjectWriter) -> Selected:
        found = Selected(self._base)
        changes: list[RowChange] = []
        for pair in iter_row_pairs(self._base, self._theirs, SAMPLES):
            if pair.before is None or pair.after is None:
                found.passed += 1
                continue
            before, after = decode_sample(pair.before), decode_sample(pair.after)
            chosen = self._sample(before, after)
            if chosen != before:
                key = pair.key if pair.old_key is None else pair.old_key
                changes.append((SAMPLES, key.encode(), encode_sample(chosen)))
        found.taken = len(changes)
        changes += self._vocabulary()
        found.taken += len(changes) > found.taken
        found.version = Dataset(objects, fold_roots(objects, self._base.roots, overlay_of(changes)))
        return found

    # -- labels ----------------------------------------------------------------------------------

    def _takes(self, label: Label | None) -> bool:
        if label is None or not self._is_theirs(label.source):
            return False
        return self._anything or label.task in self._tasks or label.node in self._nodes

    def _is_theirs(self, source: str) -> bool:
        if self._who is None:
            return True
        return self._who.casefold() in (source.casefold(), parse_source(source)[1].casefold())

    def _labels(self, old: Sequence[Label], new: Sequence[Label]) -> tuple[Label, ...]:
        """The old labels with the wanted changes of the new ones."""
        before, after = self._by_slot(old), self._by_slot(new)
        found = []
        for slot in dict.fromkeys((*before, *after)):
            was, now = before.get(slot), after.get(slot)
            if was != now and (self._takes(was) or self._takes(now)):
                self._need(now)
                was = now
            if was is not None:
                found.append(was)
        return tuple(found)

    def _by_slot(self, labels: Iterable[Label]) -> dict[tuple[str, ...], Label]:
        return {label_slot(each, many=each.task in self._many): each for each in labels}

    def _need(self, label: Label | None) -> None:
        if label is None:
            return
        self._needed.tasks.add(label.task)
        taxonomy = self._words.taxonomy_of(label.task)
        if taxonomy is not None and label.node is not None:
            self._needed.taxonomies.add(taxonomy.name)
            self._needed.nodes.update((label.node, *taxonomy.above(label.node)))

    # -- samples and regions ---------------------------------------------------------------------

    def _sample(self, old: Sample, new: Sample) -> Sample:
        return old.replace(
            labels=self._labels(old.labels, new.labels),
            regions=tuple(self._regions(old, new)),
            coverage=self._coverage(old, new),
            negatives=self._negatives(old, new),
        )

    def _regions(self, old: Sample, new: Sample) -> Iterator[Region]:
        before = {region.id: region for region in old.regions}
        after = {region.id: region for region in new.regions}
        for own in dict.fromkeys((*before, *after)):
            region = self._region(before.get(own), after.get(own))
            if region is not None:
                yield region

    def _region(self, old: Region | None, new: Region | None) -> Region | None:
        """A region with the wanted changes; one that is only seen by a label comes with that."""
        if old == new:
            return old
        if self._is_whole(old, new):
            for label in () if new is None else new.labels:
                self._need(label)
            return new
        if old is None:
            assert new is not None
            labels = self._labels((), new.labels)
            return new.replace(labels=labels) if labels else None
        labels = self._labels(old.labels, () if new is None else new.labels)
        return old if labels == old.labels else old.replace(labels=labels)

    def _is_whole(self, old: Region | None, new: Region | None) -> bool:
        """Whether everything about a region is wanted: what it is of, before or after."""
        there = [region for region in (old, new) if region is not None]
        if not any(self._is_theirs(region.source) for region in there):
            return False
        labels = [label for region in there for label in region.labels]
        if self._anything or any(label.node in self._nodes for label in labels):
            return True
        return bool(labels) and all(label.task in self._tasks for label in labels)

    def _coverage(self, old: Sample, new: Sample) -> dict[str, object]:
        found: dict[str, object] = dict(old.coverage)
        for key in {*old.coverage, *new.coverage}:
            if self._is_of(*parse_coverage_key(key)):
                if key in new.coverage:
                    found[key] = new.coverage[key]
                else:
                    del found[key]
        return found

    def _negatives(self, old: Sample, new: Sample) -> dict[str, tuple[NodeId, ...]]:
        found = {}
        for task in {*old.negatives, *new.negatives}:
            was, now = set(old.negatives.get(task, ())), set(new.negatives.get(task, ()))
            wanted = {node for node in was ^ now if self._is_of(task, node)}
            found[task] = tuple(was ^ wanted)
        return found

    def _is_of(self, task: str, node: NodeId | None) -> bool:
        """Whether what has no source of its own is wanted."""
        if self._who is not None:
            return False
        return task in self._tasks or (node is not None and node in self._nodes)

    # -- tasks and classes -----------------------------------------------------------------------

    def _vocabulary(self) -> Iterator[RowChange]:
        """The rows of wanted tasks and classes, and those that wanted labels cannot do without."""
        needed, own = self._needed, set() if self._who is not None else self._tasks
        for key, before, row in changed_rows(self._base, self._theirs, TASKS):
            name = key.decode()
            if name in own or (before is None and name in needed.tasks):
                yield TASKS, key, row
        known = [self._words.taxonomy_of(task) for task in own]
        whole = {taxonomy.name for taxonomy in known if taxonomy is not None}
        nodes = set() if self._who is not None else self._nodes
        for key, before, row in changed_rows(self._base, self._theirs, TAXONOMIES):
            taxonomy, node = parse_node_key(key)
            missing = before is None and (
                node in needed.nodes if node is not None else taxonomy in needed.taxonomies
            )
            if taxonomy in whole or node in nodes or missing:
                yield TAXONOMIES, key, row
