"""What a format can hold of a sample (`unheld` counts the rest).

A *projected* sample is what comes back when the format is written and read: classes are named by
text (`Label.value`), so that samples of two vocabularies compare; voices (source, state, score),
flags and fields that the format lacks are at their defaults; each geometry has its own word for a
role. Ids and origins are left alone, and `difference` does not look at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from voyager.formats.base import Holds
from voyager.schema import (
    ACCEPTED,
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Label,
    Mask,
    Polygon,
    Region,
    Sample,
    coverage_key,
    node_id,
    parse_coverage_key,
)
from voyager.schema.measures import bounds
from voyager.schema.outline import ellipse_ring, rings_of, signed_area
from voyager.schema.rle import Load, mask_of
from voyager.schema.task import Task
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Vocabulary

IMPORT: Final = "import"

DERIVED = 1e-3
"""A box this close, in pixels, to the bounds of another geometry says nothing of its own."""


def project(
    sample: Sample,
    holds: Holds,
    vocabulary: Vocabulary,
    task: str,
    *,
    load: Load | None = None,
) -> Sample:
    """What a format keeps of a sample whose classes are those of `task`.

    `load` fetches the counts of masks that keep them in a blob, which then stand in the mask.
    """
    return Projection(holds, vocabulary, task, load).project(sample)


class Projection:
    """`project` for many samples of one version."""

    def __init__(
        self, holds: Holds, vocabulary: Vocabulary, task: str, load: Load | None = None
    ) -> None:
        self.holds = holds
        self.vocabulary = vocabulary
        self.task = task
        self.load = load
        self._names: dict[tuple[str, NodeId], str | None] = {}

    # -- what is kept ----------------------------------------------------------------------------

    def keeps(self, sample: Sample) -> bool:
        """Whether the format has a place for the sample at all."""
        if sample.image.state != "stored" and not self.holds.pending:
            return False
        if self.holds.empty or self.holds.whole:
            return True
        kept = self.project(sample)
        return bool(kept.labels or kept.regions)

    def project(self, sample: Sample) -> Sample:
        """What the format keeps of a sample."""
        holds = self.holds
        kept = (self._region(region, sample) for region in sample.regions)
        regions = tuple(region for region in kept if region is not None)
        if holds.whole:
            labels = tuple(map(self._named, sample.labels))
            return sample.replace(labels=labels, regions=regions, **self._known(sample))
        empty: dict[str, Any] = {}
        fields: dict[str, Any] = {
            "labels": self._image_labels(sample),
            "regions": regions,
            "meta": sample.meta if holds.meta else empty,
            "group": sample.group if holds.group else None,
            "split": sample.split if holds.split else None,
            "extra": sample.extra if holds.extra else empty,
        }
        if holds.meta and holds.other_tasks:
            fields["meta"] = {**sample.meta, **self._words(sample.labels)}
        return Sample(uid=sample.uid, image=sample.image, **fields, **self._known(sample))

    def _known(self, sample: Sample) -> dict[str, Any]:
        """Negatives and coverage, their nodes replaced by ids that follow from class names."""
        fields: dict[str, Any] = {}
        if self.holds.negatives or self.holds.whole:
            fields["negatives"] = {
                task: tuple(self._name_id(task, node) for node in nodes)
                for task, nodes in sample.negatives.items()
                if self._held_task(task)
            }
        if self.holds.coverage or self.holds.whole:
            fields["coverage"] = {
                coverage_key(task, node and self._name_id(task, node)): level
                for key, level in sample.coverage.items()
                for task, node in [parse_coverage_key(key)]
                if self._held_task(task)
            }
        return fields

    def _held_task(self, task: str) -> bool:
        return task == self.task or self.holds.tasks or self.holds.whole

    def _name_id(self, task: str, node: NodeId) -> NodeId:
        return node_id("", self.name(task, node) or node.hex())

    def name(self, task: str, node: NodeId) -> str | None:
        """The class name of a node as the format writes it; None where it is gone."""
        if (task, node) not in self._names:
            tree = self.holds.tree or self.holds.whole
            find = self.vocabulary.resolve if tree else self.vocabulary.class_name
            self._names[task, node] = find(task, node)
        return self._names[task, node]

    # -- labels ----------------------------------------------------------------------------------

    def _image_labels(self, sample: Sample) -> tuple[Label, ...]:
        return tuple(self.labels(sample.labels, self.holds.image_labels))

    def labels(self, labels: tuple[Label, ...], limit: str) -> Iterator[Label]:
        """The labels that are held, as the format says them."""
        for task in dict.fromkeys(label.task for label in labels):
            found = [label for label in self._said(task, labels) if self._is_known(label)]
            if task == self.task or (self._is_category(task) and self.holds.tasks):
                many = limit == "many" or self.holds.sources
                found = [] if limit == "none" else found if many else found[:1]
            elif not (self.holds.tasks or (self.holds.texts and self._is_text(task))):
                continue
            yield from map(self._plain, found)

    def _said(self, task: str, labels: tuple[Label, ...]) -> Iterable[Label]:
        """The answers of a task; everything said where sources are held."""
        if self.holds.sources:
            return [label for label in labels if label.task == task and label.state != "rejected"]
        if len(labels) == 1 and labels[0].state not in ("proposed", "rejected"):
            known = self.vocabulary.tasks.get(task)
            if known is None or not known.answer:
                return labels  # what nearly every region has
        return self.vocabulary.answer(task, labels).labels

    def _is_known(self, label: Label) -> bool:
        return label.node is None or self.name(label.task, label.node) is not None

    def _is_category(self, task: str) -> bool:
        return self._kind(task) == "category"

    def _is_text(self, task: str) -> bool:
        return self._kind(task) == "text"

    def _kind(self, task: str) -> str:
        return self.vocabulary.tasks.get(task, _CATEGORY_TASK).kind

    def _plain(self, label: Label) -> Label:
        """A label with its class by name, and its voice as far as the format has one."""
        holds = self.holds
        named = self._named(label)
        return Label(
            task=label.task,
            value=named.value,
            node=named.node,
            language=label.language,
            score=label.score if holds.scores else None,
            source=label.source if holds.sources else IMPORT,
            state=label.state if holds.states else ACCEPTED,
        )

    def _named(self, label: Label) -> Label:
        if label.node is None:
            return label
        name = self.name(label.task, label.node)
        return label if name is None else label.replace(node=None, value=name)

    def _words(self, labels: tuple[Label, ...]) -> dict[str, Any]:
        """The answers of the other tasks as attributes: a word each, several with | between."""
        found: dict[str, Any] = {}
        for task in dict.fromkeys(label.task for label in labels):
            if task == self.task or (self.holds.texts and self._is_text(task)):
                continue
            values = [self._word(label) for label in self.vocabulary.answer(task, labels).labels]
            if values:
                found[task] = values[0] if len(values) == 1 else "|".join(map(str, values))
        return found

    def _word(self, label: Label) -> Any:
        return label.value if label.node is None else self.name(label.task, label.node)

    # -- regions ---------------------------------------------------------------------------------

    def _region(self, region: Region, sample: Sample) -> Region | None:
        if self.holds.whole:
            return self._whole_region(region)
        if region.state == "rejected":
            return None
        holds = self.holds
        shapes = dict(self._shapes(region, sample))
        labels = tuple(self.labels(region.labels, holds.region_labels))
        if not shapes or not (labels or holds.unlabeled):
            return None
        score = region.score
        if score is None and labels:
            score = labels[0].score
        attrs = dict(region.attrs) if holds.attrs else {}
        if holds.attrs and holds.other_tasks and not holds.tasks:
            attrs |= self._words(region.labels)
        return Region(
            id=region.id,
            geometries=shapes,
            primary=next(iter(shapes)),
            labels=labels if holds.sources else tuple(map(_unscored, labels)),
            flags=tuple(flag for flag in region.flags if flag in holds.flags),
            attrs=attrs,
            score=score if holds.scores else None,
            source=region.source if holds.sources else IMPORT,
            state=region.state if holds.states else ACCEPTED,
            track=region.track if holds.tracks else None,
            frame_state=region.frame_state if holds.tracks else None,
            links=region.links if holds.links else (),
            extra=region.extra if holds.extra else {},
        )

    def _whole_region(self, region: Region) -> Region:
        shapes = {role: self._inline(shape) for role, shape in region.geometries.items()}
        return region.replace(geometries=shapes, labels=tuple(map(self._named, region.labels)))

    def _inline(self, shape: Geometry) -> Geometry:
        """A mask with its counts, where they can be fetched."""
        if isinstance(shape, Mask) and shape.blob_id is not None and self.load is not None:
            return Mask(shape.height, shape.width, self.load(shape.blob_id))
        return shape

    def _shapes(self, region: Region, sample: Sample) -> Iterator[tuple[str, Geometry]]:
        """The held geometries by their words, the one that stands for the region first."""
        chosen = choose(region, self.holds)
        found: dict[str, Geometry] = {}
        for role in chosen:
            shape = self._shape(region.geometries[role], sample)
            if shape is not None:
                found.setdefault(shape.name, shape)
        if len(found) > 1 and is_derived(found, max(DERIVED, self.holds.quantum), self.load):
            del found["box"]
        yield from found.items()

    def _shape(self, shape: Geometry, sample: Sample) -> Geometry | None:
        if shape.name not in self.holds.geometries:
            return convert(shape, self.holds.converts[shape.name], sample, self.load)
        if isinstance(shape, Polygon):
            return _trimmed(shape, self.holds)
        return self._inline(shape)


def choose(region: Region, holds: Holds) -> list[str]:
    """The roles of the geometries that a format writes of a region, its main one first.

    What the format holds comes before what it only converts, and the primary before the rest.
    """
    if len(region.geometries) == 1:
        ((role, shape),) = region.geometries.items()
        return [role] if shape.name in holds.geometries or shape.name in holds.converts else []
    primary = region.primary_role
    roles = sorted(region.geometries, key=lambda role: (role != primary, role))
    chosen: dict[str, str] = {}
    for role in roles:
        name = region.geometries[role].name
        if name in holds.geometries:
            chosen.setdefault(name, role)
    found = list(chosen.values())
    if not found:
        found = [role for role in roles if region.geometries[role].name in holds.converts][:1]
    return found if holds.several else found[:1]


def is_derived(shapes: dict[str, Geometry], tolerance: float, load: Load | None = None) -> bool:
    """Whether a region's box is the bounds of another of its geometries."""
    box = shapes.get("box")
    if not isinstance(box, Box):
        return False
    for shape in shapes.values():
        around = None if shape is box or isinstance(shape, Keypoints) else bounds(shape, load=load)
        if around is not None and all(
            abs(one - other) <= tolerance
            for one, other in zip((box.x0, box.y0, box.x1, box.y1), around, strict=True)
        ):
            return True
    return False


