"""What commands that draw samples share: answers, names and colours of classes, bytes of images."""

from __future__ import annotations

from collections.abc import Callable

from voyager.pictures import Legend, ReadBlob
from voyager.repo.dataset import Dataset
from voyager.schema import Label, Sample
from voyager.schema.vocabulary import Vocabulary
from voyager.store.ids import Kind


def blob_reader(version: Dataset) -> ReadBlob:
    """Fetches images and masks of a version."""
    objects = version.objects
    return lambda blob: objects.get(blob, Kind.BLOB)


def legend_of(vocabulary: Vocabulary, name: Callable[[Label], str] | None = None) -> Legend:
    """Classes by their paths, keypoints joined as their tasks say."""
    skeletons = {
        task: known.skeleton.edges
        for task, known in vocabulary.tasks.items()
        if known.skeleton is not None
    }
    return Legend(name=name or vocabulary.word, skeletons=skeletons)


def answered(sample: Sample, vocabulary: Vocabulary) -> Sample:
    """The sample with its answers for labels; where sources disagree, what each of them says."""
    regions = tuple(
        region.replace(labels=_answers(region.labels, vocabulary)) for region in sample.regions
    )
    return sample.replace(labels=_answers(sample.labels, vocabulary), regions=regions)


def _answers(labels: tuple[Label, ...], vocabulary: Vocabulary) -> tuple[Label, ...]:
    found: list[Label] = []
    for task in dict.fromkeys(label.task for label in labels):
        answer = vocabulary.answer(task, labels)
        found += answer.labels or answer.disagree
    return tuple(found)
