"""The files of the text index: segments, what they are in order, and who of them is in a version.

    index        what the index is called and its segments in order; replaced as a whole
    segments/    immutable, named by content
    versions/    a bitmap of documents for the samples of a version, named by the root of its tree

Documents are numbered through all segments in order. Merging neighbours keeps the numbers, so that
bitmaps stay true; one of another index (`name`) is not. Damage is found by checksums: a bitmap
acts absent, and anything else makes the index start anew.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np
import zstandard
from blake3 import blake3
from numpy.typing import NDArray

from voyager.search.text_document import Document
from voyager.search.text_segment import (
    MOST_DOCUMENTS,
    DamagedTextError,
    Segment,
    build,
    merged,
    name_of,
    spans,
)
from voyager.store import files

_VERSION: Final = 1
_SUM_BYTES: Final = 16
_MOST_VERSIONS: Final = 200
"""Bitmaps that are kept; the least recently used go."""
_NAME_LETTERS: Final = 64
"""Of the name of a bitmap; other files are those of writers that were killed."""

Mask = NDArray[np.bool_]
_Kind = TypeVar("_Kind", bound=msgspec.Struct)


class _Index(msgspec.Struct, frozen=True):
    version: int = _VERSION
    name: bytes = b""
    segments: list[str] = []


class _Bitmap(msgspec.Struct, frozen=True):
    index: bytes
    count: int
    bits: bytes


class TextStore:
    """The index in a folder, which need not exist. Writers hold `lock`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = _Index()
        self._loaded: dict[str, Segment] = {}

    def lock(self) -> AbstractContextManager[object]:
        """The lock of writers."""
        files.make_folder(self.folder)
        return files.FileLock(self.folder / "lock", what="index of texts")

    @property
    def name(self) -> bytes:
        """What the index is called; another after a new start."""
        return self._index.name

    @property
    def segments(self) -> list[Segment]:
        return [self._loaded[name] for name in self._index.segments]

    def refresh(self) -> None:
        """Take in what other processes wrote; DamagedTextError where it cannot be read."""
        index = _read(self.folder / "index", _Index)
        if index is None or index.version != _VERSION:
            raise DamagedTextError("there is no index")
        known = self._loaded if index.name == self._index.name else {}
        loaded = {name: known.get(name) or self._load(name) for name in index.segments}
        self._index, self._loaded = index, loaded

    def _load(self, name: str) -> Segment:
        try:
            return Segment.parse((self.folder / "segments" / name).read_bytes())
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            raise DamagedTextError(f"segment {name} cannot be read") from error

    def start_anew(self) -> None:
        """Drop everything."""
        for part in ("index", "segments", "versions"):
            path = self.folder / part
            files.remove(path) if path.is_file() else files.remove_tree(path)
        self._index, self._loaded = _Index(name=os.urandom(16)), {}
        for part in ("segments", "versions"):
            files.make_folder(self.folder / part)
        self._write_index()

    def sweep(self) -> None:
        """Remove what writers that were killed have left."""
        named = set(self._index.segments)
        with os.scandir(self.folder / "segments") as entries:
            for entry in entries:
                if entry.name not in named:
                    files.remove(entry.path)

    def append(self, documents: Sequence[Document]) -> None:
        """Index documents after all others, together with small segments before them."""
        old = list(self._index.segments)
        names = list(old)
        new = build(documents)
        small: list[Segment] = []
        size = len(new)
        while names and len(self._loaded[names[-1]]) <= 2 * size:
            size += len(self._loaded[names[-1]])
            if size > MOST_DOCUMENTS:
                break
            small.insert(0, self._loaded[names.pop()])
        if small:
            new = merged([*small, new])
        name = name_of(new.data)
        self._loaded[name] = new
        self._keep(name, new, _Index(name=self.name, segments=[*names, name]))
        self._drop(old[len(names) :])

    def _keep(self, name: str, segment: Segment, index: _Index) -> None:
        """Write a new segment, then the index that names it."""
        files.replace(self.folder / "segments" / name, [segment.data])
        self._index = index
        self._write_index()

    def _drop(self, names: Sequence[str]) -> None:
        for each in names:
            self._loaded.pop(each, None)
            files.remove(self.folder / "segments" / each)

    def _write_index(self) -> None:
        body = msgspec.msgpack.encode(self._index)
        files.replace(self.folder / "index", [_checksum(body), body])

    def find(self, identities: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The documents of these (key, row) pairs, -1 where they are not indexed."""
        found = np.full(len(identities), -1, np.int64)
        segments = self.segments
        for segment, (start, _) in zip(segments, spans(segments), strict=True):
            there = segment.find(identities)
            found = np.where(there >= 0, there + start, found)
        return found

    # -- versions --------------------------------------------------------------------------------

    def members(self, version: str) -> Mask | None:
        """Which documents are in a version; None where nobody has said."""
        path = self.folder / "versions" / version
        bitmap = _read(path, _Bitmap)
        if bitmap is None or bitmap.index != self.name:
            return None
        bits = np.frombuffer(zstandard.ZstdDecompressor().decompress(bitmap.bits), np.uint8)
        with contextlib.suppress(OSError):
            os.utime(path)
        return np.unpackbits(bits, count=bitmap.count).view(np.bool_)

    def keep_members(self, version: str, mask: Mask) -> None:
        """Say which documents are in a version."""
        bits = zstandard.ZstdCompressor(level=3).compress(np.packbits(mask).tobytes())
        body = msgspec.msgpack.encode(_Bitmap(self.name, len(mask), bits))
        files.replace(self.folder / "versions" / version, [_checksum(body), body])
        for old in self.versions()[_MOST_VERSIONS:]:
            files.remove(self.folder / "versions" / old)

    def versions(self) -> list[str]:
        """The versions that are known, the last used first."""
        try:
            with os.scandir(self.folder / "versions") as entries:
                found = [(entry.stat().st_mtime_ns, entry.name) for entry in entries]
        except OSError:
            return []
        return [name for _, name in sorted(found, reverse=True) if len(name) == _NAME_LETTERS]


class MemoryTextStore(TextStore):
    """An index in memory alone, for where none can be written."""

    def __init__(self) -> None:
        super().__init__(Path())
        self._members: dict[str, Mask] = {}

    def lock(self) -> AbstractContextManager[object]:
        return contextlib.nullcontext()

    def refresh(self) -> None:
        """Nobody else writes here; DamagedTextError until it is started."""
        if not self.name:
            raise DamagedTextError("there is no index")

    def start_anew(self) -> None:
        self._index, self._loaded, self._members = _Index(name=os.urandom(16)), {}, {}

    def sweep(self) -> None:
        """There are no files."""

    def _keep(self, name: str, segment: Segment, index: _Index) -> None:
        self._index = index

    def _drop(self, names: Sequence[str]) -> None:
        for each in names:
            self._loaded.pop(each, None)

    def members(self, version: str) -> Mask | None:
        return self._members.get(version)

    def keep_members(self, version: str, mask: Mask) -> None:
        self._members[version] = mask

    def versions(self) -> list[str]:
        return list(reversed(self._members))


def _read(path: Path, kind: type[_Kind]) -> _Kind | None:
    """What is in a small file; None for a missing or damaged one."""
    try:
        data = path.read_bytes()
        if _checksum(data[_SUM_BYTES:]) == data[:_SUM_BYTES]:
            return msgspec.msgpack.decode(data[_SUM_BYTES:], type=kind)
    except (OSError, msgspec.MsgspecError, ValueError):
        pass
    return None


def _checksum(data: bytes) -> bytes:
    return blake3(data).digest(_SUM_BYTES)
