"""What a format has no place for in a sample, counted as lost or approximated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from voyager.formats.base import Holds
from voyager.formats.projection import DERIVED, Projection, choose, is_derived
from voyager.formats.report import Report
from voyager.schema import ACCEPTED, Box, Label, Polygon, Region, Sample
from voyager.schema.rle import Load
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Vocabulary


def losses(
    key: str, sample: Sample, holds: Holds, vocabulary: Vocabulary, task: str, report: Report
) -> None:
    """Count what a format does not keep of a sample as lost or approximated."""
    found = Losses(holds, vocabulary, task)
    found.count(key, sample, report)
    found.finish(report)


class Gone(NamedTuple):
    """How many samples, regions and labels are not written."""

    samples: int = 0
    regions: int = 0
    labels: int = 0


_NOTHING: Final = Gone()


class Losses:
    """`losses` for many samples of one version."""

    def __init__(
        self, holds: Holds, vocabulary: Vocabulary, task: str, load: Load | None = None
    ) -> None:
        self._projection = Projection(holds, vocabulary, task, load)
        self._holds = holds
        self._vocabulary = vocabulary
        self._task = task
        self._looked_at: set[NodeId] = set()
        self.nested: dict[NodeId, str] = {}
        """Paths of the classes that are known by their name alone, as they were met."""
        self._plain_nodes: set[NodeId] = set()
        """Classes of which a plain region loses nothing."""
        known = vocabulary.tasks.get(task)
        self._hears_all = holds.region_labels != "none" and not (known and known.answer)

    def count(self, key: str, sample: Sample, report: Report) -> Gone:
        """Count what the format does not keep of a sample; how much of it is not written at all."""
        holds = self._holds
        if holds.whole:
            return _NOTHING
        if sample.image.state != "stored" and not holds.pending:
            report.add("lost", "an image that is not here", key)
            return _all_of(sample)
        unkept = not holds.empty and not self._projection.keeps(sample)
        if unkept:
            report.add("lost", "an image without labels", key)
        for loss, kind in self._sample_losses(sample):
            report.add(loss, kind, key)
        regions = labels = 0
        if sample.labels:
            labels = self._label_losses(key, sample.labels, holds.image_labels, report, holds.meta)
        for region in sample.regions:
            if region.state != "rejected" and not self._is_plain(region):
                gone = self._region_losses(key, region, report)
                regions += gone.regions
                labels += gone.labels
        return _all_of(sample) if unkept else Gone(0, regions, labels)

    def _is_plain(self, region: Region) -> bool:
        """Whether a region has nothing but a held geometry and a known class: most are so."""
        if region.attrs or region.flags or region.extra or region.links or region.track:
            return False
        if region.score is not None or region.state != ACCEPTED or ":" in region.source:
            return False
        if len(region.labels) != 1 or len(region.geometries) != 1:
            return False
        (label,), (shape,) = region.labels, region.geometries.values()
        if label.task != self._task or label.score is not None or label.state != ACCEPTED:
            return False
        if label.node not in self._plain_nodes or ":" in label.source:
            return False
        if type(shape) is Polygon and (len(shape.parts) != 1 or len(shape.parts[0]) != 1):
            return False
        return shape.name in self._holds.geometries

    def _sample_losses(self, sample: Sample) -> Iterator[tuple[Any, str]]:
        holds = self._holds
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
    ) -> int:
        """Report what is lost of labels; how many of them are not written."""
        kept = list(self._projection.labels(labels, limit))
        gone = 0
        for task in dict.fromkeys(label.task for label in labels):
            said = [label for label in labels if label.task == task and label.state != "rejected"]
            held = sum(label.task == task for label in kept)
            if len(said) > held:
                gone += self._report_unheld(key, task, said, held, report, as_fields=as_fields)
            for label in said:
                self._voice_losses(key, label, report)
        return gone + sum(label.state == "rejected" for label in labels)

    def _report_unheld(
        self, key: str, task: str, said: list[Label], held: int, report: Report, *, as_fields: bool
    ) -> int:
        missing = len(said) - held
        gone = 0
        answers = len(self._vocabulary.answer(task, tuple(said)).labels)
        if answers and task != self._task and as_fields and self._holds.other_tasks:
            missing = len(said) - answers
        elif held and held < answers:
            gone = answers - held
            report.add("approximated", "one of several classes was kept", key, gone)
            missing = len(said) - answers
        elif answers and not held:
            gone = answers
            report.add("lost", f"a label of task '{task}'", key, gone)
            missing = len(said) - answers
        if missing > 0:
            report.add(
                "lost", "a label that answers nothing (proposed, a tie, outvoted)", key, missing
            )
        return gone + max(missing, 0)

    def _voice_losses(self, key: str, label: Label, report: Report) -> None:
        holds = self._holds
        if label.score is not None and not holds.scores:
            report.add("lost", "the score of a label", key)
        if label.state == "verified" and not holds.states:
            report.add("lost", "that a label is verified", key)
        if ":" in label.source and not holds.sources:
            report.add("lost", "the name of who labeled", key)
        if label.node is not None and not holds.tree:
            self._note_nested(label)

    def finish(self, report: Report) -> None:
        """Say once of each nested class that it is known by its name alone."""
        for path in self.nested.values():
            report.add("approximated", "a class without the ones above it", path)

    def _note_nested(self, label: Label) -> None:
        node = label.node
        if node is None or node in self._looked_at:
            return
        self._looked_at.add(node)
        path = self._vocabulary.resolve(label.task, node)
        name = self._projection.name(label.task, node)
        taxonomy = self._vocabulary.taxonomy_of(label.task)
        nested = taxonomy is not None and len(taxonomy.names_of(taxonomy.live(node) or node)) > 1
        if nested and path != name:
            self.nested[node] = path or ""

    def _region_losses(self, key: str, region: Region, report: Report) -> Gone:
        holds = self._holds
        place = f"{key}#{region.id.hex()[:8]}"
        chosen = choose(region, holds)
        if not chosen:
            words = " and ".join(sorted({shape.name for shape in region.geometries.values()}))
            report.add("lost", f"a region ({words or 'without a geometry'})", place)
            return Gone(0, 1, len(region.labels))
        labels = list(self._projection.labels(region.labels, holds.region_labels))
        if not (holds.unlabeled or labels):
            report.add("lost", "a region without a class", place)
            return Gone(0, 1, len(region.labels))
        gone = self._label_losses(place, region.labels, holds.region_labels, report, holds.attrs)
        node = region.labels[0].node if region.labels else None
        if node is not None and labels and self._hears_all and region.labels[0].task == self._task:
            self._plain_nodes.add(node)
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
        return Gone(0, 0, gone)

    def _shape_losses(self, place: str, region: Region, chosen: list[str], report: Report) -> None:
        holds = self._holds
        for role in chosen:
            shape = region.geometries[role]
            if shape.name not in holds.geometries:
                target = holds.converts[shape.name]
                report.add("approximated", f"{shape.name} became {target}", place)
            elif isinstance(shape, Polygon):
                if len(shape.parts) > 1 and not holds.parts:
                    report.add("approximated", "a polygon of several parts", place)
                if any(len(rings) > 1 for rings in shape.parts) and not holds.holes:
                    report.add("approximated", "a polygon with holes", place)
        if len(region.geometries) > len(chosen):
            self._second_shape_losses(place, region, chosen, report)

    def _second_shape_losses(
        self, place: str, region: Region, chosen: list[str], report: Report
    ) -> None:
        load = self._projection.load
        kept = {region.geometries[name].name: region.geometries[name] for name in chosen}
        for role, shape in region.geometries.items():
            if role in chosen:
                continue
            if isinstance(shape, Box) and is_derived({**kept, "box": shape}, DERIVED, load):
                continue
            report.add("lost", f"a second geometry of a region ({shape.name})", place)


def _all_of(sample: Sample) -> Gone:
    labels = len(sample.labels) + sum(len(region.labels) for region in sample.regions)
    return Gone(1, len(sample.regions), labels)
