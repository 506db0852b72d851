"""The vectors that search keeps beside derived values: a folder for each model, made of embeddings.

They count under the limit of derived values. Losing them costs no decode as long as the embeddings
that they are made of are there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from voyager.derived.room import iter_kept, note_use
from voyager.repo.layout import derived_folder, vectors_folder
from voyager.store import files

_NAME: Final = "vectors-"
_MANIFEST: Final = "manifest"


class KeptVectors(NamedTuple):
    """The vectors of one model: what they are listed as, where, how many bytes, when used last."""

    name: str
    path: Path
    bytes: int
    used: float

    @property
    def embedding(self) -> str:
        """The derived value that they are made of."""
        return f"embedding-{self.name.removeprefix(_NAME)}"

    def remove(self) -> None:
        """Delete them; a search that reads them meanwhile makes them again."""
        files.remove_tree(self.path)


def kept_vectors(folder: Path) -> list[KeptVectors]:
    """The vectors that a repository keeps, those used last at the end."""
    return sorted(_iter_vectors(vectors_folder(folder)), key=lambda one: one.used)


def note_vectors_used(folder: Path) -> None:
    """Remember that vectors of a model were searched."""
    note_use(folder / _MANIFEST)


def room_for_values(folder: Path, limit: int) -> int:
    """How many bytes derived values may take beside vectors.

    Above the limit vectors of other models than the latest go, those first that were not used for
    longest. Half of the limit is for values, however large vectors are.
    """
    vectors = kept_vectors(folder)
    total = sum(one.bytes for one in vectors)
    values = sum(one.bytes for one in iter_kept(derived_folder(folder))) if vectors else 0
    for one in vectors[:-1]:
        if total + values <= limit:
            break
        one.remove()
        total -= one.bytes
    return max(limit - total, limit // 2)


def _iter_vectors(folder: Path) -> Iterator[KeptVectors]:
    try:
        models = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for model in models:
        path = Path(model.path)
        times, size = [model.stat().st_mtime], 0
        for each in path.rglob("*"):
            with contextlib.suppress(OSError):
                found = each.stat()
                size += found.st_size
                times += [found.st_mtime] if each.name == _MANIFEST else []
        yield KeptVectors(f"{_NAME}{model.name}", path, size, max(times))
