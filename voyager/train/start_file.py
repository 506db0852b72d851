"""What a training starts from: which file or folder it is, and that it stays the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from voyager.derived.transformer_tower import tower_hash
from voyager.errors import NotFoundError, StateError
from voyager.models import trunk_names
from voyager.repo.repository import Repository
from voyager.train.record import WEIGHTS, Record, find_run
from voyager.train.weights_file import weights_file


@dataclass(frozen=True, slots=True)
class StartFile:
    """A file of weights, or the folder of a model, and what a record says of it."""

    path: Path
    named: str
    """How it is found again from everywhere: the id of a run, or the whole path."""
    digest: str
    """The BLAKE3 of a file's bytes, or the id of a folder's model, in hex."""
    run: str = ""
    is_model: bool = False
    """Whether it is the folder of a model, which says what the network is too."""

    @property
    def settings(self) -> dict[str, Any]:
        """The setting that names it."""
        return {"model" if self.is_model else "start": self.named}


def find_start(repo: Repository, text: str, *, pinned: Record | None = None) -> StartFile:
    """The file of a path, or the weights of a run.

    NotFoundError where there is neither. With `pinned`, the record of a training that started from
    it, StateError for a file with other bytes.
    """
    path = Path(text)
    if path.is_file():
        found = StartFile(path, str(path.resolve()), _digest(path))
    else:
        try:
            run = find_run(repo, text)
        except NotFoundError:
            raise NotFoundError(f"no file and no run '{text}'", hint="vgr runs") from None
        found = StartFile(weights_file(repo, run), run.id, run.files[WEIGHTS].hex(), run.id)
    _refuse_other(text, found, pinned)
    return found


def is_model_folder(model: str) -> bool:
    """Whether a model is named by the folder that it lies in."""
    return model not in trunk_names() and Path(model).is_dir()


def folder_start(model: str, *, pinned: Record | None = None) -> StartFile | None:
    """The folder of a model; None for a network that is known by its name.

    With `pinned`, the record of a training of that model, NotFoundError where the folder is gone,
    StateError where another model is in it.
    """
    if not is_model_folder(model):
        if pinned is not None and pinned.tower:
            raise NotFoundError(
                f"no folder '{model}', and run {pinned.run} started from the model in it",
                hint=f"vgr train --from {pinned.run}",
            )
        return None
    path = Path(model).resolve()
    found = StartFile(path, str(path), tower_hash(path).hex(), is_model=True)
    _refuse_other(model, found, pinned)
    return found


def _refuse_other(text: str, found: StartFile, pinned: Record | None) -> None:
    if pinned is not None and pinned.start_hash not in ("", found.digest):
        raise StateError(
            f"'{text}' is not what run {pinned.run} started from: its hash is"
            f" {found.digest[:16]}, and was {pinned.start_hash[:16]}",
            hint=f"vgr runs show {pinned.run}",
        )


def _digest(path: Path) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            hasher.update(part)
    return hasher.hexdigest()
