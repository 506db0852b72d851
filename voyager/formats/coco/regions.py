"""COCO annotations as regions and labels.

Bounds and areas of polygons are computed for a whole batch at once: what the file states beside a
shape is kept only where it differs from what follows from the shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from voyager.errors import InvalidDataError
from voyager.formats.base import NEW_ID
from voyager.formats.coco.annotations import Annotation, Ring, Rle
from voyager.formats.coco.categories import Categories
from voyager.formats.coco.files import LabelFile
from voyager.formats.reading import Reading
from voyager.schema import Box, Geometry, Keypoints, Label, Mask, Polygon, Region, rle
from voyager.schema.sample import Origin
from voyager.schema.values import EMPTY, BadValueError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voyager.formats.coco.panoptic import Segments

CAPTION: Final = "caption"
"""The text task of captions."""

AGREES: Final = 1e-3
"""A stated box or area that is as close to what follows from the shape says nothing of its own."""

_CROWD = ("crowd",)


@dataclass(slots=True)
class Made:
    """For each annotation its region or None, and by its place the labels of the image."""

    regions: list[Region | None] = field(default_factory=list)
    labels: dict[int, list[Label]] = field(default_factory=dict)
    segments: dict[int, list[Region]] = field(default_factory=dict)
    """The regions of panoptic annotations, by place."""

    def of(self, start: int, end: int) -> tuple[list[Region], list[Label]]:
        """The regions and labels of the annotations of one image."""
        regions = [region for region in self.regions[start:end] if region is not None]
        if not self.labels and not self.segments:
            return regions, []
        places = range(start, end)
        regions += [region for place in places for region in self.segments.get(place, ())]
        return regions, [label for place in places for label in self.labels.get(place, ())]


class RegionMaker:
    """Makes regions and labels of the annotations of one file."""

    def __init__(self, file: LabelFile, reading: Reading, categories: Categories) -> None:
        self.file = file
        self.reading = reading
        self.categories = categories
        self._voices: dict[int | str | None, tuple[Label, ...]] = {None: ()}
        self._likes: dict[int | str | None, Region] = {}
        self._polygon, self._origin = Polygon(()), Origin(import_=reading.name)
        self._segments: Segments | None = None
        self._captions: dict[int | str, int] = {}

    def make(self, annotations: Sequence[Annotation]) -> Made:
        """The regions and labels of a batch, in order."""
        derived = derive(annotations)
        made = Made()
        add, polygon, origin = made.regions.append, self._polygon, self._origin
        for place, (annotation, is_plain) in enumerate(
            zip(annotations, derived.plain, strict=True)
        ):
            if is_plain:
                rings: Any = annotation.segmentation
                parts = (rings,) if len(rings) == 1 else tuple([(ring,) for ring in rings])
                shapes = {"polygon": replace(polygon, parts=parts)}
                own = replace(origin, id=annotation.id)
                add(replace(self._like(annotation), geometries=shapes, origin=own))
            else:
                add(self._unusual(annotation, derived, place, made))
        return made

    def _like(self, annotation: Annotation) -> Region:
        """A region of the annotation's category: a copy of it is several times quicker to make."""
        found = self._likes.get(annotation.category_id)
        if found is None:
            labels = self._voice(annotation)
            found = Region(geometries={}, id=NEW_ID, labels=labels, source=self.reading.source)
            self._likes[annotation.category_id] = found
        return found

    def _unusual(
        self, annotation: Annotation, derived: Derived, place: int, made: Made
    ) -> Region | None:
        """What is more than a polygon, a category, and a box and area that follow from it."""
        if annotation.segments_info is not None:
            made.segments[place] = self._panoptic(annotation)
        elif annotation.caption is not None:
            made.labels[place] = [self._caption(annotation)]
        elif self._says_image(annotation):
            made.labels[place] = self._image_labels(annotation)
        else:
            return self._region(annotation, derived, place)
        return None

    # -- labels ----------------------------------------------------------------------------------

    def _voice(self, annotation: Annotation) -> tuple[Label, ...]:
        """The label of an annotation's category, one object for all of them."""
        found = self._voices.get(annotation.category_id)
        if found is None:
            where = f"annotation {annotation.id}"
            node = self.categories.node(annotation.category_id, where)
            self.reading.define(scope="region")
            found = self._voices[annotation.category_id] = (self.reading.label(node),)
        return found

    @staticmethod
    def _says_image(annotation: Annotation) -> bool:
        return (
            annotation.segmentation is None
            and annotation.bbox is None
            and annotation.keypoints is None
            and annotation.category_id is not None
            and not (annotation.extra or {}).keys() & {"source_bbox", "source_segmentation"}
        )

    def _image_labels(self, annotation: Annotation) -> list[Label]:
        self.reading.define(scope="image", many=True)
        node = self.categories.node(annotation.category_id, f"annotation {annotation.id}")
        return [self.reading.label(node)]

    def _caption(self, annotation: Annotation) -> Label:
        self.reading.define(CAPTION, scope="image", kind="text", many=True)
        number = self._captions.get(annotation.image_id, 0)
        self._captions[annotation.image_id] = number + 1
        return self.reading.label(
            task=CAPTION,
            value=annotation.caption,
            ordinal=number,
            origin=self.reading.origin(annotation.id),
        )

    # -- regions ---------------------------------------------------------------------------------

    def _region(self, annotation: Annotation, derived: Derived, place: int) -> Region:
        labels = self._voice(annotation)
        extra: dict[str, Any] = dict(annotation.extra or EMPTY)
        for name in extra:
            self._report_extra(name, annotation)
        shapes, runs = self._geometries(annotation)
        self._note_stated(annotation, shapes, runs, derived, place, extra)
        flags = _CROWD if annotation.iscrowd else ()
        if annotation.ignore:
            flags = (*flags, "ignore")
        attrs, kept = _attributes(annotation.attributes)
        if kept:
            extra["attributes"] = kept
            self._report_extra("attributes", annotation)
        return self.reading.region(
            shapes,
            labels,
            id=annotation.id,
            primary=_primary(shapes),
            flags=flags,
            attrs=attrs,
            score=annotation.score,
            extra=extra,
        )

    def _report_extra(self, name: str, annotation: Annotation) -> None:
        place = f"{self.file.name}: annotation {annotation.id}"
        if name.startswith("source_"):
            self.reading.report.add("lost", f"{name[7:]} is not finite: kept as text", place)
        else:
            self.reading.report.add("extra", f"a field '{name}' was kept as it is", place)

    def _geometries(self, annotation: Annotation) -> tuple[dict[str, Geometry], list[int]]:
        """The shapes by role, and the runs of a mask."""
        shapes: dict[str, Geometry] = {}
        runs: list[int] = []
        try:
            if isinstance(annotation.segmentation, Rle):
                runs = runs_of_rle(annotation.segmentation)
                shapes["mask"] = self.mask(runs, *annotation.segmentation.size)
            elif annotation.segmentation:
                shapes["polygon"] = Polygon(tuple((ring,) for ring in annotation.segmentation))
            elif annotation.bbox is not None:
                shapes["box"] = self._box(annotation.bbox, annotation)
            if annotation.keypoints:
                shapes["keypoints"] = self._keypoints(annotation)
        except BadValueError as error:
            raise self._error(annotation, error.message) from None
        return shapes, runs

    def _error(self, annotation: Annotation, message: str) -> InvalidDataError:
        return InvalidDataError(f"annotation {annotation.id}: {message}", path=self.file.name)

    def _box(self, bbox: tuple[float, ...], annotation: Annotation) -> Box:
        if len(bbox) != 4:
            raise self._error(annotation, f"bbox: expected 4 numbers, got {len(bbox)}")
        x, y, width, height = bbox
        if width <= 0 or height <= 0:
            place = f"{self.file.name}: annotation {annotation.id}"
            self.reading.report.add("extra", "a box has no area and was kept", place)
        return Box(x, y, x + width, y + height)

    def mask(self, runs: list[int], height: int, width: int) -> Mask:
        """A mask of runs, out of line when it is long."""
        counts = rle.encode_counts(runs)
        return self.reading.mask(height, width, counts)

    def _keypoints(self, annotation: Annotation) -> Keypoints:
        numbers = annotation.keypoints or ()
        if len(numbers) % 3:
            raise self._error(annotation, "keypoints: expected x, y and visibility of each")
        points: list[float] = []
        visibility: list[int] = []
        for x, y, seen in zip(*(numbers[n::3] for n in range(3)), strict=True):
            if seen not in (0, 1, 2):
                raise self._error(annotation, f"keypoints: {seen:g} is no visibility of 0, 1 or 2")
            points += (x, y) if seen else (0.0, 0.0)
            visibility.append(int(seen))
        return Keypoints(tuple(points), tuple(visibility))  # type: ignore[arg-type]

    def _note_stated(
        self,
        annotation: Annotation,
        shapes: dict[str, Geometry],
        runs: list[int],
        derived: Derived,
        place: int,
        extra: dict[str, Any],
    ) -> None:
        """Keep a box and an area that do not follow from the shape."""
        bbox, area = annotation.bbox, annotation.area
        expected: tuple[float, ...]
        if "mask" in shapes:
            self.note_mask(annotation, bbox, area, runs, extra)
            return
        if "polygon" in shapes:
            expected, own_area = derived.box(place), float(derived.areas[place])
        elif "box" in shapes:
            expected, own_area = bbox or (), (bbox[2] * bbox[3]) if bbox else 0.0
        else:
            expected, own_area = (), math.nan
        if bbox is not None and not _close(bbox, expected):
            extra["source_bbox"] = list(bbox)
        if area is not None and not abs(area - own_area) <= AGREES:
            extra["source_area"] = area

    @staticmethod
    def note_mask(
        annotation: Annotation,
        bbox: tuple[float, ...] | None,
        area: float | None,
        runs: list[int],
        extra: dict[str, Any],
    ) -> None:
        """Keep a box and an area that are not those of a mask."""
        if bbox is not None and not _close(bbox, box_of_runs(runs, annotation)):
            extra["source_bbox"] = list(bbox)
        if area is not None and area != rle.area(runs):
            extra["source_area"] = area

    # -- panoptic --------------------------------------------------------------------------------

    def _panoptic(self, annotation: Annotation) -> list[Region]:
        from voyager.formats.coco.panoptic import Segments

        if self._segments is None:
            folder = self.reading.setting("panoptic")
            self._segments = Segments(self.file, Path(folder) if folder else None)
        return self._segments.regions(annotation, self)


