"""Where a sample and the tasks and taxonomies of its version do not agree.

A violation is nothing corrupt: it comes from forcing a change of the schema, or from joining two
versions, and every one of them names what would mend it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from voyager.schema.geometry import Geometry
from voyager.schema.label_edit import contradictions
from voyager.schema.rle import Load
from voyager.schema.sample import Label, Region, Sample, parse_coverage_key
from voyager.schema.task import Task, answer
from voyager.schema.taxonomy import NodeId, Taxonomy, join_path
from voyager.schema.vocabulary import Vocabulary

ViolationKind: TypeAlias = Literal[
    "unknown-task",
    "unknown-class",
    "dead-class",
    "wrong-kind",
    "wrong-scope",
    "several-answers",
    "not-applicable",
    "contradiction",
    "dangling-link",
    "overlap",
]

Leads: TypeAlias = Callable[[bytes, bytes], bool]
"""Whether (sample uid, region id) is a region of the version."""

_Found: TypeAlias = tuple[ViolationKind, str, str]
"""Kind, message and hint."""

_VALUES = {"text": str, "number": float, "bool": bool}


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that does not agree: where, in words, and a command that mends it.

    `path` is the place in the sample's JSON: `regions[0].labels[1]`, `negatives.category`.
    """

    key: str
    region: bytes | None
    path: str
    kind: ViolationKind
    message: str
    hint: str


def violations(
    key: str, sample: Sample, vocabulary: Vocabulary, *, leads: Leads | None = None
) -> Iterator[Violation]:
    """All that does not agree in one sample; with `leads` links that lead nowhere too.

    Who looks at many samples keeps a `Validator`.
    """
    return Validator(vocabulary, leads=leads).violations(key, sample)


