"""Packs: immutable entries in one file, sealed with an index and a checksummed trailer (spec 5).

Layout: 16-byte head (magic, content u8, zeros), entries, index, trailer. A pack that holds
dictionary-compressed entries begins with that dictionary. The name of a pack is the BLAKE3 of its
entries' header sums, so equal packs have equal names.
"""

from __future__ import annotations

import array
import contextlib
import os
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import zstandard
from blake3 import blake3

from voyager.errors import CorruptError
from voyager.store import files
from voyager.store.entry import (
    HEADER_BYTES,
    Damage,
    Header,
    Method,
    decode_header,
    encode_header,
    expand,
    scan_entries,
    sum_of,
)
from voyager.store.ids import Kind, object_id
from voyager.store.spec import (
    MAX_COMPRESSED_BLOB,
    MIB,
    PACK_MAGIC,
    TRAILER_MAGIC,
    ZSTD_WINDOW_LIMIT,
)

HEAD_BYTES = 16
_TRAILER = struct.Struct("<8sQQQ16s")
TRAILER_BYTES = _TRAILER.size + 8
_BUFFER_BYTES = MIB
_CHUNK = MIB


class Content(IntEnum):
    """What a pack holds; image bytes and metadata never share one."""

    BLOBS = 0
    METADATA = 1


class Placed(NamedTuple):
    """Where an entry lies in a file: what the pack index maps an id to."""

    id: bytes
    offset: int
    stored: int


@dataclass(frozen=True, slots=True)
class SealedPack:
    """A finished pack: its name and what it holds, in file order."""

    name: str
    content: Content
    entries: list[Placed]
    size: int


def pack_head(content: Content) -> bytes:
    return (PACK_MAGIC + bytes([content])).ljust(HEAD_BYTES, b"\0")


