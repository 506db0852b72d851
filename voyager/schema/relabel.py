"""Samples whose classes went: labels given another class, or a task taken out."""

from __future__ import annotations

from collections.abc import Container

from voyager.schema.sample import Label, Sample, parse_coverage_key

Labels = tuple[Label, ...]


def relabeled(sample: Sample, gone: Container[bytes | None], heir: bytes) -> Sample:
    """The sample with every label of some classes made one of another.

    What a source says twice then stays once. Their negatives and coverage go: neither is known of
    the other class.
    """
    negatives = {
        task: kept
        for task, nodes in sample.negatives.items()
        if (kept := tuple(node for node in nodes if node not in gone))
    }
    coverage = {
        key: level
        for key, level in sample.coverage.items()
        if parse_coverage_key(key)[1] not in gone
    }
    return sample.replace(
        labels=_relabeled(sample.labels, gone, heir),
        regions=tuple(
            region.replace(labels=_relabeled(region.labels, gone, heir))
            if any(label.node in gone for label in region.labels)
            else region
            for region in sample.regions
        ),
        negatives=negatives,
        coverage=coverage,
    )


def _relabeled(labels: Labels, gone: Container[bytes | None], heir: bytes) -> Labels:
    said: set[tuple[str, str]] = {
        (label.task, label.source) for label in labels if label.node == heir
    }
    found: list[Label] = []
    for label in labels:
        if label.node not in gone:
            found.append(label)
        elif (label.task, label.source) not in said:
            said.add((label.task, label.source))
            found.append(label.replace(node=heir))
    return tuple(found)


def without_task(sample: Sample, task: str) -> Sample:
    """The sample without anything said for a task."""
    return sample.replace(
        labels=_without(sample.labels, task),
        regions=tuple(
            region.replace(labels=_without(region.labels, task))
            if any(label.task == task for label in region.labels)
            else region
            for region in sample.regions
        ),
        negatives={name: nodes for name, nodes in sample.negatives.items() if name != task},
        coverage={
            key: level
            for key, level in sample.coverage.items()
            if parse_coverage_key(key)[0] != task
        },
    )


def _without(labels: Labels, task: str) -> Labels:
    return tuple(label for label in labels if label.task != task)
