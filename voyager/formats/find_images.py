"""Finding the image that a label file names: on disk near it, in --images, or in the repository."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from voyager.formats.version_images import VersionImages
from voyager.images import probe
from voyager.repo.dataset import Dataset
from voyager.schema import Image

_HEAD_BYTES = 256 * 1024
_SUFFIXES = (".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".JPEG", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image: its file where it is on disk, its key where the repository has it, its size.

    Width and height are pixels of the stored image (before orientation), None when unknown.
    """

    path: Path | None
    key: str | None
    width: int | None
    height: int | None
    orientation: int = 1


class ImageFinder:
    """Looks in the folders that the user and the format name, then among the keys of a version.

    `folders` come first (`--images`), then the folders that a reader names, then the source's own.
    A name without an extension is tried with those of images. Nothing outside these folders is
    ever looked at.
    """

    def __init__(
        self,
        version: Dataset,
        folders: Iterable[Path],
        root: Path,
        to: str = "",
        *,
        names: Mapping[str, str] | None = None,
        removed: Mapping[str, Image] | None = None,
    ) -> None:
        self._names = names or {}
        self._removed = removed or {}
        self._listed: dict[tuple[Path, str], frozenset[str]] = {}
        self._version = version
        self.known = VersionImages(version)
        """The images that the version has."""
        self._folders = list(folders)
        self._root = root
        self._to = to

    def find(self, name: str, near: Iterable[Path] = ()) -> FoundImage | None:
        """The image of that name, or None."""
        path = self.find_file(name, near)
        if path is not None:
            return _on_disk(path)
        key = self.find_key(name)
        return None if key is None else self._in_version(key)

    def find_file(self, name: str, near: Iterable[Path] = ()) -> Path | None:
        """The file of that name, or None."""
        folder, _, base = name.rpartition("/")
        spellings = _spellings(base)
        for top in (*self._folders, *near, self._root):
            found = self._in_folder(top, folder, spellings)
            if found is not None:
                return found
        if folder:
            for top in self._folders:  # --images DIR holds the images, whatever the labels say
                found = self._in_folder(top, "", spellings)
                if found is not None:
                    return found
        return None

    def _in_folder(self, top: Path, folder: str, names: Iterable[str]) -> Path | None:
        """The first of these names that is a file of a folder; folders are listed once."""
        known = self._listed.get((top, folder))
        if known is None:
            known = self._listed[top, folder] = _files_of(top / folder)
        if known:
            for name in names:
                if name in known:
                    return top / folder / name
        return None

    def find_key(self, name: str) -> str | None:
        """The key that a name means: the key itself, below --to, or the only one ending in it."""
        if name in self._names:
            return self._names[name]
        if name in self._removed:
            return name
        for key in dict.fromkeys((f"{self._to}/{name}" if self._to else name, name)):
            if key in self.known:
                return key
        found = self._by_name.get(os.path.basename(name), ())
        if not found and "." not in os.path.basename(name):
            found = self._by_stem.get(os.path.basename(name), ())
            name = ""
        below = f"{self._to}/" if self._to else ""
        matching = [
            key for key in found if key.startswith(below) and (not name or _ends(key, name))
        ]
        return matching[0] if len(matching) == 1 else None

    def by_origin(self) -> dict[int | str, str]:
        """The id that a source gave an image → its key, of ids that only one sample has."""
        found: dict[int | str, str] = {}
        twice: set[int | str] = set()
        for key, sample in self._version.items():
            number = None if sample.origin is None else sample.origin.id
            if number is not None and found.setdefault(number, key) != key:
                twice.add(number)
        return {number: key for number, key in found.items() if number not in twice}

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in self.known.all:
            found.setdefault(key.rpartition("/")[2], []).append(key)
        return found

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, keys in self._by_name.items():
            found.setdefault(os.path.splitext(name)[0], []).extend(keys)
        return found

    def _in_version(self, key: str) -> FoundImage | None:
        image = self.known.get(key) or self._removed.get(key)
        if image is None:
            return None
        return FoundImage(None, key, image.width, image.height, image.orientation)


def _spellings(name: str) -> list[str]:
    if os.path.splitext(name)[1].lower() in _SUFFIXES:
        return [name]
    return [name, *(name + suffix for suffix in _SUFFIXES)]


def _files_of(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()


def _ends(key: str, name: str) -> bool:
    return key == name or key.endswith("/" + name)


def _on_disk(path: Path) -> FoundImage:
    with open(path, "rb") as file:
        info = probe(file.read(_HEAD_BYTES), path.name)
    if info is None:
        return FoundImage(path, None, None, None)
    return FoundImage(path, None, info.width or None, info.height or None, info.orientation)
