"""Reading Pascal VOC: an item for each image of a tree."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final

from voyager.errors import InvalidDataError
from voyager.formats.base import Item, Source, clean_name, decode_text, new_item_sample
from voyager.formats.folder_files import iter_files, read_file
from voyager.formats.index_images import IndexImage, read_index_image, read_labelmap
from voyager.formats.known_images import known_name
from voyager.formats.reading import Reading
from voyager.formats.splits import split_of_path
from voyager.formats.voc.annotation import Annotation, parse_annotation, plain
from voyager.formats.voc.image_sets import NO_CLASSES, ImageSets, read_image_sets
from voyager.formats.voc.masks import ClassNumbers, ObjectMask, object_masks, stored, void_region
from voyager.formats.voc.objects import ObjectReader
from voyager.formats.voc.tree import IMAGE_FOLDERS, Base, find_bases
from voyager.schema import Image, Label, Region
from voyager.schema.measures import bounds

IMAGE_CLASSES: Final = "classes"
"""The task of classes that lists find in an image and of which it has no object."""

_COORDINATE = re.compile(rb"<[xy]m(?:in|ax)>\s*(0(?:\.0*)?)\s*<")
_MOST_LOOKED_AT = 10_000
_KNOWN = {"filename", "size", "segmented", "object"}
_EMPTY_WORDS = ("", "Unknown", "unknown")


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The items of a tree, of several trees, of a folder of XML files, or of one file."""
    names = iter_files(source.root) if source.is_folder else iter([source.path.name])
    bases = find_bases(names)
    guess = _guess_origin(source, bases) if reading.options.origin is None else 1
    reading.define(scope="region")
    for base in bases:
        yield from _TreeReader(source, reading, base, guess, bases).items()


def _guess_origin(source: Source, bases: list[Base]) -> int:
    """0 if a box of the first files has a coordinate 0, which the standard does not know."""
    names = (name for base in bases for _, name in sorted(base.xmls.items()))
    for _, name in zip(range(_MOST_LOOKED_AT), names, strict=False):
        if _COORDINATE.search(read_file(source.root, name)):
            return 0
    return 1


