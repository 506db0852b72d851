"""Writing LabelMe: each image with its label file beside it, and labels.txt."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

from voyager.formats.attributes import answers_of_others, with_answers
from voyager.formats.labelme.reading import LABELED, LABELS
from voyager.formats.labelme.shapes import Json, polygon_shape, write_shape
from voyager.formats.projection import convert
from voyager.formats.writing import Writing
from voyager.schema import (
    FLAGS,
    Ellipse,
    Mask,
    Polygon,
    Region,
    Sample,
    coverage_key,
    rle,
)
from voyager.schema.geometry import Geometry
from voyager.schema.sample import MetaValue

VERSION: Final = "5.5.0"


def write(writing: Writing) -> None:
    """Write the images under their keys, and the label files of those that say something."""
    with writing.open(LABELS) as file:
        file.writelines(f"{name}\n" for _, name in writing.classes)
    taken: set[str] = set()
    for key, sample in writing.samples():
        stored = writing.image(key, sample, key)
        _report_labels(writing, key, sample)
        if _says_something(writing, sample, stored=stored):
            with writing.open(_file_name(key, taken)) as file:
                json.dump(_File(writing, key, sample).value(), file, ensure_ascii=False, indent=2)
                file.write("\n")


def _report_labels(writing: Writing, key: str, sample: Sample) -> None:
    if sample.labels and writing.categories(sample.labels):
        writing.report.add("lost", "a class of an image", key)


def _says_something(writing: Writing, sample: Sample, *, stored: bool) -> bool:
    """Whether a sample needs a file, beyond its image."""
    fields = sample.regions or sample.split or sample.meta or sample.labels
    return bool(fields or not stored or _is_empty(writing, sample))


def _is_empty(writing: Writing, sample: Sample) -> bool:
    """Whether it is known that there is nothing: so says a file without shapes."""
    return sample.coverage.get(coverage_key(writing.task)) == "exhaustive"


def _file_name(key: str, taken: set[str]) -> str:
    """The label file of an image: its stem, else its whole name, with .json."""
    name = posixpath.splitext(key)[0] + ".json"
    if name.lower() in taken:
        name = key + ".json"
    taken.add(name.lower())
    return name


class _File:
    """The label file of one sample."""

    def __init__(self, writing: Writing, key: str, sample: Sample) -> None:
        self.writing = writing
        self.key = key
        self.sample = sample
        self._groups = self._own_groups()
        self._free = (n for n in count(1) if n not in set(self._groups.values()))

    def _own_groups(self) -> dict[bytes, Any]:
        """Region → group that its source gave it, where no other polygon would be joined to it."""
        found: dict[bytes, Any] = {}
        taken: set[tuple[str, str]] = set()
        for region in self.sample.regions:
            group = region.extra.get("group_id")
            mark = (repr(group), self._class_name(region))
            if group is None or not isinstance(group, (int, str)):
                continue
            if mark in taken and isinstance(region.geometry, Polygon):
                kind = "a group of several polygons of one class"
                self.writing.report.add("lost", kind, self.key)
                continue
            taken.add(mark)
            found[region.id] = group
        return found

    def _class_name(self, region: Region) -> str:
        label = self.writing.category(region.labels)
        return "" if label is None else self.writing.class_name(label)

    def value(self) -> Json:
        """Its JSON."""
        flags, meta = _parted(self._fields())
        image = self.sample.image
        value: Json = {
            "version": VERSION,
            "flags": flags,
            "shapes": [shape for region in self.sample.regions for shape in self._shapes(region)],
            "imagePath": posixpath.basename(self.key),
            "imageData": None,
            "imageHeight": image.height,
            "imageWidth": image.width,
        }
        if self.sample.split is not None:
            value["split"] = self.sample.split
        if not (value["shapes"] or _is_empty(self.writing, self.sample)):
            value[LABELED] = False
        return {**value, "meta": meta} if meta else value

    def _fields(self) -> dict[str, MetaValue]:
        return {**self.sample.meta, **answers_of_others(self.writing, self.sample.labels)}

    def _shapes(self, region: Region) -> Iterator[Json]:
        shapes = list(self._drawn(region))
        group = self._groups.get(region.id)
        if group is None and len(shapes) > 1:
            group = next(self._free)
        attrs = with_answers(self.writing, region.attrs, region.labels, self.key)
        description = attrs.get("description")
        if isinstance(description, str) and description:
            del attrs["description"]
        else:
            description = ""
        flags, attributes = _parted(attrs)
        flags |= {flag: True for flag in region.flags if flag in FLAGS}
        for shape in shapes:
            shape |= {
                "label": self._class_name(region),
                "group_id": group,
                "description": description,
                "flags": flags,
            }
            score = self._score(region)
            if score is not None:
                shape["score"] = score
            if attributes:
                shape["attributes"] = attributes
            yield shape

    def _score(self, region: Region) -> float | None:
        label = self.writing.category(region.labels)
        return region.score if region.score is not None or label is None else label.score

    def _drawn(self, region: Region) -> Iterator[Json]:
        """The shapes of a region: one, or one for each part of a polygon."""
        geometry = self._chosen(region)
        if isinstance(geometry, Polygon):
            yield from (polygon_shape(rings[0]) for rings in geometry.parts if rings)
            return
        shape = None if geometry is None else write_shape(geometry, self._runs)
        if shape is not None:
            yield shape

    def _chosen(self, region: Region) -> Geometry | None:
        """The geometry that LabelMe can have: the primary one, or what it becomes, else another."""
        shapes = sorted(region.geometries.items(), key=lambda pair: pair[0] != region.primary_role)
        for _, shape in shapes:
            if shape.name in _HELD:
                if isinstance(shape, Ellipse) and shape.rx != shape.ry:
                    kind = "an ellipse became a polygon"
                    self.writing.report.add("approximated", kind, self.key)
                    return convert(shape, "polygon", self.sample)
                return shape
        for _, shape in shapes:
            if shape.name in _CONVERTED:
                return convert(shape, "polygon", self.sample)
        return None

    def _runs(self, mask: Mask) -> list[int]:
        return rle.runs_of(mask, lambda _: self.writing.counts(mask))


_HELD = frozenset({"box", "polygon", "polyline", "points", "mask", "ellipse"})
_CONVERTED = frozenset({"rotated-box", "cuboid"})


def _parted(values: dict[str, MetaValue]) -> tuple[dict[str, bool], dict[str, MetaValue]]:
    """Booleans, which are LabelMe's flags, and the rest."""
    flags = {
        key: value for key, value in values.items() if isinstance(value, bool) and key not in FLAGS
    }
    return flags, {key: value for key, value in values.items() if key not in flags}
