"""The weights of a run as a file of its own, kept in the cache for what reads files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voyager.errors import NotFoundError
from voyager.repo.repository import Repository
from voyager.store import files
from voyager.train.record import WEIGHTS, Run

_MOST: Final = 8
"""Files that are kept; the longest unused go first."""


def weights_file(repo: Repository, run: Run) -> Path:
    """`cache/models/HASH.safetensors`, written when it is not there; NotFoundError where the
    weights are not kept."""
    blob = run.files.get(WEIGHTS)
    if blob is None:
        raise NotFoundError(
            f"run {run.id} has no weights of a network", hint=f"vgr runs show {run.id}"
        )
    folder = repo.folder / "cache" / "models"
    path = folder / f"{blob.hex()[:32]}.safetensors"
    if path.exists():
        path.touch()
        return path
    files.make_folder(folder)
    files.keep_newest(folder, _MOST - 1)
    files.replace(path, repo.store.iter_blob(blob))
    return path
