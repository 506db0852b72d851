"""Values derived from images, computed once per image ever and kept by content.

The key is (method, version of the method, blob id). Everything here can be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.decode import quietly
from voyager.derived.picture import Picture
from voyager.derived.registry import Method, Source, run
from voyager.derived.value_file import ValueFile
from voyager.store import files

Read: TypeAlias = Callable[[Sequence[bytes]], Iterable[tuple[bytes, Source | None]]]
"""From ids to (id, image) in any order; None for an image that is not here.

An image is the bytes of a file, or a part of one as a Picture, whose id is not that of the blob.
"""

Progress: TypeAlias = Callable[[int, int | None], None]

_CHUNK_IMAGES: Final = 32
_CHUNK_BYTES: Final = 8 << 20
"""A chunk of work has so many images at most, and no more than these bytes besides one image."""
_CHUNKS_AHEAD: Final = 2
"""Chunks that wait for each thread."""
_KEEP_EVERY: Final = 2048
"""Images between two writes: what a kill costs."""
_MOST_THREADS: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Values of one method for some blobs.

    `ids` are those that have a value, in the order in which they were asked for, each once;
    `failed` those that cannot be decoded; `missing` those of which nothing is known: not computed
    yet (`known`), or not here to be computed (`compute`).
    """

    method: Method
    ids: list[bytes]
    failed: list[bytes]
    missing: list[bytes]
    _values: NDArray[np.uint8] | list[bytes]

    @property
    def matrix(self) -> NDArray[np.uint8]:
        """The values as rows of bytes, in the order of `ids`; for methods of fixed size."""
        assert isinstance(self._values, np.ndarray), f"values of {self.method} vary in size"
        return self._values

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Every (id, value)."""
        for blob_id, value in zip(self.ids, self._values, strict=True):
            yield blob_id, bytes(value)

    def only(self, ids: Container[bytes]) -> Values:
        """The values of some of these blobs alone, in the same order."""
        places = [place for place, blob_id in enumerate(self.ids) if blob_id in ids]
        chosen = [self.ids[place] for place in places]
        if isinstance(self._values, np.ndarray):
            return Values(self.method, chosen, [], [], self._values[places])
        return Values(self.method, chosen, [], [], [self._values[place] for place in places])

    def as_dict(self) -> dict[bytes, bytes]:
        """Every value by its id."""
        return dict(self)


class DerivedCache:
    """The cache in one folder, which need not exist; one that cannot be written acts empty.

    Safe to share between processes; within one, by one thread at a time. Holds no open files, so
    a fork does no harm.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, ValueFile] = {}

    def known(self, method: Method, ids: Iterable[bytes]) -> Values:
        """What is kept already; computes nothing."""
        file = self._file(method)
        file.refresh()
        return _values(method, file, list(dict.fromkeys(ids)))

    def compute(
        self,
        method: Method,
        ids: Iterable[bytes],
        read: Read,
        *,
        progress: Progress = lambda *_: None,
    ) -> Values:
        """The values of all these blobs; those that are not kept yet are computed and kept."""
        return self.compute_all([method], ids, read, progress=progress)[method.name]

    def compute_all(
        self,
        methods: Sequence[Method],
        ids: Iterable[bytes],
        read: Read,
        *,
        progress: Progress = lambda *_: None,
    ) -> Mapping[str, Values]:
        """As `compute` for several methods, by name; no image is read twice.

        Calls `progress` with how many of the blobs that had to be read are done, and of how many.
        What was done is kept when `read` raises.
        """
        wanted = list(dict.fromkeys(ids))
        lacking = {method.name: set(self.known(method, wanted).missing) for method in methods}
        todo = [blob_id for blob_id in wanted if any(blob_id in ids for ids in lacking.values())]
        if todo:
            kept = _Keeping({method.name: self._file(method) for method in methods}, lacking)
            try:
                with quietly():
                    for done in _computed(methods, todo, read, kept):
                        progress(done, len(todo))
            finally:
                kept.write()
        return {method.name: _values(method, self._file(method), wanted) for method in methods}

    def drop(self, method: Method | None = None) -> None:
        """Delete all values of a method in this version, or everything of every method."""
        if method is None:
            files.remove_tree(self._folder)
            self._files.clear()
        else:
            files.remove(self._path(method))
            self._files.pop(method.name, None)

    def _file(self, method: Method) -> ValueFile:
        key = self._path(method).name
        if key not in self._files:
            self._files[key] = ValueFile(self._path(method), method.size)
        return self._files[key]

    def _path(self, method: Method) -> Path:
        return self._folder / f"{method.name}-{method.version}"


