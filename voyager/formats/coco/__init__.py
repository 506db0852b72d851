"""COCO: detection, segmentation, keypoints, panoptic, captions, stuff, and lists of results."""

from __future__ import annotations

from collections.abc import Iterator

from voyager.formats.base import Batch, Detection, Format, Holds, Item, Source
from voyager.formats.reading import Reading
from voyager.formats.writing import Writing

HOLDS = Holds(
    geometries=frozenset({"box", "polygon", "mask", "keypoints"}),
    converts={"rotated-box": "polygon", "ellipse": "polygon"},
    several=True,
    quantum=1e-6,
    image_labels="many",
    texts=True,
    flags=frozenset({"crowd", "ignore"}),
    attrs=True,
    scores=True,
    parts=True,
    extra=True,
)

_TELLING = (
    {"images", "annotations"},
    {"images", "categories"},
    {"images", "image_id"},
    {"categories", "image_id"},
    {"annotations", "image_id", "category_id"},
)
"""Fields that tell COCO; only the ends of a file are looked at, and the rest may lie between."""

_RESULT = frozenset({"image_id", "category_id", "score"})


def detect(source: Source) -> Detection | None:
    """By `images` and `annotations` in a JSON file, or by the fields of a list of results."""
    names = source.named("*.json") if source.is_folder else [""]
    if not source.is_folder and source.path.suffix.lower() != ".json":
        return None
    for name in names[:50]:
        keys = source.json_keys(name)
        where = name or source.path.name
        named = any(names <= keys for names in _TELLING)
        if named and "shapes" not in keys and _opens(source, name, b"{"):
            return Detection(0.95, f"{where} has images, annotations and categories")
        if _is_results(source, name, keys):
            return Detection(0.9, f"{where} is a list of results with scores")
    return None


def _is_results(source: Source, name: str, keys: frozenset[str]) -> bool:
    return keys >= _RESULT and _opens(source, name, b"[")


def _opens(source: Source, name: str, bracket: bytes) -> bool:
    """Whether a JSON file is an object, or a list."""
    return source.head(name).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(bracket)


def read(source: Source, reading: Reading) -> Iterator[Item | Batch]:
    """The images of every COCO file in a source."""
    from voyager.formats.coco.files import label_files
    from voyager.formats.coco.reading import read_file

    for file in label_files(source, reading):
        yield from read_file(file, reading)


def write(writing: Writing) -> None:
    """`annotations/instances_SPLIT.json` and images in `images/`, or one file."""
    from voyager.formats.coco.writing import write_files

    write_files(writing)


FORMAT = Format(
    name="coco",
    title="COCO",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    settings={
        "annotations": "(results) the COCO file whose image and category ids they use",
        "panoptic": "(panoptic) the folder of the segment PNGs, where it is not beside the file",
    },
    one_file=True,
    looks_at_images=False,
)