def runs_of_rle(shape: Rle) -> list[int]:
    """The canonical runs of a COCO mask, compressed or not; BadValueError for what is none."""
    height, width = shape.size
    if isinstance(shape.counts, str):
        runs = rle.decode_counts(shape.counts.encode("latin-1", "replace"))
    else:
        runs = shape.counts
    return rle.read_runs(runs, height, width)


def box_of_runs(runs: list[int], annotation: Annotation) -> tuple[float, ...]:
    """x, y, width, height of a mask as COCO has boxes; zeros for an empty one."""
    assert isinstance(annotation.segmentation, Rle)
    found = rle.bounds(runs, annotation.segmentation.size[0])
    if found is None:
        return (0.0, 0.0, 0.0, 0.0)
    return (found[0], found[1], found[2] - found[0], found[3] - found[1])


def _primary(shapes: dict[str, Geometry]) -> str | None:
    if len(shapes) < 2:
        return None
    return next(role for role in ("polygon", "mask", "box", "keypoints") if role in shapes)


def _close(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(abs(x - y) <= AGREES for x, y in zip(a, b, strict=True))


def _attributes(given: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes with plain values, and the others."""
    attrs = {name: value for name, value in (given or {}).items() if _is_meta(value)}
    return attrs, {name: value for name, value in (given or {}).items() if name not in attrs}


def _is_meta(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, (bool, int, float, str)) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (bool, int, str))


# -- what follows from polygons -------------------------------------------------------------------


@dataclass(slots=True)
class Derived:
    """Bounds (x0, y0, x1, y1) and area of the polygons of a batch, by place of the annotation.

    `plain` says that an annotation has nothing beyond a category, polygons, and a box and area that
    agree with them (or are not stated).
    """

    bounds: NDArray[Any]
    areas: NDArray[Any]
    plain: list[bool]

    def box(self, place: int) -> tuple[float, ...]:
        """x, y, width, height as COCO has boxes."""
        x0, y0, x1, y1 = self.bounds[place].tolist()
        return (x0, y0, x1 - x0, y1 - y0)


def derive(annotations: Sequence[Annotation]) -> Derived:
    """Bounds and areas of all polygons at once; zeros where there is no polygon."""
    import numpy as np

    shapes = [_rings_of(annotation) for annotation in annotations]
    bounds, areas = measure(shapes)
    agrees = _agreeing(annotations, bounds, areas)
    for place in np.flatnonzero((bounds[:, :2] <= 0).any(axis=1)).tolist():
        if any(map(_has_signed_zero, shapes[place])):
            agrees[place] = False  # a constructor has to settle that
    plain = [
        agrees[place]
        and bool(shapes[place])
        and not (
            annotation.iscrowd
            or annotation.ignore
            or annotation.keypoints
            or annotation.extra
            or annotation.attributes
            or annotation.score is not None
            or annotation.caption is not None
            or annotation.segments_info is not None
        )
        for place, annotation in enumerate(annotations)
    ]
    return Derived(bounds, areas, plain)


def _rings_of(annotation: Annotation) -> Sequence[Ring]:
    """The rings of an annotation; none where one of them is no list of points."""
    shape = annotation.segmentation
    if type(shape) is not tuple:
        return ()
    for ring in shape:
        if len(ring) & 1 or not ring:
            return ()
    return shape


def _has_signed_zero(ring: Ring) -> bool:
    return any(not number and math.copysign(1.0, number) < 0 for number in ring)


def measure(shapes: Sequence[Sequence[Ring]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(bounds as rows x0, y0, x1, y1; areas) of polygons, each its rings; zeros without rings."""
    import numpy as np

    bounds, areas = np.zeros((len(shapes), 4)), np.zeros(len(shapes))
    rings = list(chain.from_iterable(shapes))
    if not all(rings):
        return measure([[ring for ring in shape if ring] for shape in shapes])
    if not rings:
        return bounds, areas
    owners = np.repeat(np.arange(len(shapes)), list(map(len, shapes)))
    lengths = np.array(list(map(len, rings)))
    flat = np.fromiter(chain.from_iterable(rings), float, int(lengths.sum())).reshape(-1, 2)
    starts = np.concatenate(([0], np.cumsum(lengths // 2)[:-1]))
    after = np.arange(1, len(flat) + 1)
    after[np.append(starts[1:], len(flat)) - 1] = starts  # the last point is joined to the first
    x, y = flat[:, 0], flat[:, 1]
    twice = np.add.reduceat(x * y[after] - x[after] * y, starts)
    firsts = np.flatnonzero(np.diff(owners, prepend=-1))
    filled = owners[firsts]
    bounds[filled, :2] = np.minimum.reduceat(flat, starts[firsts])
    bounds[filled, 2:] = np.maximum.reduceat(flat, starts[firsts])
    np.add.at(areas, owners, np.abs(twice) / 2)
    return bounds, areas


def _agreeing(
    annotations: Sequence[Annotation], bounds: NDArray[Any], areas: NDArray[Any]
) -> list[bool]:
    import numpy as np

    nowhere = (math.nan,) * 4
    boxes = [a.bbox if a.bbox is not None and len(a.bbox) == 4 else nowhere for a in annotations]
    stated = np.array(boxes)
    sides = np.concatenate((bounds[:, :2], bounds[:, 2:] - bounds[:, :2]), axis=1)
    near = (np.abs(stated - sides) <= AGREES).all(axis=1)
    said = np.array([math.nan if a.area is None else a.area for a in annotations])
    good: list[bool] = (near & (np.abs(said - areas) <= AGREES)).tolist()
    for place, annotation in enumerate(annotations):
        if not good[place] and annotation.bbox is None and annotation.area is None:
            good[place] = True
    return good