def _values(method: Method, file: ValueFile, ids: list[bytes]) -> Values:
    entries = file.find(ids)
    known = entries >= 0
    missing = list(compress(ids, (~known).tolist()))
    listed, entries = list(compress(ids, known.tolist())), entries[known]
    sound = file.has_value(entries)
    failed = list(compress(listed, (~sound).tolist()))
    listed, entries = list(compress(listed, sound.tolist())), entries[sound]
    if method.size is not None:
        return Values(method, listed, failed, missing, file.matrix(entries))
    values = file.values(entries)
    damaged = [blob_id for blob_id, value in zip(listed, values, strict=True) if value is None]
    if damaged:
        file.disown(damaged)
        return _values(method, file, ids)
    return Values(method, listed, failed, missing, [value for value in values if value is not None])


class _Keeping:
    """Values on their way to the files of their methods."""

    def __init__(self, kept_in: Mapping[str, ValueFile], lacking: Mapping[str, set[bytes]]) -> None:
        self._files = kept_in
        self._lacking = lacking
        self._waiting: dict[str, list[tuple[bytes, bytes | None]]] = {name: [] for name in kept_in}

    def take(self, ids: Sequence[bytes], values: Mapping[str, Sequence[bytes | None]]) -> None:
        for name, found in values.items():
            lacking = self._lacking[name]
            pairs = zip(ids, found, strict=True)
            self._waiting[name] += [pair for pair in pairs if pair[0] in lacking]
        if max(map(len, self._waiting.values())) >= _KEEP_EVERY:
            self.write()

    def write(self) -> None:
        for name, waiting in self._waiting.items():
            if waiting:
                self._files[name].add([pair[0] for pair in waiting], [pair[1] for pair in waiting])
                waiting.clear()


_Chunk: TypeAlias = list[tuple[bytes, Source]]


def _computed(
    methods: Sequence[Method], ids: Sequence[bytes], read: Read, kept: _Keeping
) -> Iterator[int]:
    """Compute in threads while the next images are read; yields how many images are done."""
    done = 0
    threads = _threads()
    with ThreadPoolExecutor(threads, thread_name_prefix="derive") as pool:
        running: dict[Future[list[list[bytes | None]]], list[bytes]] = {}
        try:
            for chunk, absent in _chunks(read(ids)):
                done += absent
                if chunk:
                    future = pool.submit(run, methods, [data for _, data in chunk])
                    running[future] = [blob_id for blob_id, _ in chunk]
                most = threads * _CHUNKS_AHEAD if chunk else 0
                while len(running) > most:
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        chunk_ids = running.pop(future)
                        found = future.result()
                        kept.take(chunk_ids, _by_name(methods, found))
                        done += len(chunk_ids)
                yield done
        finally:
            pool.shutdown(cancel_futures=True)


def _by_name(methods: Sequence[Method], found: Sequence[Any]) -> dict[str, Any]:
    return {method.name: values for method, values in zip(methods, found, strict=True)}


def _chunks(images: Iterable[tuple[bytes, Source | None]]) -> Iterator[tuple[_Chunk, int]]:
    """Images by chunks, with how many had no bytes; the last chunk is empty."""
    chunk: _Chunk = []
    size = absent = 0
    for blob_id, data in images:
        if data is None:
            absent += 1
            continue
        chunk.append((blob_id, data))
        size += len(data.data if isinstance(data, Picture) else data)
        if len(chunk) == _CHUNK_IMAGES or size >= _CHUNK_BYTES:
            yield chunk, absent
            chunk, size, absent = [], 0, 0
    if chunk:
        yield chunk, 0
    yield [], absent


def _threads() -> int:
    """One for each core that this process may use, within bounds."""
    cores = getattr(os, "sched_getaffinity", None)
    return min(len(cores(0)) if cores else os.cpu_count() or 1, _MOST_THREADS)
