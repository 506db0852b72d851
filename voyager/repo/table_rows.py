"""Stretches of samples seen as the rows of each table, for the columns to take values from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from voyager.repo.table_answers import Answered, Answers, read_labels
from voyager.repo.table_types import column_array, plain_text
from voyager.schema import Label, parse_coverage_key
from voyager.schema.encoded_geometry import measure_maps, open_map, part_count, shape_name
from voyager.schema.rle import Load
from voyager.schema.task import Answer

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


class Stretch:
    """Some samples in key order, decoded as far as the wanted columns need, and the version's view.

    `purged` are blobs that were removed for good, `conflicted` keys in conflict, `load` fetches the
    counts of large masks.
    """

    def __init__(
        self,
        keys: Sequence[str],
        samples: Sequence[Any],
        *,
        answers: Answers,
        purged: frozenset[bytes],
        conflicted: frozenset[str] = frozenset(),
        load: Load,
    ) -> None:
        self.keys = keys
        self.samples = samples
        self.answers = answers
        self.purged = purged
        self.conflicted = conflicted
        self.load = load


class _Answering:
    """Rows that are asked: images, or regions."""

    answered: Any
    """What is answered of each row."""

    def spread(self, make: Callable[[Sequence[Answered]], Sequence[Any]], type_: str) -> pa.Array:
        """A column of what is answered, made once for all rows of which the same was read."""
        import numpy as np
        import pyarrow as pa

        values = column_array(make([self.answered[at] for at in self._distinct[0]]), type_)
        return values.take(pa.array(self._distinct[1].astype(np.int32)))

    @cached_property
    def _distinct(self) -> tuple[list[int], NDArray[Any]]:
        """A row of each kind, and the kind of each row."""
        import numpy as np

        ids = np.fromiter(map(id, self.answered), np.int64, len(self.answered))
        _, first, kinds = np.unique(ids, return_index=True, return_inverse=True)
        return first.tolist(), kinds


class SampleRows(_Answering):
    """A row for each sample."""

    def __init__(self, stretch: Stretch) -> None:
        self.keys = stretch.keys
        self.samples = stretch.samples
        self.answers = stretch.answers
        self._purged = stretch.purged
        self._conflicted = stretch.conflicted

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def answered(self) -> list[Answered]:
        """What is answered on the image of each sample."""
        return self.answers.of_all([sample.labels for sample in self.samples])

    @cached_property
    def answered_regions(self) -> list[list[Answered]]:
        """What is answered on the regions of each sample."""
        labels = [region.labels for sample in self.samples for region in sample.regions]
        answered = iter(self.answers.of_all(labels))
        return [list(islice(answered, len(sample.regions))) for sample in self.samples]

    def label_counts(self) -> list[int]:
        """How many labels each image has."""
        return [len(read_labels(sample.labels)) for sample in self.samples]

    def all_classes(self) -> list[list[str]]:
        return [
            sorted({*image.classes, *chain.from_iterable(region.classes for region in regions)})
            for image, regions in zip(self.answered, self.answered_regions, strict=True)
        ]

    def all_numbers(self) -> list[list[int]]:
        return [
            list({*image.numbers, *chain.from_iterable(region.numbers for region in regions)})
            for image, regions in zip(self.answered, self.answered_regions, strict=True)
        ]

    def region_numbers(self) -> list[list[int]]:
        return [
            list(set(chain.from_iterable(region.numbers for region in regions)))
            for regions in self.answered_regions
        ]

    def region_classes(self) -> list[list[str]]:
        return [
            sorted(set(chain.from_iterable(region.classes for region in regions)))
            for regions in self.answered_regions
        ]

    def states(self) -> list[str]:
        purged = self._purged
        return [
            ("purged" if sample.image.blob.data in purged else "stored")
            if sample.image.blob is not None
            else ("purged" if sample.image.purged else "pending")
            for sample in self.samples
        ]

    def conflicts(self) -> list[bool]:
        """Whether something of each sample is in conflict."""
        conflicted = self._conflicted
        return [key in conflicted for key in self.keys]

    def blobs(self) -> list[str | None]:
        purged = self._purged
        blobs = [sample.image.blob for sample in self.samples]
        return [None if blob is None or blob.data in purged else blob.data.hex() for blob in blobs]

    def negatives(self) -> list[list[str]]:
        path = self.answers.path
        return [
            [path(task, node) for task, nodes in sample.negatives.items() for node in nodes]
            for sample in self.samples
        ]

    def exhaustive(self) -> list[Sequence[str]]:
        scope = self.answers.scope
        return [
            [
                scope(*parse_coverage_key(key))
                for key, level in sample.coverage.items()
                if level == "exhaustive"
            ]
            if sample.coverage
            else ()
            for sample in self.samples
        ]


class RegionRows(_Answering):
    """A row for each region."""

    def __init__(self, stretch: Stretch) -> None:
        self._keys = stretch.keys
        self.regions = list(chain.from_iterable(sample.regions for sample in stretch.samples))
        self.answers = stretch.answers
        self._samples = stretch.samples
        self._load = stretch.load

    def __len__(self) -> int:
        return len(self.regions)

    @cached_property
    def places(self) -> list[tuple[str, Any]]:
        """(key, sample) of each region."""
        pairs = zip(self._keys, self._samples, strict=True)
        return [(key, sample) for key, sample in pairs for _ in sample.regions]

    @property
    def counts(self) -> list[int]:
        """How many regions each sample has."""
        return [len(sample.regions) for sample in self._samples]

    @cached_property
    def sample_places(self) -> list[int]:
        """The place of each region's sample in the stretch."""
        return [at for at, sample in enumerate(self._samples) for _ in sample.regions]

    def numbers(self) -> list[int]:
        """Places within the sample, from 1."""
        return [number for sample in self._samples for number in range(1, len(sample.regions) + 1)]

    @cached_property
    def answered(self) -> list[Answered]:
        return self.answers.of_all([region.labels for region in self.regions])

    @cached_property
    def roles(self) -> list[str | None]:
        pairs = zip(self.regions, self._maps, strict=True)
        return [region.primary or next(iter(found), None) for region, found in pairs]

    @cached_property
    def _maps(self) -> list[Mapping[str, Any]]:
        """The geometries of each region, by role."""
        return [open_map(region.geometries) for region in self.regions]

    @cached_property
    def shapes(self) -> list[Any]:
        """The primary geometry of each region, encoded, None where there is none."""
        pairs = zip(self._maps, self.roles, strict=True)
        return [None if role is None else found[role] for found, role in pairs]

    def _shape(self, at: int) -> Any:
        region = self.regions[at]
        found = open_map(region.geometries)
        return found[region.primary] if region.primary else next(iter(found.values()), None)

    @cached_property
    def measures(self) -> NDArray[Any]:
        maps = [region.geometries for region in self.regions]
        return measure_maps(maps, self._shape, self._load)

    def of_shapes(self, measure: Callable[[Any], Any]) -> list[Any]:
        return [None if shape is None else measure(shape) for shape in self.shapes]

    def geometries(self) -> list[str | None]:
        return self.of_shapes(shape_name)

    def parts(self) -> list[int | None]:
        return self.of_shapes(part_count)

    def links(self) -> list[Sequence[dict[str, str]]]:
        return [
            [
                {"kind": link.kind, "uid": link.uid.hex(), "region": link.region.hex()}
                for link in region.links
            ]
            if region.links
            else ()
            for region in self.regions
        ]

    def attrs(self) -> list[Sequence[tuple[str, str]]]:
        return [
            [(name, plain_text(value)) for name, value in region.attrs.items()]
            if region.attrs
            else ()
            for region in self.regions
        ]


