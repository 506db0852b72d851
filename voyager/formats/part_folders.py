"""Names of exported images in folders of their parts: `train/a-b.jpg` for the key `a/b.jpg`."""

from __future__ import annotations

import re
from collections.abc import Callable

from voyager.formats.splits import split_of
from voyager.formats.writing import Writing, flat_name

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WORD = re.compile(r"[^\x00-\x1f\x7f/\\:]+")


class PartFolders:
    """Gives every image a path: the folder of its part, if it has one, and its key in one word.

    No two stems are the same, wherever they lie. `fits` says which splits can be a folder of the
    format; `parts` are those that were met.
    """

    def __init__(self, writing: Writing, fits: Callable[[str], bool]) -> None:
        self._writing = writing
        self._fits = fits
        self._stems: set[str] = set()
        self.parts: set[str] = set()

    def name(self, key: str, split: str | None) -> str:
        """The path of an image."""
        part = self._part(split)
        folders = key.split("/")
        if len(folders) > 1 and folders[0] == "images":
            del folders[0]
        if len(folders) > 1 and part and split_of(folders[0]) == part:
            del folders[0]
        flat = flat_name(_CONTROL.sub("_", "/".join(folders)), self._stems)
        return f"{part}/{flat}" if part else flat

    def _part(self, split: str | None) -> str:
        if split is None:
            return ""
        is_word = _WORD.fullmatch(split) is not None and split == split.strip()
        if not is_word or split in (".", "..") or not self._fits(split):
            self._writing.report.add("lost", "a split that cannot be a folder", split)
            return ""
        self.parts.add(split)
        return split
