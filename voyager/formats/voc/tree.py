"""Where the files of a Pascal VOC dataset lie: below one or several roots, or all in one folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from voyager.formats.base import is_image_name

IMAGE_FOLDERS: Final = ("JPEGImages", "images", "Images", "imgs")
CLASS_FOLDER: Final = "SegmentationClass"
OBJECT_FOLDER: Final = "SegmentationObject"
_ANNOTATIONS = ("Annotations", "annotations", "xmls")


@dataclass(slots=True)
class Base:
    """The files of one VOC tree by stem; a stem is the path below its folder, without extension.

    `prefix` is the tree's own folder with a slash, empty for the root.
    """

    prefix: str
    xmls: dict[str, str] = field(default_factory=dict)
    images: dict[str, list[str]] = field(default_factory=dict)
    class_masks: dict[str, str] = field(default_factory=dict)
    object_masks: dict[str, str] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)
    labelmap: str | None = None

    def stems(self) -> set[str]:
        """All images that a file speaks of."""
        return {*self.xmls, *self.images, *self.class_masks, *self.object_masks}


def find_bases(names: Iterable[str]) -> list[Base]:
    """The trees among the relative paths of a source's files, and their files."""
    bases: dict[str, Base] = {}
    loose: list[str] = []
    for name in names:
        _place(bases, name, loose)
    for name in loose:
        _place_loose(bases, name)
    return [bases[prefix] for prefix in sorted(bases)]


def _place(bases: dict[str, Base], name: str, loose: list[str]) -> None:
    stem, suffix = os.path.splitext(name)
    split = stem.split("/")
    for depth, folder in enumerate(split[:-1]):
        inside = "/".join(split[depth + 1 :])
        prefix = "".join(part + "/" for part in split[:depth])
        if folder in _ANNOTATIONS and suffix.lower() == ".xml":
            if split[depth + 1] in _ANNOTATIONS and depth + 2 < len(split):
                inside = "/".join(split[depth + 2 :])
            _base(bases, prefix).xmls[inside] = name
        elif folder in (CLASS_FOLDER, OBJECT_FOLDER) and is_image_name(name):
            base = _base(bases, prefix)
            masks = base.class_masks if folder == CLASS_FOLDER else base.object_masks
            masks[inside] = name
        elif folder in IMAGE_FOLDERS and is_image_name(name):
            _base(bases, prefix).images.setdefault(inside, []).append(name)
        elif folder == "ImageSets" and suffix.lower() == ".txt":
            _base(bases, prefix).lists.append(name)
        else:
            continue
        return
    if split[-1] == "labelmap" and suffix == ".txt":
        _base(bases, "".join(part + "/" for part in split[:-1])).labelmap = name
    elif suffix.lower() == ".xml" or is_image_name(name):
        loose.append(name)


def _place_loose(bases: dict[str, Base], name: str) -> None:
    """A file outside of the folders of a tree: beside others, as in exports of Roboflow."""
    stem, suffix = os.path.splitext(name)
    base = _base(bases, "")
    if suffix.lower() == ".xml":
        base.xmls[stem] = name
    else:
        base.images.setdefault(stem, []).append(name)


def _base(bases: dict[str, Base], prefix: str) -> Base:
    return bases.setdefault(prefix, Base(prefix))
