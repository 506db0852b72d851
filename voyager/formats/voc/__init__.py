"""Pascal VOC: an XML file for each image, lists of images, images of classes and objects."""

from __future__ import annotations

import re
from collections.abc import Iterator

from voyager.formats.base import Detection, Format, Item, Source
from voyager.formats.reading import Reading
from voyager.formats.voc.writing import HOLDS, write

_LOOKED_AT = 20


def detect(source: Source) -> Detection | None:
    """Annotations with boxes beside a name; folders of the challenge."""
    xmls = [name for name in source.files if name.lower().endswith(".xml")]
    kinds = [_kind(source.head(name if source.is_folder else "")) for name in xmls[:_LOOKED_AT]]
    if "boxes" in kinds:
        return Detection(0.95, f"{xmls[kinds.index('boxes')]} is an <annotation> with <bndbox>")
    folders = {part for name in source.files for part in name.split("/")[:-1]}
    if "SegmentationClass" in folders:
        return Detection(0.9, "there is a folder SegmentationClass")
    if "ImageSets" in folders and ("annotation" in kinds or "JPEGImages" in folders):
        return Detection(0.9, "there are lists in ImageSets")
    if "annotation" in kinds:
        return Detection(0.7, f"{xmls[kinds.index('annotation')]} is an <annotation>")
    return None


def _kind(head: bytes) -> str:
    """What an XML file looks like: an annotation with boxes, one without, or something else."""
    head = head.replace(b"\0", b"")  # UTF-16
    if re.search(rb"<annotation[\s>]", head) is None or b"<pt>" in head or b"<imagesize>" in head:
        return ""
    if b"<bndbox>" in head or b"<robndbox>" in head:
        return "boxes"
    known = (b"<segmented", b"<filename", b"<size>")
    return "annotation" if any(mark in head for mark in known) else ""


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The items of a VOC tree or of a folder of annotation files."""
    from voyager.formats.voc.reading import read as read_tree

    return read_tree(source, reading)


FORMAT = Format(
    name="voc",
    title="Pascal VOC",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    settings={
        "origin": "write pixel coordinates that count from 0 or from 1 (the standard, default)",
        "integers": "yes: round the corners of boxes when writing",
        "masks": "write SegmentationClass and SegmentationObject: auto (where regions have masks), "
        "yes (of polygons too), no",
    },
)
