"""Vectors that no version has any more: where they are most of a model's, all of them go.

What is needed is laid out again by the next search, from the cache of derived values.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from voyager.repo.check import iter_snapshots
from voyager.repo.layout import vectors_folder
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES, read_snapshot
from voyager.search import manifest
from voyager.search.version_file import VersionFiles
from voyager.store import files


def sweep_vectors(repo: Repository) -> int:
    """Delete the vectors of models of which most are in no version that is left; bytes freed."""
    folder = vectors_folder(repo.folder)
    if not folder.is_dir():
        return 0
    roots = {read_snapshot(repo.store, snapshot).get(SAMPLES) for snapshot in iter_snapshots(repo)}
    return sum(_sweep(model, roots) for model in sorted(folder.iterdir()))


def _sweep(folder: Path, roots: Collection[bytes | None]) -> int:
    known = manifest.read(folder / "manifest")
    if known is None:
        return 0
    live = np.zeros(sum(one.count for one in known.segments), np.bool_)
    for versions in map(VersionFiles, folder.glob("versions-*")):
        for root in reversed(versions.roots()):  # reading one makes it the one used last
            if root not in roots:
                versions.forget(root)
            elif (had := versions.read(root, known.token)) is not None:
                live[: len(had.mask)] |= had.mask[: len(live)]
    if np.count_nonzero(live) * 2 >= len(live):
        return 0
    freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    files.remove_tree(folder)
    return freed
