"""Writing YOLO: images and labels by part, a data.yaml, the sizes of all images."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeGuard

import msgspec

from voyager.formats.base import Holds
from voyager.formats.part_folders import PartFolders
from voyager.formats.projection import Projection
from voyager.formats.writing import Writing
from voyager.formats.yolo.config import KNOWN_KEYS
from voyager.formats.yolo.lines import (
    box_numbers,
    encode_lines,
    keypoint_numbers,
    outer_ring,
    ring_numbers,
)
from voyager.formats.yolo.reading import KINDS
from voyager.formats.yolo.tree import SIZES
from voyager.schema import (
    Box,
    Geometry,
    Image,
    Keypoints,
    Mask,
    Polygon,
    Region,
    RotatedBox,
    Sample,
)
from voyager.schema.convert import as_box, as_polygon, as_rotated_box
from voyager.schema.outline import rotated_ring, signed_area
from voyager.schema.task import Skeleton
from voyager.store.ids import Kind

HOLDS: Final = Holds(
    geometries=frozenset({"box", "polygon", "rotated-box", "keypoints"}),
    several=True,
    converts={
        **dict.fromkeys(("mask", "ellipse", "cuboid"), "polygon"),
        **dict.fromkeys(("points", "polyline"), "box"),
    },
    quantum=1e-6,
    unlabeled=False,
)

_UNSEEN: Final[Literal[0]] = 0
_NAMES_OF_PARTS = ("train", "val", "test")
_BATCH: Final = 256
_encode_image = msgspec.msgpack.Encoder().encode
_decode_image = msgspec.msgpack.Decoder(Image).decode


class _Made(NamedTuple):
    """An image, encoded, and the text of its label file; None where it has none."""

    key: str
    split: str | None
    image: bytes
    labels: bytes | None


def write(writing: Writing) -> None:
    """Write `images/<part>`, `labels/<part>`, data.yaml and image-sizes.csv."""
    _Writer(writing).write()


class _Writer:
    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._report = writing.report
        self._load = lambda blob: writing.version.objects.get(blob, Kind.BLOB)
        self._projection = Projection(HOLDS, writing.vocabulary, writing.task, self._load)
        self._kind = writing.choice("kind", KINDS, "auto")
        self._scores = writing.choice("scores", ("yes", "no"), "no") == "yes"
        self._classes = [name for _, name in writing.classes]
        self._skeleton = self._skeleton_of()
        self._found: set[str] = set()
        self._folders = PartFolders(writing, _can_be_part)

    def _skeleton_of(self) -> Skeleton | None:
        task = self._writing.vocabulary.tasks.get(self._writing.task)
        return None if task is None else task.skeleton

    def write(self) -> None:
        writing = self._writing
        self._points = self._count_points()
        pose = {4 + 3 * self._points, 5 + 3 * self._points} if self._points else set()
        self._taken = frozenset({8, 9} | pose)
        with writing.open(SIZES) as sizes:
            rows = csv.writer(sizes, lineterminator="\n")
            rows.writerow(("image", "width", "height"))
            for batch, found in writing.spread(self._make):
                self._found.update(found)
                for made in map(_Made._make, batch):
                    image = _decode_image(made.image)
                    name = self._folders.name(made.key, made.split)
                    writing.image(made.key, image, f"images/{name}")
                    writing.named(f"images/{name}", made.key)
                    rows.writerow((f"images/{name}", image.width, image.height))
                    if made.labels is not None:
                        writing.put(f"labels/{os.path.splitext(name)[0]}.txt", made.labels)
        self._write_yaml()
        lost = f"a label of task '{writing.task}'"
        if not self._found and self._report.count("lost", lost):
            writing.hint = "--set kind=classify writes images in folders of their classes"

    # -- labels ----------------------------------------------------------------------------------

    def _make(
        self, samples: Iterator[tuple[str, Sample]]
    ) -> Iterator[tuple[list[_Made], list[str]]]:
        """What is written of samples, some at a time, and the kinds of lines that were met."""
        while batch := list(islice(samples, _BATCH)):
            made = [
                _Made(key, sample.split, _encode_image(sample.image), self._labels(key, sample))
                for key, sample in batch
            ]
            yield made, list(self._found)

    def _labels(self, key: str, sample: Sample) -> bytes | None:
        lines = list(self._lines(key, sample))
        is_empty = not sample.regions and self._writing.task in sample.coverage
        return encode_lines(lines) if lines or is_empty else None

    def _lines(self, key: str, sample: Sample) -> Iterator[list[float]]:
        writing = self._writing
        if sample.regions and not (sample.image.width and sample.image.height):
            self._report.add("lost", "no size is known, so labels cannot be written", key)
            held = [one for one in sample.regions if self._held(sample, one)]
            classed = sum(writing.category(one.labels) is not None for one in held)
            writing.watch.lose(regions=classed, labels=classed)
            return
        width, height = float(sample.image.width or 1), float(sample.image.height or 1)
        for region in sample.regions:
            label = writing.category(region.labels)
            if label is None:
                continue
            numbers = self._plain(region, width, height)
            if numbers is None:
                shapes = self._held(sample, region)
                numbers = self._shape(key, shapes, width, height) if shapes else None
                if shapes and numbers is None:
                    writing.watch.lose(regions=1, labels=1)
            if numbers is not None:
                score = region.score if self._scores else None
                scored = [] if score is None else [float(f"{score:.6g}")]
                yield [writing.class_number(label), *numbers, *scored]

    def _plain(self, region: Region, width: float, height: float) -> list[float] | None:
        """The numbers of a region that has just a polygon of one ring: most have."""
        if len(region.geometries) != 1 or self._kind not in ("auto", "segment"):
            return None
        (shape,) = region.geometries.values()
        if not _is_plain(shape) or not outer_ring(shape):
            return None
        self._found.add("segment")
        return ring_numbers(outer_ring(shape), width, height, self._taken)

    def _held(self, sample: Sample, region: Region) -> Mapping[str, Geometry]:
        """The geometries that the format holds, as it holds them, the main one first."""
        if len(region.geometries) == 1:
            (shape,) = region.geometries.values()
            if type(shape) in (Box, RotatedBox, Keypoints) or _is_plain(shape):
                return {shape.name: shape}
        alone = self._projection.project(sample.replace(regions=(region,))).regions
        return alone[0].geometries if alone else {}

    def _shape(
        self, key: str, shapes: Mapping[str, Geometry], width: float, height: float
    ) -> list[float] | None:
        shape = next(iter(shapes.values()))
        box = shapes.get("box")
        if self._kind == "pose" or (self._kind == "auto" and isinstance(shape, Keypoints)):
            self._tell_left(key, shapes, ("keypoints", "box"))
            return self._pose(key, shape, shapes.get("keypoints"), box, width, height)
        self._tell_left(key, shapes, ("box",) if self._kind == "detect" else ())
        made = self._converted(key, shape, box)
        if isinstance(made, Box):
            self._found.add("detect")
            return box_numbers(made, width, height)
        if isinstance(made, RotatedBox):
            self._found.add("obb")
            return ring_numbers(rotated_ring(made), width, height)
        if isinstance(made, Polygon) and outer_ring(made):
            self._found.add("segment")
            return ring_numbers(outer_ring(made), width, height, self._taken)
        self._report.add("lost", "a geometry that covers nothing", key)
        return None

    def _tell_left(self, key: str, shapes: Mapping[str, Geometry], held: tuple[str, ...]) -> None:
        for name in list(shapes)[1:]:
            if name not in held:
                self._report.add("lost", f"a second geometry of a region ({name})", key)

    def _converted(self, key: str, shape: Geometry, box: Geometry | None) -> Geometry | None:
        """The geometry that the kind of dataset has a line for."""
        made: Geometry | None = shape
        if self._kind == "detect":
            made = box or as_box(shape, load=self._load)
        elif self._kind == "obb" and not isinstance(shape, RotatedBox):
            made = as_rotated_box(shape, load=self._load)
        elif isinstance(shape, Mask):
            return self._largest(key, as_polygon(shape, load=self._load))
        elif self._kind == "segment" and not isinstance(shape, Polygon):
            made = as_polygon(shape) or self._around(shape)
        if made is not None and made.name != shape.name:
            self._report.add("approximated", f"{shape.name} became {made.name}", key)
        return made

    def _around(self, shape: Geometry) -> Polygon | None:
        box = as_box(shape, load=self._load)
        return None if box is None else as_polygon(box)

    def _largest(self, key: str, polygon: Polygon | None) -> Polygon | None:
        """The largest outer ring of the outline of a mask."""
        if polygon is None or not polygon.parts:
            return None
        if len(polygon.parts) > 1:
            self._report.add("approximated", "a mask kept one of its parts", key)
        part = max(polygon.parts, key=lambda rings: abs(signed_area(rings[0])))
        if len(part) > 1:
            self._report.add("approximated", "a mask lost its holes", key)
        return Polygon(((part[0],),))

    def _pose(
        self,
        key: str,
        shape: Geometry,
        points: Geometry | None,
        box: Geometry | None,
        width: float,
        height: float,
    ) -> list[float] | None:
        """A box and its keypoints; of a region that has none, points that are not labeled."""
        shown = points if isinstance(points, Keypoints) else None
        if shown is None:
            shown = Keypoints(
                (0.0, 0.0) * self._points, tuple(_UNSEEN for _ in range(self._points))
            )
        elif len(shown.visibility) != self._points:
            self._report.add("lost", "keypoints that are not as many as the skeleton's", key)
            return None
        around = box if isinstance(box, Box) else as_box(shape, load=self._load)
        if around is None:
            self._report.add("lost", "a geometry that covers nothing", key)
            return None
        self._found.add("pose")
        return box_numbers(around, width, height) + keypoint_numbers(shown, width, height)

    def _count_points(self) -> int:
        """How many keypoints an object has: as the skeleton says, else as the first one has."""
        if self._skeleton is not None:
            return len(self._skeleton.names)
        if not self._writing.has_geometry(Keypoints):
            return 0
        for _, sample in self._writing.samples():
            for region in sample.regions:
                for shape in region.geometries.values():
                    if isinstance(shape, Keypoints):
                        return len(shape.visibility)
        return 0

    # -- data.yaml -------------------------------------------------------------------------------

    def _write_yaml(self) -> None:
        import yaml

        table: dict[str, Any] = {"path": "."}
        if not self._folders.parts:
            table |= {"train": "images", "val": "images"}  # all of it: nothing is parted
        for part in [*_NAMES_OF_PARTS, *sorted(self._folders.parts - set(_NAMES_OF_PARTS))]:
            if part in self._folders.parts:
                table[part] = f"images/{part}"
        table["task"] = next((k for k in ("obb", "pose", "segment") if k in self._found), "detect")
        if "pose" in self._found:
            table |= self._pose_fields()
        table["nc"] = len(self._classes)
        table["names"] = dict(enumerate(self._classes))
        with self._writing.open("data.yaml") as file:
            yaml.safe_dump(table, file, sort_keys=False, allow_unicode=True, width=10**6)

    def _pose_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"kpt_shape": [self._points, 3]}
        skeleton = self._skeleton
        if skeleton is None:
            return fields
        order = list(range(self._points))
        for one, other in skeleton.flips:
            order[one], order[other] = other, one
        fields["flip_idx"] = order
        fields["kpt_names"] = {n: list(skeleton.names) for n in range(len(self._classes))}
        if skeleton.edges:
            fields["skeleton"] = [list(edge) for edge in skeleton.edges]
        return fields


def _can_be_part(split: str) -> bool:
    """Whether data.yaml can name a part so: its other fields have names too."""
    return split in _NAMES_OF_PARTS or split not in KNOWN_KEYS


def _is_plain(shape: Geometry) -> TypeGuard[Polygon]:
    """Whether a shape is a polygon of one ring."""
    return isinstance(shape, Polygon) and len(shape.parts) == 1 and len(shape.parts[0]) == 1
