"""The framing of packs, journal and log: a checksummed header, then the stored body (spec 4).

Header, 72 bytes little-endian: magic, kind u8, method u8, zero u16, stored length u64, real length
u64, id 32, body sum 8, header sum 8. A sum is the first 8 bytes of the BLAKE3 of the bytes.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import zstandard
from blake3 import blake3

from voyager.errors import CorruptError
from voyager.store.ids import Kind
from voyager.store.spec import ENTRY_MAGIC, MAX_DECODED, MIB, ZSTD_WINDOW_LIMIT

_HEADER = struct.Struct("<4sBBHQQ32s8s")
_SUM_BYTES = 8
HEADER_BYTES = _HEADER.size + _SUM_BYTES
_pack_header = _HEADER.pack
_KINDS = {int(kind): kind for kind in Kind}


class Method(IntEnum):
    """How a body is stored."""

    RAW = 0
    ZSTD = 1
    ZSTD_DICTIONARY = 2  # with the dictionary that is the first entry of the same pack


_METHODS = {int(method) for method in Method}


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a body."""

    kind: Kind
    method: int
    stored: int
    real: int
    id: bytes
    body_sum: bytes


def sum_of(data: bytes | memoryview) -> bytes:
    """The 8-byte checksum of stored bytes."""
    return blake3(data).digest(_SUM_BYTES)


def encode_header(
    kind: Kind, method: int, stored: int, real: int, entry_id: bytes, body_sum: bytes
) -> bytes:
    """The 72 bytes that stand before a body."""
    head = _pack_header(ENTRY_MAGIC, kind, method, 0, stored, real, entry_id, body_sum)
    return head + blake3(head).digest(_SUM_BYTES)


def decode_header(data: bytes | memoryview, *, verify: bool = True) -> Header:
    """Parse a header; CorruptError unless magic and header sum fit."""
    if len(data) < HEADER_BYTES:
        raise CorruptError("an entry header is cut short")
    magic, kind, method, zero, stored, real, entry_id, body_sum = _HEADER.unpack_from(data)
    if magic != ENTRY_MAGIC or kind not in _KINDS or method not in _METHODS or zero:
        raise CorruptError("no entry header where one is expected")
    if verify and sum_of(data[: _HEADER.size]) != data[_HEADER.size : HEADER_BYTES]:
        raise CorruptError("an entry header does not fit its checksum")
    return Header(_KINDS[kind], method, stored, real, entry_id, body_sum)


class _Codecs(threading.local):
    """What compresses and decompresses in one thread; zstandard's objects bear no second one."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_LIMIT)
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}


_codecs = _Codecs()


def compressor(level: int = 1) -> zstandard.ZstdCompressor:
    """The compressor of a level for this thread."""
    found = _codecs.compressors.get(level)
    if found is None:
        found = _codecs.compressors[level] = zstandard.ZstdCompressor(level=level)
    return found


def compress(data: bytes, level: int = 1) -> tuple[int, bytes]:
    """(method, stored bytes): zstd where it saves something, else as it is."""
    stored = compressor(level).compress(data)
    return (Method.ZSTD, stored) if len(stored) < len(data) else (Method.RAW, data)


def expand(
    header: Header, stored: bytes, dictionary: zstandard.ZstdDecompressor | None = None
) -> bytes:
    """The real bytes of a stored body, never more than the header claims; CorruptError else."""
    if header.method == Method.RAW:
        if len(stored) != header.real:
            raise CorruptError(f"{header.kind.label} {header.id.hex()} has the wrong length")
        return stored
    limit = MAX_DECODED.get(header.kind.label)
    if limit is not None and header.real > limit:
        raise CorruptError(f"{header.kind.label} {header.id.hex()} claims {header.real} bytes")
    decompressor = _codecs.decompressor
    if header.method == Method.ZSTD_DICTIONARY:
        if dictionary is None:
            raise CorruptError(f"{header.id.hex()} needs a dictionary that its pack lacks")
        decompressor = dictionary
    try:
        if zstandard.frame_content_size(stored) != header.real:
            raise CorruptError(f"{header.kind.label} {header.id.hex()} has the wrong length")
        return decompressor.decompress(stored)
    except (zstandard.ZstdError, MemoryError) as error:
        raise CorruptError(
            f"{header.kind.label} {header.id.hex()} does not decompress: {error}"
        ) from error


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a file that holds no readable entry."""

    offset: int
    length: int
    reason: str


def scan_entries(fd: int, start: int, end: int) -> Iterator[tuple[int, Header] | Damage]:
    """Walk the entries in bytes [start, end) by their headers; after damage, find the next one.

    Bodies are not read. A header whose body would pass `end` is damage.
    """
    offset = start
    while offset < end:
        try:
            header = decode_header(os.pread(fd, HEADER_BYTES, offset))
            following = offset + HEADER_BYTES + header.stored
            if following > end:
                raise CorruptError("an entry is cut short")
        except CorruptError as error:
            following = _find_header(fd, offset + 1, end)
            yield Damage(offset, following - offset, str(error))
        else:
            yield offset, header
        offset = following


def _find_header(fd: int, start: int, end: int) -> int:
    """The offset of the next magic with a fitting header sum, or `end`."""
    base = start
    while base < end:
        window = os.pread(fd, min(MIB, end - base), base)
        if not window:
            break
        at = window.find(ENTRY_MAGIC)
        while at >= 0:
            try:
                decode_header(os.pread(fd, HEADER_BYTES, base + at))
                return base + at
            except CorruptError:
                at = window.find(ENTRY_MAGIC, at + 1)
        base += max(len(window) - len(ENTRY_MAGIC) + 1, 1)
    return end
