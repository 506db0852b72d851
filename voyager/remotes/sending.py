"""Packs for the wire: local ones where all of them is wanted, else copies of what is.

A copy is made of the same entries in the same order each time, so it gets the same name: a push
that was killed finds by name and size what it sent before. Few packs are in flight at once, and a
copy is removed when it was sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType

from voyager.remotes.base import Storage
from voyager.remotes.negotiate import Lacking
from voyager.remotes.root import Packed
from voyager.remotes.telling import told_again
from voyager.store import files
from voyager.store.entry import HEADER_BYTES
from voyager.store.objectstore import Store
from voyager.store.pack import (
    Content,
    PackWriter,
    index_copy,
    read_dictionary_bytes,
    read_tail,
)
from voyager.store.pack_use import PackUse, look_at
from voyager.store.spec import PACK_SEAL_BYTES

Progress = Callable[[int, int | None], None]
"""Called with bytes that were sent and bytes to send."""

AT_ONCE = 4
"""Packs in flight."""
_BATCH = 8192


@dataclass(slots=True)
class Copy:
    """A pack to be made of entries; `dictionary` is the local pack that begins with theirs."""

    content: Content
    dictionary: PackUse | None
    ids: list[bytes] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class Plan:
    """What will be sent: packs as they are, and packs to be made; `absent` blobs are not here."""

    whole: list[PackUse] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    absent: set[bytes] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Bytes to send, nearly: indexes are left out."""
        return sum(use.size for use in self.whole) + sum(copy.size for copy in self.copies)

    @property
    def packs(self) -> int:
        return len(self.whole) + len(self.copies)


def plan_packs(store: Store, found: Lacking, listed: Collection[str] = ()) -> Plan:
    """How to send what is lacking; what lies in packs that the other side lists needs no sending.

    Ids of blobs that were purged must be gone from `found` already.
    """
    plan = Plan()
    for content, ids in ((Content.BLOBS, found.blobs), (Content.METADATA, found.objects)):
        _plan(store, plan, content, ids, listed)
    return plan


def _plan(
    store: Store, plan: Plan, content: Content, ids: Iterable[bytes], listed: Collection[str]
) -> None:
    counts: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for one, place in _places(store, ids):
        if place is None:
            plan.absent.add(one)
        else:
            counts[place[0]] = counts.get(place[0], 0) + 1
            sizes[place[0]] = sizes.get(place[0], 0) + HEADER_BYTES + place[1]
    uses = {file: look_at(store, file, Path(store.path_of(file)).stem) for file in counts if file}
    there = {file for file, use in uses.items() if use.name in listed}
    whole = {
        file
        for file, use in uses.items()
        if file not in there and counts[file] == use.count - (use.dictionary is not None)
    }
    if len(whole) > 1 or len(whole | there) < len(counts):
        # Small ones go together with what is copied.
        whole = {file for file in whole if not uses[file].is_small}
    plan.whole += [uses[file] for file in sorted(whole)]
    if len(whole | there) == len(counts):
        return
    open_copies: dict[bytes | None, Copy] = {}
    for one, place in _places(store, ids):
        if place is None or place[0] in whole or place[0] in there:
            continue
        file, stored = place
        use = uses.get(file)
        source = use if use is not None and use.dictionary is not None else None
        key = source.dictionary.id if source is not None and source.dictionary is not None else None
        copy = open_copies.get(key)
        if copy is None or copy.size + stored > PACK_SEAL_BYTES:
            copy = open_copies[key] = Copy(content, source)
            plan.copies.append(copy)
        copy.ids.append(one)
        copy.size += HEADER_BYTES + stored


def _places(store: Store, ids: Iterable[bytes]) -> Iterator[tuple[bytes, tuple[int, int] | None]]:
    """(id, its file and stored length, or None), looked up a batch at a time."""
    waiting = iter(ids)
    while batch := list(islice(waiting, _BATCH)):
        places = store.places(batch)
        for one in batch:
            place = places.get(one)
            if place is None:
                yield one, None
            else:
                stored = place.stored
                yield one, (place.file, store.header(one).stored if stored is None else stored)


class Sender:
    """Sends packs by threads, a few at once, and says what was sent; a context. Packs are made in
    `folder`.

    `gc` is the gc generation of the other side. With `resume`, what it has by name and size is not
    sent again. `note` is told of packs that were made for the wire, with their indexes.
    """

    def __init__(
        self,
        store: Store,
        storage: Storage,
        folder: Path,
        *,
        gc: int = 0,
        resume: bool = False,
        progress: Progress | None = None,
        note: Callable[[Packed, bytes], None] | None = None,
    ) -> None:
        self.store = store
        self.storage = storage
        self._note = note
        self.folder = folder
        self.packs: list[Packed] = []
        self._gc = gc
        self._resume = resume
        self._progress = progress
        self._done = 0
        self._total = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="vgr-push")
        self._room = threading.BoundedSemaphore(AT_ONCE + 1)
        self._futures: list[Future[Packed]] = []

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def send(self, plan: Plan) -> list[Packed]:
        """Send what is planned; the packs as a catalogue lists them. The first error ends it."""
        self._total = plan.size
        with told_again(self._tell):
            for use in plan.whole:
                self._submit(self.store.pack_path(use.name), use.content, made=False)
            for copy in plan.copies:
                self._submit(self._make(copy), copy.content, made=True)
            self.packs += [future.result() for future in self._futures]
        self._futures = []
        return self.packs

    def _submit(self, path: Path, content: Content, *, made: bool) -> None:
        self._room.acquire()
        for future in self._futures:
            if future.done():
                future.result()  # raises what went wrong, before more is begun
        self._futures.append(self._pool.submit(self._send, path, content, made=made))

    def _make(self, copy: Copy) -> Path:
        """Copy entries into a pack of their own, as they are stored."""
        dictionary = None
        if copy.dictionary is not None:
            path = str(self.store.pack_path(copy.dictionary.name))
            dictionary = read_dictionary_bytes(self.store.packs.fd(path), path)
        writer = PackWriter(self.folder, copy.content, dictionary=dictionary)
        try:
            for one in copy.ids:
                writer.append_copy(*self.store.stored(one))
            return self.folder / f"{writer.seal().name}.pack"
        finally:
            writer.discard()

    def _send(self, path: Path, content: Content, *, made: bool) -> Packed:
        try:
            index = index_copy(path)
            pack = Packed(
                blobs=content is Content.BLOBS,
                entries=read_tail(path)[0].count,
                gc=self._gc,
                index=len(index),
                name=bytes.fromhex(path.stem),
                size=path.stat().st_size,
            )
            self._put(pack.pack_path, path, pack.size)
            self._put(pack.index_path, index, pack.index)
            if made:
                if self._note is not None:
                    self._note(pack, index)
                files.remove(path)
                files.remove(path.with_suffix(".idx"))
            self._tell(pack.size)
            return pack
        finally:
            self._room.release()

    def _put(self, name: str, data: bytes | Path, size: int) -> None:
        if self._resume and self.storage.size(name) == size:
            return
        self.storage.put(name, data)

    def _tell(self, size: int = 0) -> None:
        with self._lock:
            self._done += size
            if self._progress is not None:
                self._progress(min(self._done, self._total), self._total)
