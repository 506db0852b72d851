"""Samples as rows of a COCO file, encoded a batch at a time, but for the ids of images and regions.

Those are given out in the order of the file, by whoever writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from voyager.formats.coco.annotations import Ring
from voyager.formats.coco.regions import CAPTION, measure
from voyager.formats.writing import Writing
from voyager.schema import (
    Box,
    Ellipse,
    Keypoints,
    Label,
    Mask,
    Polygon,
    Region,
    RotatedBox,
    Sample,
    rle,
)
from voyager.schema.geometry import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH: Final = 256
_DIGITS: Final = 6  # of what is computed here: sums of floats end in noise
_EXACT: Final = 1e9  # larger numbers have no more digits than these
_STATED: Final = {"source_bbox": "bbox", "source_area": "area"}
_IDS: Final = frozenset({"id", "image_id"})
_URL, _FILE_FIELDS = "coco_url", frozenset({"id", "file_name", "width", "height", "coco_url"})

_encode_lines = msgspec.json.Encoder().encode_lines
_encode_image = msgspec.msgpack.Encoder().encode


class Made(NamedTuple):
    """An image and its annotations.

    `row` and `rows` are JSON objects without the brace that opens them; `id` and `ids` are what
    images and regions were called in the file that they came from. `image` is encoded, None where
    no image is written.
    """

    key: str
    split: str | None
    image: bytes | None
    id: int | str | None
    row: bytes
    ids: list[int | str | None]
    rows: list[bytes]


class _Plain(Struct, gc=False):
    """The annotation of a region with polygons and a class, and nothing else: most are so."""

    category_id: int | str
    segmentation: Sequence[Ring]
    iscrowd: int = 0
    bbox: list[float] | None = None
    area: float = 0.0


_Row: TypeAlias = _Plain | dict[str, Any]


class RowMaker:
    """Makes rows; `categories` are the ids of classes."""

    def __init__(self, writing: Writing, categories: dict[bytes, int | str]) -> None:
        self._writing = writing
        self._categories = categories
        self._one_file = writing.file_name is not None  # beside which there are no images

    def make(self, samples: Iterator[tuple[str, Sample]]) -> Iterator[list[Made]]:
        """The rows of samples, some at a time."""
        while batch := list(islice(samples, _BATCH)):
            yield list(self._made(batch))

    def _made(self, batch: list[tuple[str, Sample]]) -> Iterator[Made]:
        ids: list[int | str | None] = []
        rows: list[_Row] = []
        ends: list[int] = []
        for key, sample in batch:
            self._add_rows(key, sample, ids, rows)
            ends.append(len(rows))
        _add_derived(rows)
        images = _lines([_image_row(key, sample) for key, sample in batch])
        lines = _lines(rows)
        at = 0
        for (key, sample), image, end in zip(batch, images, ends, strict=True):
            own = None if sample.origin is None else sample.origin.id
            split, file = (None, None) if self._one_file else (sample.split, sample.image)
            encoded = None if file is None else _encode_image(file)
            yield Made(key, split, encoded, own, image, ids[at:end], lines[at:end])
            at = end

    def _add_rows(
        self, key: str, sample: Sample, ids: list[int | str | None], rows: list[_Row]
    ) -> None:
        if sample.labels:
            found = list(self._image_labels(key, sample))
            ids += [None] * len(found)
            rows += found
        for region in sample.regions:
            rings = _plain_rings(region)
            label = self._writing.category(region.labels) if rings else None
            row: _Row | None
            if label is not None:
                row = _Plain(self._category_id(label), rings)
            else:
                row = self._annotation(key, sample, region)
            if row is not None:
                origin = region.origin
                ids.append(None if origin is None else origin.id)
                rows.append(row)

    def _image_labels(self, key: str, sample: Sample) -> Iterator[dict[str, Any]]:
        """Captions, and the classes of the image as annotations without a shape."""
        for label in self._writing.categories(sample.labels):
            yield {"category_id": self._category_id(label)}
        for label in self._writing.vocabulary.answer(CAPTION, sample.labels).labels:
            if label.value is not None:
                yield {"caption": str(label.value)}
        for name in {label.task for label in sample.labels} - {CAPTION}:
            task = self._writing.vocabulary.tasks.get(name)
            if task is not None and task.kind == "text":  # COCO has one kind of text
                self._writing.report.add("lost", f"a label of task '{name}'", key)
                self._writing.watch.lose(labels=1)

    def _category_id(self, label: Label) -> int | str:
        node = self._writing.live(label.node)
        assert node is not None
        return self._categories[node]

    def _annotation(self, key: str, sample: Sample, region: Region) -> dict[str, Any] | None:
        """A region without what follows from its polygons, which a batch adds at once."""
        writing = self._writing
        label = writing.category(region.labels)
        row: dict[str, Any] = {}
        if label is not None:
            row["category_id"] = self._category_id(label)
        primary = region.geometry
        if primary is None and not region.extra:
            writing.report.add("lost", "a region without a shape", key)
            return None
        crowd = "crowd" in region.flags
        if primary is not None and not _add_shape(row, writing, primary, sample, crowd=crowd):
            return None
        points = region.geometries.get("keypoints")
        if isinstance(points, Keypoints):
            _add_keypoints(row, points)
        if primary is not points and "segmentation" not in row and "bbox" not in row:
            return None
        row["iscrowd"] = int(crowd)
        if "ignore" in region.flags:
            row["ignore"] = 1
        if region.score is not None:
            row["score"] = region.score
        _add_extra(row, region)
        for name in _IDS & row.keys():
            del row[name]
            writing.report.add("lost", f"a field '{name}' of a region", key)
        return row


def _lines(rows: Sequence[Any]) -> list[bytes]:
    """The JSON of rows without the braces that open them."""
    return [line[1:] for line in _encode_lines(rows).splitlines()]


def _plain_rings(region: Region) -> Sequence[Ring]:
    """The rings of a region that is nothing but polygons without holes; else none."""
    if region.flags or region.extra or region.attrs or region.score is not None:
        return ()
    if len(region.geometries) != 1:
        return ()
    (shape,) = region.geometries.values()
    if type(shape) is not Polygon:
        return ()
    parts = shape.parts
    if len(parts) == 1:
        return parts[0] if len(parts[0]) == 1 else ()
    return [part[0] for part in parts] if all(len(part) == 1 for part in parts) else ()


def _image_row(key: str, sample: Sample) -> dict[str, Any]:
    image = sample.image
    told = {"width": image.width, "height": image.height, _URL: image.uri}
    row: dict[str, Any] = {"file_name": key}
    row.update((field, value) for field, value in told.items() if value is not None)
    row.update((k, v) for k, v in sample.extra.items() if k not in _FILE_FIELDS)
    return row


def _add_shape(
    row: dict[str, Any], writing: Writing, shape: Geometry, sample: Sample, *, crowd: bool
) -> bool:
    """Add a shape; False for one that COCO has nothing like (which Holds reports)."""
    if isinstance(shape, (RotatedBox, Ellipse)):
        from voyager.schema.convert import as_polygon

        polygon = as_polygon(shape)
        if polygon is None:
            return False
        shape = polygon
    if isinstance(shape, Polygon) and any(len(part) > 1 for part in shape.parts):
        shape = _filled(shape, sample) or shape
    if isinstance(shape, Polygon):
        row["segmentation"] = [list(part[0]) for part in shape.parts if part]
    elif isinstance(shape, Mask):
        _add_mask(row, writing, shape, crowd=crowd)
    elif isinstance(shape, Box):
        _add_box(row, shape)
    elif not isinstance(shape, Keypoints):
        return False
    return True


def _filled(shape: Polygon, sample: Sample) -> Mask | None:
    """A polygon with holes as a mask, since COCO's polygons have none."""
    image = sample.image
    if image.width is None or image.height is None:
        return None
    return rle.mask_of(shape, image.height, image.width)


