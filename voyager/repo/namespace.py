"""One namespace for samples and files: no key twice, and none that is a folder of another."""

from __future__ import annotations

from collections.abc import Iterable

from voyager.errors import InvalidDataError
from voyager.repo.dataset import Dataset
from voyager.repo.keys import MAX_COMPONENT_BYTES, MAX_KEY_BYTES, key_problem
from voyager.repo.snapshot import FILES, SAMPLES, TRACKED
from voyager.repo.staging import RowChange

_MOST_KEPT = 200_000
_DOT = ord(".")


class WrittenKeys:
    """The keys that an edit wrote, to be checked before it commits (spec 3.1).

    Kept small: folders once, and keys only up to a number; beyond it all keys are walked.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self._folders: set[bytes] = set()
        self._keys: set[bytes] = set()
        self._folder = b""  # of the last key, with its slash: sorted keys share it
        self._overflow = not keep

    def note(self, key: bytes) -> None:
        """Take note of a key; InvalidDataError when it may not name a row."""
        folder = self._folder
        start = len(folder)
        if not start or not key.startswith(folder) or key.find(b"/", start) >= 0:
            self._enter(key)
            start = len(self._folder)
        size = len(key)
        # What begins with a dot, is long or holds NUL gets the slow look.
        if (
            size - start - 1 >= MAX_COMPONENT_BYTES
            or size == start
            or key[start] == _DOT
            or size > MAX_KEY_BYTES
            or b"\0" in key
        ) and key_problem(key.decode(errors="surrogateescape")) is not None:
            _refuse(key)
        if not self._overflow:
            self._keys.add(key)
            if len(self._keys) > _MOST_KEPT:
                self._overflow, self._keys = True, set()

    def _enter(self, key: bytes) -> None:
        problem = key_problem(key.decode(errors="surrogateescape"))
        if problem is not None:
            _refuse(key)
        folder, slash, _ = key.rpartition(b"/")
        self._folder = folder + slash
        if folder and folder not in self._folders:
            self._folders.add(folder)
            self._folders.update(folders_of(folder))

    def check(self, before: Dataset, after: Dataset) -> None:
        """InvalidDataError naming a key that is a folder of keys as well, or sample and file."""
        for folder in sorted(self._folders):
            if any(after.row(space, folder) is not None for space in TRACKED):
                raise _both(folder)
        known = sum(before.count(space) for space in TRACKED)
        if not known and not after.count(FILES):
            return  # all keys are the edit's own samples: the folders told everything
        for key in self._new_keys(before, after):
            if key not in self._folders and after.has_folder(key.decode()):
                raise _both(key)
            if after.row(FILES, key) is not None and after.row(SAMPLES, key) is not None:
                raise InvalidDataError(f"'{key.decode()}' would be a sample and a file")

    def _new_keys(self, before: Dataset, after: Dataset) -> Iterable[bytes]:
        if self._overflow:
            keys: Iterable[bytes] = (key for space in TRACKED for key, _ in after.rows(space))
        else:
            keys = sorted(self._keys)
        return (key for key in keys if _is_new(before, after, key))


def _is_new(before: Dataset, after: Dataset, key: bytes) -> bool:
    """Whether a key has a row in a space where it had none, be it one that left the other space."""
    return any(
        before.row(space, key) is None and after.row(space, key) is not None for space in TRACKED
    )


def check_rows(before: Dataset, after: Dataset, changes: Iterable[RowChange]) -> None:
    """Check the rows that lead from one version to another; InvalidDataError as `check`."""
    written = WrittenKeys()
    for space, key, row in changes:
        if row is not None and space in TRACKED:
            written.note(key)
    written.check(before, after)


def _refuse(key: bytes) -> None:
    text = key.decode(errors="surrogateescape")
    raise InvalidDataError(f"{text!r} cannot be a key: {key_problem(text) or 'a bad name'}")


def _both(key: bytes) -> InvalidDataError:
    name = key.decode()
    return InvalidDataError(
        f"'{name}' would be a key and a folder of keys", hint=f"vgr mv or vgr rm '{name}'"
    )


def folders_of_all(keys: Iterable[bytes]) -> set[bytes]:
    """The folders on the way to any of many keys."""
    parents = {key.rpartition(b"/")[0] for key in keys} - {b""}
    return parents | {folder for parent in parents for folder in folders_of(parent)}


def folders_of(key: bytes) -> list[bytes]:
    """The folders on the way to a key."""
    return [key[:at] for at, byte in enumerate(key) if byte == ord("/")]
