"""`vgr://`: versions of a repository as a file system of fsspec, read-only.

    vgr://path/to/repo@main/kitchen/1.jpg    a file of a version (vgr:///… for an absolute path)
    vgr://path/to/repo/kitchen/1.jpg         of HEAD

so that pandas, torch, PIL and others read a version directly:

    with fsspec.open("vgr://clothes@v1/train/hat/1.jpg") as file:
        image = PIL.Image.open(file)

The repository is the longest start of the path that is one. A revision is what `vgr show` takes; of
several parts (`origin/main`) as many are taken as it needs. Images that are not here or were purged
are not listed. Files of a lazy clone come when they are read.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn

from fsspec.spec import AbstractFileSystem

import voyager
from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset, Tracked
from voyager.repo.layout import FOLDER
from voyager.repo.snapshot import TRACKED

if TYPE_CHECKING:
    from voyager.repo.repository import Repository

_MOST_VERSIONS = 16
_IN_MEMORY = 32 << 20
"""A longer file goes through a temporary one."""

Info = dict[str, Any]


class _Place(NamedTuple):
    """A path taken apart: `top` is what it says up to the revision."""

    repo: Repository
    version: Dataset
    top: str
    key: str

    def path(self, key: str) -> str:
        """The path of a key of the same version."""
        return f"{self.top}/{key}" if key else self.top


class VoyagerFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Reads versions; see the module."""

    protocol = "vgr"
    root_marker = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lock = threading.RLock()
        self._repos: dict[Path, Repository] = {}
        self._versions: OrderedDict[tuple[Path, bytes], Dataset] = OrderedDict()

    # -- paths -----------------------------------------------------------------------------------

    def _place(self, path: str) -> _Place:
        path = self._strip_protocol(path)
        parts = path.split("/")
        for count in range(len(parts), 0, -1):
            start, last = parts[: count - 1], parts[count - 1]
            for name, at, revision in _spellings(last):
                folder = Path("/".join([*start, name]) or "/").absolute()
                if _is_repository(folder):
                    spelled = "/".join([*start, name]) + at
                    return self._within(folder, spelled, revision, parts[count:])
        raise _absent(path, "there is no repository on the way to it")

    def _within(self, folder: Path, spelled: str, revision: str, rest: list[str]) -> _Place:
        """The place behind a repository; the revision takes as many parts as it needs."""
        repo = self._open_repository(folder)
        if not revision:
            version = self._version(folder, repo, repo.resolve("HEAD"))
            return _Place(repo, version, spelled, "/".join(rest))
        for count in range(len(rest) + 1):
            name = "/".join([revision, *rest[:count]])
            try:
                commit = repo.resolve(name)
            except (NotFoundError, UsageError):
                continue
            version = self._version(folder, repo, commit)
            return _Place(repo, version, spelled + name, "/".join(rest[count:]))
        raise _absent(spelled + revision, f"'{revision}' is no revision there")

    def _open_repository(self, folder: Path) -> Repository:
        repo = self._repos.get(folder)
        if repo is None:
            repo = self._repos[folder] = voyager.open(folder)
        else:
            repo.store.refresh()
        return repo

    def _version(self, folder: Path, repo: Repository, commit: bytes) -> Dataset:
        key = folder, commit
        version = self._versions.pop(key, None) or repo.dataset_of(commit)
        self._versions[key] = version
        if len(self._versions) > _MOST_VERSIONS:
            self._versions.popitem(last=False)
        return version

    # -- looking ---------------------------------------------------------------------------------

    def info(self, path: str, **_: Any) -> Info:
        """Name, size and type; of a file also its blob id. FileNotFoundError for nothing."""
        with self._lock:
            place = self._place(path)
            found = self._tracked(place)
            if found is not None:
                return _file(place, found)
            if place.key and not place.version.has_folder(place.key):
                raise _absent(path, _why_absent(place))
            return _folder(place, place.key)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What lies in a folder, by name; of a file itself."""
        with self._lock:
            found = list(self._iter_folder(path))
        return found if detail else [each["name"] for each in found]

    def _iter_folder(self, path: str) -> Iterator[Info]:
        place = self._place(path)
        prefix = f"{place.key}/" if place.key else ""
        entries = place.version.listing(place.key)
        if not entries:
            yield self.info(path)
            return
        yield from sorted(
            [
                *(_folder(place, prefix + each.name) for each in entries if each.is_folder),
                *_files(place, sorted(prefix + e.name for e in entries if not e.is_folder)),
            ],
            key=lambda each: str(each["name"]),
        )

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """All files below a folder."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth, withdirs, detail, **options)
        with self._lock:
            place = self._place(path)
            single = self._tracked(place)
            below = place.version.tracked(f"{place.key}/" if place.key else "")
            files = [_file(place, each) for each in ([single] if single else below)]
        return {each["name"]: each for each in files} if detail else [one["name"] for one in files]

    def _tracked(self, place: _Place) -> Tracked | None:
        return place.version.tracked_at(place.key) if place.key else None

    def ukey(self, path: str) -> str:
        """The blob id: what is cached under it never changes."""
        return str(self.info(path)["blob"])

    def checksum(self, path: str) -> int:
        """A number that is another for other bytes."""
        return int(self.ukey(path), 16)

    # -- reading ---------------------------------------------------------------------------------

    def _open(self, path: str, mode: str = "rb", **_: Any) -> IO[bytes]:
        if mode != "rb":
            self._refuse(path)
        with self._lock:
            place = self._place(path)
            found = self._tracked(place)
            if found is None:
                if not place.key or place.version.has_folder(place.key):
                    raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
                raise _absent(path, _why_absent(place))
            if found.size <= _IN_MEMORY:
                return io.BytesIO(place.repo.store.get_blob(found.blob))
            file = tempfile.TemporaryFile()  # noqa: SIM115
            for chunk in place.repo.store.iter_blob(found.blob):
                file.write(chunk)
        file.seek(0)
        return file

    # -- what a version does not take ------------------------------------------------------------

    def _refuse(self, path: str, *_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EROFS, "a version is never written; vgr add and commit make one", path)

    mkdir = makedirs = rmdir = _rm = rm = rm_file = cp_file = mv = touch = pipe_file = _refuse


