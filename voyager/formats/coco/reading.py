"""One COCO file to items: arrays in any order, grouped by image, decoded a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from voyager.errors import InvalidDataError
from voyager.formats.base import NEW_ID, Batch, Item, clean_name
from voyager.formats.coco.annotations import decode_annotations
from voyager.formats.coco.categories import Categories
from voyager.formats.coco.files import LabelFile
from voyager.formats.coco.regions import RegionMaker
from voyager.formats.groups import Groups, Part
from voyager.formats.json_stream import Value, Window, stream
from voyager.formats.reading import Reading
from voyager.schema import Image, Label, Origin, Region, Sample
from voyager.schema.values import EMPTY, unsettled

_BATCH: Final = 256
_MEMORY: Final = 640 * 1024 * 1024
_IMAGE_FIELDS: Final = frozenset({"id", "file_name", "width", "height", "coco_url"})


class _Ref(Struct):
    """What of an annotation says where it belongs."""

    image_id: int | str


_new_sample, _new_image = unsettled(Sample), unsettled(Image)
_dicts = msgspec.json.Decoder(list[dict[str, Any]])
_refs = msgspec.json.Decoder(list[_Ref])
_ref = msgspec.json.Decoder(_Ref)


@dataclass(slots=True)
class Tables:
    """What a file holds beside its annotations."""

    images: dict[int | str, dict[str, Any]] = field(default_factory=dict)
    categories: list[dict[str, Any]] = field(default_factory=list)
    by_image: dict[int | str, dict[str, list[Any]]] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)


def read_file(file: LabelFile, reading: Reading) -> Iterator[Item | Batch]:
    """The items of a file, an image each; those without annotations too."""
    with ExitStack() as stack:
        groups = stack.enter_context(Groups(_MEMORY))
        tables = Tables()
        results = _scan(file, tables, groups, reading)
        if results:
            from voyager.formats.coco.results import look_up_tables

            look_up_tables(file, tables, reading)
        reader = _FileReader(file, reading, tables)
        if results:
            reader.categories.take_known()
        yield from reader.items(groups, others=not results)


def _scan(file: LabelFile, tables: Tables, groups: Groups, reading: Reading) -> bool:
    """Go through the file once; whether it is a list of results."""
    results = False
    done, size = 0, file.path.stat().st_size
    for part in stream(file.path):
        if isinstance(part, Value):
            if part.name == "":
                results = True
            elif part.value not in ([], {}, None):
                if part.name in ("images", "annotations", "categories"):
                    raise InvalidDataError(
                        f"{part.name}: expected a list of objects", path=file.name
                    )
                tables.others[part.name] = part.value
            continue
        if part.name in ("annotations", ""):
            results = results or part.name == ""
            _group(part, groups, file)
        elif part.name == "images":
            note_images(part, tables, file)
        else:
            note_table(part, tables, file)
        done += sum(map(len, map(bytes, part.elements))) if part.data is None else len(part.data)
        reading.progress(done, size)
    return results


def _group(window: Window, groups: Groups, file: LabelFile) -> None:
    """Put the annotations of a window to their images."""
    refs: Sequence[_Ref] | None = None
    if window.data is not None:
        try:
            refs = _refs.decode(window.data)
        except (msgspec.MsgspecError, ValueError):
            refs = None
    if refs is not None:
        groups.add_all([ref.image_id for ref in refs], window.elements)
        return
    elements = [bytes(element) for element in window.elements]
    places = range(window.first, window.first + len(elements))
    keys = [_image_id(element, file, n) for element, n in zip(elements, places, strict=True)]
    groups.add_all(keys, elements)


def _image_id(element: bytes, file: LabelFile, place: int) -> int | str:
    try:
        return _ref.decode(element).image_id
    except (msgspec.MsgspecError, ValueError):
        value = _parse(element, file, f"annotations[{place}]").get("image_id")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return value
    raise InvalidDataError(f"annotations[{place}].image_id: expected a number", path=file.name)


def _parse(element: bytes | Raw, file: LabelFile, where: str) -> dict[str, Any]:
    try:
        value = json.loads(bytes(element))
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"{where}: not JSON: {error}", path=file.name) from None
    if not isinstance(value, dict):
        raise InvalidDataError(f"{where}: expected an object", path=file.name)
    return value


def _objects(window: Window, file: LabelFile) -> Iterator[tuple[str, dict[str, Any]]]:
    values = _parse_all(window)
    for place, element in enumerate(window.elements):
        where = f"{window.name}[{window.first + place}]"
        yield where, _parse(element, file, where) if values is None else values[place]


def _parse_all(window: Window) -> list[dict[str, Any]] | None:
    """All elements at once, where they are objects."""
    if window.data is None:
        return None
    try:
        return _dicts.decode(window.data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def note_images(window: Window, tables: Tables, file: LabelFile) -> None:
    """Take the images of a window; InvalidDataError for one without a usable id."""
    for where, image in _objects(window, file):
        image_id = image.get("id")
        if isinstance(image_id, bool) or not isinstance(image_id, (int, str)):
            raise InvalidDataError(f"{where}.id: expected a number", path=file.name)
        if image_id in tables.images:
            raise InvalidDataError(f"{where}.id: image {image_id} comes twice", path=file.name)
        tables.images[image_id] = image


def note_table(window: Window, tables: Tables, file: LabelFile) -> None:
    """Take the rows of another table: categories, and what belongs to images or to nothing."""
    for _, row in _objects(window, file):
        image_id = row.get("image_id")
        if window.name == "categories":
            tables.categories.append(row)
        elif isinstance(image_id, (int, str)):
            rest = {name: value for name, value in row.items() if name != "image_id"}
            tables.by_image.setdefault(image_id, {}).setdefault(window.name, []).append(rest)
        else:
            tables.others.setdefault(window.name, []).append(row)


class _FileReader:
    """Turns the sorted annotations of a file into items."""

    def __init__(self, file: LabelFile, reading: Reading, tables: Tables) -> None:
        self.file = file
        self.reading = reading
        self.tables = tables
        self.categories = Categories(tables.categories, reading, file.name)
        self.categories.note_tables(tables.others)
        self.maker = RegionMaker(file, reading, self.categories)
        self._origin = Origin(import_=reading.name)

    def items(self, groups: Groups, *, others: bool = True) -> Iterator[Item | Batch]:
        """The images of the file: those with annotations in batches, then the `others`."""
        left = dict(self.tables.images)
        for part in groups.drain(_BATCH):
            images = self._images(part, left)
            make = partial(self._make, images, part)
            if part.in_memory:
                yield Batch(make, part.cost)
            else:
                yield from make()
        for image_id, image in left.items() if others else ():
            yield self._item(image_id, image, (), ())

    def _images(self, part: Part, left: dict[int | str, dict[str, Any]]) -> list[dict[str, Any]]:
        """The images of a part, taken out of those that are left."""
        try:
            return [left.pop(image_id) for image_id in part.keys]
        except KeyError as error:
            image_id = error.args[0]
        place = sum(part.counts[: part.keys.index(image_id)])
        first = decode_annotations([part.load()[place]], self.file.name)[0].id
        called = "a result" if first is None else f"annotation {first}"
        raise InvalidDataError(
            f"{called}: image_id {image_id} is no image of the file", path=self.file.name
        )

    def _make(self, images: list[dict[str, Any]], part: Part) -> Iterator[Item]:
        """The items of some images with their annotations."""
        made = self.maker.make(decode_annotations(part.load(), self.file.name))
        at = 0
        for image, image_id, count in zip(images, part.keys, part.counts, strict=True):
            regions, labels = made.of(at, at + count)
            yield self._item(image_id, image, tuple(regions), labels)
            at += count

    def _item(
        self,
        image_id: int | str,
        image: dict[str, Any],
        regions: tuple[Region, ...],
        labels: Sequence[Label],
    ) -> Item:
        name = image.get("file_name")
        if not isinstance(name, str):
            raise InvalidDataError(
                f"image {image_id}.file_name: expected text", path=self.file.name
            )
        name = clean_name(name, self.file.name)
        path = self.reading.images.find_file(name, self.file.folders)
        extra = {key: value for key, value in image.items() if key not in _IMAGE_FIELDS}
        if image_id in self.tables.by_image:
            extra.update(self.tables.by_image[image_id])
            for table in self.tables.by_image[image_id]:
                self.reading.report.add("extra", f"a table '{table}' was kept as it is", name)
        url = image.get("coco_url")
        sample = _new_sample(
            uid=NEW_ID,
            image=_new_image(
                width=_side(image.get("width")),
                height=_side(image.get("height")),
                uri=url if isinstance(url, str) else None,
            ),
            labels=tuple(labels),
            regions=regions,
            split=self.file.split,
            origin=replace(self._origin, id=image_id),
            extra=extra or EMPTY,
            coverage=self._coverage(),
        )
        place = f"{self.file.name}: image {image_id}"
        return Item(self._item_name(name, path), sample, path, place, searched=True)

    def _coverage(self) -> dict[str, Any]:
        if not self.reading.options.assume_exhaustive:
            return EMPTY
        return {self.reading.task: "exhaustive"}

    def _item_name(self, name: str, path: Any) -> str:
        """The path of the image below the root of the source, else what the file says."""
        if path is None:
            return name
        try:
            return str(path.relative_to(self.file.root)).replace("\\", "/")
        except ValueError:
            return name


def _side(value: Any) -> int | None:
    """A width or height: a whole number from 1."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 1 else None
