"""The checkpoint that a training starts from: which file it is, and that it stays the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from voyager.errors import NotFoundError, StateError
from voyager.repo.repository import Repository
from voyager.train.record import WEIGHTS, Record, find_run
from voyager.train.weights_file import weights_file


@dataclass(frozen=True, slots=True)
class StartFile:
    """A file of weights, and what a record says of it."""

    path: Path
    named: str
    """How it is found again from everywhere: the id of a run, or the whole path of a file."""
    digest: str
    """The BLAKE3 of its bytes, in hex."""
    run: str = ""


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
    if pinned is not None and pinned.start_hash not in ("", found.digest):
        raise StateError(
            f"'{text}' is not what run {pinned.run} started from: its hash is"
            f" {found.digest[:16]}, and was {pinned.start_hash[:16]}",
            hint=f"vgr runs show {pinned.run}",
        )
    return found


def _digest(path: Path) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            hasher.update(part)
    return hasher.hexdigest()