class _TreeReader:
    """Reads one tree."""

    def __init__(
        self, source: Source, reading: Reading, base: Base, guess: int, bases: list[Base]
    ) -> None:
        self._root = source.root
        self._reading = reading
        self._report = reading.report
        self._base = base
        self._guess = guess
        self._numbers = self._read_labelmap()
        self._sets = self._read_sets()
        self._taken: set[str] = set()
        self._near = [self._root / base.prefix / folder for folder in ("", *IMAGE_FOLDERS)]

    def _read_labelmap(self) -> ClassNumbers:
        name = self._base.labelmap
        if name is None:
            return ClassNumbers()
        text = decode_text(read_file(self._root, name), name, self._report)
        classes = read_labelmap(text, name)
        for found in classes:
            if found.name and found.name not in NO_CLASSES:
                extra: dict[str, Any] = {"color": list(found.colour)} if found.colour else {}
                extra |= {"parts": list(found.parts)} if found.parts else {}
                extra |= {"actions": list(found.actions)} if found.actions else {}
                self._reading.category(found.name, extra=extra)
        return ClassNumbers.of(classes)

    def _read_sets(self) -> ImageSets:
        base = self._base
        stems = base.stems()
        lists = (
            (os.path.splitext(name[len(base.prefix) + len("ImageSets/") :])[0], name)
            for name in base.lists
        )
        texts = (
            (short, decode_text(read_file(self._root, name), name, self._report))
            for short, name in lists
        )
        return read_image_sets(texts, stems.__contains__)

    def items(self) -> Iterator[Item]:
        """An item for each stem, in order; images that only share the stem have their own."""
        base = self._base
        stems = sorted(base.stems() | {stem for stem in self._sets.stems() if _is_inside(stem)})
        for done, stem in enumerate(stems):
            self._reading.progress(done, len(stems))
            yield from self._items(stem)

    def _items(self, stem: str) -> Iterator[Item]:
        xml = self._base.xmls.get(stem)
        images = list(self._base.images.get(stem, ()))
        file = None
        if xml is not None:
            file = parse_annotation(read_file(self._root, xml), xml, self._report)
        item = self._item(stem, file, images)
        if item is not None:
            yield item
        for name in images:
            if name not in self._taken:
                self._taken.add(name)
                split = self._split(stem, name)
                yield Item(name, new_item_sample(split=split), self._root / name, place=name)

    def _item(self, stem: str, file: Annotation | None, images: list[str]) -> Item | None:
        """The item that a stem's labels speak of."""
        name = self._image_name(stem, file, images)
        if name in self._taken:
            return None
        self._taken.add(name)
        path = self._root / name if name in images else None
        if path is None:
            found = self._reading.images.find_file(name, self._near)
            if found is not None and found.is_relative_to(self._root):
                path, name = found, found.relative_to(self._root).as_posix()
        labeled = file is not None and file.root.get("labeled") != "no"
        regions = [] if file is None else list(self._regions(file))
        masks = self._with_masks(stem, regions)
        extra = {} if file is None else self._extra(file, masks=masks)
        fields = self._classes(stem, regions, extra)
        others = self._other_lists(stem, masks=masks)
        if others:
            extra["ImageSets"] = others
            self._report.add("extra", "lists of other tasks, or more than one part", stem)
        if (labeled and not regions) or self._reading.options.assume_exhaustive:
            fields["coverage"] = {self._reading.task: "exhaustive"}
        width, height = (None, None) if file is None else file.size()
        image = Image(width=width, height=height)
        sample = new_item_sample(
            image=image, regions=regions, split=self._split(stem, name), extra=extra, **fields
        )
        return Item(name, sample, path, place=name if file is None else file.path)

    def _split(self, stem: str, name: str) -> str | None:
        return self._sets.split(stem) or split_of_path(self._base.xmls.get(stem, name))

    def _other_lists(self, stem: str, *, masks: bool) -> list[str]:
        """Lists that an image is in and that its part and its masks do not tell."""
        told = f"Segmentation/{self._sets.split(stem)}" if masks else ""
        return [text for text in self._sets.others.get(stem, ()) if text != told]

    # -- the image -------------------------------------------------------------------------------

    def _image_name(self, stem: str, file: Annotation | None, images: list[str]) -> str:
        """The name of the image: the file that <filename> names, unless the stem knows better."""
        stated = ""
        if file is not None and file.text(file.root, "filename"):
            element = file.root.find("filename")
            assert element is not None
            line = None
            if element.text and re.match(r"\s*(?:[/\\]|[A-Za-z]:)|.*\.\.", element.text):
                line = file.line(element)
            stated = clean_name(file.text(file.root, "filename"), file.path, line)
        short = stated.rpartition("/")[2]
        own = stem.rpartition("/")[2]
        if images:
            exact = next((name for name in images if name.rpartition("/")[2] == short), None)
            if exact is None and short and os.path.splitext(short)[0] != own and short != own:
                self._wrong_name(file, short)
            elif exact is None and len(images) > 1:
                self._report.add("guessed", "which of several images is meant", images[0])
            return exact or images[0]
        if not stated or short == own:
            return self._found(stem) or stated or stem
        if os.path.splitext(short)[0] == own:
            return self._found(stated) or self._found(stem) or stated
        found = self._found(stem)
        if found is None and (found := self._found(stated)) is None:
            return stated if stated not in self._taken else stem + os.path.splitext(stated)[1]
        if os.path.splitext(found)[0].endswith(own):
            self._wrong_name(file, short)
        return found

    def _wrong_name(self, file: Annotation | None, short: str) -> None:
        place = "" if file is None else f"{file.path}: {short}"
        self._report.add("repaired", "<filename> names another image than the file's own", place)

    def _found(self, name: str) -> str | None:
        return known_name(self._reading, self._root, name, self._near)

    # -- labels ----------------------------------------------------------------------------------

    def _regions(self, file: Annotation) -> Iterator[Region]:
        return ObjectReader(self._reading, file, self._origin(file)).regions()

    def _origin(self, file: Annotation) -> int:
        """What pixels count from: as the user says, as the file says, or by a guess."""
        if self._reading.options.origin is not None:
            return self._reading.options.origin
        stated = file.root.get("origin")
        if stated is not None:
            if stated not in ("0", "1"):
                raise file.bad(file.root, f"origin {stated!r} is neither 0 nor 1")
            return int(stated)
        if file.root.find("object") is not None:
            kind = f"pixels of boxes count from {self._guess} (--origin says it)"
            if not self._report.count("guessed", kind):
                self._report.add("guessed", kind, file.path)
        return self._guess

    def _extra(self, file: Annotation, *, masks: bool) -> dict[str, Any]:
        """What a file says beside its objects and the schema has no place for."""
        extra: dict[str, Any] = {}
        for child in file.root:
            if child.tag not in _KNOWN:
                value = _said(plain(child))
                if value is not None:
                    extra[child.tag] = value
        if extra.get("folder") in (*IMAGE_FOLDERS, *file.path.split("/"), self._root.name):
            del extra["folder"]
        depth = file.text(file.root, "size/depth")
        if depth not in ("", "3"):
            extra["depth"] = depth
        if not masks and file.text(file.root, "segmented") not in ("", "0"):
            extra["segmented"] = file.text(file.root, "segmented")
        own = ("origin", "labeled")
        extra |= {name: value for name, value in file.root.attrib.items() if name not in own}
        for name in extra:
            self._report.add("extra", f"<{name}> of an image", file.path)
        return extra

    def _classes(self, stem: str, regions: list[Region], extra: dict[str, Any]) -> dict[str, Any]:
        """Negatives and labels of the image, as lists of classes have them beside the objects."""
        sets, reading = self._sets, self._reading
        seen = {label.node for region in regions for label in region.labels}
        fields: dict[str, Any] = {}
        absent = {reading.category(name) for name in sets.absent.get(stem, ())}
        if absent & seen:
            self._report.add("extra", "a list denies a class that an object has", stem)
        if absent - seen:
            fields["negatives"] = {reading.task: tuple(absent - seen)}
        present = {reading.category(name) for name in sets.present.get(stem, ())} - seen
        if present:
            fields["labels"] = tuple(self._image_labels(sorted(present)))
        unsure = [name for name in sets.unsure.get(stem, ()) if reading.category(name) not in seen]
        if unsure:
            extra["difficult"] = unsure
            self._report.add("extra", "a list has only difficult objects of a class", stem)
        return fields

    def _image_labels(self, nodes: list[bytes]) -> Iterator[Label]:
        reading = self._reading
        taxonomy = reading.draft.tasks[reading.task].taxonomy
        reading.define(IMAGE_CLASSES, scope="image", many=True, taxonomy=taxonomy)
        for node in nodes:
            yield reading.label(node, task=IMAGE_CLASSES)

    # -- masks -----------------------------------------------------------------------------------

    def _with_masks(self, stem: str, regions: list[Region]) -> bool:
        """Give the regions their masks, add those without an object; whether there are any."""
        classes = self._pixels(self._base.class_masks.get(stem))
        objects = self._pixels(self._base.object_masks.get(stem))
        if classes is None and objects is None:
            return False
        if None not in (classes, objects) and classes.values.shape != objects.values.shape:  # type: ignore[union-attr]
            raise InvalidDataError(
                "class and object pixels differ in size", path=self._base.object_masks[stem]
            )
        for found in object_masks(objects, classes, self._numbers):
            self._add_mask(regions, found, stem)
        void = void_region(self._reading, objects, classes, self._numbers)
        if void is not None:
            regions.append(void)
        return True

    def _pixels(self, name: str | None) -> IndexImage | None:
        return None if name is None else read_index_image(read_file(self._root, name), name)

    def _add_mask(self, regions: list[Region], found: ObjectMask, stem: str) -> None:
        """Object number n is the nth object of the file if its class is the same."""
        node = self._reading.category(found.name) if found.name else None
        mask = stored(self._reading, found.mask)
        place = found.number - 1
        if 0 <= place < len(regions):
            region = regions[place]
            known = {label.node for label in region.labels}
            if "mask" not in region.geometries and (node is None or node in known):
                regions[place] = _with_mask(region, mask, found)
                return
        labels = [] if node is None else [self._reading.label(node)]
        if found.number and regions:
            self._report.add("guessed", "an object mask has no object of its class", stem)
        regions.append(self._reading.region(mask, labels))


def _with_mask(region: Region, mask: Any, found: ObjectMask) -> Region:
    """A region with a mask as its main geometry; a box that only bounds the mask goes."""
    shapes = dict(region.geometries)
    box = shapes.get("box")
    if box is not None and bounds(box) == bounds(found.mask):
        del shapes["box"]
    shapes["mask"] = mask
    return region.replace(geometries=shapes, primary="mask" if len(shapes) > 1 else None)


def _said(value: Any) -> Any:
    """A value without the parts that say nothing; None where all of it says nothing."""
    if isinstance(value, dict):
        kept = {name: said for name, part in value.items() if (said := _said(part)) is not None}
        return kept or None
    if isinstance(value, list):
        return value
    return None if value in _EMPTY_WORDS else value


def _is_inside(stem: str) -> bool:
    """Whether a listed name is one of an image below the tree."""
    try:
        clean_name(stem)
    except InvalidDataError:
        return False
    return True
