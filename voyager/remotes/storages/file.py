"""A remote in a folder: a disk, or one that several machines mount.

An object is a file that is complete and durable before it gets its name. Conditional writes hold a
lock file; their tags are hashes of the content.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from blake3 import blake3

from voyager.errors import NotFoundError, RemoteError, StateError
from voyager.remotes.base import MOST_BYTES, Listed, Tagged
from voyager.remotes.storages.bodies import (
    absent,
    check_object_name,
    exactly,
    iter_body,
    iter_file,
    refuse_long,
    stale,
    write_new_file,
)
from voyager.store import files

_TEMPORARY = "tmp"
_LOCK = "tmp/lock"
_STALE_AFTER = 86_400.0
"""Seconds after which a half-written file is taken for one of a process that was killed."""


class FileStorage:
    """Bytes by name below a folder, which the first write makes."""

    read_only = False

    def __init__(self, folder: Path, *, url: str | None = None) -> None:
        self.folder = folder
        self.url = url or str(folder)
        self._ready = False

    def get(self, name: str) -> bytes:
        with self._told(name), self._path(name).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        refuse_long(len(data), url=self.url, name=name)
        return data

    def get_tagged(self, name: str) -> Tagged:
        data = self.get(name)
        return Tagged(data, _tag(data))

    def get_range(self, name: str, start: int, length: int) -> bytes:
        with self._told(name), self._path(name).open("rb") as file:
            file.seek(start)
            data = file.read(length)
        return exactly(data, length, url=self.url, name=name)

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        with self._told(name):
            file = self._path(name).open("rb")
        with file:
            write_new_file(path, iter_file(file), size=size, url=self.url, name=name)

    def put(self, name: str, data: bytes | Path) -> None:
        path = self._path(name)
        with self._told(name, write=True):
            self._make_ready()
            self._write(path, data)

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        path = self._path(name)
        with self._told(name, write=True):
            self._make_ready()
            with files.FileLock(self.folder / _LOCK, what=f"lock of {self.url}"):
                if _tag_of(path) != tag:
                    raise stale(self.url, name)
                self._write(path, data)
        return _tag(data)

    def size(self, name: str) -> int | None:
        path = self._path(name)
        try:
            with self._told(name):
                return path.stat().st_size
        except NotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[Listed]:
        top = os.fspath(self.folder)
        start = self.folder / prefix
        with self._told(prefix):
            for folder, folders, names in os.walk(start, onerror=_unless_absent):
                if folder == top:
                    folders[:] = [each for each in folders if each != _TEMPORARY]
                for each in names:
                    found = self._listed(os.path.join(folder, each))
                    if found is not None:
                        yield found

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            with self._told(name, write=True):
                files.remove(self._path(name))

    def close(self) -> None:
        """Nothing is held."""

    def _path(self, name: str) -> Path:
        return self.folder / check_object_name(name)

    def _listed(self, path: str) -> Listed | None:
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            return None  # removed since
        name = os.path.relpath(path, self.folder).replace(os.sep, "/")
        return Listed(name, stat.st_size, stat.st_mtime)

    def _write(self, path: Path, data: bytes | Path) -> None:
        temporary = self.folder / _TEMPORARY / secrets.token_hex(8)
        fd = files.open_new(temporary)
        try:
            for chunk in iter_body(data):
                files.write_all(fd, [chunk])
            files.sync(fd)
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(fd)
        if not path.parent.exists():
            files.make_folder(path.parent)
            files.sync_folder(path.parent.parent)
        files.rename(temporary, path)
        files.sync_folder(path.parent)

    def _make_ready(self) -> None:
        """Before the first write: the folder for unfinished files, without those left behind."""
        if self._ready:
            return
        folder = self.folder / _TEMPORARY
        files.make_folder(folder)
        before = time.time() - _STALE_AFTER
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # another has just finished it
                    if entry.name != "lock" and entry.stat().st_mtime < before:
                        files.remove(entry.path)
        self._ready = True

    @contextlib.contextmanager
    def _told(self, name: str, *, write: bool = False) -> Iterator[None]:
        """Errors of the system in words."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            if write:
                raise self._failed(error) from error
            raise absent(self.url, name) from None
        except StateError as error:
            raise RemoteError(error.message, retry=True) from None
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> RemoteError:
        reason = error.strerror or str(error)
        hint = None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            hint = f"ls -ld {self.folder}"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = f"df -h {self.folder}"
        return RemoteError(f"{self.url}: {reason}", hint=hint, path=error.filename)


def _tag(data: bytes) -> str:
    return blake3(data).hexdigest()


def _tag_of(path: Path) -> str | None:
    try:
        return _tag(path.read_bytes())
    except FileNotFoundError:
        return None


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
