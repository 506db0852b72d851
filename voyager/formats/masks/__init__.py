"""Folders of masks beside folders of images: of classes, or a file for each object."""

from __future__ import annotations

from collections.abc import Iterator

from voyager.formats.base import Detection, Format, Item, Source
from voyager.formats.masks.class_maps import CLASS_FILES
from voyager.formats.masks.pairs import find_pairs
from voyager.formats.masks.writing import HOLDS, write
from voyager.formats.reading import Reading

_OTHERS = ("ImageSets/", "SegmentationClass/", "gtFine/", "panoptic", "_seg.png")


def detect(source: Source) -> Detection | None:
    """Images of masks whose paths agree with those of other images."""
    if not source.is_folder or any(other in name for name in source.files for other in _OTHERS):
        return None
    found = [pair for pair in find_pairs(source.images) if pair.objects or pair.classes]
    paired = [pair for pair in found if pair.here]
    listed = {name.rpartition("/")[2] for name in source.files}
    if "objects.csv" in listed and "classes.csv" in listed and found:
        return Detection(0.95, "objects.csv says the classes of masks")
    if not paired or 2 * len(paired) < len(found):
        return None
    first = paired[0]
    mask = first.classes or first.objects[0]
    named = any(name in listed for name in CLASS_FILES)
    return Detection(0.9 if named else 0.8, f"{mask} is a mask of {first.name}")


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The items of a folder of images and masks."""
    from voyager.formats.masks.reading import read as read_folder

    return read_folder(source, reading)


FORMAT = Format(
    name="masks",
    title="mask folders",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    settings={
        "layout": "semantic (a mask of class numbers for an image), instances (a mask for each "
        "object), auto: by where files lie when reading; when writing, semantic where no image has "
        "two regions of one class",
        "classes": "the file that says what numbers or colours mean",
        "class": "the class of masks that have none",
    },
)
