"""What a format can hold of a sample: the part that it keeps, and a count of the rest.

A *projected* sample is what comes back when the format is written and read: classes are named by
text (`Label.value`), so that samples of two vocabularies compare; voices (source, state, score),
flags and fields that the format lacks are at their defaults; each geometry has its own word for a
role. Ids and origins are left alone, and `difference` does not look at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from voyager.formats.base import Holds
from voyager.formats.report import Report
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


def losses(
    key: str, sample: Sample, holds: Holds, vocabulary: Vocabulary, task: str, report: Report
) -> None:
    """Count what a format does not keep of a sample as lost or approximated."""
    Projection(holds, vocabulary, task).losses(key, sample, report)


class Projection:
    """`project` and `losses` for many samples of one version."""

    def __init__(
        self, holds: Holds, vocabulary: Vocabulary, task: str, load: Load | None = None
    ) -> None:
        self.holds = holds
        self.vocabulary = vocabulary
        self.task = task
        self._load = load
        self._names: dict[tuple[str, NodeId], str | None] = {}
        self._flattened: set[NodeId] = set()

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
        return node_id("", self._name(task, node) or node.hex())

    def _name(self, task: str, node: NodeId) -> str | None:
        """The class name of a node as the format writes it; None where it is gone."""
        if (task, node) not in self._names:
            tree = self.holds.tree or self.holds.whole
            find = self.vocabulary.resolve if tree else self.vocabulary.class_name
            self._names[task, node] = find(task, node)
        return self._names[task, node]

    # -- labels ----------------------------------------------------------------------------------

    def _image_labels(self, sample: Sample) -> tuple[Label, ...]:
        return tuple(self._labels(sample.labels, self.holds.image_labels))

    def _labels(self, labels: tuple[Label, ...], limit: str) -> Iterator[Label]:
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
        return label.node is None or self._name(label.task, label.node) is not None

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
        name = self._name(label.task, label.node)
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
        return label.value if label.node is None else self._name(label.task, label.node)

    # -- regions ---------------------------------------------------------------------------------

    def _region(self, region: Region, sample: Sample) -> Region | None:
        if self.holds.whole:
            return self._whole_region(region)
        if region.state == "rejected":
            return None
        holds = self.holds
        shapes = dict(self._shapes(region, sample))
        labels = tuple(self._labels(region.labels, holds.region_labels))
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
        if isinstance(shape, Mask) and shape.blob_id is not None and self._load is not None:
            return Mask(shape.height, shape.width, self._load(shape.blob_id))
        return shape

    def _shapes(self, region: Region, sample: Sample) -> Iterator[tuple[str, Geometry]]:
        """The held geometries by their words, the one that stands for the region first."""
        chosen = choose(region, self.holds)
        found: dict[str, Geometry] = {}
        for role in chosen:
            shape = self._shape(region.geometries[role], sample)
            if shape is not None:
                found.setdefault(shape.name, shape)
        if len(found) > 1 and is_derived(found, max(DERIVED, self.holds.quantum), self._load):
            del found["box"]
        yield from found.items()

    def _shape(self, shape: Geometry, sample: Sample) -> Geometry | None:
        if shape.name not in self.holds.geometries:
            return convert(shape, self.holds.converts[shape.name], sample, self._load)
        if isinstance(shape, Polygon):
            return _trimmed(shape, self.holds)
        return self._inline(shape)

    # -- what is not kept ------------------------------------------------------------------------

    def losses(self, key: str, sample: Sample, report: Report) -> None:
        """Count what the format does not keep of a sample."""
        holds = self.holds
        if holds.whole:
            return
        if sample.image.state != "stored" and not holds.pending:
            report.add("lost", "an image that is not here", key)
            return
        if not holds.empty and not self.keeps(sample):
            report.add("lost", "an image without labels", key)
        for loss, kind in self._sample_losses(sample):
            report.add(loss, kind, key)
        if sample.labels:
            self._label_losses(key, sample.labels, holds.image_labels, report, holds.meta)
        for region in sample.regions:
            if region.state != "rejected":
                self._region_losses(key, region, report)

    def _sample_losses(self, sample: Sample) -> Iterator[tuple[Any, str]]:
        holds = self.holds
        for held, value, words in (
            (holds.meta, sample.meta, "the meta fields of an image"),
            (holds.group, sample.group, "the group of an image"),
            (holds.split, sample.split, "the split of an image"),
            (holds.negatives, sample.negatives, "what is verified not to be in an image"),
            (holds.coverage, sample.coverage, "how completely an image is labeled"),
            (holds.extra, sample.extra, "fields of an image kept from another source"),
            (False, sample.assets, "the other files of a sample"),
        ):
            if value and not held:
                yield "lost", words

    def _label_losses(
        self, key: str, labels: tuple[Label, ...], limit: str, report: Report, as_fields: bool
    ) -> None:
        kept = list(self._labels(labels, limit))
        for task in dict.fromkeys(label.task for label in labels):
            said = [label for label in labels if label.task == task and label.state != "rejected"]
            held = sum(label.task == task for label in kept)
            if len(said) > held:
                self._report_unheld(key, task, said, held, report, as_fields=as_fields)
            for label in said:
                self._voice_losses(key, label, report)

    def _report_unheld(
        self, key: str, task: str, said: list[Label], held: int, report: Report, *, as_fields: bool
    ) -> None:
        missing = len(said) - held
        answers = len(self.vocabulary.answer(task, tuple(said)).labels)
        if answers and task != self.task and as_fields and self.holds.other_tasks:
            missing = len(said) - answers
        elif held and held < answers:
            report.add("approximated", "one of several classes was kept", key, answers - held)
            missing = len(said) - answers
        elif answers:
            report.add("lost", f"a label of task '{task}'", key, answers)
            missing = len(said) - answers
        if missing > 0:
            report.add(
                "lost", "a label that answers nothing (proposed, a tie, outvoted)", key, missing
            )

    def _voice_losses(self, key: str, label: Label, report: Report) -> None:
        holds = self.holds
        if label.score is not None and not holds.scores:
            report.add("lost", "the score of a label", key)
        if label.state == "verified" and not holds.states:
            report.add("lost", "that a label is verified", key)
        if ":" in label.source and not holds.sources:
            report.add("lost", "the name of who labeled", key)
        if label.node is not None and not holds.tree:
            self._tree_losses(label, report)

    def _tree_losses(self, label: Label, report: Report) -> None:
        """Say once of each nested class that it is known by its name alone."""
        node = label.node
        if node is None or node in self._flattened:
            return
        self._flattened.add(node)
        path, name = self.vocabulary.resolve(label.task, node), self._name(label.task, node)
        taxonomy = self.vocabulary.taxonomy_of(label.task)
        nested = taxonomy is not None and len(taxonomy.names_of(taxonomy.live(node) or node)) > 1
        if nested and path != name:
            report.add("approximated", "a class without the ones above it", path or "")

    def _region_losses(self, key: str, region: Region, report: Report) -> None:
        holds = self.holds
        place = f"{key}#{region.id.hex()[:8]}"
        chosen = choose(region, holds)
        if not chosen:
            words = " and ".join(sorted({shape.name for shape in region.geometries.values()}))
            report.add("lost", f"a region ({words or 'without a geometry'})", place)
            return
        if not (holds.unlabeled or list(self._labels(region.labels, holds.region_labels))):
            report.add("lost", "a region without a class", place)
            return
        labels = region.labels
        if len(labels) != 1 or labels[0].task != self.task or holds.region_labels == "none":
            self._label_losses(place, labels, holds.region_labels, report, holds.attrs)
        else:
            self._label_losses(place, labels, holds.region_labels, report, False)
        self._shape_losses(place, region, chosen, report)
        for held, value, words in (
            (holds.attrs, region.attrs, "the attributes of a region"),
            (holds.tracks, region.track, "the track of a region"),
            (holds.links, region.links, "the links of a region"),
            (holds.extra, region.extra, "fields of a region kept from another source"),
            (holds.scores, region.score is not None, "the score of a region"),
            (holds.states, region.state != ACCEPTED, f"that a region is {region.state}"),
            (holds.sources, ":" in region.source, "the name of who drew a region"),
        ):
            if value and not held:
                report.add("lost", words, place)
        for flag in region.flags:
            if flag not in holds.flags:
                report.add("lost", f"the flag '{flag}'", place)

    def _shape_losses(self, place: str, region: Region, chosen: list[str], report: Report) -> None:
        holds = self.holds
        for role in chosen:
            shape = region.geometries[role]
            if shape.name not in holds.geometries:
                target = holds.converts[shape.name]
                report.add("approximated", f"{shape.name} became {target}", place)
            elif isinstance(shape, Polygon):
                if len(shape.parts) > 1 and not holds.parts:
                    report.add("approximated", "a polygon kept one of its parts", place)
                if any(len(rings) > 1 for rings in shape.parts) and not holds.holes:
                    report.add("approximated", "a polygon lost its holes", place)
        if len(region.geometries) > len(chosen):
            self._second_shape_losses(place, region, chosen, report)

    def _second_shape_losses(
        self, place: str, region: Region, chosen: list[str], report: Report
    ) -> None:
        for role, shape in region.geometries.items():
            kept = {region.geometries[name].name: region.geometries[name] for name in chosen}
            if role in chosen:
                continue
            if isinstance(shape, Box) and is_derived({**kept, "box": shape}, DERIVED, self._load):
                continue
            report.add("lost", f"a second geometry of a region ({shape.name})", place)


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
