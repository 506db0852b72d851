"""Writing packs of a remote anew: fetched one by one, what is wanted copied, and sent.

Entries are copied as they are stored; those that need a dictionary go into a pack that begins with
the same one. A new pack has the gc generation of the root that is read, as what a push sends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from voyager.remotes.base import Storage
from voyager.remotes.metadata import Scratch
from voyager.remotes.root import Packed
from voyager.repo.repository import Progress, no_progress
from voyager.store import files
from voyager.store.entry import HEADER_BYTES, decode_header
from voyager.store.ids import Kind
from voyager.store.pack import (
    HEAD_BYTES,
    Content,
    PackFiles,
    PackWriter,
    SealedPack,
    index_copy,
    read_dictionary_bytes,
)
from voyager.store.spec import PACK_SEAL_BYTES

Wanted = Callable[[int, bytes], bool]
"""Whether an entry is wanted: its number in its pack, and its id."""


class Rewriter:
    """Makes and sends new packs. `there` has the sizes of what the storage has: a pack of the
    right name and size, which a killed rewriting sent, is not sent again."""

    def __init__(
        self,
        storage: Storage,
        scratch: Scratch,
        *,
        gc: int,
        there: Mapping[str, int],
        progress: Progress = no_progress,
    ) -> None:
        self.storage = storage
        self.scratch = scratch
        self.packs: list[Packed] = []
        self._gc = gc
        self._there = there
        self._progress = progress
        self._writers: dict[tuple[Content, bytes | None], PackWriter] = {}
        self._folder = scratch.folder / "new"

    def run(self, victims: Iterable[tuple[Packed, Wanted]]) -> list[Packed]:
        """Copy what is wanted of packs into new ones; these as a catalogue lists them."""
        victims = list(victims)
        total, done = sum(pack.size for pack, _ in victims), 0
        files.make_folder(self._folder)
        try:
            for pack, wanted in victims:
                self._copy(pack, wanted)
                done += pack.size
                self._progress(done, total)
            while self._writers:
                self._send(self._writers.popitem()[1])
        finally:
            for writer in self._writers.values():
                writer.discard()
        return self.packs

    def _copy(self, pack: Packed, wanted: Wanted) -> None:
        (sealed,) = self.scratch.receive(self.storage, [pack])
        source = PackFiles()
        try:
            self._copy_entries(source, sealed, wanted)
        finally:
            source.close()
            if not self.scratch.store.has_pack(sealed.name):
                files.remove(self.scratch.store.pack_path(sealed.name))
                files.remove(self.scratch.store.pack_path(sealed.name).with_suffix(".idx"))

    def _copy_entries(self, source: PackFiles, sealed: SealedPack, wanted: Wanted) -> None:
        path = str(self.scratch.store.pack_path(sealed.name))
        fd = source.fd(path)
        first = decode_header(os.pread(fd, HEADER_BYTES, HEAD_BYTES))
        dictionary = None
        if sealed.content is Content.BLOBS and first.kind is Kind.DICTIONARY:
            dictionary = first.id
        for number, placed in enumerate(sealed.entries):
            if placed.id == dictionary or not wanted(number, placed.id):
                continue
            key = sealed.content, dictionary
            writer = self._writer(key, placed.stored, fd, path)
            head = os.pread(fd, HEADER_BYTES, placed.offset)
            writer.append_copy(head, source.iter_raw(path, placed.offset, placed.stored))

    def _writer(
        self, key: tuple[Content, bytes | None], stored: int, fd: int, path: str
    ) -> PackWriter:
        writer = self._writers.get(key)
        if writer is not None and writer.size + stored > PACK_SEAL_BYTES:
            self._send(self._writers.pop(key))
            writer = None
        if writer is None:
            dictionary = None if key[1] is None else read_dictionary_bytes(fd, path)
            writer = PackWriter(self._folder, key[0], dictionary=dictionary)
            self._writers[key] = writer
        return writer

    def _send(self, writer: PackWriter) -> None:
        if writer.is_empty:
            writer.discard()
            return
        sealed = writer.seal()
        path = self._folder / f"{sealed.name}.pack"
        index = index_copy(path)
        pack = Packed(
            blobs=sealed.content is Content.BLOBS,
            entries=len(sealed.entries),
            gc=self._gc,
            index=len(index),
            name=bytes.fromhex(sealed.name),
            size=path.stat().st_size,
        )
        for name, data, size in (
            (pack.pack_path, path, pack.size),
            (pack.index_path, index, pack.index),
        ):
            if self._there.get(name) != size:
                self.storage.put(name, data)
        files.remove(path)
        files.remove(path.with_suffix(".idx"))
        self.packs.append(pack)