def _spellings(part: str) -> Iterator[tuple[str, str, str]]:
    """(name, "@" or nothing, revision) as which the last part of a repository's path may be read;
    a folder may have an @ in its name."""
    yield part, "", ""
    at = part.rfind("@")
    while at > 0:
        yield part[:at], "@", part[at + 1 :]
        at = part.rfind("@", 0, at)


def _is_repository(folder: Path) -> bool:
    """Whether a folder is the top of a repository, not a place in one."""
    try:
        return any(
            os.path.isfile(os.path.join(store, "SPEC"))
            and os.path.isdir(os.path.join(store, "packs"))
            for store in (folder / FOLDER, folder)
        )
    except ValueError:
        return False  # a name that no folder can have


def _files(place: _Place, keys: list[str]) -> Iterator[Info]:
    for space in TRACKED:
        for key, row in place.version.rows_at(space, [key.encode() for key in keys]):
            found = None if row is None else place.version.tracked_as(space, key, row)
            if found is not None:
                yield _file(place, found)


def _file(place: _Place, found: Tracked) -> Info:
    return {
        "name": place.path(found.key),
        "size": found.size,
        "type": "file",
        "blob": found.blob.hex(),
    }


def _folder(place: _Place, key: str) -> Info:
    return {"name": place.path(key), "size": 0, "type": "directory"}


def _why_absent(place: _Place) -> str:
    if place.version.space_of(place.key) is None:
        return "that version has no such key"
    return "the bytes of that image are not in the repository"


def _absent(path: str, why: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, why, os.fspath(path))