class PackWriter:
    """Writes one pack under a temporary name; `seal` makes it durable and gives it its own."""

    def __init__(self, folder: Path, content: Content, *, dictionary: bytes | None = None) -> None:
        self._folder = folder
        self._content = content
        self._path = folder / f"tmp-{os.getpid()}-{os.urandom(6).hex()}"
        self._fd = files.open_new(self._path)
        self._buffer: list[bytes | memoryview] = [pack_head(content)]
        self._buffered = HEAD_BYTES
        self.size = HEAD_BYTES
        self.entries: list[Placed] = []
        self._head_sums = bytearray()
        self._kinds = bytearray()
        self._dictionary: zstandard.ZstdCompressor | None = None
        if dictionary is not None:
            self.append(
                Kind.DICTIONARY,
                object_id(Kind.DICTIONARY, dictionary),
                Method.RAW,
                dictionary,
                len(dictionary),
            )
            self._dictionary = zstandard.ZstdCompressor(
                level=3, dict_data=zstandard.ZstdCompressionDict(dictionary)
            )

    def append(
        self,
        kind: Kind,
        entry_id: bytes,
        method: int,
        stored: bytes | memoryview,
        real: int,
    ) -> Placed:
        """Add an entry that is encoded already."""
        # The id of a raw blob is the hash of its bytes, so its sum need not be computed again.
        raw_blob = method == Method.RAW and kind is Kind.BLOB
        body_sum = entry_id[:8] if raw_blob else sum_of(stored)
        header = encode_header(kind, method, len(stored), real, entry_id, body_sum)
        placed = self._note(kind, header, len(stored))
        self._buffer.append(header)
        self._buffer.append(stored)
        self._buffered += HEADER_BYTES + len(stored)
        if self._buffered >= _BUFFER_BYTES:
            self._flush()
        return placed

    def append_encoded(self, header: bytes, stored: bytes) -> Placed:
        """Add an entry whose header is made already."""
        placed = self._note(Kind(header[4]), header, len(stored))
        self._put(header)
        self._put(stored)
        return placed

    def append_small(self, entry_id: bytes, data: bytes) -> Placed:
        """Add a blob, with the dictionary of this pack where that saves something."""
        if self._dictionary is not None and len(data) <= MAX_COMPRESSED_BLOB:
            stored = self._dictionary.compress(data)
            if len(stored) < len(data):
                return self.append(Kind.BLOB, entry_id, Method.ZSTD_DICTIONARY, stored, len(data))
        return self.append(Kind.BLOB, entry_id, Method.RAW, data, len(data))

    def append_stream(self, chunks: Iterable[bytes]) -> Placed:
        """Add a blob whose bytes come in chunks; its header is written last."""
        self._flush()
        start = self.size
        try:
            files.write_all(self._fd, [bytes(HEADER_BYTES)])
            hasher, length = blake3(), 0
            for chunk in chunks:
                files.write_all(self._fd, [chunk])
                hasher.update(chunk)
                length += len(chunk)
            entry_id = hasher.digest()
            header = encode_header(Kind.BLOB, Method.RAW, length, length, entry_id, entry_id[:8])
            files.pwrite_all(self._fd, header, start)
        except BaseException:
            self._cut(start)  # the source broke off; what follows must not stand behind its bytes
            raise
        return self._note(Kind.BLOB, header, length)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it, or only its dictionary."""
        return len(self.entries) == (self._dictionary is not None)

    def begins_with(self, entry_id: bytes) -> bool:
        """Whether the first entry, where a dictionary stands, has this id."""
        return bool(self.entries) and self.entries[0].id == entry_id

    def append_copy(self, header: bytes, chunks: Iterable[bytes]) -> Placed:
        """Copy an entry of another pack as it is stored there.

        Raises CorruptError when its body does not fit its sum; then this pack is of no use.
        """
        parsed = decode_header(header)
        hasher = blake3()
        self._put(header)
        for chunk in chunks:
            hasher.update(chunk)
            self._put(chunk)
        if hasher.digest(len(parsed.body_sum)) != parsed.body_sum:
            raise CorruptError(
                f"the bytes of {parsed.kind.label} {parsed.id.hex()} are damaged", hint="vgr fsck"
            )
        return self._note(parsed.kind, header, parsed.stored)

    def take_back(self) -> None:
        """Remove the last entry again."""
        self._flush()
        self.size = self.entries.pop().offset
        del self._head_sums[-8:], self._kinds[-1:]
        self._cut(self.size)

    def _cut(self, size: int) -> None:
        files.truncate(self._fd, size)
        os.lseek(self._fd, size, os.SEEK_SET)

    def _note(self, kind: Kind, header: bytes, stored: int) -> Placed:
        placed = Placed(header[24:56], self.size, stored)
        self.entries.append(placed)
        self._head_sums += header[-8:]
        self._kinds.append(kind)
        self.size += HEADER_BYTES + stored
        return placed

    def _put(self, data: bytes | memoryview) -> None:
        self._buffer.append(data)
        self._buffered += len(data)
        if self._buffered >= _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._buffer:
            files.write_all(self._fd, self._buffer)
            self._buffer, self._buffered = [], 0

    def read(self, offset: int, stored: int) -> bytes:
        """An entry of this unfinished pack, expanded."""
        self._flush()
        data = os.pread(self._fd, HEADER_BYTES + stored, offset)
        return expand(decode_header(data), data[HEADER_BYTES:])

    def seal(self) -> SealedPack:
        """Write index and trailer, sync, and rename to the final name."""
        index = _encode_index(self.entries, bytes(self._kinds))
        name = blake3(self._head_sums).hexdigest()
        self._buffer += [index, _encode_trailer(self.size, index, len(self.entries), name)]
        self._flush()
        files.sync(self._fd)
        files.rename(self._path, self._folder / f"{name}.pack")
        os.close(self._fd)
        self._fd = -1
        trailer = _encode_trailer(0, index, len(self.entries), name)
        self._write_index_file(name, index + trailer)
        files.sync_folder(self._folder)
        return SealedPack(name, self._content, self.entries, self.size)

    def _write_index_file(self, name: str, data: bytes) -> None:
        # A copy of what the pack ends with, so it needs no sync of its own: fsck writes it again.
        temporary = self._folder / f"tmp-{os.getpid()}-{os.urandom(6).hex()}"
        files.create(temporary, data)
        files.rename(temporary, self._folder / f"{name}.idx")

    def discard(self) -> None:
        """Drop the unfinished pack; after `seal` this does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            with contextlib.suppress(OSError):
                files.remove(self._path)


