"""By which name an image is known that a label file calls by its stem, or without its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from voyager.formats.reading import Reading


def known_name(reading: Reading, root: Path, name: str, near: Iterable[Path] = ()) -> str | None:
    """The name of an image that is on disk or in the repository, its extension added if missing.

    A file below `root` is named by its path there; None when there is no such image.
    """
    path = reading.images.find_file(name, near)
    if path is not None:
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
        return _with_suffix(name, path.name)
    key = reading.images.find_key(name)
    return None if key is None else _with_suffix(name, key)


def _with_suffix(name: str, found: str) -> str:
    suffix = os.path.splitext(found)[1]
    return name if name.endswith(suffix) else name + suffix