def convert(
    shape: Geometry, target: str, sample: Sample, load: Load | None = None
) -> Geometry | None:
    """A geometry as another kind: its bounds, its outline or its pixels.

    Itself where there is no one way to do it (a mask as a polygon); None where nothing is left.
    """
    if target == Box.name:
        around = bounds(shape, load=load)
        return None if around is None else Box(*around)
    if target == Polygon.name:
        rings = ((ellipse_ring(shape),),) if isinstance(shape, Ellipse) else rings_of(shape)
        return shape if rings is None else Polygon(rings)
    if target == Mask.name and sample.image.height and sample.image.width:
        return mask_of(shape, sample.image.height, sample.image.width, load=load)
    return shape


def _trimmed(polygon: Polygon, holds: Holds) -> Polygon:
    """A polygon without the holes and parts that a format has no place for: the largest stays."""
    parts = polygon.parts
    if not holds.parts and len(parts) > 1:
        parts = (max(parts, key=lambda rings: abs(signed_area(rings[0])) if rings else 0.0),)
    if not holds.holes and any(len(rings) > 1 for rings in parts):
        parts = tuple(rings[:1] for rings in parts)
    return polygon if parts is polygon.parts else Polygon(parts)


def _unscored(label: Label) -> Label:
    return label if label.score is None else label.replace(score=None)


_CATEGORY_TASK: Final = Task(taxonomy="")
