"""Samples as COCO: annotations are streamed as they come, the images of a file follow them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from voyager.formats.coco.annotations import Ring
from voyager.formats.coco.categories import COCO_ID, FILE
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
_encoder = msgspec.json.Encoder()
_encode, _encode_lines = _encoder.encode, _encoder.encode_lines
_STATED: Final = {"source_bbox": "bbox", "source_area": "area"}
_URL, _FILE_FIELDS = "coco_url", frozenset({"id", "file_name", "width", "height", "coco_url"})


class _Plain(Struct, gc=False):
    """The annotation of a region with polygons and a class, and nothing else: most are so."""

    id: int | str
    image_id: int | str
    category_id: int | str
    segmentation: Sequence[Ring]
    iscrowd: int = 0
    bbox: list[float] | None = None
    area: float = 0.0


_Row: TypeAlias = _Plain | dict[str, Any]


def write_files(writing: Writing) -> None:
    """One file a split, or one file for all where the user names it."""
    with ExitStack() as stack:
        files: dict[str | None, _File] = {}
        ids = _Ids(writing)
        for batch in _batches(writing):
            for _, sample in batch:
                split = None if writing.file_name is not None else sample.split
                if split not in files:
                    files[split] = _open(writing, ids, split, stack)
            _write_batch(writing, batch, files, ids)
        if not files:
            files[None] = _open(writing, ids, None, stack)
        for file in files.values():
            file.finish()


def _batches(writing: Writing) -> Iterator[list[tuple[str, Sample]]]:
    samples = writing.samples()
    while batch := list(islice(samples, _BATCH)):
        yield batch


class _Ids:
    """Ids of images, annotations and classes: those that COCO files gave, where they are free."""

    def __init__(self, writing: Writing) -> None:
        self.images = _Numbers()
        self.annotations = _Numbers()
        self.categories = _category_ids(writing)


class _Numbers:
    def __init__(self) -> None:
        self._taken: set[int | str] = set()
        self._next = 1

    def take(self, wanted: int | str | None) -> int | str:
        """The wanted id if it is free, else the next number that is."""
        if wanted is not None and wanted not in self._taken:
            self._taken.add(wanted)
            return wanted
        while self._next in self._taken:
            self._next += 1
        self._taken.add(self._next)
        return self._next


class _File:
    """A COCO file being written."""

    def __init__(self, writing: Writing, ids: _Ids, file: IO[bytes]) -> None:
        self._file = file
        self._images = io.BytesIO()
        self._any = {"images": False, "annotations": False}
        self._writing = writing
        file.write(b'{"categories":' + _encode(_categories(writing, ids)) + b',"annotations":[')

    def add_images(self, rows: Sequence[_Row]) -> None:
        """Note images; they stand after the annotations."""
        self._add("images", self._images, rows)

    def add_annotations(self, rows: Sequence[_Row]) -> None:
        """Write annotations."""
        self._add("annotations", self._file, rows)

    def _add(self, name: str, file: IO[bytes], rows: Sequence[_Row]) -> None:
        """Write rows, a line each."""
        if rows:
            file.write(b",\n" if self._any[name] else b"\n")
            file.write(_encode_lines(rows)[:-1].replace(b"\n", b",\n"))  # in text it is escaped
            self._any[name] = True

    def finish(self) -> None:
        """Write the images and what else belongs to the file."""
        self._file.write(b'\n],"images":[')
        self._file.write(self._images.getbuffer())
        self._file.write(b"\n]")
        for name, value in sorted(_tables(self._writing).items()):
            self._file.write(b"," + _encode(name) + b":" + json.dumps(value).encode())
        self._file.write(b"}\n")


def _open(writing: Writing, ids: _Ids, split: str | None, stack: ExitStack) -> _File:
    name = writing.file_name or f"annotations/instances{'_' + split if split else ''}.json"
    return _File(writing, ids, stack.enter_context(writing.open_binary(name)))


def _tables(writing: Writing) -> dict[str, Any]:
    """Info, licences and tables that the files had from which the classes came."""
    taxonomy = writing.vocabulary.taxonomy_of(writing.task)
    kept: dict[str, Any] = {} if taxonomy is None else taxonomy.root.extra.get(FILE, {})
    return kept


def _categories(writing: Writing, ids: _Ids) -> list[dict[str, Any]]:
    """The classes with the ids that they had; new ones get the next free number."""
    task = writing.vocabulary.tasks.get(writing.task)
    skeleton = None if task is None else task.skeleton
    rows = []
    for node, name in writing.classes:
        row: dict[str, Any] = {"id": ids.categories[node], "name": name}
        row.update((k, v) for k, v in _extra_of(writing, node).items() if k != COCO_ID)
        if skeleton is not None:
            row["keypoints"] = list(skeleton.names)
            row["skeleton"] = [[a + 1, b + 1] for a, b in skeleton.edges]
        rows.append(row)
    return rows


def _extra_of(writing: Writing, node: bytes) -> dict[str, Any]:
    taxonomy = writing.vocabulary.taxonomy_of(writing.task)
    return {} if taxonomy is None else taxonomy.nodes[node].extra


def _category_ids(writing: Writing) -> dict[bytes, int | str]:
    """Node → category id: those that COCO files gave first."""
    numbers = _Numbers()
    wanted = {node: _extra_of(writing, node).get(COCO_ID) for node, _ in writing.classes}
    found = {node: numbers.take(n) for node, n in wanted.items() if n is not None}
    found.update((node, numbers.take(None)) for node, n in wanted.items() if n is None)
    return found


def _write_batch(
    writing: Writing,
    batch: list[tuple[str, Sample]],
    files: dict[str | None, _File],
    ids: _Ids,
) -> None:
    images: dict[_File, list[_Row]] = {}
    rows: dict[_File, list[_Row]] = {}
    for key, sample in batch:
        file = files[None if writing.file_name is not None else sample.split]
        image_id = ids.images.take(None if sample.origin is None else sample.origin.id)
        name = _image_name(writing, key, sample)
        images.setdefault(file, []).append(_image_row(image_id, name, sample))
        rows.setdefault(file, []).extend(_rows(writing, ids, key, sample, image_id))
    _add_derived([row for some in rows.values() for row in some])
    for file, found in images.items():
        file.add_images(found)
        file.add_annotations(rows[file])


def _rows(
    writing: Writing, ids: _Ids, key: str, sample: Sample, image_id: int | str
) -> Iterator[_Row]:
    """The annotations of a sample."""
    for fields in _image_labels(writing, ids, sample):
        yield {**fields, "id": ids.annotations.take(None), "image_id": image_id}
    for region in sample.regions:
        origin = region.origin
        own = None if origin is None else origin.id
        rings = _plain_rings(region)
        label = writing.category(region.labels) if rings else None
        if rings and label is not None:
            category = _category_id(writing, ids, label)
            yield _Plain(ids.annotations.take(own), image_id, category, rings)
            continue
        row = _annotation(writing, ids, key, sample, region)
        if row is not None:
            yield {"id": ids.annotations.take(own), "image_id": image_id, **row}


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


def _image_name(writing: Writing, key: str, sample: Sample) -> str:
    """What the file calls an image; beside one file for all there are no images."""
    if writing.file_name is None and writing.image(key, sample, f"images/{key}"):
        writing.named(f"images/{key}", key)
    return key


def _image_row(image_id: int | str, name: str, sample: Sample) -> dict[str, Any]:
    image = sample.image
    told = {"width": image.width, "height": image.height, _URL: image.uri}
    row: dict[str, Any] = {"id": image_id, "file_name": name}
    row.update((field, value) for field, value in told.items() if value is not None)
    row.update((k, v) for k, v in sample.extra.items() if k not in _FILE_FIELDS)
    return row


def _image_labels(writing: Writing, ids: _Ids, sample: Sample) -> Iterator[dict[str, Any]]:
    """Captions, and the classes of the image as annotations without a shape."""
    if not sample.labels:
        return
    for label in writing.categories(sample.labels):
        yield {"category_id": _category_id(writing, ids, label)}
    for label in writing.vocabulary.answer(CAPTION, sample.labels).labels:
        if label.value is not None:
            yield {"caption": str(label.value)}


def _category_id(writing: Writing, ids: _Ids, label: Label) -> int | str:
    node = writing.live(label.node)
    assert node is not None
    return ids.categories[node]


def _annotation(
    writing: Writing, ids: _Ids, key: str, sample: Sample, region: Region
) -> dict[str, Any] | None:
    """A region without what follows from its polygons, which a batch adds at once."""
    label = writing.category(region.labels)
    row: dict[str, Any] = {}
    if label is not None:
        row["category_id"] = _category_id(writing, ids, label)
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
