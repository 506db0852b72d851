"""What a dropped copy says that the protected sample does not: offered, and taken on demand."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from voyager.schema import Label, Region, Sample
from voyager.schema.pairing import pair_regions
from voyager.schema.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Offer:
    """Labels and regions that the kept sample lacks, and labels that contradict its own.

    `contradicting` holds pairs: what the copy says, and what the kept sample says.
    """

    labels: tuple[Label, ...] = ()
    regions: tuple[Region, ...] = ()
    contradicting: tuple[tuple[Label, Label], ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.labels or self.regions or self.contradicting or self.meta)


def offer_of(vocabulary: Vocabulary, copy: Sample, kept: Sample) -> Offer:
    """What a copy says that the kept sample lacks; both are of the same pixels.

    A label is lacking where the source said nothing for the task (of a task with many answers:
    not this one), a region where none of the kept sample is like it.
    """
    labels: list[Label] = []
    contradicting: list[tuple[Label, Label]] = []
    for label in copy.labels:
        task = vocabulary.tasks.get(label.task)
        of_task = [known for known in kept.labels if known.task == label.task]
        same = [known for known in of_task if _said(known) == _said(label)]
        if any(known.source == label.source for known in same):
            continue
        if of_task and not same and not (task is not None and task.many):
            contradicting.append((label, of_task[0]))
        else:
            labels.append(label)
    meta = {name: value for name, value in copy.meta.items() if name not in kept.meta}
    return Offer(tuple(labels), _lacking(copy, kept), tuple(contradicting), meta)


def taken(kept: Sample, offer: Offer) -> Sample:
    """The kept sample with what it lacked; what contradicts it is left."""
    if not (offer.labels or offer.regions or offer.meta):
        return kept
    return kept.replace(
        labels=(*kept.labels, *offer.labels),
        regions=(*kept.regions, *offer.regions),
        meta={**kept.meta, **offer.meta},
    )


def _lacking(copy: Sample, kept: Sample) -> tuple[Region, ...]:
    if not copy.regions or _size(copy) != _size(kept):
        return ()
    found = pair_regions(kept.regions, copy.regions, class_of=_class_of, same_ids=True)
    ids = {region.id for region in kept.regions}
    lacking = (copy.regions[place] for place in sorted(found.new_left))
    return tuple(region for region in lacking if region.id not in ids)


def _size(sample: Sample) -> tuple[Hashable, ...]:
    image = sample.image
    return image.width, image.height, image.orientation


def _class_of(region: Region) -> Hashable:
    return frozenset((label.task, _said(label)) for label in region.labels)


def _said(label: Label) -> Hashable:
    return label.node, label.value, label.ordinal, label.language
