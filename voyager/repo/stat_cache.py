"""What files looked like when they were last read, so that `status` need not read them again.

The cache is one local file that may be deleted at any time and is never synced. It holds batches,
each appended by one writer:

    magic · index length · body length · checksum of the batch before · checksum of this head
    index   msgpack: token, [directory, block length, block checksum, has tracked files] …
    body    the blocks of those directories, msgpack

A batch counts only if it follows the last one that counted, so of two writers that started from
the same state one is heard; half a batch ends the file. After a flipped byte a block is absent,
never wrong. (LMDB was tried: it has no checksums, and a truncated file kills the reader.)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from struct import Struct
from typing import NamedTuple, Self

import msgspec
import zstandard
from blake3 import blake3

from voyager.repo.stat_block import Block, Content, FileStat, Tracked
from voyager.store import bulk, files

_MAGIC = b"vgrstat1"
_HEAD = Struct("<8sQQ8s")
_CHECKSUM_BYTES = 8
_START = bytes(_CHECKSUM_BYTES)

_SLACK_NS = 2_000_000_000
"""The coarsest clock of a file system in use (FAT counts mtime in 2 s)."""

_SPARE_BYTES = 64 * 1024
"""Dead bytes that are not worth writing the file anew."""

_EMPTY = Block()


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """A block in the index of a batch; a length of 0 says that there is none any more."""

    directory: str
    length: int
    checksum: bytes
    has_tracked: bool


class _Index(msgspec.Struct, frozen=True, array_like=True):
    token: bytes | None
    entries: list[_Entry]


class _Place(NamedTuple):
    """Where the block of a directory lies in the file."""

    entry: _Entry
    offset: int


_encode = msgspec.msgpack.Encoder().encode
_decode_index = msgspec.msgpack.Decoder(_Index).decode
_decode_block = msgspec.msgpack.Decoder(Block).decode


class StatCache:
    """The cache in one folder; a damaged, missing or unwritable one acts empty, never fails.

    The folder lies on the file system of the working tree, whose clock decides what is trusted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "blocks"
        self._take(b"")

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The cache in `folder`, which need not exist, as it is on disk now."""
        cache = cls(folder)
        cache.load()
        return cache

    def load(self) -> None:
        """Take the state that is on disk now; what others write later is not seen."""
        data = b""
        with contextlib.suppress(OSError):
            data = self._path.read_bytes()
        self._take(data)

    def _take(self, data: bytes) -> None:
        self.token: bytes | None = None
        """Names the tracked files that the blocks tell of; None when they tell of no one set."""
        self._places: dict[str, _Place] = {}
        self._data = b""
        self._head = _START
        self._damaged = False
        self._extend(data)

    def _extend(self, added: bytes) -> None:
        position = len(self._data)
        self._data = self._data + added if self._data else added
        while position < len(self._data):
            batch = _read_batch(self._data, position)
            if batch is None:
                self._damaged = True
                return
            if batch.follows == self._head:
                self._head = batch.checksum
                self.token = batch.table.token
                self._apply_entries(batch)
            position = batch.end

    def _apply_entries(self, batch: _Batch) -> None:
        offset = batch.body
        for entry in batch.table.entries:
            if entry.length:
                self._places[entry.directory] = _Place(entry, offset)
            else:
                self._places.pop(entry.directory, None)
            offset += entry.length

    def directories(self) -> Iterator[str]:
        """The directories that have a block."""
        return iter(self._places)

    def tracked_directories(self) -> Iterator[str]:
        """The directories that have tracked files, on disk or not."""
        return (place.entry.directory for place in self._places.values() if place.entry.has_tracked)

    def block(self, directory: str) -> Block | None:
        """What is known of a directory: an empty block when nothing, None when it is damaged."""
        place = self._places.get(directory)
        if place is None:
            return _EMPTY
        data = self._bytes_at(place)
        if _checksum(data) != place.entry.checksum:
            return None
        return _decode_block(_decompressor().decompress(data))

    def _bytes_at(self, place: _Place) -> bytes:
        return self._data[place.offset : place.offset + place.entry.length]

    def now_ns(self) -> int:
        """The file system's clock in ns; 0, from which nothing is kept, when unwritable."""
        path = self._folder / f"clock.{os.getpid()}"
        try:
            files.make_folder(self._folder)
            files.remove(path)
            try:
                return files.create(path, b"").st_mtime_ns
            finally:
                files.remove(path)
        except OSError:
            return 0

    def write(self, blocks: Mapping[str, Block], *, token: bytes | None, as_of_ns: int) -> None:
        """Keep blocks, and what set of tracked files all blocks now tell of; drop empty blocks.

        `as_of_ns` is `now_ns` from before the first of the files was looked at. Where nothing can
        be written nothing happens, and when another wrote since `load` it is not kept.
        """
        if not as_of_ns:
            return
        changed: list[tuple[_Entry, bytes]] = []
        for directory, block in blocks.items():
            entry, data = _encode_block(directory, block.settled(as_of_ns - _SLACK_NS))
            if entry != self._entry_of(directory):
                changed.append((entry, data))
        if changed or token != self.token:
            with contextlib.suppress(OSError):
                self._write(changed, token)

    def _entry_of(self, directory: str) -> _Entry:
        place = self._places.get(directory)
        return place.entry if place else _no_block(directory)

    def _write(self, changed: list[tuple[_Entry, bytes]], token: bytes | None) -> None:
        replaced = {entry.directory for entry, _ in changed}
        kept = [place for name, place in self._places.items() if name not in replaced]
        live = sum(place.entry.length for place in kept) + sum(len(data) for _, data in changed)
        added = _encode_batch(changed, token, self._head)
        if not self._damaged and len(self._data) + len(added) <= live + live // 4 + _SPARE_BYTES:
            self._append(added)
            self._extend(added)
        else:
            all_blocks = [(place.entry, self._bytes_at(place)) for place in kept] + changed
            anew = _encode_batch(all_blocks, token, _START)
            self._replace(anew)
            self._take(anew)

    def _append(self, batch: bytes) -> None:
        files.make_folder(self._folder)
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            files.write_all(fd, [batch])
        finally:
            os.close(fd)

    def _replace(self, batch: bytes) -> None:
        temporary = self._folder / "blocks.new"
        files.remove(temporary)
        files.create(temporary, batch)
        files.rename(temporary, self._path)

    def update(
        self,
        contents: Iterable[tuple[str, FileStat, bytes]],
        *,
        removed: Iterable[str] = (),
        token: bytes | None = None,
        as_of_ns: int | None = None,
    ) -> None:
        """Note (key, stat, blob id) of files that were read or written, and keys of removed ones.

        With `token` those files are from now on also tracked with these contents, the removed ones
        no longer, and `token` names the tracked files after that; it is for callers for whom
        `self.token` names the ones before. Without it what is tracked stays as it is.

        Take each stat before reading a file and after writing one, and `as_of_ns` from `now_ns`
        before the first of them; now is good enough where the clock of the file system is finer
        than the time since.
        """
        after = self.token if token is None else token
        blocks = {}
        with bulk.paused_gc():
            for directory, edits in _by_directory(contents, removed).items():
                known = self.block(directory)
                if known is None:
                    known, after = _EMPTY, None
                blocks[directory] = _edited(known, edits, become_tracked=token is not None)
            now_ns = self.now_ns() if as_of_ns is None else as_of_ns
            self.write(blocks, token=after, as_of_ns=now_ns)


