"""Writing CVAT 1.1: annotations.xml, its images, and labels.json to set up the labels with."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from voyager.formats.attributes import JOINT, with_answers
from voyager.formats.cvat.shapes import Fields, number_text, shape_fields
from voyager.formats.writing import Writing
from voyager.formats.xml_text import escape, quoteattr
from voyager.schema import Keypoints, Mask, Polygon, Region, Sample, rle
from voyager.schema.geometry import Flat
from voyager.schema.outline import signed_area
from voyager.schema.sample import MetaValue
from voyager.schema.task import Skeleton

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_KEPT = ("z_order", "group_id")


def write(writing: Writing) -> None:
    """Write an export as images."""
    shapes = ShapeWriter(writing)
    shapes.write_labels()
    with writing.open("annotations.xml") as file:
        xml = Xml(file, writing)
        with xml.inside("annotations"):
            xml.text("version", "1.1")
            shapes.write_meta(xml, {"name": "vgr", "size": shapes.images, "mode": "annotation"})
            for number, (key, sample) in enumerate(writing.samples()):
                _write_image(shapes, xml, number, key, sample)


def _write_image(shapes: ShapeWriter, xml: Xml, number: int, key: str, sample: Sample) -> None:
    writing = shapes.writing
    if writing.image(key, sample, f"images/{key}"):
        writing.named(f"images/{key}", key)
    fields: dict[str, Any] = {
        "id": number,
        "name": key,
        "subset": sample.split,
        "width": sample.image.width,
        "height": sample.image.height,
    }
    with xml.inside("image", fields):
        for region in sample.regions:
            shapes.write_region(xml, region, key)
        _write_tags(shapes, xml, key, sample)


def _write_tags(shapes: ShapeWriter, xml: Xml, key: str, sample: Sample) -> None:
    writing = shapes.writing
    kept = sample.extra.get("tag_attributes", {})
    for label in writing.categories(sample.labels):
        name = writing.class_name(label)
        attrs = kept.get(name, {}) if isinstance(kept, dict) else {}
        with xml.inside("tag", {"label": name, "source": _source(label.source)}):
            xml.attributes(attrs if isinstance(attrs, dict) else {})
    for task in sorted({label.task for label in sample.labels} - {writing.task}):
        writing.report.add("lost", "labels of an image for another task", f"{key}: {task}")


def _source(source: str) -> str:
    return "auto" if source.startswith("model") else "manual"


class Xml:
    """Writes indented elements."""

    def __init__(self, file: IO[str], writing: Writing) -> None:
        self._file = file
        self._writing = writing
        self._depth = 0
        file.write('<?xml version="1.0" encoding="utf-8"?>\n')

    @contextmanager
    def inside(self, name: str, fields: Mapping[str, Any] | None = None) -> Iterator[None]:
        """An element around what is written meanwhile."""
        self._line(f"<{name}{self._fields(fields or {})}>")
        self._depth += 1
        yield
        self._depth -= 1
        self._line(f"</{name}>")

    def text(self, name: str, value: Any, fields: Mapping[str, Any] | None = None) -> None:
        """An element with text in it."""
        text = escape(self._fit(str(value)), {"\r": "&#13;"})
        self._line(f"<{name}{self._fields(fields or {})}>{text}</{name}>")

    def attributes(self, values: Mapping[str, MetaValue]) -> None:
        """CVAT's attributes, by name."""
        for name, value in values.items():
            self.text("attribute", attribute_text(value), {"name": name})

    def _fields(self, fields: Mapping[str, Any]) -> str:
        given = ((name, value) for name, value in fields.items() if value is not None)
        return "".join(f" {name}={quoteattr(self._fit(str(value)))}" for name, value in given)

    def _fit(self, text: str) -> str:
        if _UNFIT.search(text) is None:
            return text
        self._writing.report.add("approximated", "control characters do not fit in XML", repr(text))
        return _UNFIT.sub("\ufffd", text)

    def _line(self, text: str) -> None:
        self._file.write(f"{'  ' * self._depth}{text}\n")