def _encode_index(entries: list[Placed], kinds: bytes) -> bytes:
    """Columns, compressed: 8-byte id prefixes, stored lengths u64, kinds (spec 5.3)."""
    lengths = array.array("Q", (placed.stored for placed in entries))
    if sys.byteorder == "big":
        lengths.byteswap()
    prefixes = b"".join([placed.id[:8] for placed in entries])
    columns = struct.pack("<Q", len(entries)) + prefixes + lengths.tobytes() + kinds
    return zstandard.ZstdCompressor(level=3).compress(columns)


def _encode_trailer(index_offset: int, index: bytes, count: int, name: str) -> bytes:
    body = _TRAILER.pack(TRAILER_MAGIC, index_offset, len(index), count, bytes.fromhex(name)[:16])
    return body + blake3(index + body).digest(8)


@dataclass(frozen=True, slots=True)
class Trailer:
    """Where the entries of a pack end and how many there are."""

    index_offset: int
    index_length: int
    count: int
    name_prefix: bytes


def read_trailer(fd: int, size: int) -> Trailer:
    """The trailer of a pack (or `.idx`) of `size` bytes; CorruptError unless it fits its index."""
    body = os.pread(fd, TRAILER_BYTES, max(size - TRAILER_BYTES, 0))
    if len(body) < TRAILER_BYTES:
        raise CorruptError("the trailer is cut short")
    magic, offset, length, count, name = _TRAILER.unpack_from(body)
    if magic != TRAILER_MAGIC or offset + length + TRAILER_BYTES != size:
        raise CorruptError("no trailer at the end")
    index = os.pread(fd, length, offset)
    if blake3(index + body[: _TRAILER.size]).digest(8) != body[_TRAILER.size :]:
        raise CorruptError("index and trailer do not fit their checksum")
    return Trailer(offset, length, count, name)


def read_index(data: bytes, count: int) -> tuple[bytes, array.array[int], bytes]:
    """(id prefixes of 8 bytes, stored lengths, kinds) of a pack's `count` entries."""
    try:
        if zstandard.frame_content_size(data) != 8 + 17 * count:
            raise CorruptError("the index of a pack has the wrong length")
        columns = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_LIMIT).decompress(data)
    except (zstandard.ZstdError, MemoryError) as error:
        raise CorruptError(f"the index of a pack does not decompress: {error}") from error
    if struct.unpack_from("<Q", columns)[0] != count:
        raise CorruptError("the index of a pack has the wrong count")
    lengths = array.array("Q", columns[8 + 8 * count : 8 + 16 * count])
    if sys.byteorder == "big":
        lengths.byteswap()
    return columns[8 : 8 + 8 * count], lengths, columns[8 + 16 * count :]


def parse_index(data: bytes, count: int, name: str) -> tuple[bytes, array.array[int], bytes]:
    """As `read_index`, of the bytes of an `.idx`; CorruptError unless it is that of a pack."""
    index, body = data[:-TRAILER_BYTES], data[-TRAILER_BYTES:]
    if len(body) < TRAILER_BYTES or blake3(index + body[: _TRAILER.size]).digest(8) != body[-8:]:
        raise CorruptError(f"the index of pack {name} does not fit its checksum")
    if _TRAILER.unpack_from(body) != (
        (TRAILER_MAGIC, 0, len(index), count, bytes.fromhex(name)[:16])
    ):
        raise CorruptError(f"the index of pack {name} is that of another pack")
    return read_index(index, count)


def read_prefixes(path: Path) -> set[bytes]:
    """The first 8 bytes of the ids that a pack or `.idx` holds; CorruptError when damaged."""
    trailer, index = read_tail(path)
    prefixes = read_index(index, trailer.count)[0]
    return {prefixes[at : at + 8] for at in range(0, len(prefixes), 8)}


def read_tail(path: Path) -> tuple[Trailer, bytes]:
    """Trailer and index of a pack or `.idx`; CorruptError when damaged."""
    fd = os.open(path, os.O_RDONLY)
    try:
        trailer = read_trailer(fd, os.fstat(fd).st_size)
        return trailer, os.pread(fd, trailer.index_length, trailer.index_offset)
    finally:
        os.close(fd)


def index_copy(path: Path) -> bytes:
    """What the `.idx` beside a pack holds: its index, and a trailer that counts from there."""
    trailer, index = read_tail(path)
    return index + _encode_trailer(0, index, trailer.count, trailer.name_prefix.hex())


