"""Listing the working tree: one directory at a time, everything that is no regular file named."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from blake3 import blake3

from voyager.repo.stat_block import (
    ROW_BYTES,
    Block,
    FileStat,
    are_regular_files,
    cut,
    mode_of,
    pack_names,
    pack_stats,
    unpack_names,
)

REPOSITORY_FOLDER = ".vgr"

_CHUNK_BYTES = 1 << 20
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Skip(Exception):  # not an error of the caller: the walk goes on
    """A file or directory that cannot be versioned; the message says why."""


@dataclass(slots=True)
class Listing:
    """The regular files of a directory, packed as in a `Block`, and what else lies there."""

    names: bytes = b""
    stats: bytes = b""
    subdirectories: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Names, undecodable bytes as surrogates, each with the reason."""

    def iter_rows(self) -> Iterator[tuple[str, bytes]]:
        """The files with their packed stats."""
        return zip(unpack_names(self.names), cut(self.stats, ROW_BYTES), strict=True)

    def changes_since(self, block: Block) -> tuple[dict[str, bytes], set[str]]:
        """Files that are new or look other than in `block`, and names of those that are gone."""
        before = dict(zip(unpack_names(block.names), cut(block.stats, ROW_BYTES), strict=True))
        rows = dict(self.iter_rows())
        gone = before.keys() - rows.keys()
        return {name: row for name, row in rows.items() if before.get(name) != row}, gone


class TreeReader:
    """Reads the working tree below `root`; keys are '/'-separated paths relative to it."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._real_folders: dict[str, str] = {}
        self._obstacles: dict[str, str | None] = {}

    def path_of(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def list_directory(self, directory: str) -> Listing:
        """The entries of one directory, an empty listing when it is gone.

        Raises Skip for one that cannot be read or that is a repository of its own.
        """
        try:
            fd = os.open(self.path_of(directory), _FOLDER_FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return Listing()
        except OSError as error:
            raise _unreadable(error) from None
        try:
            return self._list(fd, directory)
        except OSError as error:
            raise _unreadable(error) from None
        finally:
            os.close(fd)

    def _list(self, fd: int, directory: str) -> Listing:
        found = os.listdir(fd)
        if REPOSITORY_FOLDER in found:
            found.remove(REPOSITORY_FOLDER)
            if directory and self.is_folder(f"{directory}/{REPOSITORY_FOLDER}"):
                raise Skip("a repository of its own")
        found.sort()
        try:
            listing = Listing(pack_names(found), _stat_all(fd, found))
        except (OSError, UnicodeEncodeError):
            return self.list_names(directory, found)
        if are_regular_files(listing.stats):
            return listing
        return self._sorted_out(directory, listing)

    def _sorted_out(self, directory: str, listing: Listing) -> Listing:
        """The listing with all that is no regular file looked at by itself."""
        rows = {}
        odd = []
        for name, row in listing.iter_rows():
            if stat.S_ISREG(mode_of(row)):
                rows[name] = row
            else:
                odd.append(name)
        others = self.list_names(directory, odd)
        rows.update(others.iter_rows())
        names = sorted(rows)
        others.names = pack_names(names)
        others.stats = b"".join(map(rows.__getitem__, names))
        return others

    def list_names(self, directory: str, names: Iterable[str]) -> Listing:
        """As `list_directory`, of a few names in it; those that are gone are left out."""
        listing = Listing()
        rows = {}
        for name in names:
            try:
                found = self._look_at(f"{directory}/{name}" if directory else name)
            except FileNotFoundError:
                continue
            except Skip as reason:
                listing.skipped.append((name, str(reason)))
                continue
            if stat.S_ISDIR(found.st_mode):
                listing.subdirectories.append(name)
            else:
                rows[name] = FileStat.of(found).pack()
        listing.names = pack_names(sorted(rows))
        listing.stats = b"".join(rows[name] for name in sorted(rows))
        return listing

    def _look_at(self, key: str) -> os.stat_result:
        """The stat of a directory, a file, or the file that a link leads to; else Skip."""
        if not _is_utf8(key):
            raise Skip("its name is not UTF-8")
        try:
            found = os.lstat(self.path_of(key))
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(key) from None
        except OSError as error:
            raise _unreadable(error) from None
        if stat.S_ISLNK(found.st_mode):
            return self._follow(key)
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise Skip("neither file nor directory")
        return found

    def _follow(self, key: str) -> os.stat_result:
        try:
            target = self._target_of(key)
            found = os.stat(target)
        except OSError:
            raise Skip("a link to nothing") from None
        if stat.S_ISDIR(found.st_mode):
            raise Skip("a link to a directory")
        inside = target.removeprefix(self._root + "/")
        if inside == target or inside.startswith(REPOSITORY_FOLDER + "/"):
            raise Skip("a link out of the working tree")
        if not stat.S_ISREG(found.st_mode):
            raise Skip("a link to neither file nor directory")
        return found

    def _target_of(self, key: str) -> str:
        """Where a link leads in the end; folders are resolved once for all links into them."""
        path = self.path_of(key)
        folder, name = os.path.split(os.path.join(os.path.dirname(path), os.readlink(path)))
        if name in ("", ".", ".."):
            return os.path.realpath(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        target = os.path.join(self._real_folders[folder], name)
        return os.path.realpath(target) if os.path.islink(target) else target

    def is_folder(self, key: str) -> bool:
        """Whether a key is a directory, and no link to one."""
        try:
            return stat.S_ISDIR(os.lstat(self.path_of(key)).st_mode)
        except OSError:
            return False

    def check_way_to(self, key: str) -> None:
        """Raise Skip when `key` leads through a link, or into this or another repository."""
        if REPOSITORY_FOLDER in key.split("/"):
            raise Skip("inside the repository's own folder")
        folder, _, _ = key.rpartition("/")
        if folder not in self._obstacles:
            self._obstacles[folder] = self._obstacle_on_way_to(folder)
        obstacle = self._obstacles[folder]
        if obstacle is not None:
            raise Skip(obstacle)

    def _obstacle_on_way_to(self, folder: str) -> str | None:
        path = ""
        for step in folder.split("/") if folder else ():
            path = f"{path}/{step}" if path else step
            if os.path.islink(self.path_of(path)):
                return "behind a link to a directory"
            if self.is_folder(f"{path}/{REPOSITORY_FOLDER}"):
                return "inside a repository of its own"
        return None

    def hash_file(self, key: str) -> bytes:
        """The blob id of a file's bytes; FileNotFoundError when it is gone, else Skip."""
        try:
            fd = os.open(self.path_of(key), os.O_RDONLY | os.O_CLOEXEC)
            try:
                hasher = blake3()
                while chunk := os.read(fd, _CHUNK_BYTES):
                    hasher.update(chunk)
                return hasher.digest()
            finally:
                os.close(fd)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(key) from None
        except OSError as error:
            raise _unreadable(error) from None


def _stat_all(fd: int, names: list[str]) -> bytes:
    look = partial(os.stat, dir_fd=fd, follow_symlinks=False)
    return pack_stats(map(look, names))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(error: OSError) -> Skip:
    return Skip(f"unreadable: {error.strerror}")
