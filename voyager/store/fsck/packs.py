"""Checking a pack to its last byte: head, headers, bodies, index, trailer, name, `.idx`.

No length is believed before it was held against the file and the limits of its kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator
from io import FileIO
from pathlib import Path

import zstandard
from blake3 import blake3

from voyager.errors import CorruptError
from voyager.store.entry import Damage, Header, Method, encode_header, expand, scan_entries
from voyager.store.fsck.report import Problem
from voyager.store.ids import Kind, id_of
from voyager.store.pack import (
    HEAD_BYTES,
    TRAILER_BYTES,
    Content,
    Placed,
    Trailer,
    index_copy,
    iter_body,
    pack_head,
    read_dictionary,
    read_index,
    read_trailer,
)
from voyager.store.spec import MAX_COMPRESSED_BLOB, MAX_DECODED

Inspect = Callable[[str, bytes], Iterable[Problem]]
"""(where, bytes) of an object → what is wrong with it."""

_STREAM_FROM = 16 << 20


class PackCheck:
    """One pass over one pack; `entries`, `placed` and `size` are known afterwards.

    A pack that just came in lies under another name than its own, and has no `.idx` yet: `name`.
    """

    def __init__(
        self,
        path: Path,
        purged: Container[bytes],
        inspect: Inspect | None,
        *,
        name: str | None = None,
    ) -> None:
        self.path = path
        self.entries = 0
        self.placed: list[Placed] = []
        self.size = path.stat().st_size
        self._came_in = name is not None
        self._name = name or path.stem
        self._purged = purged
        self._inspect = inspect
        self._dictionary: zstandard.ZstdDecompressor | None = None

    def run(self) -> Iterator[Problem]:
        """Every problem of this pack; bodies are read when there is an `inspect`."""
        with FileIO(self.path) as source:
            yield from self._check_head(source)
            headers: list[Header] = []
            trailer = None
            try:
                trailer = read_trailer(source.fileno(), self.size)
            except CorruptError as error:
                yield self._problem(max(self.size - TRAILER_BYTES, 0), error.message)
            end = self.size if trailer is None else trailer.index_offset
            for found in scan_entries(source.fileno(), HEAD_BYTES, end):
                if isinstance(found, Damage):
                    yield self._problem(found.offset, found.reason)
                    continue
                offset, header = found
                headers.append(header)
                self.placed.append(Placed(header.id, offset, header.stored))
                yield from self._check_entry(source, offset, header)
            self.entries = len(headers)
            if trailer is not None:
                yield from self._check_tail(source, trailer, headers)
        if not self._came_in:
            yield from self._check_copy()

    @property
    def holds_blobs(self) -> bool:
        """Whether its head says so."""
        return self._holds_blobs

    def _problem(self, offset: int, what: str) -> Problem:
        return Problem("pack", what, f"{self._name}.pack at byte {offset}")

    def _check_head(self, source: FileIO) -> Iterator[Problem]:
        head = os.pread(source.fileno(), HEAD_BYTES, 0)
        if head not in (pack_head(Content.BLOBS), pack_head(Content.METADATA)):
            yield self._problem(0, "the head is damaged")
        self._holds_blobs = head[8:9] == bytes([Content.BLOBS])

    def _check_entry(self, source: FileIO, offset: int, header: Header) -> Iterator[Problem]:
        if header.kind is Kind.DICTIONARY and self._holds_blobs and offset != HEAD_BYTES:
            yield self._problem(offset, "a dictionary must be the first entry")
        if (header.kind is Kind.BLOB) != self._holds_blobs and header.kind is not Kind.DICTIONARY:
            yield self._problem(
                offset, f"a {header.kind.label} lies in a pack of the other content"
            )
        if header.id in self._purged:
            yield Problem(
                "purged",
                f"the bytes of purged blob {header.id.hex()} are still stored",
                f"{self._name}.pack at byte {offset}",
            )
        if self._inspect is None:
            return
        try:
            data = self._read_body(source, offset, header)
        except CorruptError as error:
            yield self._problem(offset, error.message)
            return
        if data is not None and header.kind not in (Kind.BLOB, Kind.DICTIONARY):
            yield from self._inspect(f"{header.kind.label} {header.id.hex()}", data)

    def _read_body(self, source: FileIO, offset: int, header: Header) -> bytes | None:
        """An entry's bytes, or None for a big blob; CorruptError unless sum and id fit."""
        what = f"{header.kind.label} {header.id.hex()}"
        refuse_claims(header)
        hasher = blake3()
        chunks = []
        stream = header.kind is Kind.BLOB and not header.method and header.stored > _STREAM_FROM
        for chunk in iter_body(source, offset, header.stored):
            hasher.update(chunk)
            if not stream:
                chunks.append(chunk)
        digest = hasher.digest()
        if digest[: len(header.body_sum)] != header.body_sum:
            raise CorruptError(f"the stored bytes of {what} do not fit their sum")
        if header.kind is Kind.BLOB and not header.method:
            if digest != header.id or header.real != header.stored:
                raise CorruptError(f"the bytes of {what} do not fit their id")
            return None if stream else b"".join(chunks)
        data = expand(header, b"".join(chunks), self._dictionary_for(source, header))
        if id_of(header.kind, data) != header.id:
            raise CorruptError(f"the bytes of {what} do not fit their id")
        return data

    def _dictionary_for(self, source: FileIO, header: Header) -> zstandard.ZstdDecompressor | None:
        if header.method == Method.ZSTD_DICTIONARY and self._dictionary is None:
            self._dictionary = read_dictionary(source.fileno(), f"{self._name}.pack")
        return self._dictionary

    def _check_tail(
        self, source: FileIO, trailer: Trailer, headers: list[Header]
    ) -> Iterator[Problem]:
        at = trailer.index_offset
        name = blake3(b"".join(map(_header_sum, headers))).hexdigest()
        if name != self._name or bytes.fromhex(name)[:16] != trailer.name_prefix:
            yield self._problem(at, "the name does not fit the entries")
        if self._holds_blobs and not any(header.kind is Kind.BLOB for header in headers):
            yield self._problem(0, "a pack for blobs holds none")
        if trailer.count != len(headers):
            yield self._problem(at, "the trailer counts other entries than there are")
            return
        try:
            index = os.pread(source.fileno(), trailer.index_length, at)
            prefixes, lengths, kinds = read_index(index, trailer.count)
        except CorruptError as error:
            yield self._problem(at, error.message)
            return
        if (
            prefixes != b"".join([header.id[:8] for header in headers])
            or list(lengths) != [header.stored for header in headers]
            or kinds != bytes(header.kind for header in headers)
        ):
            yield self._problem(at, "the index does not list the entries")

    def _check_copy(self) -> Iterator[Problem]:
        copy = self.path.with_suffix(".idx")
        try:
            wanted = index_copy(self.path)
        except CorruptError:
            return
        if not copy.exists():
            yield Problem("idx", "it is missing", copy.name, fixable_by_rebuild=True)
        elif copy.read_bytes() != wanted:
            yield Problem("idx", "it differs from its pack", copy.name, fixable_by_rebuild=True)


def refuse_claims(header: Header) -> None:
    """CorruptError for an entry that says it is longer than its kind may be (spec 1.4)."""
    if header.kind is Kind.BLOB:
        limit = MAX_COMPRESSED_BLOB if header.method else None
    else:
        limit = MAX_DECODED[header.kind.label]
    claimed = max(header.stored, header.real)
    if limit is not None and claimed > limit:
        what = f"{header.kind.label} {header.id.hex()}"
        raise CorruptError(f"{what} claims {claimed:,} bytes")


def _header_sum(header: Header) -> bytes:
    encoded = encode_header(
        header.kind, header.method, header.stored, header.real, header.id, header.body_sum
    )
    return encoded[-8:]
