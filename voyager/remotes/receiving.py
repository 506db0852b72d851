"""Receiving packs: fetched several at once, checked to the last byte, and kept under their names.

A pack that was checked lies in `packs/` before any operation names it. So a fetch that is killed
goes on where it was, and gc collects what nobody came back for within its hour.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Collection, Container, Sequence
from pathlib import Path

from voyager.errors import CorruptError, StateError
from voyager.remotes.base import Storage
from voyager.remotes.catalogue import in_parallel
from voyager.remotes.root import Packed
from voyager.remotes.telling import told_again
from voyager.repo.repository import Progress, no_progress
from voyager.store import files
from voyager.store.entry import HEADER_BYTES, decode_header
from voyager.store.fsck.objects import inspect
from voyager.store.fsck.packs import PackCheck
from voyager.store.fsck.report import Problem
from voyager.store.ids import Kind
from voyager.store.objectstore import Store
from voyager.store.pack import (
    HEAD_BYTES,
    Content,
    PackFiles,
    PackWriter,
    SealedPack,
    index_copy,
    read_dictionary_bytes,
)

AT_ONCE = 4
"""Packs on their way."""
_SPARE_BYTES = 64 << 20
"""What a disk has to have free beside the packs."""


class Receiver:
    """Brings packs of one storage into a store, where nothing names them yet."""

    def __init__(
        self, store: Store, storage: Storage, *, purged: Collection[bytes], progress: Progress
    ) -> None:
        self.store = store
        self.storage = storage
        self._purged = purged
        self._progress = progress
        self._total = 0
        self._done = 0
        self._lock = threading.Lock()
        self._coming: set[Path] = set()
        """Files that grow now."""

    def receive(
        self, packs: Sequence[Packed], *, only: Container[bytes] | None = None
    ) -> list[SealedPack]:
        """Fetch and check packs; those that came in before are not fetched again.

        With `only` the entries that have these ids are kept of them, and no others.

        Raises CorruptError for bytes that are not what their names say, StateError where the disk
        has no room.
        """
        self._refuse_too_much(packs)
        self._total += sum(pack.size for pack in packs)
        # The largest first, so that none of them is alone at the end.
        order = sorted(packs, key=lambda pack: -pack.size)
        with self._watched():
            found = in_parallel(lambda pack: self._receive(pack, only), order, at_once=AT_ONCE)
        files.sync_folder(self.store.root / "packs")
        return [pack for pack in found if pack is not None]

    def _refuse_too_much(self, packs: Sequence[Packed]) -> None:
        wanted = sum(pack.size for pack in packs if not self._path(pack).exists())
        free = shutil.disk_usage(self.store.root).free
        if wanted + _SPARE_BYTES <= free:
            return
        for pack in packs:
            there = self.storage.size(pack.pack_path)
            if there is not None and there != pack.size:
                raise CorruptError(
                    f"the remote lists pack {pack.name.hex()} with {pack.size:,} bytes, and has"
                    f" {there:,} of it",
                    hint="vgr fsck --remote",
                )
        raise StateError(
            f"{wanted:,} bytes are to come, and the disk has {free:,} free",
            hint="free some space, then run the command again",
            path=self.store.root,
        )

    def _path(self, pack: Packed) -> Path:
        return self.store.pack_path(pack.name.hex())

    def _receive(self, pack: Packed, only: Container[bytes] | None) -> SealedPack | None:
        path = self._path(pack)
        check = self._check_kept(path, pack) or self._fetch(path, pack)
        with self._lock:
            self._done += pack.size
            self._coming.discard(_temporary(path))
        self._tell()
        gone = self._unwanted(path, check, only)
        if gone:
            return self._without(gone, path, check)
        content = Content.BLOBS if check.holds_blobs else Content.METADATA
        return SealedPack(pack.name.hex(), content, check.placed, check.size)

    def _watched(self) -> contextlib.AbstractContextManager[None]:
        """Tell how far it is also while packs come in, which takes long on slow networks."""
        return contextlib.nullcontext() if self._progress is no_progress else told_again(self._tell)

    def _tell(self) -> None:
        with self._lock:
            done = self._done + sum(map(_size_of, self._coming))
            self._progress(min(done, self._total), self._total)

    def _unwanted(self, path: Path, check: PackCheck, only: Container[bytes] | None) -> set[bytes]:
        """The entries of a pack that are not to be kept; its dictionary is none."""
        if not self._purged and only is None:
            return set()
        ids = [placed.id for placed in check.placed][_begins_with_dictionary(path) :]
        gone = {one for one in ids if one in self._purged}
        if only is not None:
            gone.update(one for one in ids if one not in only)
        return gone

    def _check_kept(self, path: Path, pack: Packed) -> PackCheck | None:
        """A pack that came in before, if it did and is whole."""
        if not path.exists():
            return None
        try:
            return self._check(path, pack)
        except CorruptError:
            files.remove(path)
            return None

    def _fetch(self, path: Path, pack: Packed) -> PackCheck:
        temporary = _temporary(path)
        files.remove(temporary)
        with self._lock:
            self._coming.add(temporary)
        try:
            self.storage.fetch(pack.pack_path, temporary, size=pack.size)
            check = self._check(temporary, pack)
            _keep(temporary, path)
        finally:
            files.remove(temporary)
        return check

    def _check(self, path: Path, pack: Packed) -> PackCheck:
        """The pack that lies in a file; CorruptError for the first thing that is wrong with it."""
        name = pack.name.hex()
        check = PackCheck(path, (), self._inspect, name=name)
        problem = next(iter(check.run()), None)
        if problem is not None:
            raise _damaged(name, f"{problem.where.removeprefix(name)}: {problem.what}")
        if (check.size, check.entries, check.holds_blobs) != (pack.size, pack.entries, pack.blobs):
            raise _damaged(name, ": the catalogue lists it with other numbers than it has")
        return check

    def _inspect(self, where: str, data: bytes) -> list[Problem]:
        return list(inspect(self.store, where, data))

    def _without(self, gone: set[bytes], path: Path, check: PackCheck) -> SealedPack | None:
        """A pack of what is left of another without some entries, which takes its place."""
        source = PackFiles()
        try:
            fd, name = source.fd(str(path)), str(path)
            first = decode_header(os.pread(fd, HEADER_BYTES, HEAD_BYTES))
            entries = check.placed
            dictionary = None
            if check.holds_blobs and first.kind is Kind.DICTIONARY:
                dictionary, entries = read_dictionary_bytes(fd, name), entries[1:]
            content = Content.BLOBS if check.holds_blobs else Content.METADATA
            writer = PackWriter(path.parent, content, dictionary=dictionary)
            try:
                for placed in entries:
                    if placed.id not in gone:
                        head = os.pread(fd, HEADER_BYTES, placed.offset)
                        writer.append_copy(
                            head, source.iter_raw(name, placed.offset, placed.stored)
                        )
                return None if writer.is_empty else writer.seal()
            finally:
                writer.discard()
        finally:
            source.close()
            files.remove(path)
            files.remove(path.with_suffix(".idx"))


def _temporary(path: Path) -> Path:
    """Where this thread lets a pack come in."""
    return path.with_name(f"tmp-{os.getpid()}-{threading.get_ident()}")


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _begins_with_dictionary(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(HEAD_BYTES)
        return decode_header(file.read(HEADER_BYTES)).kind is Kind.DICTIONARY


def _keep(temporary: Path, path: Path) -> None:
    """Give a checked pack its name, durably, and its index beside it."""
    fd = os.open(temporary, os.O_RDONLY)
    try:
        files.sync(fd)
    finally:
        os.close(fd)
    index = temporary.with_name(f"{temporary.name}-idx")  # another process may do the same
    files.remove(index)
    files.create(index, index_copy(temporary))
    files.rename(index, path.with_suffix(".idx"))
    files.rename(temporary, path)


def _damaged(name: str, what: str) -> CorruptError:
    """What to say of a pack; `what` begins with where in it, or a colon."""
    what = what.removeprefix(".pack")
    return CorruptError(
        f"pack {name[:12]} of the remote is damaged{what}", hint="vgr fsck --remote"
    )
