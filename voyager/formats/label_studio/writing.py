"""Writing Label Studio's tasks.json, its images, and label_config.xml to set a project up with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final

from voyager.formats.label_studio.answers import ATTR, FLAG_CONTROL, ON_REGIONS
from voyager.formats.label_studio.config import NAME as CONFIG_NAME
from voyager.formats.label_studio.config import Written, config_text
from voyager.formats.label_studio.names import KEY, SPLIT, image_url
from voyager.formats.label_studio.voices import Voices
from voyager.formats.writing import Writing
from voyager.schema import (
    Sample,
    coverage_key,
)
from voyager.schema.task import Skeleton

FILE_NAME: Final = "tasks.json"
PREFIX: Final = "/data/local-files/?d="

_ELEMENTS: Final = {
    "rectangle": "RectangleLabels",
    "polygon": "PolygonLabels",
    "ellipse": "EllipseLabels",
    "brush": "BrushLabels",
    "keypoint": "KeyPointLabels",
}
_POSE = "pose"

Json = dict[str, Any]


def write(writing: Writing) -> None:
    """Write tasks, images and configuration."""
    tasks = TaskWriter(writing)
    with writing.open(FILE_NAME) as file:
        _write_list(file, tasks.all())
    with writing.open(CONFIG_NAME) as file:
        file.write(config_text(tasks.controls()))


def _write_list(file: IO[str], values: Iterator[Json]) -> None:
    file.write("[")
    for number, value in enumerate(values):
        file.write(",\n" if number else "\n")
        json.dump(value, file, ensure_ascii=False, allow_nan=False)
    file.write("\n]\n")


@dataclass(slots=True)
class _Used:
    """Which controls the tasks use, so that the configuration has them."""

    shapes: set[str] = field(default_factory=set)
    on_images: set[str] = field(default_factory=set)
    on_regions: set[str] = field(default_factory=set)
    several: set[str] = field(default_factory=set)
    attrs: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)


class TaskWriter:
    """Makes the tasks, and from what they used the configuration."""

    def __init__(self, writing: Writing) -> None:
        self.writing = writing
        self.prefix = writing.setting("prefix", PREFIX)
        self.used = _Used()
        task = writing.vocabulary.tasks.get(writing.task)
        self.skeleton: Skeleton | None = None if task is None else task.skeleton
        self._both = self._asked_of_both()

    def _asked_of_both(self) -> set[str]:
        """Tasks of which images and regions have labels: their controls have to differ."""
        of_images: set[str] = set()
        of_regions: set[str] = set()
        for _, sample in self.writing.samples():
            of_images |= {label.task for label in sample.labels}
            of_regions |= {label.task for region in sample.regions for label in region.labels}
        return of_images & of_regions

    def all(self) -> Iterator[Json]:
        """A task for each sample."""
        for key, sample in self.writing.samples():
            yield self._task(key, sample)

    def _task(self, key: str, sample: Sample) -> Json:
        writing = self.writing
        stored = writing.image(key, sample, f"images/{key}")
        if stored:
            writing.named(f"images/{key}", key)
        url = image_url(self.prefix, f"images/{key}")
        if not stored and sample.image.uri:
            url = sample.image.uri
        data: Json = {"image": url, KEY: key}
        if sample.split is not None:
            data[SPLIT] = sample.split
        for name, value in sample.meta.items():
            if name in data:
                writing.report.add("lost", f"a meta field '{name}', which Label Studio needs", key)
            else:
                data[name] = value
        voices = Voices(self, key, sample)
        annotations, predictions = voices.written()
        if not annotations and sample.coverage.get(coverage_key(writing.task)) == "exhaustive":
            annotations = [{"result": []}]
        return {"data": data, "annotations": annotations, "predictions": predictions}

    # -- names of controls -----------------------------------------------------------------------

    def control(self, task: str, *, region: bool) -> str:
        """The control that asks a task."""
        (self.used.on_regions if region else self.used.on_images).add(task)
        return task + ON_REGIONS if region and task in self._both else task

    def shape_control(self, kind: str) -> str:
        """The control that draws shapes of a kind."""
        self.used.shapes.add(kind)
        return f"{self.writing.task}_{kind}"

    # -- the configuration -----------------------------------------------------------------------

    def controls(self) -> list[Written]:
        """The controls that the tasks use; boxes where they use none."""
        used = self.used
        found = []
        shapes = [kind for kind in (*_ELEMENTS, _POSE) if kind in used.shapes]
        if not (shapes or used.on_images):
            shapes = ["rectangle"]
        for kind in shapes:
            element = _ELEMENTS.get(kind, "KeyPointLabels")
            classes = self._points() if kind == _POSE else self._classes(self.writing.task)
            found.append(Written(element, f"{self.writing.task}_{kind}", {}, classes))
        found += [self._question(task, task, {}) for task in sorted(used.on_images)]
        for task in sorted(used.on_regions):
            name = task + ON_REGIONS if task in self._both else task
            found.append(self._question(task, name, {"perRegion": "true"}))
        if used.flags:
            fields = {"perRegion": "true", "choice": "multiple"}
            flags: Mapping[str, Mapping[str, Any]] = {name: {} for name in sorted(used.flags)}
            found.append(Written("Choices", FLAG_CONTROL, fields, flags))
        fields = {"perRegion": "true"}
        found += [Written("TextArea", ATTR + name, fields) for name in sorted(used.attrs)]
        return found

    def _classes(self, task: str) -> dict[str, dict[str, Any]]:
        taxonomy = self.writing.vocabulary.taxonomy_of(task)
        if taxonomy is None:
            return {}
        found = {}
        for node in taxonomy:
            extra = taxonomy.nodes[node].extra
            color = extra.get("background") or extra.get("color")
            said = {"background": color} if isinstance(color, str) else {}
            found[taxonomy.class_name(node) or node.hex()] = said
        return found

    def _points(self) -> dict[str, dict[str, Any]]:
        names = () if self.skeleton is None else self.skeleton.names
        return {name: {"model_index": at} for at, name in enumerate(names)}

    def _question(self, task: str, name: str, fields: dict[str, str]) -> Written:
        known = self.writing.vocabulary.tasks.get(task)
        kind = "category" if known is None else known.kind
        if kind == "number":
            return Written("Number", name, fields)
        if kind == "text":
            return Written("TextArea", name, fields)
        many = task in self.used.several or (known is not None and known.many)
        choice = {"choice": "multiple" if many else "single"}
        classes = {"true": {}, "false": {}} if kind == "bool" else self._classes(task)
        return Written("Choices", name, {**fields, **choice}, classes)