class LabelRows:
    """A row for each label, of samples and of regions."""

    def __init__(self, stretch: Stretch) -> None:
        self.answers = stretch.answers
        self.places: list[tuple[str, Any, Any]] = []
        """(key, sample, region or None)."""
        self.labels: list[Label] = []
        for key, sample, thing in _labeled(stretch):
            labels = read_labels((sample if thing is None else thing).labels)
            self.places += [(key, sample, thing)] * len(labels)
            self.labels += labels

    def __len__(self) -> int:
        return len(self.labels)

    def values(self) -> list[str]:
        return [self.answers.word(label) for label in self.labels]

    def origins(self, field: str) -> list[Any]:
        return [
            None if label.origin is None else getattr(label.origin, field) for label in self.labels
        ]


class AnswerRows:
    """A row for each value that a task's policy takes as an answer, and for each side of a tie."""

    def __init__(self, stretch: Stretch) -> None:
        self.answers = stretch.answers
        self.places: list[tuple[str, Any, Any]] = []
        self.labels: list[Label] = []
        self.disagree: list[bool] = []
        for key, sample, thing in _labeled(stretch):
            labels = (sample if thing is None else thing).labels
            for _, given in self.answers.of(labels).given:
                self._add((key, sample, thing), given)

    def __len__(self) -> int:
        return len(self.labels)

    def _add(self, place: tuple[str, Any, Any], given: Answer) -> None:
        said = given.labels or given.disagree
        self.places += [place] * len(said)
        self.labels += said
        self.disagree += [not given.labels] * len(said)

    def values(self) -> list[str]:
        return [self.answers.word(label) for label in self.labels]


class LinkRows:
    """A row for each link from a region."""

    def __init__(self, stretch: Stretch) -> None:
        self.places = [
            (key, sample, region)
            for key, sample in zip(stretch.keys, stretch.samples, strict=True)
            for region in sample.regions
            for _ in region.links
        ]
        self.links = [
            link for sample in stretch.samples for region in sample.regions for link in region.links
        ]

    def __len__(self) -> int:
        return len(self.links)


def _labeled(stretch: Stretch) -> list[tuple[str, Any, Any]]:
    """(key, sample, None or region) of everything that has labels, the sample first."""
    found: list[tuple[str, Any, Any]] = []
    for key, sample in zip(stretch.keys, stretch.samples, strict=True):
        if sample.labels:
            found.append((key, sample, None))
        found += [(key, sample, region) for region in sample.regions if region.labels]
    return found
