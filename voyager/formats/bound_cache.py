"""What is remembered of bound label files, in `.vgr/cache`: all of it can be lost.

`bound.json` says what each file was written from; beside it lie the bytes of files that were added,
and what the edits of a file would stage, so that one who looks twice waits once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
from blake3 import blake3

from voyager.repo.dataset import Dataset
from voyager.repo.intake import hash_file
from voyager.repo.staging import Staging
from voyager.store import files
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader

_STATES: Final = "bound.json"


@dataclass(frozen=True, slots=True)
class Written:
    """What a bound file was when it was last in agreement: of which commit, and its bytes' hash.

    Without `digest` its bytes are not known: it may have been edited. `added` is the staged
    snapshot that `vgr add` made of a file with these bytes, of which the cache keeps a copy.
    `before` is what held while the file was being replaced, for when that was interrupted.
    """

    commit: str | None = None
    digest: str | None = None
    added: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    before: Written | None = None

    @classmethod
    def of(cls, value: dict[str, Any]) -> Written:
        """As it was saved."""
        before = value.pop("before", None)
        return cls(**value, before=None if before is None else cls.of(before))

    def sides(self) -> Iterator[Written]:
        """What it is, and what held before."""
        yield self
        if self.before is not None:
            yield self.before


class Look(msgspec.Struct, array_like=True):
    """What the edits of a file would stage: rows over the staged root, and their new blobs."""

    rows: list[tuple[str, bytes, bytes]]
    missing: int
    blobs: dict[bytes, bytes]

    def version(self, store: ObjectReader, staging: Staging) -> Dataset:
        """The version that it would make of the staging area."""
        overlay = {(space, key): row for space, key, row in self.rows}
        return Dataset(WithBlobs(store, self.blobs), staging.roots, overlay)


class WithBlobs:
    """A store, and blobs that were not kept in it."""

    def __init__(self, store: ObjectReader, blobs: Mapping[bytes, bytes]) -> None:
        self._store = store
        self.blobs = blobs

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        """The bytes of an object."""
        found = self.blobs.get(object_id) if kind is Kind.BLOB else None
        return self._store.get(object_id, kind) if found is None else found


class BoundCache:
    """The memory of the bound files of a working tree."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self._root = root

    def digest(self, key: str) -> str | None:
        """The hash of the bytes of a file, None where there is none."""
        try:
            return hash_file(self._root / key).hex()
        except OSError:
            return None

    # -- what files were written from --------------------------------------------------------------

    def written(self, key: str, head: str | None) -> Written:
        """What a file was written from: by default from HEAD, with unknown bytes."""
        found = self._states().get(key) or Written(head)
        if found.before is not None and self.digest(key) != found.digest:
            return replace(found.before, before=None)  # killed before the file was replaced
        return replace(found, before=None)

    def note(self, key: str, written: Written) -> None:
        """Remember what a file was written from."""
        self._save({**self._states(), key: written})

    def note_replacing(self, key: str, written: Written) -> None:
        """Remember that a file is about to be replaced by one that was written so."""
        before = self.written(key, None) if key in self._states() else None
        self.note(key, replace(written, before=before))

    def forget(self, key: str) -> None:
        """Remember nothing of a file."""
        states = self._states()
        states.pop(key, None)
        self._save(states)

    def _states(self) -> dict[str, Written]:
        try:
            value = json.loads((self.folder / _STATES).read_bytes())
            return {key: Written.of(one) for key, one in value.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _save(self, states: Mapping[str, Written]) -> None:
        files.make_folder(self.folder)
        text = json.dumps({key: asdict(one) for key, one in sorted(states.items())}, indent=1)
        files.write_atomic(self.folder / _STATES, text.encode())
        sides = ((key, side) for key, one in states.items() for side in one.sides())
        kept = {self.copy(key, side).name for key, side in sides if side.added is not None}
        for path in self.folder.glob("bound-copy-*"):
            if path.name not in kept:
                files.remove(path)

    # -- bytes that were added ---------------------------------------------------------------------

    def copy(self, key: str, written: Written) -> Path:
        """Where the bytes of an added file are kept."""
        return self.folder / f"bound-copy-{(written.digest or '')[:32]}{Path(key).suffix}"

    def keep_copy(self, key: str, written: Written, data: bytes) -> None:
        """Keep the bytes of an added file."""
        files.make_folder(self.folder)
        files.write_atomic(self.copy(key, written), data)

    # -- what edits would stage --------------------------------------------------------------------

    def look(self, key: str, of: str) -> Look | None:
        """What was seen of a file when everything was as `of` says."""
        try:
            return msgspec.msgpack.decode(self._look_path(key, of).read_bytes(), type=Look)
        except (OSError, msgspec.MsgspecError):
            return None

    def keep_look(self, key: str, of: str, look: Look) -> None:
        """Keep what was seen, in place of what was seen before."""
        path = self._look_path(key, of)
        files.make_folder(self.folder)
        files.write_atomic(path, msgspec.msgpack.encode(look))
        for other in self.folder.glob(f"{path.name[:28]}*"):
            if other != path:
                files.remove(other)

    def _look_path(self, key: str, of: str) -> Path:
        name = blake3(key.encode()).hexdigest()[:16]
        return self.folder / f"bound-look-{name}-{of[:32]}"
