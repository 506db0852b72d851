"""Reading files and storing their bytes: what `add` does most, on several processes when many.

Reading, hashing and compressing small files is bound by the interpreter, so a large batch is cut
into stretches of keys, of which forked children take all but the first. A child writes packs of
its own and reports what it took; the parent's transaction adopts the packs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from voyager.errors import InvalidDataError, NotFoundError
from voyager.images import ImageInfo, probe
from voyager.repo.processes import Forked, split
from voyager.repo.scan import FileStat
from voyager.store.ids import blob_id
from voyager.store.pack import Content, Placed, SealedPack
from voyager.store.spec import MIB
from voyager.store.transaction import Transaction

Progress = Callable[[int, int | None], None]

_STREAM_BYTES = 32 * MIB
_HEAD_BYTES = 256 * 1024
_BATCH = 512
_PRECOMPRESSED = ("jpeg", "webp", "png", "gif", "avif", "heif")
_SHRINK_FROM = 256
_FILE_COST = 40_000
"""What opening a file costs, in bytes that could be read and hashed in that time."""
_WORTH_FORKING = 160 * MIB
"""The cost (of 4,000 small files) from which another process helps."""


class Source(NamedTuple):
    """A file to take: its key, where it lies, and what the scan saw of it (None outside)."""

    key: str
    path: str
    stat: FileStat | None


class Taken(NamedTuple):
    """A file whose bytes are in the store; `known` says that they were before."""

    source: Source
    blob: bytes
    size: int
    stat: FileStat
    info: ImageInfo | None
    known: bool


Skipped = list[tuple[str, str]]


def take_all(
    txn: Transaction, sources: Sequence[Source], progress: Progress, skipped: Skipped
) -> Iterator[Taken]:
    """Store the bytes of files and yield what was taken, in order; the rest goes to `skipped`.

    What this process took comes first, so that its rows are made while a child still reads.
    """
    costs = [_FILE_COST + (source.stat.size if source.stat else 0) for source in sources]
    first, *others = [sources[part] for part in split(costs, _WORTH_FORKING)]
    children = [Forked(partial(_take_apart, txn, share)) for share in others]
    try:
        intake = Intake(txn)
        yield from intake.take(first, progress, len(sources), share=1 + len(others))
        skipped += intake.skipped
        for child, share in zip(children, others, strict=True):
            yield from _adopt(txn, share, child.result(), skipped)
        progress(len(sources), len(sources))
    finally:
        for child in children:
            child.end()


class Intake:
    """Takes files one after the other."""

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn
        self.skipped: Skipped = []

    def take(
        self, sources: Sequence[Source], progress: Progress, total: int, *, share: int = 1
    ) -> list[Taken]:
        """Store the bytes of files; `share` processes do the same to as many others."""
        taken: list[Taken] = []
        for start in range(0, len(sources), _BATCH):
            taken += self._take_batch(sources[start : start + _BATCH])
            progress(min(len(taken) * share, total), total)
        return taken

    def _take_batch(self, batch: Sequence[Source]) -> Iterator[Taken]:
        read = [found for source in batch if (found := self._read(source)) is not None]
        known = self._txn.known_blobs(blob for _, _, blob, _ in read)
        for source, data, blob, stat in read:
            info = probe(data, source.key)
            was_known = blob in known
            if len(data) < stat.size:  # a big file: streamed already, and only its head is here
                info = None if info is None else msgspec.structs.replace(info, problem=None)
            elif not was_known:
                shrink = info is None or info.type not in _PRECOMPRESSED
                try:
                    self._txn.put_new_blob(blob, data, shrink=shrink and len(data) > _SHRINK_FROM)
                except NotFoundError as error:  # it was purged, and is refused
                    self.skipped.append((source.key, error.message))
                    continue
            yield Taken(source, blob, stat.size, stat, info, was_known)

    def _read(self, source: Source) -> tuple[Source, bytes, bytes, FileStat] | None:
        try:
            size = os.stat(source.path).st_size if source.stat is None else source.stat.size
            if size > _STREAM_BYTES:
                return self._read_big(source)
            data, stat = read_stable(source.path, source.stat)
            return source, data, blob_id(data), stat
        except OSError as error:
            if not is_about_file(error):
                raise  # a full disk is no fault of this file
            self.skipped.append((source.key, error.strerror or str(error)))
        except (InvalidDataError, NotFoundError) as error:
            self.skipped.append((source.key, error.message))
        return None

    def _read_big(self, source: Source) -> tuple[Source, bytes, bytes, FileStat]:
        """Stream a big file into the store; only its head is kept to be probed."""
        with open(source.path, "rb", buffering=0) as opened:
            before = FileStat.of(os.fstat(opened.fileno()))
            head = opened.read(_HEAD_BYTES)
            blob = hash_file(Path(source.path))
            if not self._txn.knows_blob(blob):
                opened.seek(0)
                blob = self._txn.put_blob_stream(iter(lambda: opened.read(MIB), b""), before.size)
            if FileStat.of(os.fstat(opened.fileno())) != before:
                raise InvalidDataError("changes while it is read")
        return source, head, blob, before


def is_about_file(error: OSError) -> bool:
    """Whether an error came from the file that is read, not from the store that is written."""
    import errno

    return error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)


def hash_file(path: Path) -> bytes:
    """The blob id of a file's bytes."""
    from blake3 import blake3

    hasher = blake3()
    with open(path, "rb", buffering=0) as source:
        while chunk := source.read(MIB):
            hasher.update(chunk)
    return hasher.digest()


