"""Writing the files of rows into the working tree, on several processes when they are many."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from voyager.errors import NotFoundError
from voyager.repo.dataset import Tracked
from voyager.repo.processes import Forked, split
from voyager.repo.scan import FileStat
from voyager.store import bulk, files
from voyager.store.ids import Kind
from voyager.store.objectstore import Store
from voyager.store.pack_index import Place
from voyager.store.spec import MIB

Progress = Callable[[int, int | None], None]

Written = list[tuple[str, FileStat, bytes]]
"""(key, stat, blob id) of each file, as the stat cache wants them."""

_STREAM_BYTES = 16 * MIB
_BATCH = 256
_FILE_COST = 100_000
"""What making a file costs, in bytes that could be written in that time."""
_WORTH_FORKING = 400 * MIB
"""The cost (of 4,000 small files) from which another process helps."""


def write_files(
    store: Store, root: Path, folder: Path, tracked: Sequence[Tracked], progress: Progress
) -> tuple[Written, list[tuple[str, str]]]:
    """Write files in key order; what was written, and (key, reason) of images that are not here.

    `folder` is the store's, where a file that replaces another is made first.
    """
    costs = [_FILE_COST + one.size for one in tracked]
    first, *others = [tracked[part] for part in split(costs, _WORTH_FORKING)]
    children = [Forked(partial(_write_apart, store, root, folder, share)) for share in others]
    try:
        with bulk.paused_gc():
            writer = FileWriter(store, root, folder)
            writer.write(first, progress, len(tracked), share=1 + len(others))
            for child, share in zip(children, others, strict=True):
                stats, skipped = msgspec.msgpack.decode(child.result(), type=_Report)
                writer.written += _joined(share, stats)
                writer.skipped += skipped
        progress(len(tracked), len(tracked))
    finally:
        for child in children:
            child.end()
    return writer.written, writer.skipped


_Report = tuple[list[tuple[int, ...] | None], list[tuple[str, str]]]


def _write_apart(store: Store, root: Path, folder: Path, share: Sequence[Tracked]) -> bytes:
    """What a child does: write its share; a stat for each file, None for one left out."""
    writer = FileWriter(store, root, folder)
    writer.write(share, lambda _done, _total: None, len(share))
    stats = {key: found for key, found, _ in writer.written}
    report = ([stats.get(one.key) for one in share], writer.skipped)
    return msgspec.msgpack.encode(report)


def _joined(
    share: Sequence[Tracked], stats: Sequence[tuple[int, ...] | None]
) -> Iterator[tuple[str, FileStat, bytes]]:
    for one, found in zip(share, stats, strict=True):
        if found is not None:
            yield one.key, FileStat(*found), one.blob


class FileWriter:
    """Writes files in key order, making each folder once and never following a link."""

    def __init__(self, store: Store, root: Path, folder: Path) -> None:
        self._store = store
        self._root = str(root)
        self._temporary = folder / "tmp" / str(os.getpid())
        self._folder: str | None = None
        self._present: set[str] = set()
        self.written: Written = []
        self.skipped: list[tuple[str, str]] = []

    def write(
        self, tracked: Sequence[Tracked], progress: Progress, total: int, *, share: int = 1
    ) -> None:
        """Write the files of rows; `share` processes do the same to as many others."""
        for start in range(0, len(tracked), _BATCH):
            progress(min(start * share, total), total)
            batch = tracked[start : start + _BATCH]
            places = self._store.places(one.blob for one in batch)
            for one in batch:
                try:
                    found = self._write(one, places.get(one.blob))
                except NotFoundError as error:
                    self.skipped.append((one.key, error.message))
                else:
                    self.written.append((one.key, found, one.blob))

    def _write(self, tracked: Tracked, place: Place | None) -> FileStat:
        folder, _, name = tracked.key.rpartition("/")
        if folder != self._folder:
            self._enter(folder)
        path = f"{self._root}/{tracked.key}"
        mode = 0o777 if tracked.executable else 0o666
        if name in self._present:
            return self._replace(path, tracked, place, mode)
        return FileStat.of(self._create(path, tracked, place, mode))

    def _enter(self, folder: str) -> None:
        path = self._root
        for part in folder.split("/") if folder else ():
            path = f"{path}/{part}"
            _make_folder(path)
        self._folder = folder
        self._present = set(os.listdir(path))

    def _create(
        self, path: str, tracked: Tracked, place: Place | None, mode: int
    ) -> os.stat_result:
        if tracked.size > _STREAM_BYTES:
            return files.create_from(path, self._store.iter_blob(tracked.blob), mode)
        data = self._store.get_placed(tracked.blob, place, Kind.BLOB)
        return files.create(path, data, mode)

    def _replace(self, path: str, tracked: Tracked, place: Place | None, mode: int) -> FileStat:
        if os.path.isdir(path) and not os.path.islink(path):
            for folder, _, _ in os.walk(path, topdown=False):
                files.remove_empty_folders(folder, os.path.dirname(path))
        files.make_folder(self._temporary.parent)
        files.remove(self._temporary)
        self._create(str(self._temporary), tracked, place, mode)
        files.rename(self._temporary, path)
        return FileStat.of(os.lstat(path))


def _make_folder(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        files.make_folder(path)
        return
    if not stat.S_ISDIR(found.st_mode):
        # A file or link where a folder must be: the caller knows that it may go.
        files.remove(path)
        files.make_folder(path)
