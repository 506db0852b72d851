"""Who names a class or a task: one pass over the rows of a version that decodes only that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.schema import parse_coverage_key
from voyager.schema.partial import partial_decoder
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Vocabulary
from voyager.store import bulk

_SAID = (
    "labels.task",
    "labels.node",
    "regions.labels.task",
    "regions.labels.node",
    "negatives",
    "coverage",
)
_EVERY = 4096


@dataclass(frozen=True, slots=True)
class Use:
    """How many labels, in how many samples, and how many negatives and coverages name something.

    `keys` are those of all samples that do.
    """

    labels: int = 0
    samples: int = 0
    negatives: int = 0
    coverage: int = 0
    keys: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.negatives or self.coverage)


def use_of_classes(
    version: Dataset, nodes: Collection[NodeId], *, progress: Progress = no_progress
) -> Use:
    """Who names some classes, or classes that were merged into them."""
    if not nodes:
        return Use()
    meant = meaning(version.vocabulary, nodes)
    return _use(
        version,
        lambda label: label.node in meant,
        lambda _task, node: node in meant,
        progress,
    )


def use_of_task(version: Dataset, name: str, *, progress: Progress = no_progress) -> Use:
    """Who says anything for a task."""
    return _use(
        version, lambda label: label.task == name, lambda task, _node: task == name, progress
    )


def meaning(vocabulary: Vocabulary, nodes: Collection[NodeId]) -> frozenset[NodeId]:
    """The nodes whose labels mean one of these: they and all that was merged into them."""
    found = set(nodes)
    for taxonomy in vocabulary.taxonomies.values():
        for key, node in taxonomy.nodes.items():
            if node.redirect is not None and taxonomy.live(key) in found:
                found.add(key)
    return frozenset(found)


def label_counts(version: Dataset, *, progress: Progress = no_progress) -> Counter[NodeId]:
    """How many labels each living class has; those of merged classes are its own."""
    counts: Counter[NodeId | None] = Counter()
    for _, row in _iter_said(version, progress):
        counts.update([label.node for label in row.labels])
        for region in row.regions:
            for label in region.labels:
                counts[label.node] += 1
    found: Counter[NodeId] = Counter()
    for taxonomy in version.vocabulary.taxonomies.values():
        for key in taxonomy.nodes:
            live = taxonomy.live(key) if key in counts else None
            if live is not None:
                found[live] += counts[key]
    return found


def task_counts(version: Dataset, *, progress: Progress = no_progress) -> Counter[str]:
    """How many labels are said for each task."""
    counts: Counter[str] = Counter()
    for _, row in _iter_said(version, progress):
        counts.update([label.task for label in row.labels])
        for region in row.regions:
            for label in region.labels:
                counts[label.task] += 1
    return counts


def _use(
    version: Dataset,
    is_meant: Callable[[Any], bool],
    names: Callable[[str, NodeId | None], bool],
    progress: Progress,
) -> Use:
    labels = samples = negatives = coverage = 0
    keys: list[bytes] = []
    for key, row in _iter_said(version, progress):
        said = sum(map(is_meant, row.labels))
        for region in row.regions:
            for label in region.labels:
                said += is_meant(label)
        denied = sum(names(task, node) for task, nodes in row.negatives.items() for node in nodes)
        covered = sum(names(*parse_coverage_key(name)) for name in row.coverage)
        if said or denied or covered:
            labels, negatives, coverage = labels + said, negatives + denied, coverage + covered
            samples += bool(said)
            keys.append(key)
    return Use(labels, samples, negatives, coverage, tuple(keys))


def _iter_said(version: Dataset, progress: Progress) -> Iterator[tuple[bytes, Any]]:
    """(key, what the sample says, in part) in key order."""
    decode = _decoder()
    total = len(version)
    with bulk.paused_gc():
        for done, (key, row) in enumerate(version.rows(SAMPLES)):
            if done % _EVERY == 0:
                progress(done, total)
            yield key, decode(row)


@lru_cache(maxsize=1)
def _decoder() -> Callable[[bytes], Any]:
    return partial_decoder(_SAID)