def _add_mask(row: dict[str, Any], writing: Writing, mask: Mask, *, crowd: bool) -> None:
    counts = writing.counts(mask)
    runs = rle.decode_counts(counts)
    row["segmentation"] = {
        "size": [mask.height, mask.width],
        "counts": runs if crowd else counts.decode("ascii"),
    }
    found = rle.bounds(runs, mask.height) or (0.0, 0.0, 0.0, 0.0)
    row["bbox"] = [found[0], found[1], found[2] - found[0], found[3] - found[1]]
    row["area"] = rle.area(runs)


def _add_box(row: dict[str, Any], box: Box) -> None:
    width, height = box.x1 - box.x0, box.y1 - box.y0
    row["bbox"] = [box.x0, box.y0, _length(box.x0, box.x1), _length(box.y0, box.y1)]
    row["area"] = round(width * height, _DIGITS)


def _length(start: float, end: float) -> float:
    """The length that, added to the start, gives the end; short where that is exact."""
    length = round(end - start, _DIGITS)
    return length if start + length == end else end - start


def _add_keypoints(row: dict[str, Any], points: Keypoints) -> None:
    numbers: list[float] = []
    for place, seen in enumerate(points.visibility):
        numbers += (points.points[2 * place], points.points[2 * place + 1], seen)
    row["keypoints"] = numbers
    row["num_keypoints"] = sum(seen > 0 for seen in points.visibility)


def _add_extra(row: dict[str, Any], region: Region) -> None:
    attributes = dict(region.attrs)
    for name, value in region.extra.items():
        if name in _STATED and not isinstance(value, str):  # text of what is not finite stays text
            row[_STATED[name]] = value
        elif name == "attributes" and isinstance(value, dict):
            attributes.update(value)
        elif name not in row:
            row[name] = value
    if attributes:
        row["attributes"] = attributes


def _add_derived(rows: Sequence[_Row]) -> None:
    """Add the boxes and areas of polygons that nothing else was stated of."""
    lacking = [row for row in rows if isinstance(row, _Plain) or _lacks(row)]
    if not lacking:
        return
    shapes = [
        row.segmentation if isinstance(row, _Plain) else row["segmentation"] for row in lacking
    ]
    bounds, areas = measure(shapes)
    boxes, sizes = _boxes(bounds).tolist(), _rounded(areas).tolist()
    for row, box, area in zip(lacking, boxes, sizes, strict=True):
        if isinstance(row, _Plain):
            row.bbox, row.area = box, area
        else:
            row.setdefault("bbox", box)
            row.setdefault("area", area)


def _lacks(row: Any) -> bool:
    return isinstance(row.get("segmentation"), list) and not {"bbox", "area"} <= row.keys()


def _boxes(bounds: NDArray[Any]) -> NDArray[Any]:
    """x, y, width, height of boxes, their lengths as `_length` has them."""
    import numpy as np

    low, sides = bounds[:, :2], bounds[:, 2:] - bounds[:, :2]
    short = _rounded(sides)
    return np.concatenate((low, np.where(low + short == bounds[:, 2:], short, sides)), axis=1)


def _rounded(values: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.where(np.abs(values) < _EXACT, np.rint(values * 10**_DIGITS) / 10**_DIGITS, values)
