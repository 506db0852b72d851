"""The file of a page: written in one step, and never in place of something else."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from voyager.errors import ExistsError, NotFoundError
from voyager.store import files

_START: Final = b"<!doctype html>"


def check_page_file(path: Path | None) -> None:
    """ExistsError for a file that is no page, NotFoundError for one in no folder."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise NotFoundError(f"no folder '{path.parent}' for {path.name}")
    if path.is_file() and not _is_page(path):
        raise ExistsError(f"'{path}' is there, and is no page", hint="name another file")


def write_page_file(path: Path, parts: Iterable[str]) -> None:
    """Write a page from its parts; an older one stays until the new one is whole."""
    check_page_file(path)
    if path.exists() and not path.is_file():  # a pipe or a terminal; a folder raises
        with path.open("w", encoding="utf-8") as file:
            file.writelines(parts)
        return
    try:
        files.replace(path.resolve(), (part.encode() for part in parts))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename = str(path)  # else nobody says what was written
        raise


def _is_page(path: Path) -> bool:
    """Whether a file is HTML, or empty."""
    with path.open("rb") as file:
        start = file.read(len(_START)).lower()
    return start in (b"", _START)
