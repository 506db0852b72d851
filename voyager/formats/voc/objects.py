"""The objects of an annotation file as regions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final
from xml.etree.ElementTree import Element

from voyager.formats.projection import DERIVED, is_derived
from voyager.formats.reading import Reading
from voyager.formats.voc.annotation import (
    Annotation,
    merge_values,
    parse_flag,
    parse_value,
    plain,
)
from voyager.schema import Box, Geometry, Points, Polygon, Region, RotatedBox
from voyager.schema.sample import MetaValue

FLAGS: Final = ("difficult", "truncated", "occluded")
PART: Final = "part:"
"""Begins the role of the box of a part: part:head, part:hand, part:hand:2."""
ACTION: Final = "action."
"""Begins the attribute that says whether a person does something: action.walking."""
POINT: Final = "point"
"""The role of the reference point of a person."""

_KNOWN = {
    *("name", "pose", "bndbox", "robndbox", "polygon", "type"),
    *("part", "actions", "attributes", "point", *FLAGS),
}
_CORNER = re.compile(r"[xy](\d{1,6})")


class ObjectReader:
    """Makes regions of the <object> elements of a file; `origin` is what its pixels count from."""

    def __init__(self, reading: Reading, annotation: Annotation, origin: int) -> None:
        self._reading = reading
        self._report = reading.report
        self._file = annotation
        self._origin = origin

    def regions(self) -> Iterator[Region]:
        """The regions, in the order of the file."""
        for element in self._file.root.iter("object"):
            yield self._region(element)

    def _region(self, element: Element) -> Region:
        file = self._file
        extra: dict[str, Any] = {}
        shapes = dict(self._shapes(element, extra))
        flags = list(self._flags(element, extra))
        for child in element:
            if child.tag not in _KNOWN:
                extra[child.tag] = plain(child)
                self._report.add("extra", f"<{child.tag}> of an object", file.place(element))
        name = file.text(element, "name")
        labels = [self._reading.label(self._reading.category(name))] if name else []
        return self._reading.region(
            shapes,
            labels,
            primary=next(iter(shapes), None) if len(shapes) > 1 else None,
            flags=tuple(flags),
            attrs=self._attrs(element),
            extra=extra,
        )

    # -- geometries ------------------------------------------------------------------------------

    def _shapes(self, element: Element, extra: dict[str, Any]) -> Iterator[tuple[str, Geometry]]:
        """Geometries by role: the most exact one first, a box that only bounds it left out."""
        found: dict[str, Geometry | None] = {
            "rotated-box": self._rotated(element.find("robndbox")),
            "polygon": self._polygon(element.find("polygon")),
            "box": self._box(element, element.find("bndbox"), extra),
        }
        shapes = {role: shape for role, shape in found.items() if shape is not None}
        if len(shapes) > 1 and is_derived(shapes, DERIVED):
            del shapes["box"]
        point = element.find("point")
        if point is not None:
            # A pixel's middle: with the standard's count from 1 half a pixel before its number.
            shift = self._origin / 2
            xy = [self._file.number(point, axis, shift) for axis in ("x", "y")]
            shapes |= _named(POINT, self._reading.shape(Points, xy, place=self._file.path))
        for role, part in self._parts(element):
            shapes[role] = part
        yield from shapes.items()

    def _box(self, element: Element, box: Element | None, extra: dict[str, Any]) -> Box | None:
        if box is None:
            if element.find("robndbox") is None and element.find("polygon") is None:
                self._report.add("lost", "an object has no box", self._file.place(element))
            return None
        number = partial(self._file.number, box)
        x0, y0 = number("xmin", self._origin), number("ymin", self._origin)
        x1, y1 = number("xmax"), number("ymax")
        made = self._reading.shape(Box, x0, y0, x1, y1, place=self._file.path)
        if not isinstance(made, Box):
            extra["source_geometry"] = plain(box)
            return None
        if x1 <= x0 + self._origin or y1 <= y0 + self._origin:
            self._report.add(
                "extra",
                "a box ends where it begins, or before, and was kept",
                self._file.place(element),
            )
        return made

    def _rotated(self, box: Element | None) -> Geometry | None:
        if box is None:
            return None
        numbers = [self._file.number(box, tag) for tag in ("cx", "cy", "w", "h", "angle")]
        return self._reading.shape(RotatedBox, *numbers, place=self._file.path)

    def _polygon(self, polygon: Element | None) -> Geometry | None:
        """A polygon as Roboflow writes it: <x1>, <y1>, <x2>, …"""
        if polygon is None or len(polygon) == 0:
            return None
        count = 0
        for corner in polygon:
            found = _CORNER.fullmatch(corner.tag)
            if found is None:
                raise self._file.bad(corner, "no coordinate of a corner (x1, y1, x2, …)")
            count = max(count, int(found[1]))
        if count > len(polygon):
            raise self._file.bad(polygon, "some of its corners are missing")
        numbers = [
            self._file.number(polygon, f"{axis}{n}") for n in range(1, count + 1) for axis in "xy"
        ]
        return self._reading.shape(Polygon, (((*numbers,),),), place=self._file.path)

    def _parts(self, element: Element) -> Iterator[tuple[str, Geometry]]:
        taken: dict[str, int] = {}
        for part in element.iterfind("part"):
            name, box = self._file.text(part, "name") or "part", part.find("bndbox")
            if box is None:
                self._report.add("lost", "a part has no box", self._file.place(part))
                continue
            made = self._box(part, box, {})
            if made is not None:
                taken[name] = taken.get(name, 0) + 1
                yield PART + name + (f":{taken[name]}" if taken[name] > 1 else ""), made

    # -- the rest --------------------------------------------------------------------------------

    def _flags(self, element: Element, extra: dict[str, Any]) -> Iterator[str]:
        for name in FLAGS:
            text = self._file.text(element, name)
            said = parse_flag(text)
            if said:
                yield name
            elif said is None and text != "Unspecified":
                extra[name] = text
                self._report.add("extra", f"<{name}> is neither 0 nor 1", self._file.path)

    def _attrs(self, element: Element) -> dict[str, MetaValue]:
        attrs: dict[str, MetaValue] = {}
        pose = self._file.text(element, "pose")
        if pose not in ("", "Unspecified"):
            attrs["pose"] = pose
        for action in element.iterfind("actions/*"):
            said = parse_flag(action.text or "")
            attrs[ACTION + action.tag] = (action.text or "").strip() if said is None else said
        values: dict[str, list[MetaValue]] = {}
        for attribute in element.iterfind("attributes/attribute"):
            name = self._file.text(attribute, "name")
            if not name:
                raise self._file.bad(attribute, "<name> is missing")
            values.setdefault(name, []).append(parse_value(self._file.text(attribute, "value")))
        return attrs | {name: merge_values(found) for name, found in values.items()}


def _named(role: str, shape: Geometry | None) -> dict[str, Geometry]:
    return {} if shape is None else {role: shape}


def part_roles(roles: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(role, name of the part) of the roles that are boxes of parts, in order."""
    for role in roles:
        if role.startswith(PART):
            name, _, number = role[len(PART) :].rpartition(":")
            yield role, name if name and number.isdecimal() else role[len(PART) :]
