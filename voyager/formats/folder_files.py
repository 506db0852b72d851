"""All files of a dataset's folder, however many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from voyager.errors import InvalidDataError
from voyager.formats.base import RECORD_NAME


def iter_files(root: Path) -> Iterator[str]:
    """Relative paths with `/` of all files below a folder, in a stable order.

    Hidden files and folders, and records of exports, are left out; links to folders are not
    followed.
    """
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if inside == "." else inside + "/"
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(RECORD_NAME):
                yield prefix + name


def read_file(root: Path, name: str) -> bytes:
    """The bytes of a file below a folder; InvalidDataError when it cannot be read."""
    try:
        return (root / name).read_bytes()
    except OSError as error:
        raise InvalidDataError(f"cannot be read: {error.strerror}", path=name) from None
