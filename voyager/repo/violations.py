"""The violations of a version: where its samples and its tasks and taxonomies do not agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.schema.partial import partial_decoder
from voyager.schema.validate import Validator, Violation, ViolationKind, tasks_apart
from voyager.schema.vocabulary import Vocabulary
from voyager.store import bulk
from voyager.store.ids import Kind

_EVERY = 1024
_LOOKED_AT = (
    "uid",
    "labels",
    "regions.id",
    "regions.labels",
    "regions.links",
    "regions.state",
    "negatives",
    "coverage",
)
_SHAPES = ("regions.geometries", "regions.primary")
"""All of a sample that a validator reads, and what it reads where a task forbids overlaps."""


@dataclass(slots=True)
class Violations:
    """How many violations there are of each kind, and the first of each."""

    counts: Counter[ViolationKind] = field(default_factory=Counter)
    first: dict[ViolationKind, Violation] = field(default_factory=dict)


def find_violations(version: Dataset, *, progress: Progress = no_progress) -> Violations:
    """Look at every sample of a version."""
    found = Violations()
    for violation in iter_violations(version, progress=progress):
        found.counts[violation.kind] += 1
        found.first.setdefault(violation.kind, violation)
    return found


def iter_violations(version: Dataset, *, progress: Progress = no_progress) -> Iterator[Violation]:
    """Every violation of a version, in key order; links that lead to no region of it too."""
    there = _linked_regions(version)
    validator = Validator(
        version.vocabulary,
        leads=lambda uid, region: (uid, region) in there,
        load=lambda blob: version.objects.get(blob, Kind.BLOB),
    )
    decode = checked_part(version.vocabulary)
    total = len(version)
    for done, (key, row) in enumerate(version.rows(SAMPLES)):
        if done % _EVERY == 0:
            progress(done, total)
        yield from validator.violations(key.decode(), decode(row))


def checked_part(*known: Vocabulary) -> Callable[[bytes], Any]:
    """The decoder of all that validators with these vocabularies read of a sample's row."""
    return partial_decoder(_LOOKED_AT + _SHAPES if any(map(tasks_apart, known)) else _LOOKED_AT)


def _linked_regions(version: Dataset) -> set[tuple[bytes, bytes]]:
    """The (sample uid, region id) that links lead to and that are there."""
    decode = partial_decoder(("uid", "regions.id", "regions.links"))
    wanted: set[tuple[bytes, bytes]] = set()
    with bulk.paused_gc():
        for _, row in version.rows(SAMPLES):
            for region in decode(row).regions:
                wanted.update((link.uid, link.region) for link in region.links)
        if not wanted:
            return wanted
        found: set[tuple[bytes, bytes]] = set()
        for _, row in version.rows(SAMPLES):
            sample = decode(row)
            ends = ((sample.uid, region.id) for region in sample.regions)
            found.update(end for end in ends if end in wanted)
    return found
