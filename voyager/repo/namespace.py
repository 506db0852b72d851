"""One namespace for samples and files: no key twice, and none that is a folder of another."""

from __future__ import annotations

from collections.abc import Iterable

from voyager.errors import InvalidDataError
from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows
from voyager.repo.keys import key_problem
from voyager.repo.snapshot import TRACKED


def check_namespace(before: Dataset, after: Dataset) -> None:
    """Refuse new keys that another key shadows; InvalidDataError naming both (spec 2.5)."""
    new = {
        space: [key for key, old, row in changed_rows(before, after, space) if old is None and row]
        for space in TRACKED
    }
    folders = {folder for keys in new.values() for key in keys for folder in folders_of(key)}
    for folder in sorted(folders):
        if any(after.row(space, folder) is not None for space in TRACKED):
            raise InvalidDataError(
                f"'{folder.decode()}' would be a key and a folder of keys",
                hint=f"vgr mv or vgr rm '{folder.decode()}'",
            )
    for space, keys in new.items():
        other = TRACKED[1 - TRACKED.index(space)]
        for key in keys:
            problem = key_problem(key.decode(errors="surrogateescape"))
            if problem is not None:
                raise InvalidDataError(f"{key!r} cannot be a key: {problem}")
            if after.row(other, key) is not None:
                raise InvalidDataError(f"'{key.decode()}' would be a sample and a file")
    if any(before.count(space) for space in TRACKED):
        _refuse_folders(after, new.values(), folders)


def _refuse_folders(after: Dataset, new: Iterable[list[bytes]], folders: set[bytes]) -> None:
    """Refuse new keys that are a folder of keys which were there before."""
    for keys in new:
        for key in keys:
            if key not in folders and after.has_folder(key.decode()):
                raise InvalidDataError(
                    f"'{key.decode()}' would be a key and a folder of keys",
                    hint=f"vgr ls '{key.decode()}/'",
                )


def folders_of(key: bytes) -> list[bytes]:
    """The folders on the way to a key."""
    return [key[:at] for at, byte in enumerate(key) if byte == ord("/")]
