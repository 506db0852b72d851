"""A pass over images: what is derived of them is computed by chunks, on any executor."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Final, TypeAlias

from voyager.derived.decode import quietly
from voyager.derived.picture import Picture
from voyager.derived.registry import Method, Source, run
from voyager.store import files
from voyager.store.cores import cores

Read: TypeAlias = Callable[[Sequence[bytes]], Iterable[tuple[bytes, Source | None]]]
"""From ids to (id, image) in any order; None for an image that is not here.

An image is the bytes of a file, or a part of one as a Picture, whose id is not that of the blob.
"""

Take: TypeAlias = Callable[[Sequence[bytes], Sequence[Sequence[bytes | None]]], None]
"""Called with some ids and their values by each method."""

_CHUNK_IMAGES: Final = 64
_CHUNK_BYTES: Final = 8 << 20
"""A chunk of work has so many images at most, and no more than these bytes besides one image."""
_CHUNKS_AHEAD: Final = 2
"""Chunks that wait for each worker."""
_MOST_WORKERS: Final = 8
_WORTH_FORKING: Final = 400
"""From so many images on processes work instead of threads, where they can be forked: threads wait
for the interpreter lock a fourth of the time, which is more by then than the start of a pool."""

_Chunk: TypeAlias = list[tuple[bytes, Source]]


def iter_computed(
    methods: Sequence[Method],
    ids: Sequence[bytes],
    read: Read,
    take: Take,
    executor: Executor | None = None,
) -> Iterator[int]:
    """Compute while the next images are read; yields how many images are done.

    On an executor of the caller as many chunks wait as suit this machine; without one, processes
    or threads of this machine work.
    """
    done = 0
    running: dict[Future[list[list[bytes | None]]], list[bytes]] = {}
    workers = cores(_MOST_WORKERS)
    forking = workers > 1 and len(ids) >= _WORTH_FORKING and _may_fork(methods)
    with quietly(), _executor(executor, workers, forking=forking) as pool:
        try:
            for chunk, absent in _chunks(read(ids)):
                done += absent
                if chunk:
                    images = [image for _, image in chunk]
                    future = pool.submit(_run, os.getpid(), methods, images)
                    running[future] = [image_id for image_id, _ in chunk]
                most = workers * _CHUNKS_AHEAD if chunk else 0
                while len(running) > most:
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        chunk_ids = running.pop(future)
                        take(chunk_ids, future.result())
                        done += len(chunk_ids)
                yield done
        finally:
            for future in running:
                future.cancel()


@contextmanager
def _executor(given: Executor | None, workers: int, *, forking: bool) -> Iterator[Executor]:
    if given is not None:
        yield given
        return
    if not forking:
        with ThreadPoolExecutor(workers, thread_name_prefix="derive") as pool:
            yield pool
        return
    # Here, since its import is slow.
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
    from multiprocessing import get_context

    try:
        with ProcessPoolExecutor(
            workers, get_context("fork"), initializer=_ignore_ctrl_c
        ) as forked:
            yield forked
    except BrokenProcessPool:
        raise OSError(errno.EIO, "a helping process was killed") from None


def _may_fork(methods: Sequence[Method]) -> bool:
    """Whether this process may be copied: one thread alone, and no model that would be copied too.

    Elsewhere than on Linux libraries of the system don't live through a fork; where tests crash
    every step of a process all of them have to happen in it.
    """
    alone = sys.platform == "linux" and threading.active_count() == 1 and files.watch is None
    return alone and all(method.cost != "model" for method in methods)


def _ignore_ctrl_c() -> None:
    """In a helping process: it ends with the pool, which the first process closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(
    caller: int, methods: Sequence[Method], images: Sequence[Source]
) -> list[list[bytes | None]]:
    if os.getpid() != caller:  # a process of its own, which `quietly` does not reach
        warnings.simplefilter("ignore")
    return run(methods, images)


def _chunks(images: Iterable[tuple[bytes, Source | None]]) -> Iterator[tuple[_Chunk, int]]:
    """Images by chunks, with how many were not there; the last chunk is empty.

    Parts of one picture that follow each other stay together: it is for one thread at a time.
    """
    chunk: _Chunk = []
    size = absent = 0
    for image_id, image in images:
        if image is None:
            absent += 1
            continue
        is_part = bool(chunk) and _same_picture(chunk[-1][1], image)
        if not is_part and (len(chunk) >= _CHUNK_IMAGES or size >= _CHUNK_BYTES):
            yield chunk, absent
            chunk, size, absent = [], 0, 0
        chunk.append((image_id, image))
        size += 0 if is_part else len(image.data if isinstance(image, Picture) else image)
    if chunk:
        yield chunk, absent
        absent = 0
    yield [], absent


def _same_picture(one: Source, other: Source) -> bool:
    if not isinstance(one, Picture) or not isinstance(other, Picture):
        return False
    return one.whole is not None and one.whole is other.whole
