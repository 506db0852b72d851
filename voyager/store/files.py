"""Every write, fsync, rename and removal of Voyager happens here, so that each can be made to fail.

`watch` is called before each step with its name, its path or descriptor, and for a write with a
call that writes half of it; crash tests set it to kill the process, to tear a write or to raise
ENOSPC at the n-th step. Nothing else in the package renames or fsyncs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from voyager.errors import StateError

StrPath = str | Path

Half = Callable[[], object]
Watch = Callable[[str, StrPath | int, Half | None], None]
watch: Watch | None = None

_O_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_O_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_IOV_MAX = 512


def _step(name: str, where: StrPath | int) -> None:
    if watch is not None:
        watch(name, where, None)


def _step_write(fd: int, half: Half) -> None:
    if watch is not None:
        watch("write", fd, half)


def write_all(fd: int, buffers: Sequence[bytes | bytearray | memoryview]) -> int:
    """Write every buffer to `fd`, however the system splits it; return the bytes written."""
    total = 0
    for start in range(0, len(buffers), _IOV_MAX):
        batch = [memoryview(buffer) for buffer in buffers[start : start + _IOV_MAX]]
        _step_write(fd, partial(_write_half, fd, batch))
        while batch:
            written = os.writev(fd, batch)
            total += written
            while batch and written >= len(batch[0]):
                written -= len(batch.pop(0))
            if batch:
                batch[0] = batch[0][written:]
    return total


def _write_half(fd: int, batch: Sequence[memoryview]) -> None:
    data = b"".join(batch)
    os.write(fd, data[: len(data) // 2])


def pwrite_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`."""
    _step_write(fd, lambda: os.pwrite(fd, data[: len(data) // 2], offset))
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def sync(fd: int) -> None:
    """Make what was written to `fd` durable."""
    _step("fsync", fd)
    os.fsync(fd)


def sync_folder(path: StrPath) -> None:
    """Make names created, renamed or removed in a folder durable."""
    _step("fsync", path)
    fd = os.open(path, os.O_RDONLY | _O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def truncate(fd: int, size: int) -> None:
    """Cut a file to `size` bytes."""
    _step("truncate", fd)
    os.ftruncate(fd, size)


def rename(source: StrPath, target: StrPath) -> None:
    """Rename, replacing the target; atomic on one file system."""
    _step("rename", target)
    os.replace(source, target)


def remove(path: StrPath) -> None:
    """Remove a file; a file that is gone already is fine."""
    _step("remove", path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_tree(path: StrPath) -> None:
    """Remove a folder of ours with all it holds."""
    _step("remove", path)
    import shutil  # rarely needed, slow to load

    shutil.rmtree(path, ignore_errors=True)


def keep_newest(folder: StrPath, most: int) -> None:
    """Remove all but the `most` files and folders in a folder that were touched last.

    What others remove meanwhile is fine.
    """
    aged: list[tuple[int, str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                aged.append((os.stat(entry.path).st_mtime_ns, entry.path))
    for _, path in sorted(aged, reverse=True)[most:]:
        if os.path.isdir(path):
            remove_tree(path)
        else:
            remove(path)


def remove_empty_folders(start: StrPath, stop: StrPath) -> None:
    """Remove `start` and its parents below `stop` as long as they are empty."""
    folder, stop = os.fspath(start), os.fspath(stop)
    while folder != stop and folder.startswith(stop):
        try:
            if os.path.samefile(folder, os.curdir):
                return  # the shell stands in it
            _step("remove", folder)
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)


def make_folder(path: StrPath) -> None:
    """Make a folder and its parents; an existing one is fine."""
    _step("mkdir", path)
    os.makedirs(path, exist_ok=True)


def create(path: StrPath, data: bytes | memoryview, mode: int = 0o666) -> os.stat_result:
    """Write a new file that must not exist yet, never through a link; not synced. Its stat."""
    _step("create", path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _O_NOFOLLOW | _O_CLOEXEC, mode)
    try:
        if data:
            _step_write(fd, lambda: os.write(fd, data[: len(data) // 2]))
            written = os.write(fd, data)
            if written != len(data):
                write_all(fd, [memoryview(data)[written:]])
        return os.fstat(fd)
    finally:
        os.close(fd)


def create_from(
    path: StrPath, chunks: Iterable[bytes | memoryview], mode: int = 0o666
) -> os.stat_result:
    """As `create`, from a stream of chunks."""
    _step("create", path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _O_NOFOLLOW | _O_CLOEXEC, mode)
    try:
        for chunk in chunks:
            write_all(fd, [chunk])
        return os.fstat(fd)
    finally:
        os.close(fd)


def open_new(path: StrPath) -> int:
    """Open a new file for writing and reading back; it must not exist."""
    _step("create", path)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _O_CLOEXEC, 0o666)


def write_atomic(path: StrPath, data: bytes) -> None:
    """Replace a small file of ours so that a reader sees the old or the new bytes, durably."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    try:
        fd = open_new(temporary)
    except FileNotFoundError as error:  # of the folder, and nobody asked for `temporary`
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from None
    try:
        write_all(fd, [data])
        sync(fd)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)
    rename(temporary, path)
    sync_folder(path.parent)


def replace(path: StrPath, chunks: Iterable[bytes | memoryview]) -> None:
    """Replace a file of a cache so that a reader sees the old or the new bytes; not synced.

    A crash of the machine may leave a torn file, which its readers must tell, as by a checksum.
    """
    path = Path(path)
    spare = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    remove(spare)
    try:
        create_from(spare, chunks)
        rename(spare, path)
    except BaseException:
        remove(spare)
        raise


class FileLock:
    """An advisory lock on a file, shared or exclusive, released with the process at the latest.

    Raises StateError when the lock is not to be had within `patience` seconds.
    """

    def __init__(
        self, path: StrPath, *, shared: bool = False, patience: float = 60.0, what: str = "lock"
    ) -> None:
        self.path = path
        self.shared = shared
        self.patience = patience
        self.what = what
        self._fd: int | None = None

    def acquire(self) -> FileLock:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | _O_CLOEXEC, 0o666)
        mode = fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX
        try:
            self._wait(fd, mode)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return self

    def _wait(self, fd: int, mode: int) -> None:
        deadline = time.monotonic() + self.patience
        pause = 0.001
        while True:
            try:
                fcntl.flock(fd, mode | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StateError(
                        f"another process holds the {self.what} ({self.path})",
                        hint="try again when it has ended",
                    ) from None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> FileLock:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
