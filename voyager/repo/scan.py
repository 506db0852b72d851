"""What differs between the working tree and the tracked files.

A directory that looks as the stat cache has it is settled by comparing bytes; only in others is
anything done per file, and only files of the same size but another stat are read. The tracked files
themselves are walked when the cache tells of another set of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from voyager.errors import NotFoundError
from voyager.repo.ignore import Ignore
from voyager.repo.stat_block import (
    UNKNOWN,
    Block,
    Content,
    FileStat,
    Tracked,
    is_executable,
    size_of,
)
from voyager.repo.stat_cache import StatCache
from voyager.repo.tracked import TrackedByDirectory, TrackedFiles
from voyager.repo.walk import Listing, Skip, TreeReader
from voyager.store import bulk

__all__ = [
    "FileEntry",
    "FileStat",
    "Progress",
    "SkippedPath",
    "TrackedFiles",
    "WorktreeChanges",
    "compare",
]

Progress = Callable[[int, int | None], None]
"""Told, whenever a file has to be read, the how manyth that is; how many will be nobody knows."""


class FileEntry(NamedTuple):
    """A file as it is on disk: `row` its packed stat, `blob_id` None when nobody has read it."""

    key: str
    row: bytes
    blob_id: bytes | None

    @property
    def stat(self) -> FileStat:
        return FileStat.unpack(self.row)

    @property
    def size(self) -> int:
        return size_of(self.row)

    @property
    def executable(self) -> bool:
        return is_executable(self.row)


class SkippedPath(NamedTuple):
    """Something that cannot be versioned; bytes of its name that are not UTF-8 show as `\\xff`."""

    path: str
    reason: str


@dataclass(slots=True)
class WorktreeChanges:
    """What `compare` found, each list by key in byte order.

    A file whose content changed is in `modified` alone, whatever became of its mode. Tracked files
    at or below a skipped path are in no list: nothing is known of them.
    """

    modified: list[FileEntry]
    mode_changed: list[FileEntry]
    untracked: list[FileEntry]
    deleted: list[str]
    skipped: list[SkippedPath]
    unchanged: int

    @property
    def clean(self) -> bool:
        """Whether every tracked file is as tracked, as far as could be seen, and none is new."""
        return not (self.modified or self.mode_changed or self.untracked or self.deleted)


def compare(
    root: Path,
    tracked: TrackedFiles,
    cache: StatCache,
    ignore: Ignore,
    *,
    paths: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> WorktreeChanges:
    """Find what changed below `root`, or only at and below some `paths` (keys, "" for the root).

    What was learned goes to the cache. Raises NotFoundError when there is no such root.
    """
    if not root.is_dir():
        raise NotFoundError(f"no such directory: {root}", path=root)
    ignore.reload()
    cache.load()
    as_of_ns = cache.now_ns()
    with bulk.paused_gc():
        comparison = _Comparison(TreeReader(root), tracked, cache, ignore, progress)
        if paths is None:
            comparison.compare_all()
        else:
            comparison.compare_paths(paths)
        comparison.write_back(as_of_ns)
        return comparison.changes()


class _Comparison:
    """One run of `compare`."""

    def __init__(
        self,
        reader: TreeReader,
        tracked: TrackedFiles,
        cache: StatCache,
        ignore: Ignore,
        progress: Progress | None,
    ) -> None:
        self._reader = reader
        self._cache = cache
        self._ignore = ignore
        self._progress = progress
        self._token = tracked.token
        self._tracked = TrackedByDirectory(tracked, cache)
        self._tracked_folders = _with_parents(self._tracked.directories())
        self._modified: list[FileEntry] = []
        self._mode_changed: list[FileEntry] = []
        self._untracked: list[FileEntry] = []
        self._deleted: list[str] = []
        self._skipped: list[SkippedPath] = []
        self._unchanged = 0
        self._visited: set[str] = set()
        self._unseen: set[str] = set()
        self._refreshed: dict[str, Block] = {}
        self._read = 0
        self._complete = False

    def compare_all(self) -> None:
        self._walk("")
        self._report_absent({""})
        for directory in self._cache.directories():
            if directory not in self._visited:
                self._refreshed.setdefault(directory, Block())
        self._complete = True

    def compare_paths(self, paths: Iterable[str]) -> None:
        scope = _outermost(paths)
        files: dict[str, list[str]] = {}
        for path in sorted(scope):
            try:
                self._reader.check_way_to(path)
            except Skip as reason:
                self._skip(path, str(reason))
                continue
            if self._reader.is_folder(path) and self._enters(path):
                self._walk(path)
            if path:  # a directory may stand where a file is tracked
                directory, _, name = path.rpartition("/")
                files.setdefault(directory, []).append(name)
        for directory, names in files.items():
            self._compare_names(directory, names)
        self._report_absent(scope)

    def _walk(self, start: str) -> None:
        pending = [start]
        while pending:
            directory = pending.pop()
            try:
                listing = self._reader.list_directory(directory)
            except Skip as reason:
                self._skip(directory, str(reason))
                continue
            self._compare_directory(directory, listing)
            children = [_join(directory, name) for name in listing.subdirectories]
            pending += filter(self._enters, reversed(children))

    def _enters(self, directory: str) -> bool:
        """Whether a walk goes into a directory: what is tracked is looked at though ignored."""
        return directory in self._tracked_folders or not self._ignore.matches(directory, True)

    def _compare_directory(self, directory: str, listing: Listing) -> None:
        self._visited.add(directory)
        block = self._cache.block(directory)
        if block is None or not self._tracked.are_told_by(block, directory):
            rows = dict(listing.iter_rows())
            tracked = self._tracked.of(directory)
            block = self._look_closer(directory, rows, block or Block(), tracked)
            self._refreshed[directory] = block
        elif block.stats != listing.stats or block.names != listing.names:
            rows, gone = listing.changes_since(block)
            before = block.only(rows.keys() | gone)
            after = self._look_closer(directory, rows, before, before.tracked())
            block = block.with_part(before, after)
            self._refreshed[directory] = block
        self._report(directory, block, listing.skipped)

    def _compare_names(self, directory: str, names: list[str]) -> None:
        """Compare a few files of a directory; the cache keeps nothing of it."""
        listing = self._reader.list_names(directory, names)
        known = (self._cache.block(directory) or Block()).only(names)
        tracked = self._tracked.of(directory, names)
        block = self._look_closer(directory, dict(listing.iter_rows()), known, tracked)
        self._report(directory, block, listing.skipped)

    def _look_closer(
        self,
        directory: str,
        rows: Mapping[str, bytes],
        known: Block,
        tracked: Mapping[str, Tracked],
    ) -> Block:
        """The block of files by their packed stats, reading those that only reading can settle."""
        remembered = dict(known.iter_contents())
        contents: dict[str, Content] = {}
        differs: dict[str, Tracked | None] = {}
        for name, row in rows.items():
            content = remembered.get(name)
            if content is None or content.row != row:
                content = Content(row, UNKNOWN)
            file = tracked.get(name)
            if content.blob_id == UNKNOWN and file is not None and file.size == size_of(row):
                try:
                    content = Content(row, self._hash(_join(directory, name)))
                except FileNotFoundError:
                    continue
                except Skip as reason:
                    self._skip(_join(directory, name), str(reason))
                    continue
            contents[name] = content
            if file is None or not content.is_as(file):
                differs[name] = file
        differs.update((name, tracked[name]) for name in sorted(tracked.keys() - contents.keys()))
        return Block.of(contents, differs)

    def _hash(self, key: str) -> bytes:
        self._read += 1
        if self._progress is not None:
            self._progress(self._read, None)
        return self._reader.hash_file(key)

    def _report_absent(self, scope: set[str]) -> None:
        """Report the tracked files of directories in `scope` that the walk did not come to."""
        absent = {
            directory
            for directory in self._tracked.directories()
            if directory not in self._visited and not scope.isdisjoint(_with_parents([directory]))
        }
        for directory in absent:
            block = Block(differs=dict(self._tracked.of(directory)))
            self._refreshed[directory] = block
            self._report(directory, block, [])

    def _report(self, directory: str, block: Block, skipped: list[tuple[str, str]]) -> None:
        for name, reason in skipped:
            self._skip(_join(directory, name), reason, tracked=name in block.differs)
        self._unchanged += len(block)
        if not block.differs:
            return
        contents = block.contents_of(block.differs)
        self._unchanged -= len(contents)
        for name, file in block.differs.items():
            self._report_difference(_join(directory, name), file, contents.get(name))

    def _report_difference(self, key: str, file: Tracked | None, content: Content | None) -> None:
        if content is None:
            if file is not None and not self._is_unseen(key):
                self._deleted.append(key)
            return
        entry = FileEntry(key, content.row, content.known_id)
        if file is None:
            if not self._ignore.matches(key, False):
                self._untracked.append(entry)
        elif file.blob_id == content.blob_id:
            self._mode_changed.append(entry)
        else:
            self._modified.append(entry)

    def _skip(self, key: str, reason: str, *, tracked: bool = True) -> None:
        """Name what cannot be versioned, unless it is none of ours and to be ignored."""
        self._unseen.add(key)
        if tracked or not self._ignore.matches(key, False):
            self._skipped.append(SkippedPath(_shown(key), reason))

    def _is_unseen(self, key: str) -> bool:
        return bool(self._unseen) and not self._unseen.isdisjoint(_with_parents([key]))

    def write_back(self, as_of_ns: int) -> None:
        """Give the cache what was learned, and the set of tracked files that it now tells of."""
        if self._complete:
            token: bytes | None = self._token
        elif self._tracked.in_cache or not self._refreshed:
            token = self._cache.token
        else:
            token = None
        self._cache.write(self._refreshed, token=token, as_of_ns=as_of_ns)

    def changes(self) -> WorktreeChanges:
        by_key = attrgetter("key")
        return WorktreeChanges(
            modified=sorted(self._modified, key=by_key),
            mode_changed=sorted(self._mode_changed, key=by_key),
            untracked=sorted(self._untracked, key=by_key),
            deleted=sorted(self._deleted),
            skipped=sorted(self._skipped),
            unchanged=self._unchanged,
        )


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _with_parents(directories: Iterable[str]) -> set[str]:
    """The directories and all those above them, up to the root, which is empty."""
    found = {""}
    for directory in directories:
        step = directory
        while step not in found:
            found.add(step)
            step = step.rpartition("/")[0]
    return found


def _outermost(paths: Iterable[str]) -> set[str]:
    """The paths that lie below no other of them."""
    wanted = set(paths)
    return {path for path in wanted if path == "" or not wanted & (_with_parents([path]) - {path})}


def _shown(key: str) -> str:
    return os.fsencode(key).decode("utf-8", "backslashreplace")
