"""Where the images and label files of a YOLO dataset lie, and which belong together."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from voyager.formats.base import is_image_name
from voyager.formats.yolo.config import is_names_file, is_yaml_file

SIZES: Final = "image-sizes.csv"
"""The names and sizes of all images of an export, for when they are not beside it."""

_LABEL_FOLDERS = frozenset({"labels", "labeltxt", "annotations"})
_IMAGE_FOLDERS = frozenset({"images", "jpegimages", "imgs"})
_READMES = ("readme", "license", "licence", "notice", "changelog", "requirements")
_LIST_NAMES = frozenset({"train", "val", "valid", "test", "trainval", "training", "validation"})


@dataclass(slots=True)
class Tree:
    """The files of a dataset: images and label files by path, and what describes them."""

    images: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    yamls: list[str] = field(default_factory=list)
    datas: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sizes: str | None = None


def find_tree(names: Iterable[str]) -> Tree:
    """Sort the relative paths of a source's files."""
    tree = Tree()
    for name in names:
        if is_image_name(name):
            tree.images.add(name)
        elif is_yaml_file(name):
            tree.yamls.append(name)
        elif name.lower().endswith(".data"):
            tree.datas.append(name)
        elif is_names_file(name):
            tree.names.append(name)
        elif name == SIZES:
            tree.sizes = name
        elif name.lower().endswith(".txt") and not _is_readme(name):
            tree.texts.add(name)
    return tree


def _is_readme(name: str) -> bool:
    return posixpath.basename(name).lower().startswith(_READMES)


def is_list_name(name: str) -> bool:
    """Whether a text file is by its name the list of a part."""
    return os.path.splitext(posixpath.basename(name))[0].lower() in _LIST_NAMES


def bare(path: str) -> str:
    """A path without its extension and without folders that say images or labels.

    What is left is the same for an image and its labels.
    """
    *folders, last = os.path.splitext(path)[0].split("/")
    kept = [f for f in folders if f.lower() not in _LABEL_FOLDERS | _IMAGE_FOLDERS]
    return "/".join([*kept, last])


def is_label_place(name: str) -> bool:
    """Whether a text file lies in a folder for labels."""
    return any(part.lower() in _LABEL_FOLDERS for part in name.split("/")[:-1])


def usual_label(image: str) -> str:
    """Where Ultralytics looks for the labels of an image: the last `images` becomes `labels`."""
    stem = os.path.splitext(image)[0]
    head, found, tail = ("/" + stem).rpartition("/images/")
    return (f"{head}/labels/{tail}" if found else "/" + stem)[1:] + ".txt"


def usual_image(label: str) -> str:
    """The image of a label file, without its extension, by the same rule."""
    stem = os.path.splitext(label)[0]
    head, found, tail = ("/" + stem).rpartition("/labels/")
    return (f"{head}/images/{tail}" if found else "/" + stem)[1:]


class Labels:
    """Finds the label file of an image."""

    def __init__(self, texts: set[str]) -> None:
        self._texts = texts
        self._bare: dict[str, str] = {}
        for name in sorted(texts, reverse=True):
            self._bare[bare(name)] = name

    def of(self, image: str) -> str | None:
        """The label file of an image: where it usually is, beside it, or where paths agree."""
        for name in (usual_label(image), os.path.splitext(image)[0] + ".txt"):
            if name in self._texts:
                return name
        return self._bare.get(bare(image))