def scan_pack(path: Path) -> Iterator[tuple[int, Header] | Damage]:
    """Walk a pack by its headers, trusting its trailer only when that is whole."""
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        head = os.pread(fd, HEAD_BYTES, 0)
        if head not in (pack_head(Content.BLOBS), pack_head(Content.METADATA)):
            yield Damage(0, HEAD_BYTES, "the head of the pack is damaged")
        try:
            end = read_trailer(fd, size).index_offset
        except CorruptError as error:
            yield Damage(max(size - TRAILER_BYTES, 0), TRAILER_BYTES, str(error))
            end = size
        yield from scan_entries(fd, HEAD_BYTES, end)
    finally:
        os.close(fd)


class PackFiles:
    """Reads entries out of packs by (file, offset), keeping the most used files open."""

    _MOST_OPEN = 64

    def __init__(self) -> None:
        self._fds: OrderedDict[str, int] = OrderedDict()
        self._dictionaries: dict[str, zstandard.ZstdDecompressor] = {}

    def fd(self, path: str) -> int:
        """An open descriptor; FileNotFoundError when the pack vanished."""
        try:
            self._fds.move_to_end(path)
            return self._fds[path]
        except KeyError:
            fd = self._fds[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if len(self._fds) > self._MOST_OPEN:
            os.close(self._fds.popitem(last=False)[1])
        return fd

    def read(self, path: str, offset: int, stored: int) -> tuple[Header, bytes]:
        """The header and the real bytes of an entry; CorruptError when cut short or damaged."""
        data = os.pread(self.fd(path), HEADER_BYTES + stored, offset)
        header = decode_header(data, verify=False)
        if header.stored != stored or len(data) != HEADER_BYTES + stored:
            raise CorruptError(f"an entry of {path} is cut short")
        dictionary = self.dictionary(path) if header.method == Method.ZSTD_DICTIONARY else None
        return header, expand(header, data[HEADER_BYTES:], dictionary)

    def read_header(self, path: str, offset: int) -> Header:
        return decode_header(os.pread(self.fd(path), HEADER_BYTES, offset))

    def iter_raw(self, path: str, offset: int, stored: int) -> Iterator[bytes]:
        """The stored bytes of an entry in chunks."""
        with self.open(path) as source:
            yield from iter_body(source, offset, stored)

    def open(self, path: str) -> FileIO:
        """A handle of one's own on a pack, good even when gc deletes it; the caller closes it."""
        return FileIO(os.dup(self.fd(path)))

    def dictionary(self, path: str) -> zstandard.ZstdDecompressor:
        """The decompressor for a pack's dictionary: its first entry (spec 5.2)."""
        known = self._dictionaries.get(path)
        if known is None:
            known = self._dictionaries[path] = read_dictionary(self.fd(path), path)
        return known

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.popitem()[1])
        self._dictionaries.clear()


def iter_body(source: FileIO, offset: int, stored: int) -> Iterator[bytes]:
    """The stored bytes of the entry at `offset` in chunks; CorruptError when cut short."""
    at, end = offset + HEADER_BYTES, offset + HEADER_BYTES + stored
    while at < end:
        chunk = os.pread(source.fileno(), min(_CHUNK, end - at), at)
        if not chunk:
            raise CorruptError("an entry of a pack is cut short")
        at += len(chunk)
        yield chunk


def read_dictionary_bytes(fd: int, path: str) -> bytes:
    """The dictionary that a pack begins with; CorruptError when there is none."""
    header = decode_header(os.pread(fd, HEADER_BYTES, HEAD_BYTES))
    if header.kind is not Kind.DICTIONARY:
        raise CorruptError(f"{path} has no dictionary")
    return expand(header, os.pread(fd, header.stored, HEAD_BYTES + HEADER_BYTES))


def read_dictionary(fd: int, path: str) -> zstandard.ZstdDecompressor:
    """A decompressor for a pack that begins with a dictionary."""
    return zstandard.ZstdDecompressor(
        dict_data=zstandard.ZstdCompressionDict(read_dictionary_bytes(fd, path)),
        max_window_size=ZSTD_WINDOW_LIMIT,
    )
