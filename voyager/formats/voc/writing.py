"""Writing Pascal VOC: the tree of the challenge, with a label map."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from voyager.errors import UsageError
from voyager.formats.base import Holds
from voyager.formats.index_images import (
    VOC_PALETTE,
    ClassColour,
    Colour,
    labelmap_text,
    write_index_png,
)
from voyager.formats.projection import Projection
from voyager.formats.splits import STANDARD
from voyager.formats.voc.annotation import (
    escape,
    format_number,
    format_value,
    is_plain_text,
)
from voyager.formats.voc.masks import MOST_OBJECTS, VOID
from voyager.formats.voc.objects import ACTION, FLAGS, POINT, part_roles
from voyager.formats.writing import Writing, flat_name
from voyager.schema import Box, Geometry, Mask, Points, Polygon, Region, RotatedBox, Sample
from voyager.schema.measures import bounds
from voyager.schema.rle import array_of, mask_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOLDS: Final = Holds(
    quantum=1e-9,  # counting from 1 leaves nothing of a number far below a pixel
    geometries=frozenset({"box", "rotated-box", "polygon", "mask"}),
    several=True,
    converts={
        **dict.fromkeys(("ellipse", "cuboid"), "polygon"),
        **dict.fromkeys(("keypoints", "points", "polyline"), "box"),
    },
    flags=frozenset(FLAGS),
    attrs=True,
    negatives=True,
)

_TAG = re.compile(r"[A-Za-z_][\w.-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KEPT = ("source", "owner")
UNSPLIT: Final = "default"
"""The list of images that are in no part and have no annotation file."""


def write(writing: Writing) -> None:
    """Write annotations, images, lists, and images of classes and objects where there are masks."""
    _Writer(writing).write()


class _Writer:
    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._report = writing.report
        self._load = lambda blob: writing.version.objects.get(blob, _blob_kind())
        self._projection = Projection(HOLDS, writing.vocabulary, writing.task, self._load)
        self._origin = int(writing.choice("origin", ("0", "1"), "1"))
        self._round = writing.choice("integers", ("yes", "no"), "no") == "yes"
        self._masks = writing.choice("masks", ("auto", "yes", "no"), "auto")
        self._stems: set[str] = set()
        self._files: set[str] = set()
        self._bare: list[tuple[str, str]] = []
        self._sets: dict[str, list[str]] = {}
        self._classes: dict[str, list[str]] = {}
        self._listed = self._listed_classes()

    def write(self) -> None:
        writing = self._writing
        for key, sample in writing.samples():
            own = key.rpartition("JPEGImages/")[2] or key
            file_name = flat_name(_CONTROL.sub("_", own), self._stems)
            self._write_sample(key, sample, file_name)
        with writing.open("labelmap.txt") as file:
            file.write(labelmap_text(list(self._labelmap())))
        self._name_stems()
        for name, lines in sorted({**self._parts(), **self._sets, **self._classes}.items()):
            with writing.open(f"ImageSets/{name}.txt") as file:
                file.writelines(line + "\n" for line in lines)

    def _write_sample(self, key: str, sample: Sample, file_name: str) -> None:
        writing = self._writing
        stem = os.path.splitext(file_name)[0]
        writing.image(key, sample, f"JPEGImages/{file_name}")
        for name in (f"JPEGImages/{file_name}", file_name):  # where its file is, and without it
            writing.named(name, key)
        self._files.add(file_name)
        by_id = {region.id: region for region in sample.regions}
        kept = [(found, by_id[found.id]) for found in self._projection.project(sample).regions]
        masks = self._write_masks(key, stem, sample, kept)
        objects = [pair for pair in kept if not is_void(pair[1])]
        labeled = bool(kept) or writing.task in sample.coverage
        described = labeled or sample.image.blob is None
        if not described:
            self._bare.append((stem, key))
            if sample.split is None:
                self._sets.setdefault(f"Main/{UNSPLIT}", []).append(stem)
        if described:
            with writing.open(f"Annotations/{stem}.xml") as file:
                marks = "" if labeled else ' labeled="no"'
                file.write(f'<annotation origin="{self._origin}"{marks}>\n')
                file.writelines(self._head(sample, file_name, masks=masks))
                for projected, region in objects:
                    file.writelines(self._object(key, projected, region))
                file.write("</annotation>\n")
        self._list(key, sample, stem, kept, masks=masks)

    def _name_stems(self) -> None:
        """Images without an annotation file are known by their stem where their file is not."""
        for stem, key in self._bare:
            if stem not in self._files:
                self._writing.named(stem, key)

    # -- one annotation --------------------------------------------------------------------------

    def _head(self, sample: Sample, file_name: str, *, masks: bool) -> Iterator[str]:
        extra = sample.extra
        yield "\t<folder>JPEGImages</folder>\n"
        yield f"\t<filename>{escape(file_name)}</filename>\n"
        for tag in _KEPT:
            if tag in extra:
                yield from _element(tag, extra[tag], "\t")
        if sample.image.width and sample.image.height:
            depth = extra.get("depth", "3")
            yield "\t<size>\n"
            yield f"\t\t<width>{sample.image.width}</width>\n"
            yield f"\t\t<height>{sample.image.height}</height>\n"
            yield f"\t\t<depth>{escape(str(depth))}</depth>\n\t</size>\n"
        yield f"\t<segmented>{int(masks)}</segmented>\n"

    def _object(self, key: str, projected: Region, region: Region) -> Iterator[str]:
        name = str(projected.labels[0].value) if projected.labels else ""
        if not is_plain_text(name):
            self._report.add("approximated", "a class name has spaces around it or odd marks", name)
        attrs = dict(projected.attrs)
        yield f"\t<object>\n\t\t<name>{escape(name)}</name>\n"
        pose = attrs.get("pose")
        if isinstance(pose, str) and is_plain_text(pose) and pose not in ("", "Unspecified"):
            del attrs["pose"]
            yield f"\t\t<pose>{escape(pose)}</pose>\n"
        else:
            yield "\t\t<pose>Unspecified</pose>\n"
        for flag in FLAGS:
            yield f"\t\t<{flag}>{int(flag in projected.flags)}</{flag}>\n"
        for shape in projected.geometries.values():
            yield from self._shape(shape)
        yield from self._bndbox(projected, "\t\t")
        yield from self._parts_of(region)
        yield from self._actions(attrs)
        if attrs:
            yield "\t\t<attributes>\n"
            for attr, value in attrs.items():
                yield from self._attribute(key, attr, value)
            yield "\t\t</attributes>\n"
        yield "\t</object>\n"

    def _shape(self, shape: Geometry) -> Iterator[str]:
        if isinstance(shape, RotatedBox):
            numbers = (shape.cx, shape.cy, shape.width, shape.height, shape.angle)
            yield "\t\t<robndbox>\n"
            for tag, number in zip(("cx", "cy", "w", "h", "angle"), numbers, strict=True):
                yield f"\t\t\t<{tag}>{format_number(number)}</{tag}>\n"
            yield "\t\t</robndbox>\n"
        elif isinstance(shape, Polygon) and shape.parts and shape.parts[0]:
            ring = shape.parts[0][0]
            yield "\t\t<polygon>\n"
            for place, number in enumerate(ring):
                tag = f"{'xy'[place % 2]}{place // 2 + 1}"
                yield f"\t\t\t<{tag}>{format_number(number)}</{tag}>\n"
            yield "\t\t</polygon>\n"

    def _bndbox(self, region: Region, tabs: str) -> Iterator[str]:
        box = region.geometries.get("box")
        around = None
        if isinstance(box, Box):
            around = (box.x0, box.y0, box.x1, box.y1)
        elif region.geometry is not None:
            around = bounds(region.geometry, load=self._load)
        if around is not None:
            yield from self._corners(around, tabs)

    def _corners(self, corners: tuple[float, float, float, float], tabs: str) -> Iterator[str]:
        yield f"{tabs}<bndbox>\n"
        shifts = (self._origin, self._origin, 0, 0)
        tags = ("xmin", "ymin", "xmax", "ymax")
        for tag, corner, shift in zip(tags, corners, shifts, strict=True):
            text = str(round(corner) + shift) if self._round else format_number(corner, shift)
            yield f"{tabs}\t<{tag}>{text}</{tag}>\n"
        yield f"{tabs}</bndbox>\n"

    def _parts_of(self, region: Region) -> Iterator[str]:
        point = region.geometries.get(POINT)
        if isinstance(point, Points) and len(point.points) == 2:
            x, y = (format_number(number, self._origin / 2) for number in point.points)
            yield f"\t\t<point>\n\t\t\t<x>{x}</x>\n\t\t\t<y>{y}</y>\n\t\t</point>\n"
        for role, name in part_roles(region.geometries):
            box = region.geometries[role]
            if isinstance(box, Box):
                yield f"\t\t<part>\n\t\t\t<name>{escape(name)}</name>\n"
                yield from self._corners((box.x0, box.y0, box.x1, box.y1), "\t\t\t")
                yield "\t\t</part>\n"

    def _actions(self, attrs: dict[str, Any]) -> Iterator[str]:
        names = [
            name
            for name, value in attrs.items()
            if isinstance(value, bool)
            and name.startswith(ACTION)
            and _TAG.fullmatch(name, len(ACTION))
        ]
        if names:
            yield "\t\t<actions>\n"
            for name in names:
                tag = name[len(ACTION) :]
                yield f"\t\t\t<{tag}>{int(attrs.pop(name))}</{tag}>\n"
            yield "\t\t</actions>\n"

    def _attribute(self, key: str, name: str, value: Any) -> Iterator[str]:
        if not is_plain_text(name) or not name:
            self._report.add("approximated", "the name of an attribute has odd marks", key)
        yield "\t\t\t<attribute>\n"
        yield f"\t\t\t\t<name>{escape(name)}</name>\n"
        yield f"\t\t\t\t<value>{escape(format_value(value))}</value>\n"
        yield "\t\t\t</attribute>\n"

    # -- masks -----------------------------------------------------------------------------------

    def _write_masks(
        self, key: str, stem: str, sample: Sample, kept: list[tuple[Region, Region]]
    ) -> bool:
        """Write the images of objects and classes; whether there is a mask."""
        masks = list(self._numbered(key, sample, kept))
        if not masks:
            return False
        import numpy as np

        height, width = masks[0][2].height, masks[0][2].width
        objects, classes = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
        for number, class_number, mask in masks:
            if (mask.height, mask.width) != (height, width):
                self._report.add("lost", "a mask of another size than the first", key)
                continue
            self._paint(key, objects, classes, number, class_number, array_of(mask, self._load))
        for folder, values in (("Object", objects), ("Class", classes)):
            with self._writing.open_binary(f"Segmentation{folder}/{stem}.png") as file:
                write_index_png(file, values, VOC_PALETTE)
        return True

    def _paint(
        self,
        key: str,
        objects: NDArray[Any],
        classes: NDArray[Any],
        number: int,
        class_number: int,
        pixels: NDArray[Any],
    ) -> None:
        if number == VOID:
            pixels = pixels & (objects == 0)
        elif objects[pixels].any():
            self._report.add("approximated", "masks overlap: the smaller one keeps the pixels", key)
        objects[pixels] = number
        classes[pixels] = class_number

    def _numbered(
        self, key: str, sample: Sample, kept: list[tuple[Region, Region]]
    ) -> Iterator[tuple[int, int, Mask]]:
        """(object number, class number, mask), the largest first and void at the end."""
        found: list[tuple[int, int, Mask]] = []
        void: list[tuple[int, int, Mask]] = []
        number = 0
        for projected, region in kept:
            number += not is_void(region)
            mask = self._mask(sample, projected)
            if mask is None:
                continue
            if is_void(region):
                void.append((VOID, VOID, mask))
            elif number > MOST_OBJECTS:
                self._report.add("lost", "the mask of an object after the 254th", key)
            else:
                found.append((number, self._class_number(projected), mask))
        if len(void) > 1:
            self._report.add("approximated", "several void regions became one", key)
        areas = {id(mask): -int(array_of(mask, self._load).sum()) for _, _, mask in found}
        yield from sorted(found, key=lambda item: (areas[id(item[2])], item[0]))
        yield from void

    def _mask(self, sample: Sample, projected: Region) -> Mask | None:
        if self._masks == "no":
            return None
        mask = projected.geometries.get("mask")
        if isinstance(mask, Mask):
            return mask
        shape, image = projected.geometry, sample.image
        if self._masks == "auto" or shape is None or not (image.height and image.width):
            return None
        if isinstance(shape, Box):
            return None  # a box says nothing of the pixels in it
        return mask_of(shape, image.height, image.width, load=self._load)

    # -- classes ---------------------------------------------------------------------------------

    def _class_number(self, projected: Region) -> int:
        """The number of a class in class images; VOID is for classes after the 254th."""
        names = [name for _, name in self._writing.classes]
        if not projected.labels:
            return 0
        number = names.index(str(projected.labels[0].value)) + 1
        if number > MOST_OBJECTS:
            self._report.add("lost", "the pixels of a class after the 254th", names[number - 1])
            return VOID
        return number

    def _labelmap(self) -> Iterator[ClassColour]:
        taxonomy = self._writing.vocabulary.taxonomy_of(self._writing.task)
        yield ClassColour("background", VOC_PALETTE[0])
        for place, (node, name) in enumerate(self._writing.classes):
            if not is_plain_text(name) or "\n" in name:
                self._report.add("approximated", "a class is not in the label map", name)
                continue
            extra = {} if taxonomy is None else taxonomy.nodes[node].extra
            yield ClassColour(name, self._colour(place), *_words(extra))

    def _colour(self, place: int) -> Colour | None:
        """The colour of a class: that of its number."""
        return VOC_PALETTE[place + 1] if place < MOST_OBJECTS else None

    # -- lists -----------------------------------------------------------------------------------

    def _listed_classes(self) -> set[str]:
        """The classes that need lists: those that are verified not to be in some image."""
        writing = self._writing
        nodes = {
            writing.live(node)
            for _, sample in writing.samples()
            if sample.negatives
            for node in sample.negatives.get(writing.task, ())
        }
        return {name for node, name in writing.classes if node in nodes}

    def _list(
        self,
        key: str,
        sample: Sample,
        stem: str,
        kept: list[tuple[Region, Region]],
        *,
        masks: bool,
    ) -> None:
        part = (sample.split or UNSPLIT).replace("/", "-")
        if sample.split is not None:
            self._sets.setdefault(f"Main/{part}", []).append(stem)
            if masks:
                self._sets.setdefault(f"Segmentation/{part}", []).append(stem)
        for text in sample.extra.get("ImageSets", ()):
            name, _, rest = str(text).partition(" ")
            if re.fullmatch(r"[\w-]+/[\w-]+", name):
                self._sets.setdefault(name, []).append(f"{stem} {rest}".strip())
        seen = {str(label.value) for projected, _ in kept for label in projected.labels}
        names = dict(self._writing.classes)
        absent = {
            names[node]
            for node in map(self._writing.live, sample.negatives.get(self._writing.task, ()))
            if node is not None and node in names
        }
        if absent & seen:
            self._report.add("lost", "a class is verified not there, and an object has it", key)
        for name in sorted(self._listed & (seen | absent)):
            line = f"{stem} {' 1' if name in seen else '-1'}"
            self._classes.setdefault(f"Main/{_file_word(name)}_{part}", []).append(line)

    def _parts(self) -> dict[str, list[str]]:
        """The list trainval of the images in train and in val, as the challenge has it."""
        both = [self._sets.get(f"Main/{part}", []) for part in STANDARD[:2]]
        if not all(both):
            return {}
        joined = sorted(both[0] + both[1] + self._sets.pop("Main/trainval", []))
        return {"Main/trainval": joined}


def is_void(region: Region) -> bool:
    """Whether a region is pixels to ignore and no object."""
    return "ignore" in region.flags and not region.labels and isinstance(region.geometry, Mask)


def _words(extra: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    parts, actions = extra.get("parts") or (), extra.get("actions") or ()
    return tuple(map(str, parts)), tuple(map(str, actions))


def _file_word(name: str) -> str:
    if "/" in name or _CONTROL.search(name):
        raise UsageError(f"class '{name}' cannot name a list of images")
    return name


def _element(tag: str, value: Any, tabs: str) -> Iterator[str]:
    """A value that `plain` made as the element it was."""
    if not _TAG.fullmatch(tag):
        return
    if isinstance(value, dict):
        yield f"{tabs}<{tag}>\n"
        for name, part in value.items():
            yield from _element(name, part, tabs + "\t")
        yield f"{tabs}</{tag}>\n"
    elif isinstance(value, list):
        for part in value:
            yield from _element(tag, part, tabs)
    else:
        yield f"{tabs}<{tag}>{escape(str(value))}</{tag}>\n"


def _blob_kind() -> Any:
    from voyager.store.ids import Kind

    return Kind.BLOB
