"""The tracked files by directory, taken from the stat cache when that tells of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from voyager.repo.stat_block import ID_BYTES, Block, Tracked, cut, executables, pack_names
from voyager.repo.stat_cache import StatCache


class TrackedFiles(Protocol):
    """A set of tracked files."""

    @property
    def token(self) -> bytes:
        """Names this very set: equal tokens, equal files."""
        ...

    def iter_blobs(self) -> Iterator[tuple[str, bytes, int, bool]]:
        """Yield key, blob id, size in bytes and executable, in the order of the keys' bytes."""
        ...


class _Columns:
    """The tracked files of one directory, packed as in a `Block`."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.ids = bytearray()
        self.sizes: list[int] = []
        self.executables = bytearray()

    def are_all_of(self, block: Block) -> bool:
        """Whether the block's files are tracked just as they are on disk, and no others are."""
        return (
            not block.differs
            and block.ids == self.ids
            and executables(block.stats) == self.executables
            and block.names == pack_names(self.names)
        )

    def as_dict(self) -> dict[str, Tracked]:
        rows = zip(cut(bytes(self.ids), ID_BYTES), self.sizes, self.executables, strict=True)
        files = (Tracked(blob_id, size, bool(flag)) for blob_id, size, flag in rows)
        return dict(zip(self.names, files, strict=True))


class TrackedByDirectory:
    """The tracked files, from the cache as long as that tells of them, else from one walk."""

    def __init__(self, tracked: TrackedFiles, cache: StatCache) -> None:
        self._tracked = tracked
        self._cache = cache
        self._walk: dict[str, _Columns] | None = None
        self.in_cache = cache.token == tracked.token

    def _walked(self) -> dict[str, _Columns]:
        if self._walk is None:
            self._walk = _by_directory(self._tracked.iter_blobs())
        return self._walk

    def are_told_by(self, block: Block, directory: str) -> bool:
        """Whether a block from the cache is right about what is tracked in its directory."""
        if self.in_cache:
            return True
        columns = self._walked().get(directory)
        return columns is not None and columns.are_all_of(block)

    def of(self, directory: str, names: Collection[str] | None = None) -> dict[str, Tracked]:
        """The tracked files of a directory, or those of a few names in it."""
        block = self._cache.block(directory) if self.in_cache else None
        if block is not None:
            return (block if names is None else block.only(names)).tracked()
        columns = self._walked().get(directory)
        files = {} if columns is None else columns.as_dict()
        return files if names is None else {name: files[name] for name in names if name in files}

    def directories(self) -> Iterable[str]:
        return self._cache.tracked_directories() if self.in_cache else self._walked()


def _by_directory(blobs: Iterator[tuple[str, bytes, int, bool]]) -> dict[str, _Columns]:
    directories: dict[str, _Columns] = {}
    current = None
    columns = _Columns()
    for key, blob_id, size, executable in blobs:
        directory, _, name = key.rpartition("/")
        if directory != current:
            current = directory
            columns = directories.setdefault(directory, _Columns())
        columns.names.append(name)
        columns.ids += blob_id
        columns.sizes.append(size)
        columns.executables.append(executable)
    return directories
