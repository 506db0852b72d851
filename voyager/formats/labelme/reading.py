"""Reading LabelMe: the files with shapes, and the images beside them that have none."""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from voyager.errors import InvalidDataError
from voyager.formats.attributes import is_meta, is_scalar, labels_among, storable
from voyager.formats.base import Item, Source, clean_name, new_item_sample, parse_json
from voyager.formats.find_images import FoundImage
from voyager.formats.labelme.shapes import BadShapeError, Json, NotFiniteError, Size, read_shape
from voyager.formats.reading import Reading
from voyager.formats.splits import split_of
from voyager.schema import FLAGS, Box, Image, Label, Mask, Polygon, Region, coverage_key
from voyager.schema.geometry import Geometry
from voyager.schema.sample import MetaValue

LABELS = "labels.txt"
"""LabelMe's list of classes; names between underscores are none."""

LABELED = "labeled"
"""Our field of a file without shapes that does not mean that there is nothing."""

_FILE_FIELDS = frozenset(
    {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
    | {"lineColor", "fillColor", "split", "meta", "text", LABELED}
)
_SHAPE_FIELDS = frozenset(
    {"label", "points", "shape_type", "mask", "flags", "group_id", "description", "score"}
    | {"attributes", "difficult", "line_color", "fill_color"}
)
_MOST_SIDE = 1 << 31


def label_files(source: Source, most: int | None = None) -> list[str]:
    """The JSON files with shapes, at most so many; the file itself if it is one."""
    names = source.files if source.is_folder else [source.path.name]
    found: list[str] = []
    for name in names:
        if name.lower().endswith(".json") and _has_shapes(source, name):
            found.append(name)
            if most is not None and len(found) == most:
                break
    return found


def _has_shapes(source: Source, name: str) -> bool:
    where = name if source.is_folder else ""
    if source.head(where).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        return False
    keys = source.json_keys(where)
    return "shapes" in keys and bool(keys & {"imagePath", "imageData", "imageHeight"})


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """An item for each label file, then one for each image without."""
    names = label_files(source)
    if not names and not source.is_folder:
        names = [source.path.name]
    if not names and not source.images:
        raise InvalidDataError("there is no LabelMe file", path=source.path)
    reading.define(scope="region")
    _read_labels(source, reading)
    seen: set[Path] = set()
    for name in names:
        item = _File(source, reading, name).item()
        if item.file is not None:
            seen.add(item.file)
        yield item
    for name in source.images if source.is_folder else ():
        if source.root / name not in seen:
            sample = new_item_sample(coverage=_assumed(reading))
            yield Item(name, sample, source.root / name, name)


def _read_labels(source: Source, reading: Reading) -> None:
    """Mint the classes of labels.txt in their order."""
    path = source.root / LABELS
    if not path.is_file():
        return
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    for line in text.splitlines():
        if line.strip() and not (line.startswith("_") and line.endswith("_")):
            reading.category(line)


def _assumed(reading: Reading) -> dict[str, Any]:
    stated = reading.options.assume_exhaustive
    return {coverage_key(reading.task): "exhaustive"} if stated else {}


class _File:
    """One label file."""

    def __init__(self, source: Source, reading: Reading, name: str) -> None:
        self.root = source.root
        self.reading = reading
        self.name = name
        self.folder = posixpath.dirname(name)
        self.value = self.expect(parse_json((source.root / name).read_bytes(), name), dict, "")

    def bad(self, message: str) -> InvalidDataError:
        """The error that something is malformed."""
        return InvalidDataError(message, path=self.name)

    def expect(self, value: Any, kind: type[Any], place: str) -> Any:
        """The value, if it is of a type."""
        if not isinstance(value, kind):
            words = {"dict": "an object", "list": "a list", "str": "text"}[kind.__name__]
            raise self.bad(f"{place}: expected {words}" if place else f"expected {words}")
        return value

    def item(self) -> Item:
        """The item of the file's image."""
        found, name = self._find()
        data = None if found is not None else self._embedded()
        size = self._size(found)
        shapes = self.expect(self.value.get("shapes"), list, "shapes")
        regions = list(self._regions(shapes, size))
        meta, labels = self._meta()
        extra = {key: value for key, value in self.value.items() if key not in _FILE_FIELDS}
        for key in sorted(extra):
            self.reading.report.add("extra", f"{key} was kept in extra", self.name)
        split = self.value.get("split")
        sample = new_item_sample(
            image=Image(width=size[0], height=size[1]),
            labels=labels,
            regions=regions,
            meta=meta,
            split=split_of(split) if isinstance(split, str) else None,
            coverage=_assumed(self.reading) or self._emptiness(shapes, labels),
            extra=storable(extra),
        )
        return Item(name, sample, None if found is None else found.path, self.name, data)

    def _emptiness(self, shapes: list[Any], labels: list[Label]) -> dict[str, Any]:
        """A file that was saved without a shape says that there is nothing."""
        if shapes or labels or self.value.get(LABELED) is False:
            return {}
        return {coverage_key(self.reading.task): "exhaustive"}

    # -- the image -------------------------------------------------------------------------------

    def _find(self) -> tuple[FoundImage | None, str]:
        """The image, by its path from the file's folder, else by the file's own stem."""
        near = (self.root / self.folder, self.root)
        text = self.value.get("imagePath")
        name = self._image_name(text) if isinstance(text, str) and text.strip() else None
        found = None if name is None else self.reading.find(name, *near)
        if found is None:
            stem = posixpath.splitext(self.name)[0]
            beside = self.reading.images.find_file(stem, (self.root,))
            if beside is not None and beside.parent == self.root / self.folder:
                found = self.reading.find(beside.name, beside.parent)
                if name is not None:
                    kind = "imagePath names no image; the one of the same name was taken"
                    self.reading.report.add("repaired", kind, self.name)
        if found is None and name is None and self.value.get("imageData") is None:
            raise self.bad("imagePath: expected the path of the image")
        if found is not None and found.path is not None and found.path.is_relative_to(self.root):
            return found, found.path.relative_to(self.root).as_posix()
        return found, name or posixpath.splitext(self.name)[0] + ".png"

    def _image_name(self, text: str) -> str:
        """An image path from the file's folder, as one from the root."""
        text = text.strip().replace("\\", "/")
        outside = text.startswith("/") or text[1:3] == ":/"
        joined = posixpath.normpath(posixpath.join(self.folder, text))
        if not outside and joined.startswith("../"):
            if self.reading.options.images is None:
                raise InvalidDataError(
                    f"'{text}' names no image inside the dataset",
                    path=self.name,
                    hint="--images DIR, or import the folder above",
                )
            return PurePosixPath(joined).name
        return clean_name(text if outside else joined, self.name)

    def _embedded(self) -> bytes | None:
        data = self.value.get("imageData")
        if not data:
            return None
        try:
            return base64.b64decode(self.expect(data, str, "imageData"), validate=True)
        except (binascii.Error, ValueError):
            raise self.bad("imageData: not base64") from None

    def _size(self, found: FoundImage | None) -> Size:
        sides: list[int | None] = []
        for key in ("imageWidth", "imageHeight"):
            side = self.value.get(key)
            if side is not None and not (type(side) is int and 0 < side < _MOST_SIDE):
                raise self.bad(f"{key}: expected pixels")
            sides.append(side)
        if None in sides and found is not None:
            return found.width, found.height
        return (None, None) if None in sides else (sides[0], sides[1])

    def _meta(self) -> tuple[dict[str, MetaValue], list[Label]]:
        """Flags and meta fields of the image, and the labels among them."""
        flags = self.value.get("flags") or {}
        said = {**self.expect(flags, dict, "flags")}
        meta = self.value.get("meta") or {}
        said |= self.expect(meta, dict, "meta")
        found = {key: value for key, value in said.items() if is_meta(value)}
        if self.reading.choice("flags", ("meta", "labels"), "meta") == "meta":
            return labels_among(self.reading, found, "image")
        true = [key for key in flags if found.pop(key, None) is True]
        if true:
            self.reading.define(scope="image")
        return found, [self.reading.label(self.reading.category(key)) for key in true]

    # -- regions ---------------------------------------------------------------------------------

    def _regions(self, shapes: list[Any], size: Size) -> Iterator[Region]:
        """The regions; polygons of one class and group are the parts of one."""
        groups: dict[str, list[tuple[int, Json]]] = {}
        for number, value in enumerate(shapes):
            shape = self.expect(value, dict, f"shapes[{number}]")
            same = self._instance(shape)
            groups.setdefault(same or f"#{number}", []).append((number, shape))
        for members in groups.values():
            yield self._region(members, size)

    def _instance(self, shape: Json) -> str | None:
        """What polygons that are one thing have in common; None for a shape by itself."""
        group, kind = shape.get("group_id"), shape.get("shape_type") or "polygon"
        if kind != "polygon" or type(group) not in (int, str) or group == "":
            return None
        rest = [shape.get(key) for key in ("label", "flags", "description", "attributes", "score")]
        return repr((group, *rest))

    def _region(self, members: list[tuple[int, Json]], size: Size) -> Region:
        number, shape = members[0]
        place = f"{self.name}: shapes[{number}]"
        extra: Json = {
            key: storable(value) for key, value in shape.items() if key not in _SHAPE_FIELDS
        }
        if shape.get("group_id") is not None:
            extra["group_id"] = storable(shape["group_id"])
        parts = [self._geometry(at, each, size, extra) for at, each in members]
        for key in sorted(extra.keys() - {"source_geometry"}):
            self.reading.report.add("extra", f"{key} was kept in extra", place)
        geometry = parts[0]
        if len(parts) > 1:
            polygons = [part.parts[0] for part in parts if isinstance(part, Polygon)]
            geometry = Polygon(tuple(polygons)) if len(polygons) == len(parts) else None
        attrs, flags = self._attrs(shape, f"shapes[{number}]")
        kept, labels = labels_among(self.reading, attrs, "region")
        label = self.expect(shape.get("label") or "", str, f"shapes[{number}].label")
        if label.strip():
            labels.insert(0, self.reading.label(self.reading.category(label)))
        if isinstance(geometry, Box) and (geometry.x1 <= geometry.x0 or geometry.y1 <= geometry.y0):
            self.reading.report.add("extra", "a box has no area and was kept", place)
        score: Any = shape.get("score")
        return self.reading.region(
            geometry,
            labels,
            attrs=kept,
            flags=flags,
            score=float(score) if _is_number(score) else None,
            extra=extra,
        )

    def _geometry(self, number: int, shape: Json, size: Size, extra: Json) -> Geometry | None:
        place = f"shapes[{number}]"
        try:
            geometry = read_shape(shape, size)
        except NotFiniteError:
            extra["source_geometry"] = str(shape.get("points"))
            kind = "a geometry is not made of finite numbers"
            self.reading.report.add("lost", kind, f"{self.name}: {place}")
            return None
        except BadShapeError as error:
            raise self.bad(f"{place}.{error}") from None
        if isinstance(geometry, Mask):
            assert isinstance(geometry.counts, bytes)
            return self.reading.mask(geometry.height, geometry.width, geometry.counts)
        return geometry

    def _attrs(self, shape: Json, place: str) -> tuple[dict[str, MetaValue], list[str]]:
        """Attributes, and the flags that are ours."""
        said = self.expect(shape.get("flags") or {}, dict, f"{place}.flags")
        flags = [key for key, value in said.items() if key in FLAGS and value is True]
        if shape.get("difficult") is True:
            flags.append("difficult")
        found = {key: value for key, value in said.items() if key not in FLAGS}
        found |= self.expect(shape.get("attributes") or {}, dict, f"{place}.attributes")
        if shape.get("description"):
            found["description"] = self.expect(shape["description"], str, f"{place}.description")
        return {key: value for key, value in found.items() if is_meta(value)}, flags


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and is_scalar(value)
