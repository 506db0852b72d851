"""The results of one sample for Label Studio, by who gives them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from voyager.formats.attributes import value_text
from voyager.formats.label_studio.answers import ATTR, FLAG_CONTROL
from voyager.formats.label_studio.shapes import Size, point_value, write_shape
from voyager.formats.projection import convert
from voyager.schema import (
    FLAGS,
    Box,
    Cuboid,
    Keypoints,
    Label,
    Mask,
    Points,
    Polygon,
    Region,
    Sample,
    rle,
)
from voyager.schema.geometry import Geometry
from voyager.schema.measures import bounds
from voyager.schema.outline import signed_area

if TYPE_CHECKING:
    from voyager.formats.label_studio.writing import TaskWriter

Json = dict[str, Any]
_POSE = "pose"


class Voices:
    """The results of one sample, by who gives them."""

    def __init__(self, tasks: TaskWriter, key: str, sample: Sample) -> None:
        self.tasks = tasks
        self.writing = tasks.writing
        self.key = key
        self.sample = sample
        self._results: dict[str, list[Json]] = defaultdict(list)
        self._ids = _result_ids(sample)
        self._where: dict[bytes, str] = {}

    def written(self) -> tuple[list[Json], list[Json]]:
        """(annotations, predictions)."""
        self._add_image_labels()
        for region in self.sample.regions:
            self._add_region(region)
        for region in self.sample.regions:
            self._add_links(region)
        annotations, predictions = [], []
        for voice, results in sorted(self._results.items()):
            kind, _, name = voice.partition(":")
            if kind == "model":
                predictions.append({**({"model_version": name} if name else {}), "result": results})
            else:
                annotations.append({**_completed_by(name), "result": results})
        return annotations, predictions

    def _add_image_labels(self) -> None:
        for task in sorted({label.task for label in self.sample.labels}):
            said = self._answers(task, self.sample.labels)
            for voice in sorted({_voice(label.source) for label in said}):
                labels = [label for label in said if _voice(label.source) == voice]
                name = self.tasks.control(task, region=False)
                result = self._value(task, name, labels, f"{task}-{len(self._results[voice])}")
                self._results[voice].append(result)

    def _answers(self, task: str, labels: tuple[Label, ...]) -> Sequence[Label]:
        if task == self.writing.task:
            return self.writing.categories(labels)
        return self.writing.vocabulary.answer(task, labels).labels

    def _value(self, task: str, name: str, labels: Sequence[Label], result_id: str) -> Json:
        """The result that says the labels of one task."""
        known = self.writing.vocabulary.tasks.get(task)
        kind = "category" if known is None else known.kind
        if len(labels) > 1:
            self.tasks.used.several.add(task)
        scores = [label.score for label in labels if label.score is not None]
        score = {"score": scores[0]} if scores else {}
        head: Json = {"id": result_id, "from_name": name, "to_name": "image", **score}
        if kind == "number":
            number = labels[0].value
            return {**head, "type": "number", "value": {"number": number}}
        if kind == "text":
            ordered = sorted(labels, key=lambda label: label.ordinal or 0)
            if any(label.language for label in labels):
                self.writing.report.add("lost", "the language of a text", self.key)
            texts = [label.value for label in ordered]
            return {**head, "type": "textarea", "value": {"text": texts}}
        words = [self._word(task, label) for label in labels]
        return {**head, "type": "choices", "value": {"choices": words}}

    def _word(self, task: str, label: Label) -> str:
        if label.node is None:
            return "true" if label.value is True else str(label.value).lower()
        return self.writing.vocabulary.class_name(task, label.node) or label.node.hex()

    # -- regions ---------------------------------------------------------------------------------

    def _add_region(self, region: Region) -> None:
        voice = _voice(region.source)
        image = self.sample.image
        size = None
        if image.width is not None and image.height is not None:
            size = Size(image.width, image.height)
        main = self._main(region)
        if main is None:
            return
        if size is None:
            self.writing.report.add("lost", "a shape of an image of unknown size", self.key)
            return
        results = list(self._shape_results(region, main, size))
        if not results:
            return
        first = results[0]
        shared = {name: first["value"][name] for name in ("x", "y", "width", "height", "rotation")
                  if name in first["value"]}  # fmt: skip
        results += self._beside(region, shared)
        frame = {"original_width": size.width, "original_height": size.height, "image_rotation": 0}
        self._results[voice] += [{**frame, **result} for result in results]
        self._where[region.id] = voice

    def _main(self, region: Region) -> Geometry | None:
        """The geometry that is drawn: the primary one, but for keypoints that have a shape."""
        geometry = region.geometry
        others = [shape for shape in region.geometries.values() if shape is not geometry]
        drawn = [shape for shape in others if not isinstance(shape, Keypoints)]
        if isinstance(geometry, Keypoints) and drawn:
            geometry, drawn = drawn[0], drawn[1:]
        kept = geometry
        for shape in drawn:
            if not (isinstance(shape, Box) and kept is not None and _is_around(shape, kept)):
                self.writing.report.add("lost", "a second shape of a region", self.key)
        return geometry

    def _shape_results(self, region: Region, main: Geometry, size: Size) -> Iterator[Json]:
        poses = [shape for shape in region.geometries.values() if isinstance(shape, Keypoints)]
        if isinstance(main, Points) and len(main.points) != 2:
            yield from self._loose_points(region, main, size)
            return
        written = self._written(main, size)
        if written is None:
            self.writing.report.add("lost", "a shape that Label Studio cannot draw", self.key)
            return
        yield self._shape(region, *written)
        for pose in poses:
            yield from self._pose(region, pose, size)

    def _written(self, main: Geometry, size: Size) -> tuple[str, Json] | None:
        if isinstance(main, Keypoints):
            around = bounds(main)
            if around is None:
                return None
            return write_shape(Box(*around), size, self._runs)
        if isinstance(main, Cuboid):
            main = convert(main, "polygon", self.sample) or main
        if isinstance(main, Polygon) and len(main.parts) > 1:
            largest = max(main.parts, key=lambda rings: abs(signed_area(rings[0])))
            main = Polygon((largest,))
        if isinstance(main, Points):
            return "keypoint", point_value(main.points, size)
        return write_shape(main, size, self._runs)

    def _runs(self, mask: Mask) -> list[int]:
        return rle.runs_of(mask, lambda _: self.writing.counts(mask))

    def _shape(self, region: Region, kind: str, value: Json) -> Json:
        words = [self.writing.class_name(label) for label in self.writing.categories(region.labels)]
        named = {f"{kind}labels": words} if words else {}
        width = region.extra.get("width")
        if kind == "keypoint" and isinstance(width, (int, float)):
            value = {**value, "width": width}
        result: Json = {
            "id": self._ids[region.id],
            "type": f"{kind}labels" if words else kind,
            "from_name": self.tasks.shape_control(kind),
            "to_name": "image",
            "value": {**value, **named},
        }
        if region.score is not None:
            result["score"] = region.score
        if isinstance(region.extra.get("meta"), dict):
            result["meta"] = region.extra["meta"]
        return result

    def _loose_points(self, region: Region, points: Points, size: Size) -> Iterator[Json]:
        """Each of several points, under a parent that is no shape."""
        own = self._ids[region.id]
        for number, (x, y) in enumerate(zip(points.points[0::2], points.points[1::2], strict=True)):
            result = self._shape(region, "keypoint", point_value((x, y), size))
            yield {**result, "id": f"{own}-{number}", "parentID": own}

    def _pose(self, region: Region, pose: Keypoints, size: Size) -> Iterator[Json]:
        """The points of a skeleton, under the shape that they belong to."""
        names = () if self.tasks.skeleton is None else self.tasks.skeleton.names
        if len(names) != len(pose.visibility):
            kind = "keypoints without a skeleton of as many points"
            self.writing.report.add("lost", kind, self.key)
            return
        own = self._ids[region.id]
        for at, name in enumerate(names):
            if not pose.visibility[at]:
                continue
            if pose.visibility[at] == 1:
                kind = "a hidden point became a visible one"
                self.writing.report.add("approximated", kind, self.key)
            value = point_value(pose.points[2 * at : 2 * at + 2], size)
            yield {
                "id": f"{own}-{at}",
                "parentID": own,
                "type": "keypointlabels",
                "from_name": self.tasks.shape_control(_POSE),
                "to_name": "image",
                "value": {**value, "keypointlabels": [name]},
            }

    def _beside(self, region: Region, shared: Json) -> Iterator[Json]:
        """What is said of a region beside its class, under the id of its shape."""
        own = self._ids[region.id]
        used = self.tasks.used
        for task in sorted({label.task for label in region.labels} - {self.writing.task}):
            labels = self._answers(task, region.labels)
            if labels:
                name = self.tasks.control(task, region=True)
                result = self._value(task, name, labels, own)
                yield {**result, "value": {**shared, **result["value"]}}
        for name, value in region.attrs.items():
            used.attrs.add(name)
            text = {"text": [value_text(value)]}
            yield _beside(own, ATTR + name, "textarea", {**shared, **text})
        flags = [flag for flag in region.flags if flag in FLAGS]
        if flags:
            used.flags |= set(flags)
            yield _beside(own, FLAG_CONTROL, "choices", {**shared, "choices": flags})

    def _add_links(self, region: Region) -> None:
        voice = self._where.get(region.id)
        for link in region.links:
            inside = link.uid == self.sample.uid and self._where.get(link.region) == voice
            if voice is None or not inside:
                kind = "a link to a region elsewhere, or of another source"
                self.writing.report.add("lost", kind, self.key)
                continue
            self._results[voice].append(
                {
                    "type": "relation",
                    "from_id": self._ids[region.id],
                    "to_id": self._ids[link.region],
                    "direction": "right",
                    "labels": [link.kind],
                }
            )


def _beside(own: str, name: str, kind: str, value: Json) -> Json:
    return {"id": own, "from_name": name, "to_name": "image", "type": kind, "value": value}


def _is_around(box: Box, shape: Geometry) -> bool:
    around = None if isinstance(shape, Mask) and shape.blob_id else bounds(shape)
    corners = (box.x0, box.y0, box.x1, box.y1)
    return around is not None and all(
        abs(one - other) <= 1e-3 for one, other in zip(corners, around, strict=True)
    )


def _voice(source: str) -> str:
    """Who an annotation or prediction is of: what was imported is of nobody in particular."""
    kind, _, name = source.partition(":")
    return source if kind == "model" or (kind == "human" and name) else "human"


def _completed_by(name: str) -> Json:
    """The field that says who annotated, where a name is one of Label Studio's own."""
    if name.isascii() and name.isdigit() and len(name) < 10:
        return {"completed_by": int(name)}
    return {"completed_by": {"email": name}} if "@" in name else {}


def _result_ids(sample: Sample) -> dict[bytes, str]:
    """An id for each region's result: that of its source where it is a text of its own."""
    found: dict[bytes, str] = {}
    taken: set[str] = set()
    for region in sample.regions:
        origin = region.origin
        own = origin.id if origin is not None and isinstance(origin.id, str) else ""
        if not own or own in taken or own.startswith("#"):
            own = region.id.hex()[:12]
        while own in taken:
            own += "x"
        taken.add(own)
        found[region.id] = own
    return found