class Validator:
    """Looks at samples of one version, of all tasks or with `task` of one alone.

    Masks that lie in blobs are held against other regions only with `load`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        task: str | None = None,
        leads: Leads | None = None,
        load: Load | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self._only = task
        self._leads = leads
        self._load = load
        self._apart = [name for name in tasks_apart(vocabulary) if task in (None, name)]

    def violations(self, key: str, sample: Sample) -> Iterator[Violation]:
        """All that does not agree in a sample, its own labels first."""
        for region, path, (kind, message, hint) in self._all(key, sample):
            yield Violation(key, region, path, kind, message, hint)

    def _all(self, key: str, sample: Sample) -> Iterator[tuple[bytes | None, str, _Found]]:
        for path, found in self._of_labels(key, sample, None):
            yield None, path, found
        for at, region in enumerate(sample.regions):
            for path, found in self._of_labels(key, sample, region):
                yield region.id, f"regions[{at}].{path}", found
            if self._leads is not None and self._only is None:
                yield from self._of_links(key, sample, region, f"regions[{at}]")
        for name in self._apart if len(sample.regions) > 1 else ():
            yield from self._of_overlaps(name, sample)
        for path, found in self._of_absences(key, sample):
            yield None, path, found

    # -- labels ----------------------------------------------------------------------------------

    def _of_labels(
        self, key: str, sample: Sample, region: Region | None
    ) -> Iterator[tuple[str, _Found]]:
        said = sample.labels if region is None else region.labels
        voices: Counter[tuple[object, ...]] = Counter()
        for at, label in enumerate(said):
            if self._only is not None and label.task != self._only:
                continue
            task = self.vocabulary.tasks.get(label.task)
            if task is None:
                yield f"labels[{at}]", _unknown_task(label.task)
                continue
            found = self._of_label(key, label, task, region)
            if found is not None:
                yield f"labels[{at}]", found
            if label.state == "rejected":
                continue
            voice = (label.task, label.source, label.ordinal, label.language)
            voices[voice] += 1
            if voices[voice] == 2 and not task.many:
                yield f"labels[{at}]", _several(label)
            wanted = task.applies_to
            if wanted is not None and not self._applies(wanted, sample, region):
                yield f"labels[{at}]", self._not_applicable(_place(key, region), label, wanted)

    def _of_label(self, key: str, label: Label, task: Task, region: Region | None) -> _Found | None:
        scope: Literal["image", "region"] = "image" if region is None else "region"
        if not task.asks(scope):
            return (
                "wrong-scope",
                f"task '{label.task}' is not asked of {scope}s",
                f"vgr task set {label.task} --on both",
            )
        if task.kind == "category":
            if label.node is None:
                return _wrong_kind(label, "a class")
            found = self._of_node(label.task, label.node, "")
            return found and (*found[:2], f"vgr label {_place(key, region)} {label.task}=CLASS")
        if type(label.value) is not _VALUES[task.kind]:
            return _wrong_kind(label, task.kind)
        return None

    def _of_node(self, task: str, node: NodeId, hint: str) -> _Found | None:
        taxonomy = self.vocabulary.taxonomy_of(task)
        if taxonomy is not None and taxonomy.live(node) is not None:
            return None
        known = None if taxonomy is None else taxonomy.nodes.get(node)
        if taxonomy is None or known is None:
            return ("unknown-class", f"no class of task '{task}' has the id {node.hex()}", hint)
        path = join_path(taxonomy.names_of(node))
        return ("dead-class", f"the class '{path}' of task '{task}' was removed", hint)

    def _applies(self, wanted: NodeId, sample: Sample, region: Region | None) -> bool:
        """Whether the region, or for an image it or anything in it, is of a class or one below."""
        inside = self._meant_by(wanted)
        labels = list(sample.labels if region is None else region.labels)
        if region is None:
            labels += [label for one in sample.regions for label in one.labels]
        return any(label.node in inside for label in labels if label.state != "rejected")

    def _not_applicable(self, place: str, label: Label, wanted: NodeId) -> _Found:
        taxonomy = self._owner(wanted)
        path = None if taxonomy is None else taxonomy.path(wanted)
        if path is None:
            message = f"task '{label.task}' applies only to a class that was removed"
            return ("not-applicable", message, f"vgr task set {label.task} --applies-to PATH")
        message = f"task '{label.task}' applies only to '{path}'"
        return ("not-applicable", message, f"vgr label {place} {label.task}=")

    # -- overlaps --------------------------------------------------------------------------------

    def _of_overlaps(self, name: str, sample: Sample) -> Iterator[tuple[bytes | None, str, _Found]]:
        """Regions that answer a task and overlap an earlier one that does, each once."""
        from voyager.schema.overlap import overlaps

        task, regions = self.vocabulary.tasks[name], sample.regions
        places = [at for at, region in enumerate(regions) if _answers(name, task, region)]
        shapes = [_shape(regions[at]) for at in places]
        for later, earlier, shared in overlaps(shapes, self._load) if len(places) > 1 else ():
            region, other = regions[places[later]], regions[places[earlier]]
            message = f"it shares {shared:,.0f} px² with #{other.id.hex()[:8]}: task '{name}'"
            message += " parts the image" if task.overlap == "partition" else " forbids overlaps"
            hint = f"vgr task set {name} --overlap allowed"
            yield region.id, f"regions[{places[later]}]", ("overlap", message, hint)

    # -- links, negatives, coverage --------------------------------------------------------------

    def _of_links(
        self, key: str, sample: Sample, region: Region, path: str
    ) -> Iterator[tuple[bytes | None, str, _Found]]:
        assert self._leads is not None
        own = {other.id for other in sample.regions}
        for at, link in enumerate(region.links):
            there = link.region in own if link.uid == sample.uid else None
            if not (self._leads(link.uid, link.region) if there is None else there):
                message = f"the link '{link.kind}' leads to no region of this version"
                hint = f"vgr link --rm '{key}#{region.id.hex()[:8]}'"
                yield region.id, f"{path}.links[{at}]", ("dangling-link", message, hint)

    def _of_absences(self, key: str, sample: Sample) -> Iterator[tuple[str, _Found]]:
        for task, nodes in sample.negatives.items():
            for node in nodes if self._only in (None, task) else ():
                hint = f"vgr negatives '{key}'"
                found = self._of_named(task, node, hint) or self._denied(sample, task, node, hint)
                if found is not None:
                    yield f"negatives.{task}", found
        for name in sample.coverage:
            task, covered = parse_coverage_key(name)
            if self._only in (None, task):
                found = self._of_named(task, covered, f"vgr coverage '{key}'")
                if found is not None:
                    yield f"coverage.{name}", found

    def _of_named(self, task: str, node: NodeId | None, hint: str) -> _Found | None:
        if task not in self.vocabulary.tasks:
            return _unknown_task(task)
        return None if node is None else self._of_node(task, node, hint)

    def _denied(self, sample: Sample, task: str, node: NodeId, hint: str) -> _Found | None:
        """A label of what is verified not to be there."""
        for _, label in contradictions(sample, task, self._meant_by(node)):
            word = self.vocabulary.word(label)
            return ("contradiction", f"'{word}' is labeled, and verified not to be there", hint)
        return None

    # -- classes ---------------------------------------------------------------------------------

    def _owner(self, node: NodeId) -> Taxonomy | None:
        known = self.vocabulary.taxonomies.values()
        return next((taxonomy for taxonomy in known if node in taxonomy.nodes), None)

    @cached_property
    def _meanings(self) -> dict[NodeId, frozenset[NodeId]]:
        return {}

    def _meant_by(self, node: NodeId) -> frozenset[NodeId]:
        """The ids that mean a class or one below it."""
        found = self._meanings.get(node)
        if found is None:
            taxonomy = self._owner(node)
            live = None if taxonomy is None else taxonomy.live(node)
            if taxonomy is None or live is None:
                found = frozenset([node])
            else:
                inside = {live, *taxonomy.below(live)}
                found = frozenset(key for key in taxonomy.nodes if taxonomy.live(key) in inside)
            self._meanings[node] = found
        return found


def tasks_apart(vocabulary: Vocabulary) -> list[str]:
    """The tasks whose regions may not overlap."""
    return sorted(name for name, task in vocabulary.tasks.items() if task.overlap != "allowed")


def _answers(name: str, task: Task, region: Region) -> bool:
    if region.state in ("rejected", "proposed"):
        return False
    found = answer(name, task, region.labels)
    return bool(found.labels or found.disagree)


def _shape(region: Region) -> Geometry | None:
    """The primary geometry, of a region that was read in part too."""
    role = region.primary or next(iter(region.geometries), None)
    return None if role is None else region.geometries[role]


def _place(key: str, region: Region | None) -> str:
    """How a command names a sample, or a region of it."""
    return f"'{key}'" if region is None else f"'{key}#{region.id.hex()[:8]}'"


def _unknown_task(task: str) -> _Found:
    return ("unknown-task", f"there is no task '{task}'", f"vgr task add {task}")


def _wrong_kind(label: Label, wanted: str) -> _Found:
    found = "a class" if label.node is not None else f"'{label.value}'"
    return (
        "wrong-kind",
        f"task '{label.task}' wants {wanted}, not {found}",
        f"vgr task show {label.task}",
    )


def _several(label: Label) -> _Found:
    return (
        "several-answers",
        f"'{label.source}' gives task '{label.task}' several answers",
        f"vgr task set {label.task} --many",
    )
