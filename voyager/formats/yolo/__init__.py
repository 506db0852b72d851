"""YOLO: a text file of numbers for each image, and a data.yaml that names classes and parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from voyager.formats.base import Detection, Format, Item, Source
from voyager.formats.reading import Reading
from voyager.formats.yolo.config import is_names_file, is_yaml_file
from voyager.formats.yolo.reading import is_label_text
from voyager.formats.yolo.tree import find_tree, is_label_place
from voyager.formats.yolo.writing import HOLDS, write

_LOOKED_AT = 50
_NAMES = re.compile(rb"^\s*names\s*:", re.MULTILINE)
_PARTS = re.compile(rb"^\s*(?:train|val|valid|test|nc)\s*:", re.MULTILINE)


def detect(source: Source) -> Detection | None:
    """A data.yaml or obj.data; text files of a class and numbers, with or without their names."""
    if not source.is_folder:
        name = source.path.name
        if is_yaml_file(name) and _is_config(source.head()):
            return Detection(0.95, f"{name} names classes and parts")
        return None
    tree = find_tree(source.files)
    for name in tree.yamls:
        if _is_config(source.head(name)):
            return Detection(0.95, f"{name} names classes and parts")
    texts = sorted(tree.texts, key=lambda name: (not is_label_place(name), name))[:_LOOKED_AT]
    labels = [name for name in texts if is_label_text(source.head(name)[:4096])]
    if not labels:
        return None
    if tree.datas or any(is_names_file(name) for name in tree.names):
        described = next(iter([*tree.datas, *tree.names]))
        return Detection(0.9, f"{described}, and {labels[0]} has a class and numbers a line")
    certainty = 0.75 if is_label_place(labels[0]) else 0.5
    return Detection(certainty, f"{labels[0]} has a class and numbers a line")


def _is_config(head: bytes) -> bool:
    return _NAMES.search(head) is not None and _PARTS.search(head) is not None


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The items of a YOLO dataset."""
    from voyager.formats.yolo.reading import read as read_dataset

    return read_dataset(source, reading)


def _becomes(settings: Mapping[str, str]) -> tuple[Format, Mapping[str, str]] | None:
    """Datasets of classification have no lines: images lie in folders of classes."""
    if settings.get("kind") != "classify":
        return None
    from voyager.formats.folders import FORMAT as FOLDERS

    return FOLDERS, {"unlabeled": "skip"}


FORMAT = Format(
    name="yolo",
    title="YOLO",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    becomes=_becomes,
    settings={
        "kind": "what lines are: detect, segment, pose or obb; auto: by how many numbers they have "
        "when reading, by what regions are when writing; classify: folders of classes "
        "of images (only written; they are read as folders)",
        "scores": "yes: write the score of a region after its numbers (no trainer reads that)",
    },
)
