"""Reading folders of masks: regions of the pixels of a class, or of each object's own file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voyager.errors import InvalidDataError, NotFoundError
from voyager.formats.base import Item, Source, decode_text, new_item_sample
from voyager.formats.folder_files import iter_files, read_file
from voyager.formats.index_images import IndexImage, read_index_image
from voyager.formats.known_images import known_name
from voyager.formats.masks.class_maps import (
    BACKGROUND,
    CLASS_FILES,
    VOID,
    ClassMap,
    MaskClass,
    read_class_map,
)
from voyager.formats.masks.object_classes import OBJECTS, read_objects
from voyager.formats.masks.pairs import Pair, find_pairs
from voyager.formats.reading import Reading
from voyager.formats.splits import split_of_path
from voyager.schema import Image, Label, Region
from voyager.schema.rle import mask_of_array
from voyager.schema.taxonomy import NodeId

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYOUTS: Final = ("auto", "semantic", "instances")
VOID_VALUE: Final = 255


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The items of a folder: an image each, with the masks that belong to it."""
    yield from _Dataset(source, reading).items()


class _Dataset:
    def __init__(self, source: Source, reading: Reading) -> None:
        self._root = source.root
        self._reading = reading
        self._report = reading.report
        layout = reading.choice("layout", LAYOUTS, "auto")
        names = list(iter_files(source.root))
        self._map = self._read_map(names)
        self._objects = self._read_objects(names)
        prefixes = (self._map.image_prefix, self._map.mask_prefix)
        self._pairs = find_pairs(names, prefixes, layout)
        self._size: tuple[int, int] | None = None
        reading.define(scope="region")
        self._nodes = self._read_nodes()

    # -- classes ---------------------------------------------------------------------------------

    def _read_map(self, names: list[str]) -> ClassMap:
        chosen = self._reading.setting("classes")
        if chosen:
            return self._chosen_map(chosen)
        short = {name.lower(): name for name in names if name.count("/") <= 1}
        for wanted in CLASS_FILES:
            places = (n for low, n in short.items() if low.rpartition("/")[2] == wanted)
            name = min(places, key=lambda name: (name.count("/"), name), default=None)
            if name is not None:
                data = read_file(self._root, name)
                return read_class_map(decode_text(data, name, self._report), data, name)
        return ClassMap()

    def _chosen_map(self, chosen: str) -> ClassMap:
        path = self._root / chosen
        if not path.is_file():
            path = Path(chosen)
        if not path.is_file():
            raise NotFoundError(f"there is no file '{chosen}' of classes")
        data = read_file(path.parent, path.name)
        return read_class_map(decode_text(data, path.name, self._report), data, path.name)

    def _read_objects(self, names: list[str]) -> dict[str, str]:
        if OBJECTS not in names:
            return {}
        text = decode_text(read_file(self._root, OBJECTS), OBJECTS, self._report)
        return read_objects(text, OBJECTS)

    def _read_nodes(self) -> dict[str, NodeId]:
        """Class name → node, in the order of the map; background and void are no classes."""
        nodes: dict[str, NodeId] = {}
        for found in self._map.classes:
            if found.name and not is_background(found) and not is_void(found):
                extra = {"color": list(found.colour)} if found.colour is not None else {}
                nodes[found.name] = self._reading.category(found.name, extra=extra)
        return nodes

    def _labels(self, name: str) -> list[Label]:
        if not name:
            return []
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = self._reading.category(name)
        return [self._reading.label(node)]

    # -- items -----------------------------------------------------------------------------------

    def items(self) -> Iterator[Item]:
        """An item for each image, and for masks without one."""
        taken = {pair.name for pair in self._pairs if pair.here}
        for done, pair in enumerate(self._pairs):
            self._reading.progress(done, len(self._pairs))
            name = pair.name
            if not pair.here:
                name = known_name(self._reading, self._root, name) or name
                if name in taken:
                    continue
                taken.add(name)
            yield self._item(pair, name)

    def _item(self, pair: Pair, name: str) -> Item:
        self._size = None
        regions = [self._object(file) for file in pair.objects]
        said = bool(regions)
        if pair.classes is not None:
            regions += self._classes(pair.classes)
            said = True
        sure = (said and not regions) or self._reading.options.assume_exhaustive
        fields: dict[str, Any] = {"coverage": {self._reading.task: "exhaustive"}} if sure else {}
        image = Image() if self._size is None else Image(width=self._size[0], height=self._size[1])
        split = split_of_path(name)
        sample = new_item_sample(image=image, regions=regions, split=split, **fields)
        path = self._root / name if pair.here else None
        place = pair.classes or next(iter(pair.objects), name)
        return Item(name, sample, path, place=place)

    def _pixels(self, name: str) -> IndexImage:
        image = read_index_image(read_file(self._root, name), name)
        height, width = image.values.shape
        if self._size not in (None, (width, height)):
            raise InvalidDataError("another size than the other masks of its image", path=name)
        self._size = width, height
        return image

    # -- one object a file -----------------------------------------------------------------------

    def _object(self, name: str) -> Region:
        image = self._pixels(name)
        extra: dict[str, Any] = {}
        values = image.present()
        if len(values) > 2 or (len(values) == 2 and values[0] != 0):
            limit = _limit(image)
            pixels = _greyness(image) >= limit
            extra["threshold"] = limit
            self._report.add("approximated", f"grey values from {limit} on are the object", name)
        else:
            pixels = image.values != 0
        if not pixels.any():
            self._report.add("extra", "a mask without any pixel was kept", name)
        word = self._objects.get(name, self._reading.setting("class"))
        return self._region(pixels, self._labels(word), extra)

    def _region(
        self, pixels: NDArray[Any], labels: list[Label], extra: dict[str, Any] | None = None
    ) -> Region:
        made = mask_of_array(pixels)
        assert isinstance(made.counts, bytes)
        mask = self._reading.mask(made.height, made.width, made.counts)
        return self._reading.region(mask, labels, extra=extra or {})

    # -- numbers of classes ----------------------------------------------------------------------

    def _classes(self, name: str) -> Iterator[Region]:
        image = self._pixels(name)
        present = image.present()
        if not self._map.classes:
            yield from self._unnamed(image, present, name)
            return
        for value in present:
            found = self._map.find(image, value)
            if is_background(found) if found is not None else value == 0:
                continue
            if found is None and not image.coloured and value == VOID_VALUE:
                found = MaskClass("void", value)
            pixels = image.values == value
            if found is None:
                colour = image.colour(value)
                extra = {"value": list(colour) if image.coloured and colour else value}
                self._report.add("extra", "pixels have a value that no class has", name)
                yield self._region(pixels, [], extra)
            elif is_void(found):
                yield self._region(pixels, []).replace(flags=("ignore",))
            else:
                yield self._region(pixels, self._labels(found.name))

    def _unnamed(self, image: IndexImage, present: list[int], name: str) -> Iterator[Region]:
        """Masks of which nothing says the classes: 0 is no class, two values are one object."""
        values = [value for value in present if value != 0]
        word = self._reading.setting("class")
        if len(values) <= 1 and (not values or values[0] in (1, 255, 0xFFFFFF) or word):
            for value in values:
                yield self._region(image.values == value, self._labels(word))
            return
        self._report.add("guessed", "classes have no names: their numbers are their names", name)
        for value in values:
            pixels = image.values == value
            if value == VOID_VALUE and not image.coloured:
                yield self._region(pixels, []).replace(flags=("ignore",))
            else:
                colour = image.colour(value) if image.coloured else None
                yield self._region(pixels, self._labels(_word(value, colour)))


def _word(value: int, colour: tuple[int, int, int] | None) -> str:
    return str(value) if colour is None else "#{:02x}{:02x}{:02x}".format(*colour)


def is_background(found: MaskClass) -> bool:
    """Whether a class of a map stands for nothing."""
    return found.name.strip().lower() in BACKGROUND


def is_void(found: MaskClass) -> bool:
    """Whether a class of a map stands for pixels to ignore."""
    return found.name.strip().lower() in VOID


def _limit(image: IndexImage) -> int:
    """Half of the brightest value that a file of its kind can have."""
    if image.coloured:
        return 128
    return {1: 128, 2: 32768}.get(image.values.dtype.itemsize, 128)


def _greyness(image: IndexImage) -> NDArray[Any]:
    """The brightness of pixels: the brightest channel of those in colours."""
    if not image.coloured:
        return image.values
    import numpy as np

    values = image.values
    brightest: NDArray[Any] = np.maximum(np.maximum(values >> 16, values >> 8 & 255), values & 255)
    return brightest
