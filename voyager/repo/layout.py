"""Where a repository lies: `.vgr` beside the working tree, or a bare folder."""

from __future__ import annotations

from pathlib import Path

from voyager.errors import NotFoundError

FOLDER = ".vgr"
PART = ".part"
"""What the folder of a clone ends with until all is in it."""


def find_folder(start: Path) -> Path | None:
    """The folder of the store that holds `start`, in it or above it; nothing is opened."""
    for folder in (start, *start.parents):
        for store in (folder / FOLDER, folder):
            if (store / "SPEC").is_file() and (store / "packs").is_dir():
                return store
    return None


def find(start: Path) -> Path:
    """As `find_folder`; NotFoundError when there is none."""
    folder = find_folder(start)
    if folder is None:
        if (start / f"{FOLDER}{PART}").is_dir():
            raise NotFoundError(
                f"the clone in {start} is not finished",
                hint=f"vgr clone URL {start} goes on with it",
            )
        raise NotFoundError(f"no repository at {start} or above it", hint="vgr init")
    return folder


def cached_blob(folder: Path, blob: bytes) -> Path:
    """Where a lazy clone keeps the bytes of an image that was looked at."""
    name = blob.hex()
    return folder / "cache" / "blobs" / name[:2] / name


def derived_folder(folder: Path) -> Path:
    """Where the values lie that are derived from images, thumbnails among them."""
    return folder / "cache" / "derived"


def vectors_folder(folder: Path) -> Path:
    """Where search keeps the vectors of images and their regions, a folder for each model."""
    return folder / "cache" / "search" / "vectors"


def texts_folder(folder: Path) -> Path:
    """Where search keeps its index of keys, captions and other words."""
    return folder / "cache" / "search" / "text"