def _by_directory(
    contents: Iterable[tuple[str, FileStat, bytes]], removed: Iterable[str]
) -> dict[str, dict[str, Content | None]]:
    directories: dict[str, dict[str, Content | None]] = {}
    for key in removed:
        directory, _, name = key.rpartition("/")
        directories.setdefault(directory, {})[name] = None
    for key, stat, blob_id in contents:
        directory, _, name = key.rpartition("/")
        edits = directories.get(directory)
        if edits is None:
            edits = directories[directory] = {}
        edits[name] = Content(stat.pack(), blob_id)
    return directories


def _edited(known: Block, edits: Mapping[str, Content | None], *, become_tracked: bool) -> Block:
    """The block after `edits`, which either are tracked from now on or change nothing of that."""
    if become_tracked:
        differs = {name: file for name, file in known.differs.items() if name not in edits}
    else:
        differs = _differences(known.only(edits).tracked(), edits)
        differs |= {name: file for name, file in known.differs.items() if name not in edits}
    return msgspec.structs.replace(known.with_contents(edits), differs=differs)


def _differences(
    tracked: Mapping[str, Tracked], contents: Mapping[str, Content | None]
) -> dict[str, Tracked | None]:
    differs: dict[str, Tracked | None] = {}
    for name, content in contents.items():
        file = tracked.get(name)
        if content is None and file is None:
            continue
        if content is None or file is None or not content.is_as(file):
            differs[name] = file
    return differs


class _Batch(NamedTuple):
    follows: bytes
    checksum: bytes
    table: _Index
    body: int
    end: int


def _read_batch(data: bytes, start: int) -> _Batch | None:
    """The batch at `start`; None when its head or index is damaged or its body cut short."""
    sealed_at = start + _HEAD.size
    index_at = sealed_at + _CHECKSUM_BYTES
    if index_at > len(data):
        return None
    magic, index_length, body_length, follows = _HEAD.unpack_from(data, start)
    body = index_at + index_length
    checksum = data[sealed_at:index_at]
    if magic != _MAGIC or body + body_length > len(data):
        return None
    if _checksum(data[start:sealed_at] + data[index_at:body]) != checksum:
        return None
    return _Batch(follows, checksum, _decode_index(data[index_at:body]), body, body + body_length)


def _encode_batch(blocks: list[tuple[_Entry, bytes]], token: bytes | None, follows: bytes) -> bytes:
    index = _encode(_Index(token, [entry for entry, _ in blocks]))
    body = b"".join(data for _, data in blocks)
    head = _HEAD.pack(_MAGIC, len(index), len(body), follows)
    return head + _checksum(head + index) + index + body


def _encode_block(directory: str, block: Block) -> tuple[_Entry, bytes]:
    if not len(block) and not block.differs:
        return _no_block(directory), b""
    data = _compressor().compress(_encode(block))
    return _Entry(directory, len(data), _checksum(data), block.has_tracked()), data


@cache
def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=1)


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


def _no_block(directory: str) -> _Entry:
    return _Entry(directory, 0, b"", False)


def _checksum(data: bytes) -> bytes:
    return blake3(data).digest(_CHECKSUM_BYTES)
