"""Which mask files belong to which image: one of classes, or one of each object."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from voyager.formats.base import is_image_name

IMAGE_FOLDERS: Final = ("images", "image", "imgs", "img", "JPEGImages", "photos", "input", "inputs")
MASK_FOLDERS: Final = frozenset(
    {
        *("masks", "mask", "labels", "annotations", "gt", "groundtruth", "ground_truth"),
        *("segmentation", "segmentations", "targets", "target", "segmentationclasspng"),
    }
)
_MASK_ENDINGS: Final = ("annot", "_annot", "_labels", "_masks", "_mask", "_gt", "-masks", "-labels")
_SUFFIXES: Final = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_l", "-mask", "_image")
_PREFIXES: Final = ("gt_", "mask_", "image_", "img_", "label_")
_MASK_TYPES: Final = (".png", ".bmp", ".tif", ".tiff", ".gif")


@dataclass(slots=True)
class Pair:
    """An image and its masks; `name` is where it is, or would be (then without an extension).

    `objects` are files of one object each, `classes` a file whose pixels are numbers of classes.
    """

    name: str
    here: bool
    objects: list[str] = field(default_factory=list)
    classes: str | None = None


def is_mask_folder(name: str) -> bool:
    """Whether a folder is by its name one of masks."""
    word = name.lower()
    return word in MASK_FOLDERS or (word.endswith(_MASK_ENDINGS) and word not in _MASK_ENDINGS)


def is_mask_name(name: str) -> bool:
    """Whether a file is a mask by where it lies and its type."""
    typed = os.path.splitext(name)[1].lower() in _MASK_TYPES
    return typed and any(map(is_mask_folder, name.split("/")[:-1]))


def find_pairs(
    names: Iterable[str], prefixes: tuple[str, ...] = (), layout: str = "auto"
) -> list[Pair]:
    """The images among relative paths of files, each with its masks, in order.

    `prefixes` begin the names of images and masks, beside those that are usual.
    """
    images: list[str] = []
    masks: list[str] = []
    for name in names:
        if is_mask_name(name):
            masks.append(name)
        elif is_image_name(name):
            images.append(name)
    return _Pairing(images, prefixes, layout).pairs(masks)


class _Pairing:
    def __init__(self, images: list[str], prefixes: tuple[str, ...], layout: str) -> None:
        self._prefixes = tuple(p.lower() for p in prefixes if p) + _PREFIXES
        self._layout = layout
        self._pairs = {name: Pair(name, here=True) for name in images}
        self._exact: dict[str, str] = {}
        self._loose: dict[str, str] = {}
        self._in_folder: dict[str, list[str]] = {}
        for name in reversed(images):
            stem = os.path.splitext(name)[0]
            self._exact[stem] = name
            self._loose[self._bare(stem)] = name
            self._in_folder.setdefault(name.rpartition("/")[0], []).append(name)

    def pairs(self, masks: list[str]) -> list[Pair]:
        """All images and their masks."""
        for mask in masks:
            self._place(mask)
        return [self._pairs[name] for name in sorted(self._pairs)]

    def _bare(self, stem: str) -> str:
        """A stem without what only says image or mask."""
        folder, slash, last = stem.rpartition("/")
        last = last.lower()
        for prefix in self._prefixes:
            if last.startswith(prefix) and len(last) > len(prefix):
                last = last[len(prefix) :]
                break
        for suffix in _SUFFIXES:
            if last.endswith(suffix) and len(last) > len(suffix):
                last = last[: -len(suffix)]
                break
        return folder + slash + last

    def _place(self, mask: str) -> None:
        stem = os.path.splitext(mask)[0]
        places = list(_image_places(stem))
        if self._layout != "instances":
            for known, made in ((self._exact, str), (self._loose, self._bare)):
                for place in places:
                    name = known.get(made(place))
                    if name is not None and self._pairs[name].classes is None:
                        self._pairs[name].classes = mask
                        return
        if self._layout != "semantic" and self._place_object(mask, stem, places):
            return
        first = places[0]
        if self._layout == "instances":
            first = first.rpartition("/")[0] or first
        pair = self._pairs.setdefault(first, Pair(first, here=False))
        if self._layout == "instances":
            pair.objects.append(mask)
        elif pair.classes is None:
            pair.classes = mask

    def _place_object(self, mask: str, stem: str, places: list[str]) -> bool:
        """Give a mask of one object to its image: masks/<image>/…, or the only one in a folder."""
        for place in places:
            owner = self._exact.get(place.rpartition("/")[0])
            if owner is not None:
                self._pairs[owner].objects.append(mask)
                return True
        for place in places:
            alone = self._in_folder.get(place.rpartition("/")[0], [])
            if len(alone) == 1 and place.count("/"):
                self._pairs[alone[0]].objects.append(mask)
                return True
        if self._layout == "auto" and is_listed_object(stem):
            owner = places[0].rpartition("/")[0]
            self._pairs.setdefault(owner, Pair(owner, here=False)).objects.append(mask)
            return True
        return False


def is_listed_object(stem: str) -> bool:
    """Whether a mask is named as exports name those of objects: masks/<image>/0001."""
    folders = stem.split("/")
    return len(folders) > 2 and folders[-1].isdecimal() and len(folders[-1]) == 4


def _image_places(stem: str) -> Iterator[str]:
    """Where the image of a mask may be: its path with the folder of masks put another way."""
    folders = stem.split("/")
    for depth in range(len(folders) - 2, -1, -1):
        word = folders[depth]
        if not is_mask_folder(word):
            continue
        for other in IMAGE_FOLDERS:
            yield "/".join([*folders[:depth], other, *folders[depth + 1 :]])
        for ending in _MASK_ENDINGS:
            if word.lower().endswith(ending) and len(word) > len(ending):
                yield "/".join([*folders[:depth], word[: -len(ending)], *folders[depth + 1 :]])
        yield "/".join([*folders[:depth], *folders[depth + 1 :]])
