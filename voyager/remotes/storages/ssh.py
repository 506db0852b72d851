"""What the ssh file system of fsspec lacks: whom to believe, threads, and connections that end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any, Final

from voyager.config import foreign_variable
from voyager.errors import MissingExtraError
from voyager.remotes.storages.bodies import iter_file

_CHANNELS: Final = 4
"""So many things at once; an OpenSSH server lets ten, for all that use one connection."""
_AHEAD: Final = 64
"""Requests of 32 KiB that a read is ahead by."""
_REPLY: Final = 32 << 10
"""Bytes in the answer to one request."""
_ANSWERS = (FileNotFoundError, FileExistsError, PermissionError)
"""Errors after which a channel is as good as before."""


def known_hosts_only() -> Any:
    """A policy of paramiko's that refuses hosts whose keys are not in `~/.ssh/known_hosts`.

    fsspec would believe any host at the first connection.
    """
    try:
        from paramiko import HostKeys, MissingHostKeyPolicy, SSHException
    except ModuleNotFoundError:
        raise MissingExtraError(
            "ssh:// remotes need paramiko", hint="pip install 'voyager-vgr[ssh]'"
        ) from None
    path = Path(foreign_variable("HOME") or "~") / ".ssh" / "known_hosts"

    def missing_host_key(_policy: Any, _client: Any, hostname: str, key: Any) -> None:
        """Asked for each key that paramiko does not know, which is every one."""
        known = HostKeys(str(path)) if path.is_file() else HostKeys()
        if not known.check(hostname, key):
            raise SSHException(
                f"the key of host {hostname} ({key.get_name()}) is not in {path}: "
                "connect once with ssh"
            )

    return type("KnownHosts", (MissingHostKeyPolicy,), {"missing_host_key": missing_host_key})()


class Channels:
    """A file system whose methods may be called from several threads, each with a channel of its
    own: two on one channel would wait for ever for each other's replies."""

    def __init__(self, fs: Any, *, timeout: float) -> None:
        self._fs = fs
        self._timeout = timeout
        self._room = Semaphore(_CHANNELS)
        self._lock = Lock()
        self._free: list[Any] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            with self._channel() as fs:
                return getattr(fs, name)(*args, **options)

        return call

    def read_ahead(self, path: str, size: int) -> Iterator[bytes]:
        """A file in chunks, many of them asked for before they are wanted."""
        with self._channel() as fs, fs.ftp.open(path, "rb") as file:
            if size:
                file.prefetch(size, _AHEAD)
            yield from iter_file(file)

    def read_start(self, path: str, most: int) -> bytes:
        """The first bytes of a file."""
        with self._channel() as fs, fs.ftp.open(path, "rb") as file:
            size = min(file.stat().st_size or 0, most)
            if size > _REPLY:
                file.prefetch(size, _AHEAD)
            return bytes(file.read(size))

    def close_all(self) -> None:
        """End the connection."""
        self._fs.client.close()

    @contextlib.contextmanager
    def _channel(self) -> Iterator[Any]:
        with self._room:
            fs = self._open()
            try:
                yield fs
            except _ANSWERS:
                self._free.append(fs)
                raise
            except BaseException:
                fs.ftp.close()
                raise
            self._free.append(fs)

    def _open(self) -> Any:
        """A channel that is free, or a new one; the connection anew where it has ended."""
        with self._lock:
            transport = self._fs.client.get_transport()
            if transport is None or not transport.is_active():
                self._free.clear()
                self._fs._connect()
            elif self._free:
                return self._free.pop()
            fs = object.__new__(type(self._fs))  # copy.copy would connect anew, and share that
            fs.__dict__.update(self._fs.__dict__)
            fs.ftp = self._fs.client.open_sftp()
            fs.ftp.get_channel().settimeout(self._timeout)
            return fs