def attribute_text(value: MetaValue) -> str:
    """A value as CVAT's attributes have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return JOINT.join(map(str, value)) if isinstance(value, list) else str(value)


@dataclass(slots=True)
class _Seen:
    """The values of one attribute of a class."""

    kinds: set[str] = field(default_factory=set)
    low: float = 0.0
    high: float = 0.0

    def add(self, value: MetaValue) -> None:
        if isinstance(value, bool):
            self.kinds.add("checkbox")
        elif isinstance(value, (int, float)):
            self.kinds.add("number")
            self.low, self.high = min(self.low, value), max(self.high, value)
        else:
            self.kinds.add("text")

    @property
    def definition(self) -> dict[str, Any]:
        kind = next(iter(self.kinds)) if len(self.kinds) == 1 else "text"
        default, values = "", [""]
        if kind == "checkbox":
            default, values = "false", ["false"]
        if kind == "number":
            limits = (math.floor(self.low), math.ceil(self.high), 1)
            default, values = "0", [str(limit) for limit in limits]
        return {"input_type": kind, "default_value": default, "values": values}


class ShapeWriter:
    """Writes regions as shapes; knows the classes, their attributes and the skeleton."""

    def __init__(self, writing: Writing) -> None:
        self.writing = writing
        self.images = 0
        self._seen: dict[str, dict[str, _Seen]] = {}
        self._posed: set[str] = set()
        self._shaped: set[str] = set()
        task = writing.vocabulary.tasks.get(writing.task)
        self.skeleton: Skeleton | None = None if task is None else task.skeleton
        for key, sample in writing.samples():
            self.images += 1
            for region in sample.regions:
                self._look_at(region, key)
        self._report_mixed()
        for name in sorted(self._posed & self._shaped):
            writing.report.add("approximated", "a class of skeletons has other shapes too", name)

    def _report_mixed(self) -> None:
        for name, attrs in self._seen.items():
            for attr, seen in attrs.items():
                if len(seen.kinds) > 1:
                    self.writing.report.add(
                        "approximated",
                        "an attribute of several types became text",
                        f"{name} {attr}",
                    )

    def _look_at(self, region: Region, key: str) -> None:
        label = self.writing.category(region.labels)
        if label is None:
            return
        name = self.writing.class_name(label)
        posed = isinstance(region.geometry, Keypoints) and self.skeleton is not None
        (self._posed if posed else self._shaped).add(name)
        seen = self._seen.setdefault(name, {})
        for attr, value in with_answers(self.writing, region.attrs, region.labels, key).items():
            seen.setdefault(attr, _Seen()).add(value)

    # -- labels ----------------------------------------------------------------------------------

    def _labels(self) -> list[dict[str, Any]]:
        """The labels as CVAT's constructor takes them ("Raw")."""
        taxonomy = self.writing.vocabulary.taxonomy_of(self.writing.task)
        found = []
        for node, name in self.writing.classes:
            extra = {} if taxonomy is None else taxonomy.nodes[node].extra
            label: dict[str, Any] = {"name": name}
            if isinstance(extra.get("color"), str):
                label["color"] = extra["color"]
            label["type"] = "skeleton" if name in self._posed else "any"
            label["attributes"] = self._attributes(name, extra)
            if name in self._posed and self.skeleton is not None:
                points = self.skeleton.names
                label["sublabels"] = [
                    {"name": point, "type": "points", "attributes": []} for point in points
                ]
                label["svg"] = _drawing(self.skeleton)
            found.append(label)
        return found

    def _attributes(self, name: str, extra: Mapping[str, Any]) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for known in (
            extra.get("attributes", ()) if isinstance(extra.get("attributes"), list) else ()
        ):
            if isinstance(known, dict) and isinstance(known.get("name"), str):
                values = str(known.get("values", "")).split("\n")
                found[known["name"]] = {
                    "name": known["name"],
                    "mutable": str(known.get("mutable", "False")) == "True",
                    "input_type": str(known.get("input_type", "text")),
                    "default_value": str(known.get("default_value", "")),
                    "values": values,
                }
        for attr, seen in sorted(self._seen.get(name, {}).items()):
            if attr not in found or not _fits(found[attr]["input_type"], seen):
                found[attr] = {"name": attr, "mutable": True, **seen.definition}
        return list(found.values())

    def write_labels(self, name: str = "labels.json") -> None:
        """Write the labels for CVAT's label constructor."""
        with self.writing.open(name) as file:
            json.dump(self._labels(), file, indent=2, ensure_ascii=False)
            file.write("\n")

    def write_meta(self, xml: Xml, task: Mapping[str, Any]) -> None:
        """Write <meta>: what is said of the task, and its labels."""
        size = {"width": task.get("width"), "height": task.get("height")}
        with xml.inside("meta"), xml.inside("task"):
            for name, value in task.items():
                if name not in size:
                    xml.text(name, value)
            with xml.inside("labels"):
                for label in self._labels():
                    _write_label(xml, label)
            if size["width"] and size["height"]:
                with xml.inside("original_size"):
                    xml.text("width", size["width"])
                    xml.text("height", size["height"])

    # -- shapes ----------------------------------------------------------------------------------

    def write_region(
        self,
        xml: Xml,
        region: Region,
        key: str,
        frame: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a region as a shape, of a track where `frame` has its fields of one."""
        label = self.writing.category(region.labels)
        if label is None or region.geometry is None:
            return
        tracked = frame is not None
        fields: dict[str, Any] = dict(frame or {})
        if not tracked:
            fields["label"] = self.writing.class_name(label)
            fields["source"] = self.source(region)
        attrs = with_answers(self.writing, region.attrs, region.labels, key)
        kept = {name: region.extra.get(name) for name in _KEPT}
        if tracked:
            kept.pop("group_id")
        hidden = int("occluded" in region.flags)
        if isinstance(region.geometry, Keypoints):
            kept["occluded"] = hidden or None
            self._write_skeleton(xml, region, {**fields, **kept}, attrs, key)
            return
        shape = self._shape(region)
        if shape is None:
            return
        with xml.inside(shape[0], {**fields, "occluded": hidden, **shape[1], **kept}):
            xml.attributes(attrs)

    def source(self, region: Region) -> str:
        """CVAT's word for who drew a region."""
        said = region.extra.get("source")
        return said if isinstance(said, str) else _source(region.source)

    def _shape(self, region: Region) -> Fields | None:
        geometry = region.geometry
        assert geometry is not None
        if isinstance(geometry, Polygon) and len(geometry.parts) > 1:
            geometry = Polygon((max(geometry.parts, key=_part_area),))
        return shape_fields(geometry, self._runs)

    def _runs(self, mask: Mask) -> list[int]:
        return rle.runs_of(mask, lambda _: self.writing.counts(mask))

    def _write_skeleton(
        self,
        xml: Xml,
        region: Region,
        fields: Mapping[str, Any],
        attrs: Mapping[str, MetaValue],
        key: str,
    ) -> None:
        keypoints = region.geometry
        assert isinstance(keypoints, Keypoints)
        names = () if self.skeleton is None else self.skeleton.names
        if len(names) != len(keypoints.visibility):
            self.writing.report.add("lost", "keypoints without a skeleton of as many points", key)
            return
        outside = region.extra.get("outside_points")
        away = outside if isinstance(outside, dict) else {}
        frame = {name: fields[name] for name in ("keyframe",) if name in fields}
        with xml.inside("skeleton", {k: v for k, v in fields.items() if k != "outside"}):
            for at, name in enumerate(names):
                x, y = keypoints.points[2 * at : 2 * at + 2]
                seen = keypoints.visibility[at]
                if not seen:
                    x, y = _pair(away.get(name))
                point = {
                    "label": name,
                    **frame,
                    "outside": int(not seen or bool(fields.get("outside"))),
                    "occluded": int(seen == 1),
                    "points": f"{number_text(x)},{number_text(y)}",
                }
                with xml.inside("points", point):
                    pass
            xml.attributes(attrs)


def _part_area(rings: tuple[Flat, ...]) -> float:
    return abs(signed_area(rings[0])) if rings else 0.0


def _pair(value: Any) -> tuple[float, float]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return float(value[0]), float(value[1])
    return 0.0, 0.0


def _fits(kind: str, seen: _Seen) -> bool:
    """Whether values of these types read back the same as an attribute of such a type."""
    expected = {"checkbox": {"checkbox"}, "number": {"number"}}.get(kind, {"text"})
    return seen.kinds <= expected


def _write_label(xml: Xml, label: Mapping[str, Any]) -> None:
    with xml.inside("label"):
        xml.text("name", label["name"])
        if "color" in label:
            xml.text("color", label["color"])
        xml.text("type", label["type"])
        with xml.inside("attributes"):
            for attribute in label["attributes"]:
                _write_attribute(xml, attribute)
        if "svg" in label:
            xml.text("svg", label["svg"])
    for point in label.get("sublabels", ()):
        with xml.inside("label"):
            xml.text("name", point["name"])
            xml.text("type", point["type"])
            xml.text("attributes", "")
            xml.text("parent", label["name"])


def _write_attribute(xml: Xml, attribute: Mapping[str, Any]) -> None:
    with xml.inside("attribute"):
        xml.text("name", attribute["name"])
        xml.text("mutable", str(attribute["mutable"]))
        xml.text("input_type", attribute["input_type"])
        xml.text("default_value", attribute["default_value"])
        xml.text("values", "\n".join(attribute["values"]))


def _drawing(skeleton: Skeleton) -> str:
    """A drawing of a skeleton as CVAT wants one, its points on a circle."""
    count = max(len(skeleton.names), 1)
    spots = [
        (50 + 40 * math.sin(2 * math.pi * at / count), 50 - 40 * math.cos(2 * math.pi * at / count))
        for at in range(count)
    ]
    lines = [
        f'<line x1="{spots[a][0]:.2f}" y1="{spots[a][1]:.2f}" x2="{spots[b][0]:.2f}"'
        f' y2="{spots[b][1]:.2f}" data-type="edge" data-node-from="{a + 1}"'
        f' data-node-to="{b + 1}"></line>'
        for a, b in skeleton.edges
    ]
    nodes = [
        f'<circle r="1.5" cx="{x:.2f}" cy="{y:.2f}" data-type="element node"'
        f' data-element-id="{at}" data-node-id="{at}" data-label-name={quoteattr(name)}></circle>'
        for at, (name, (x, y)) in enumerate(zip(skeleton.names, spots, strict=False), 1)
    ]
    return "".join(lines + nodes)
