"""What commands that draw samples share: answers, names and colours of classes, bytes of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from voyager.pictures import (
    Colour,
    Frame,
    Legend,
    Mark,
    Picture,
    ReadBlob,
    Side,
    colour_of,
    colours_of,
    crop,
    picture_of,
)
from voyager.repo.dataset import Dataset
from voyager.schema import Label, Sample
from voyager.schema.vocabulary import Vocabulary
from voyager.store.ids import Kind


def blob_reader(version: Dataset) -> ReadBlob:
    """Fetches images and masks of a version."""
    objects = version.objects
    return lambda blob: objects.get(blob, Kind.BLOB)


_WHOLE_SIDE = 480


def class_colours(*vocabularies: Vocabulary) -> dict[str, Colour]:
    """Path of a class → its colour, apart from the others as far as there are colours."""
    return colours_of(
        path
        for vocabulary in vocabularies
        for taxonomy in vocabulary.taxonomies.values()
        for node in taxonomy
        if (path := taxonomy.path(node)) is not None
    )


def legend_of(
    vocabulary: Vocabulary,
    colours: Mapping[str, Colour],
    name: Callable[[Label], str] | None = None,
) -> Legend:
    """Classes by their paths, keypoints joined as their tasks say."""
    skeletons = {
        task: known.skeleton.edges
        for task, known in vocabulary.tasks.items()
        if known.skeleton is not None
    }
    return Legend(
        name=name or vocabulary.word,
        colour=lambda word: colours.get(word) or colour_of(word),
        skeletons=skeletons,
    )


def used_colours(classes: Iterable[str], colours: Mapping[str, Colour]) -> dict[str, Colour]:
    """The colours of some classes."""
    return {name: colours.get(name) or colour_of(name) for name in dict.fromkeys(classes)}


def whole_picture(frame: Frame, marks: Iterable[Mark], caption: str, *, alt: str) -> Picture:
    """All of a frame with marks on it, as a page holds it."""
    picture = crop(Side(frame, tuple(marks)), frame.bounds, side=_WHOLE_SIDE)
    return picture_of(picture, caption, alt=alt)


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
