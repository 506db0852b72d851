"""How much a version holds and what the store takes for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import FILES, SAMPLES
from voyager.schema import decode_file, decode_sample
from voyager.store import bulk

_PARTS = {
    "packs": ("packs",),
    "journal": ("journal", "log"),
    "index": ("index",),
    "cache": ("cache",),
    "trash": ("trash",),
}


@dataclass(slots=True)
class Folder:
    """What lies below one top folder of keys."""

    samples: int = 0
    files: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Usage:
    """What a version holds: `bytes` counts every key, `unique_bytes` every content once.

    `absent` are samples whose image is pending or purged.
    """

    samples: int = 0
    files: int = 0
    bytes: int = 0
    unique_blobs: int = 0
    unique_bytes: int = 0
    absent: int = 0
    folders: dict[str, Folder] = field(default_factory=dict)


def usage_of(dataset: Dataset) -> Usage:
    """Count a version, in one walk over its rows."""
    found = Usage()
    seen: set[bytes] = set()
    with bulk.paused_gc():
        for space in (SAMPLES, FILES):
            for key, row in dataset.rows(space):
                _count(found, seen, space, key, row)
    found.unique_blobs = len(seen)
    return found


def _count(found: Usage, seen: set[bytes], space: str, key: bytes, row: bytes) -> None:
    top, slash, _ = key.partition(b"/")
    folder = found.folders.setdefault(top.decode() if slash else "", Folder())
    if space == FILES:
        found.files += 1
        folder.files += 1
    else:
        found.samples += 1
        folder.samples += 1
    blobs = list(_blobs_of(space, row))
    found.absent += not blobs and space == SAMPLES
    for blob, size in blobs:
        found.bytes += size
        folder.bytes += size
        if blob not in seen:
            seen.add(blob)
            found.unique_bytes += size


def _blobs_of(space: str, row: bytes) -> Iterator[tuple[bytes, int]]:
    """(blob id, size) of the image and the other files of a row."""
    if space == FILES:
        file = decode_file(row)
        yield file.blob_id, file.bytes
        return
    sample = decode_sample(row)
    if sample.image.blob_id is not None:
        yield sample.image.blob_id, sample.image.bytes or 0
    for asset in sample.assets.values():
        yield asset.blob_id, asset.bytes


def store_sizes(folder: Path) -> dict[str, int]:
    """Bytes on disk of each part of the store."""
    return {part: sum(_size_of(folder / name) for name in names) for part, names in _PARTS.items()}


def _size_of(path: Path) -> int:
    if path.is_dir():
        return sum(_size_of(Path(entry.path)) for entry in os.scandir(path))
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0
    # The index is a sparse file: what it claims is more than what it takes.
    return min(found.st_size, getattr(found, "st_blocks", found.st_size) * 512)
