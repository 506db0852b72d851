"""SegmentationClass and SegmentationObject: masks of objects and classes as numbers of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from voyager.formats.index_images import VOC_PALETTE, ClassColour, Colour, IndexImage
from voyager.formats.reading import Reading
from voyager.formats.voc.image_sets import NO_CLASSES
from voyager.schema import Mask, Region
from voyager.schema.rle import mask_of_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOID: Final = 255
"""The number of pixels that are neither right nor wrong."""

MOST_OBJECTS: Final = 254

VOC_CLASSES: Final = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
"""The classes of the challenge, from number 1 on."""

_BY_COLOUR: Final[Mapping[Colour, int]] = {
    colour: number for number, colour in reversed(list(enumerate(VOC_PALETTE)))
}


@dataclass(frozen=True, slots=True)
class ClassNumbers:
    """What class the pixels of a class image mean: by a label map, else as in the challenge."""

    classes: tuple[ClassColour, ...] = ()
    _by_colour: dict[Colour, str] = field(default_factory=dict)

    @staticmethod
    def of(classes: list[ClassColour]) -> ClassNumbers:
        """The numbers of a label map."""
        colours = {found.colour: found.name for found in classes if found.colour is not None}
        return ClassNumbers(tuple(classes), colours)

    def name(self, image: IndexImage, value: int) -> str | None:
        """The class of a number, empty for background and void, None for one that has none."""
        colour = image.colour(value)
        if self.classes:
            name = self._by_colour.get(colour) if colour is not None else None
            if not self._by_colour and not image.coloured and value < len(self.classes):
                name = self.classes[value].name
            number = _BY_COLOUR.get(colour, value) if colour is not None else value
            if name is None and number in (0, VOID):
                return ""
            return "" if name in NO_CLASSES else name
        number = _number(image, value)
        if number in (0, VOID):
            return ""
        return VOC_CLASSES[number - 1] if number <= len(VOC_CLASSES) else None

    def is_void(self, image: IndexImage, value: int) -> bool:
        """Whether a number means void."""
        return _number(image, value) == VOID


def _number(image: IndexImage, value: int) -> int:
    """The number in the palette of VOC of a pixel that a file may show as a colour."""
    if not image.coloured:
        return value
    colour = image.colour(value)
    return _BY_COLOUR.get(colour, 256) if colour is not None else 256


@dataclass(frozen=True, slots=True)
class ObjectMask:
    """The pixels of one object or class: its number (0: of a class alone) and class."""

    number: int
    name: str | None
    mask: Mask


def object_masks(
    objects: IndexImage | None, classes: IndexImage | None, numbers: ClassNumbers
) -> Iterator[ObjectMask]:
    """The masks of the objects of an image, then those of classes outside of any object."""
    import numpy as np

    if objects is not None:
        for value in objects.present():
            number = _number(objects, value)
            if number not in (0, VOID):
                inside = objects.values == value
                name = _class_inside(classes, inside, numbers)
                yield ObjectMask(number, name, mask_of_array(inside))
    if classes is not None:
        free = np.ones(classes.values.shape, bool)
        if objects is not None:
            taken = [
                value for value in objects.present() if _number(objects, value) not in (0, VOID)
            ]
            free = ~np.isin(objects.values, taken)
        for value in classes.present():
            name = numbers.name(classes, value)
            pixels = (classes.values == value) & free
            if name != "" and pixels.any():
                yield ObjectMask(0, name, mask_of_array(pixels))


def _class_inside(
    classes: IndexImage | None, inside: NDArray[Any], numbers: ClassNumbers
) -> str | None:
    """The class that most pixels of an object have."""
    import numpy as np

    if classes is None:
        return None
    values, counts = np.unique(classes.values[inside], return_counts=True)
    for place in np.argsort(-counts, kind="stable"):
        name = numbers.name(classes, int(values[place]))
        if name:
            return name
    return None


def void_region(
    reading: Reading, objects: IndexImage | None, classes: IndexImage | None, numbers: ClassNumbers
) -> Region | None:
    """The pixels that are void, as a region to ignore; None where there are none."""
    image = classes if classes is not None else objects
    if image is None:
        return None
    void = [value for value in image.present() if numbers.is_void(image, value)]
    if not void:
        return None
    made = mask_of_array(image.values == void[0])
    return reading.region(stored(reading, made), flags=("ignore",))


def stored(reading: Reading, mask: Mask) -> Mask:
    """A mask as a row holds it: long counts in a blob."""
    assert isinstance(mask.counts, bytes)
    return reading.mask(mask.height, mask.width, mask.counts)