def read_stable(path: str, seen: FileStat | None) -> tuple[bytes, FileStat]:
    """The bytes of a file and its stat, both of one moment.

    Raises OSError when it cannot be read, InvalidDataError when it changes while it is read.
    """
    for _ in range(3):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before = seen or FileStat.of(os.fstat(fd))
            data = os.read(fd, before.size + 1)
            while len(data) < before.size and (more := os.read(fd, before.size - len(data) + 1)):
                data += more
            after = os.fstat(fd)
        finally:
            os.close(fd)
        # Four fields tell a change; all of FileStat would cost as much as reading a small file.
        if (
            len(data) == after.st_size
            and before.mtime_ns == after.st_mtime_ns
            and before.ctime_ns == after.st_ctime_ns
            and before.inode == after.st_ino
        ):
            return data, before
        seen = None
    raise InvalidDataError("changes while it is read")


# -- a second process -----------------------------------------------------------------------------


class _Report(msgspec.Struct, array_like=True):
    """What a child took. A stat is None where it is as the scan saw it."""

    packs: list[tuple[str, int, list[tuple[bytes, int, int]]]]
    taken: list[tuple[int, bytes, int, tuple[int, ...] | None, ImageInfo | None, bool]]
    skipped: list[tuple[str, str]]


def _take_apart(txn: Transaction, share: Sequence[Source]) -> bytes:
    """What a child does: take its share into packs of its own; the encoded report."""
    intake = Intake(txn)
    taken = intake.take(share, lambda _done, _total: None, len(share))
    places = {id(source): index for index, source in enumerate(share)}
    report = _Report(
        packs=[(pack.name, pack.size, list(pack.entries)) for pack in txn.seal_blobs()],
        taken=[
            (
                places[id(found.source)],
                found.blob,
                found.size,
                None if found.stat is found.source.stat else tuple(found.stat),
                found.info,
                found.known,
            )
            for found in taken
        ],
        skipped=intake.skipped,
    )
    return msgspec.msgpack.encode(report)


def _adopt(
    txn: Transaction, share: Sequence[Source], data: bytes, skipped: Skipped
) -> Iterator[Taken]:
    """What a child took, its packs being the transaction's own from now on."""
    report = msgspec.msgpack.decode(data, type=_Report)
    for name, size, entries in report.packs:
        placed = [Placed(*entry) for entry in entries]
        txn.adopt(SealedPack(name, Content.BLOBS, placed, size))
    skipped += report.skipped
    for index, blob, size, stat, info, known in report.taken:
        source = share[index]
        seen = FileStat(*stat) if stat is not None else source.stat
        assert seen is not None
        yield Taken(source, blob, size, seen, info, known)
