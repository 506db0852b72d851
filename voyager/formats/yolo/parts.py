"""Which part of a YOLO dataset an image is in, by the folders and lists that data.yaml names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

from voyager.errors import InvalidDataError
from voyager.formats.base import clean_name
from voyager.formats.report import Report
from voyager.formats.splits import split_of, split_of_path
from voyager.formats.yolo.config import Config

ReadText = Callable[[str], str]


class Parts:
    """Splits by folder and by image; images that are only listed."""

    def __init__(
        self, config: Config, images: set[str], texts: set[str], read: ReadText, report: Report
    ) -> None:
        self._images = images
        self._files = images | texts
        self._folders = {folder for name in self._files for folder in _folders_of(name)}
        self._report = report
        self._read = read
        self._config = config
        self.by_image: dict[str, str | None] = {}
        self.by_folder: dict[str, str | None] = {}
        self.lists: set[str] = set()
        for word, place in config.parts:
            self._add(split_of(word), place)

    def _add(self, split: str | None, place: str) -> None:
        if place.lower().endswith(".txt"):
            name = self._resolve(place, self._files)
            if name is not None:
                self.add_list(split, name)
                return
        else:
            name = self._resolve(place, self._folders)
        if name is None:
            if split != split_of_path(place + "/") or not self._has(split):
                self._report.add("extra", "a part names no folder or list", f"{split}: {place}")
            return
        said = self.by_folder.setdefault(name, split)
        if said != split:
            self.by_folder[name] = None  # one folder for several parts parts nothing

    def _has(self, split: str | None) -> bool:
        return any(split_of_path(image) == split for image in self._images)

    def add_list(self, split: str | None, name: str) -> None:
        """Take a list of images, a path a line."""
        self.lists.add(name)
        for number, line in enumerate(self._read(name).splitlines(), 1):
            if not line.strip():
                continue
            image = self._resolve(line, self._images, posixpath.dirname(name))
            if image is None:
                image = clean_name(line, name, number)
            if self.by_image.setdefault(image, split) != split:
                self.by_image[image] = None

    def _resolve(self, text: str, known: set[str], near: str = "") -> str | None:
        """What a path names below the source, however far above it begins; None for nothing.

        Paths are written relative to the file, to `path`, to the folder that training starts in,
        or absolute on another machine: the longest end of it that is here is meant.
        """
        words = [word for word in re.split(r"[/\\]+", text.strip()) if word not in ("", ".")]
        words = words[max((n + 1 for n, word in enumerate(words) if word == ".."), default=0) :]
        bases = dict.fromkeys([near, self._base(), self._config.folder, ""])
        for start in range(len(words)):
            tail = "/".join(words[start:])
            for base in bases:
                name = f"{base}/{tail}" if base else tail
                if name in known:
                    return name
        return "" if known is self._folders and not words else None

    def _base(self) -> str:
        words = [word for word in re.split(r"[/\\]+", self._config.base) if word not in ("", ".")]
        joined = posixpath.join(self._config.folder, *words)
        return joined if joined in self._folders else self._config.folder

    def split(self, name: str) -> str | None:
        """The part of an image: by lists, by the nearest named folder, by words in its path."""
        if name in self.by_image:
            return self.by_image[name]
        for folder in reversed(list(_folders_of(name))):
            if folder in self.by_folder:
                return self.by_folder[folder]
        return split_of_path(name)


def _folders_of(name: str) -> Iterator[str]:
    """The folders of a path, the outermost first; the empty name is the source itself."""
    yield ""
    at = name.find("/")
    while at >= 0:
        yield name[:at]
        at = name.find("/", at + 1)


def parse_sizes(text: str, path: str) -> dict[str, tuple[int, int] | None]:
    """Image name → (width, height), None where it is not known, of an `image-sizes.csv`."""
    import csv
    import io

    found: dict[str, tuple[int, int] | None] = {}
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in rows:
            if row == ["image", "width", "height"] or not row:
                continue
            if len(row) != 3 or not all(re.fullmatch(r"\d{0,9}", side) for side in row[1:]):
                raise InvalidDataError("expected image,width,height", path=path, line=rows.line_num)
            name = clean_name(row[0], path, rows.line_num)
            sides = [int(side or 0) for side in row[1:]]
            found[name] = (sides[0], sides[1]) if all(sides) else None
    except csv.Error as error:
        raise InvalidDataError(f"not CSV: {error}", path=path, line=rows.line_num) from None
    return found
