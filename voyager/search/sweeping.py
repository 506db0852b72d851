"""Vectors that nobody needs: of a model that was not asked for long, or mostly of versions gone.

All vectors of such a model go. What is needed is laid out again by the next search, from the cache
of derived values.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np

from voyager.repo.check import iter_snapshots
from voyager.repo.layout import vectors_folder
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES, read_snapshot
from voyager.search import manifest
from voyager.search.version_file import VersionFiles
from voyager.store import files

_UNUSED_SECONDS: Final = 60 * 86_400
"""A model that no search has used for so long may be one that nobody will."""


def sweep_vectors(repo: Repository, *, now: float | None = None) -> int:
    """Delete the vectors of models that nobody needs; bytes freed."""
    folder = vectors_folder(repo.folder)
    if not folder.is_dir():
        return 0
    roots = {read_snapshot(repo.store, snapshot).get(SAMPLES) for snapshot in iter_snapshots(repo)}
    before = (time.time() if now is None else now) - _UNUSED_SECONDS
    return sum(
        _remove(model)
        for model in sorted(folder.iterdir())
        if _last_used(model) < before or _is_mostly_dead(model, roots)
    )


def _last_used(folder: Path) -> float:
    """When a search wrote vectors, or read which of them a version has."""
    paths = [folder, *folder.glob("manifest"), *folder.glob("versions-*/*")]
    return max(path.stat().st_mtime for path in paths)


def _is_mostly_dead(folder: Path, roots: Collection[bytes | None]) -> bool:
    known = manifest.read(folder / "manifest")
    if known is None:
        return False
    live = np.zeros(sum(one.count for one in known.segments), np.bool_)
    for versions in map(VersionFiles, folder.glob("versions-*")):
        for root in reversed(versions.roots()):  # reading one makes it the one used last
            if root not in roots:
                versions.forget(root)
            elif (had := versions.read(root, known.token)) is not None:
                live[: len(had.mask)] |= had.mask[: len(live)]
    return bool(np.count_nonzero(live) * 2 < len(live))


def _remove(folder: Path) -> int:
    freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    files.remove_tree(folder)
    return freed
