"""A shape of a CVAT file as a region: class, attributes, flags, skeleton, what is kept beside."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element

from voyager.formats.attributes import labels_among
from voyager.formats.cvat.elements import Part
from voyager.formats.cvat.meta import LabelMeta, Meta, typed
from voyager.formats.cvat.shapes import (
    GEOMETRY_FIELDS,
    READERS,
    Size,
    read_points,
    read_shape,
    source_text,
)
from voyager.formats.reading import Reading
from voyager.schema import Keypoints, Label, Mask, Region
from voyager.schema.geometry import Box, Geometry
from voyager.schema.sample import MetaValue
from voyager.schema.task import Skeleton

SKELETON = "skeleton"

_KNOWN = GEOMETRY_FIELDS | {
    "label",
    "source",
    "annotation_type",
    "occluded",
    "outside",
    "keyframe",
    "frame",
    "score",
    "state",
}
_BY_HAND = frozenset({"", "manual", "file"})
"""Sources that say nothing: what was uploaded to CVAT comes back as `file`."""

_NO_LABEL = LabelMeta("", {}, {})


class Shapes:
    """Makes regions of one file's shapes, with the classes and skeletons of its meta."""

    def __init__(self, reading: Reading, meta: Meta) -> None:
        self.reading = reading
        self.meta = meta
        labels = [label for label in meta.labels.values() if label.parent is None]
        tags = bool(labels) and all(label.extra.get("type") == "tag" for label in labels)
        reading.define(scope="image" if tags else "region")
        for label in labels:
            if label.name.strip():
                reading.category(label.name, extra=label.extra)
        self._skeleton = self._define_skeleton()

    def _define_skeleton(self) -> tuple[str, ...]:
        skeletons = self.meta.skeletons()
        names = list(dict.fromkeys(name for points in skeletons.values() for name in points))
        edges = {
            (names.index(first), names.index(second))
            for label in skeletons
            for first, second in self.meta.edges(label)
            if first in names and second in names
        }
        return self._skeleton_of(names, sorted(edges))

    def _skeleton_of(
        self, names: list[str], edges: Iterable[tuple[int, int]] = ()
    ) -> tuple[str, ...]:
        """The names of the task's skeleton, which is made of these when it has none."""
        task = self.reading.draft.define(self.reading.task)
        if task.skeleton is None and names:
            made = Skeleton(names=tuple(names), edges=tuple(edges))
            task = task.replace(skeleton=made)
            self.reading.draft.put_task(self.reading.task, task)
        return () if task.skeleton is None else task.skeleton.names

    def region(self, part: Part, element: Element, size: Size, track: Element | None) -> Region:
        """The region of a shape; of a track, which has the class, where `track` is given."""
        self.reading.define(scope="region")
        owner = element if track is None else track
        extra, place = self._extra(part, element, track), part.place(element)
        if element.tag == SKELETON:
            geometry = self._keypoints(part, element, extra)
        else:
            geometry = self._geometry(part, element, size, extra)
        source = self._source(owner, extra)
        name = owner.get("label", "")
        found = self.attributes(part, element, name)
        attrs, labels = labels_among(self.reading, found, "region", source=source)
        if name.strip():
            labels.insert(0, self.label(name, source))
        if isinstance(geometry, Box) and (geometry.x1 <= geometry.x0 or geometry.y1 <= geometry.y0):
            self.reading.report.add("extra", "a box has no area and was kept", place)
        for field in sorted(extra.keys() - {"source_geometry"}):
            self.reading.report.add("extra", f"{field} was kept in extra", place)
        return self.reading.region(
            geometry,
            labels,
            attrs=attrs,
            flags=("occluded",) if part.flag(element, "occluded") else (),
            source=source,
            extra=extra,
            score=self._score(part, element),
        )

    def label(self, name: str, source: str) -> Label:
        """The label of a class in the name of a source."""
        node = self.reading.category(name)
        if source == self.reading.source:
            return self.reading.label(node)
        return self.reading.label(node, source=source)

    def _source(self, owner: Element, extra: dict[str, Any]) -> str:
        said = owner.get("source", owner.get("annotation_type", "")).strip().lower()
        if said == "auto":
            return "model"
        if said not in _BY_HAND:
            extra["source"] = said
        return self.reading.source

    def _score(self, part: Part, element: Element) -> float | None:
        if "score" not in element.attrib:
            return None
        score = part.number(element, "score")
        return score if math.isfinite(score) else None

    def _extra(self, part: Part, element: Element, track: Element | None) -> dict[str, Any]:
        """What the schema has no field for, under CVAT's own names."""
        extra: dict[str, Any] = {}
        for owner in (element,) if track is None else (track, element):
            known = _KNOWN if owner is element else _KNOWN | {"id", "task_id", "subset"}
            for name in owner.attrib.keys() - known:
                extra[name] = owner.attrib[name]
            for name in ("z_order", "group_id"):
                if name in owner.attrib:
                    extra[name] = part.integer(owner, name)
        for name in ("z_order", "group_id"):
            if not extra.get(name, 1):
                del extra[name]
        return extra

    def _geometry(
        self, part: Part, element: Element, size: Size, extra: dict[str, Any]
    ) -> Geometry | None:
        geometry = read_shape(part, element, size)
        if geometry is None:
            extra["source_geometry"] = source_text(element)
            place = part.place(element)
            self.reading.report.add("lost", "a geometry is not made of finite numbers", place)
        if isinstance(geometry, Mask):
            assert isinstance(geometry.counts, bytes)
            return self.reading.mask(geometry.height, geometry.width, geometry.counts)
        return geometry

    # -- attributes ------------------------------------------------------------------------------

    def attributes(self, part: Part, element: Element, label: str) -> dict[str, MetaValue]:
        """The attributes of a shape or tag, typed as the meta says; an empty one is none."""
        types = self.meta.labels.get(label, _NO_LABEL).attributes
        found: dict[str, MetaValue] = {}
        for child in element.iterfind("attribute"):
            name, text = part.text(child, "name"), child.text or ""
            if text:
                found[name] = typed(text, types.get(name, "text"))
        return found

    # -- skeletons -------------------------------------------------------------------------------

    def _keypoints(self, part: Part, element: Element, extra: dict[str, Any]) -> Geometry | None:
        points = [child for child in element if child.tag != "attribute"]
        names = [part.text(child, "label") for child in points]
        known = self._skeleton or self._skeleton_of(names)
        self._skeleton = known
        coordinates, visibility = [0.0] * (2 * len(known)), [0] * len(known)
        outside: dict[str, Any] = {}
        for child, name in zip(points, names, strict=True):
            if name not in known:
                raise part.bad(child, f"the skeleton of task '{self.reading.task}' has no '{name}'")
            x, y = self._point(part, child)
            if not (math.isfinite(x) and math.isfinite(y)):
                extra["source_geometry"] = source_text(child)
                self.reading.report.add(
                    "lost", "a geometry is not made of finite numbers", part.place(child)
                )
                return None
            if part.flag(child, "outside"):
                outside[name] = [x, y]
                continue
            at = known.index(name)
            coordinates[2 * at : 2 * at + 2] = x, y
            visibility[at] = 1 if part.flag(child, "occluded") else 2
        if outside:
            extra["outside_points"] = outside
        self._keep_point_attributes(part, points, extra)
        return Keypoints(tuple(coordinates), tuple(visibility))  # type: ignore[arg-type]

    def _point(self, part: Part, child: Element) -> tuple[float, float]:
        if child.tag != "points":
            raise part.bad(child, "in a skeleton: only points are read there")
        numbers = read_points(part, child)
        if len(numbers) != 2:
            raise part.bad(child, f"points: expected one x,y, got {len(numbers)} numbers")
        return numbers[0], numbers[1]

    def _keep_point_attributes(
        self, part: Part, points: list[Element], extra: dict[str, Any]
    ) -> None:
        for child in points:
            found = self.attributes(part, child, "")
            if found:
                extra.setdefault("point_attributes", {})[child.get("label", "")] = found


def is_shape(element: Element) -> bool:
    """Whether an element is a shape that is read."""
    return element.tag in READERS or element.tag == SKELETON


def all_outside(part: Part, element: Element) -> bool:
    """Whether a shape of a track is out of sight: a skeleton is when all its points are."""
    if element.tag != SKELETON:
        return part.flag(element, "outside")
    points = [child for child in element if child.tag != "attribute"]
    return bool(points) and all(part.flag(child, "outside") for child in points)
