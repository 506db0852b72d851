"""Every place that fsspec has a file system for: ssh, web servers, buckets without obstore.

Object stores write whole objects; elsewhere an object is written beside and renamed. Only S3 has
conditional writes here; for the others there is the lease. Web servers are read, never written.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import fsspec
from blake3 import blake3

from voyager.errors import MissingExtraError, NotFoundError, RemoteError, UsageError
from voyager.remotes.base import MOST_BYTES, Listed, Tagged, Unconditional
from voyager.remotes.storages.bodies import (
    CHUNK,
    absent,
    check_object_name,
    exactly,
    first_bytes,
    refuse_long,
    stale,
    write_new_file,
)
from voyager.remotes.storages.service_errors import (
    broken_off,
    code_of,
    lacks_bucket,
    service_error,
    unreachable,
)
from voyager.remotes.urls import Parts, mask

_PIECE: Final = 4 << 20
_BUCKETS: Final = frozenset({"abfs", "az", "gcs", "gs", "oci", "oss", "s3", "s3a"})
_S3: Final = frozenset({"s3", "s3a"})
_SSH: Final = frozenset({"sftp", "ssh"})
_WEB: Final = frozenset({"http", "https"})
_TEMPORARY: Final = "tmp"
_FOLDER_TRIES: Final = 5
_PARTIAL: Final = 206
"""The status of an answer that is a range."""
_STALE: Final = frozenset({"PreconditionFailed", "NoSuchKey"})
_CLIENTS: Final = (
    ("aiohttp", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("httpx", "HTTPError"),
    ("httpx2", "HTTPError"),
    ("paramiko", "SSHException"),
)
"""What clients raise that is no OSError; of those that are loaded."""
_UNREACHED: Final = frozenset(
    {
        "ClientConnectorDNSError",
        "ClientConnectorError",
        "ConnectError",
        "ConnectTimeout",
        "ConnectTimeoutError",
        "EndpointConnectionError",
        "NoValidConnectionsError",
    }
)
_BROKEN_OFF: Final = frozenset(
    {
        "ClientPayloadError",
        "ConnectionClosedError",
        "IncompleteReadError",
        "ReadTimeoutError",
        "ResponseStreamingError",
    }
)
_REFUSED: Final = frozenset({"AuthenticationException", "BadAuthenticationType"})
_INSTALL = re.compile(r"[Ii]nstall \W*([\w.-]+)")
_MODULE = re.compile(r"No module named '([\w-]+)")


class FsspecStorage:
    """Bytes by name below a folder of a file system of fsspec."""

    def __init__(self, fs: Any, root: str, *, url: str, scheme: str) -> None:
        self.url = url
        self.scheme = scheme
        self.read_only = scheme in _WEB
        self._fs = fs
        self._root = root.rstrip("/")
        self._ready: set[str] = set()

    @classmethod
    def open(cls, url: str, parts: Parts, *, timeout: float) -> FsspecStorage:
        """The storage of a URL; file systems on ssh connect at once.

        Raises MissingExtraError where the client of a scheme is not installed.
        """
        with _told(url, parts.scheme):
            try:
                fs, root = fsspec.core.url_to_fs(
                    url, skip_instance_cache=True, **_connection(parts.scheme, timeout)
                )
            except ImportError as error:
                raise _not_installed(parts.scheme, error) from None
            except ValueError as error:
                raise UsageError(f"{url}: {mask(str(error))}", hint="vgr remote --help") from None
        if parts.scheme in _S3:
            fs.retries = 1
        if parts.scheme in _SSH:
            from voyager.remotes.storages.ssh import Channels

            fs = Channels(fs, timeout=timeout)
        return cls(fs, root, url=url, scheme=parts.scheme)

    def get(self, name: str) -> bytes:
        if self.scheme in _SSH:
            with self._told(name):
                data = bytes(self._fs.read_start(self._path(name), MOST_BYTES + 1))
        else:
            data = self._range(name, 0, MOST_BYTES + 1)
        refuse_long(len(data), url=self.url, name=name)
        return data

    def get_tagged(self, name: str) -> Tagged:
        if self.scheme not in _S3:
            data = self.get(name)
            return Tagged(data, blake3(data).hexdigest())
        while True:  # the tag and the bytes come apart, so they may be of two writes
            before = self._etag(name)
            data = self.get(name)
            if self._etag(name) == before:
                return Tagged(data, before)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return exactly(self._range(name, start, length), length, url=self.url, name=name)

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        with self._told(name):
            if self.scheme in _SSH:
                pieces = self._fs.read_ahead(self._path(name), size)
            elif self.read_only:
                pieces = self._stream(name)
            else:
                pieces = self._pieces(name, size)
            write_new_file(path, pieces, size=size, url=self.url, name=name)

    def put(self, name: str, data: bytes | Path) -> None:
        path = self._writable(name)
        with self._told(name, write=True):
            if self.scheme in _BUCKETS:
                self._write(path, data)
                return
            self._make_folder(_TEMPORARY)
            self._make_folder(name.rpartition("/")[0])
            temporary = f"{self._root}/{_TEMPORARY}/{secrets.token_hex(8)}"
            self._write(temporary, data)
            self._fs.mv(temporary, path)

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        path = self._writable(name)
        if self.scheme not in _S3:
            raise Unconditional(f"{self.url} has no conditional writes")
        # Never open(path, "xb"): closed without a byte it overwrites what is there.
        condition = {"mode": "create"} if tag is None else {"IfMatch": tag}
        try:
            with self._told(name, write=True):
                self._fs.pipe_file(path, data, **condition)
        except FileExistsError:
            raise stale(self.url, name) from None
        found = self.get_tagged(name)
        if found.data != data:
            raise RemoteError(f"{self.url}: '{name}' was written and at once changed", retry=True)
        return found.tag

    def size(self, name: str) -> int | None:
        try:
            with self._told(name):
                found = self._fs.info(self._path(name))
        except NotFoundError:
            return None
        if found.get("type") == "directory":
            return None
        size = found.get("size")
        return self._counted(name) if size is None else int(size)

    def list(self, prefix: str) -> Iterator[Listed]:
        if self.read_only:
            raise RemoteError(f"{self.url} is a web server, which has no listing")
        folder = f"{self._root}/{prefix}".rstrip("/")
        with self._told(prefix):
            try:
                found = self._fs.find(folder, detail=True)
            except FileNotFoundError as error:
                if lacks_bucket(str(error)):
                    raise
                return
        start = len(self._fs._strip_protocol(self._root)) + 1
        for path, info in found.items():
            name = path[start:]
            if not name.startswith(f"{_TEMPORARY}/"):
                yield Listed(name, int(info["size"]), _modified(info))

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            path = self._writable(name)
            with self._told(name, write=True), contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(path)

    def close(self) -> None:
        if self.scheme in _SSH:
            self._fs.close_all()

    def _path(self, name: str) -> str:
        check_object_name(name)
        return f"{self._root}/{quote(name) if self.read_only else name}"

    def _writable(self, name: str) -> str:
        if self.read_only:
            raise RemoteError(f"{self.url} is a web server: it can only be read")
        return self._path(name)

    def _make_folder(self, folder: str) -> None:
        if folder in self._ready:
            return
        path = f"{self._root}/{folder}".rstrip("/")
        for left in reversed(range(_FOLDER_TRIES)):
            try:
                self._fs.makedirs(path, exist_ok=True)
                break
            except OSError:  # maybe as others make a part of it now: ssh says "Failure" for that
                if not left:
                    raise
        self._ready.add(folder)

    def _write(self, path: str, data: bytes | Path) -> None:
        if isinstance(data, Path):
            self._fs.put_file(str(data), path)
        else:
            self._fs.pipe_file(path, data)

    def _range(self, name: str, start: int, length: int) -> bytes:
        if length == 0:
            return b""
        with self._told(name):
            try:
                if self.read_only:
                    return first_bytes(self._stream(name, start, start + length), length)
                return bytes(self._fs.cat_file(self._path(name), start=start, end=start + length))
            except ValueError:
                return b""  # it starts past the end
            except _failures() as error:
                if getattr(error, "status", None) == 416 or "InvalidRange" in _text(error):
                    return b""
                raise

    def _pieces(self, name: str, size: int) -> Iterator[bytes]:
        """The body piece by piece; the last asks for a byte more, so that a longer one shows."""
        if size == 0:
            yield self.get(name)
        for start in range(0, size, _PIECE):
            last = start + _PIECE >= size
            wanted = size - start + 1 if last else _PIECE
            yield self._range(name, start, wanted)

    def _stream(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """What a web server has from `start` on, and up to `end` if it has ranges.

        A server may ignore them, or send without end: the caller stops when it has enough.
        """
        headers = {"Accept-Encoding": "identity"}
        if end is not None:
            headers["Range"] = f"bytes={start}-{end - 1}"
        # A size that is given is not asked for; any will do.
        with self._fs.open(self._path(name), block_size=0, size=1, headers=headers) as body:
            skipped = start if body.r.status != _PARTIAL else 0
            while piece := body.read(CHUNK):
                yield piece[skipped:]
                skipped = max(0, skipped - len(piece))

    def _counted(self, name: str) -> int:
        """The length of what a web server does not say it of."""
        with self._told(name):
            return sum(map(len, self._stream(name)))

    def _etag(self, name: str) -> str:
        with self._told(name):
            return str(self._fs.info(self._path(name))["ETag"])

    def _told(self, name: str, *, write: bool = False) -> contextlib.AbstractContextManager[None]:
        return _told(self.url, self.scheme, name, write=write)


def _connection(scheme: str, timeout: float) -> dict[str, Any]:
    """Settings of the file system of a scheme; nothing is repeated or remembered below us."""
    if scheme in _S3:
        return {
            "config_kwargs": {"retries": {"total_max_attempts": 1}, "read_timeout": timeout},
            "use_listings_cache": False,
        }
    if scheme in _SSH:
        from voyager.remotes.storages.ssh import known_hosts_only

        return {
            "banner_timeout": timeout,
            "host_key_policy": known_hosts_only(),
            "timeout": timeout,
        }
    return {}


def _not_installed(scheme: str, error: ImportError) -> MissingExtraError:
    package = _package(str(error)) or f"'fsspec[{scheme}]'"
    return MissingExtraError(f"{scheme}:// remotes need {package}", hint=f"pip install {package}")


def _package(text: str) -> str | None:
    found = _INSTALL.search(text) or _MODULE.search(text)
    return None if found is None else found[1]


def _modified(info: dict[str, Any]) -> float:
    """When something was written: file systems have several names for it."""
    found = info.get("mtime") or info.get("LastModified") or info.get("last_modified")
    if isinstance(found, datetime):
        return found.timestamp()
    return float(found or 0.0)


def _failures() -> tuple[type[Exception], ...]:
    """What the clients that are loaded raise."""
    own = [
        getattr(sys.modules[module], name) for module, name in _CLIENTS if sys.modules.get(module)
    ]
    return (OSError, EOFError, *own)


@contextlib.contextmanager
def _told(url: str, scheme: str, name: str = "", *, write: bool = False) -> Iterator[None]:
    """Errors of file systems and of their clients in words."""
    try:
        yield
    except FileNotFoundError as error:
        if write and code_of(_text(error)) in _STALE:
            raise stale(url, name) from None
        if write or lacks_bucket(_text(error)):
            raise service_error(url, _text(error), write=write) from None
        raise absent(url, name) from None
    except FileExistsError:
        raise
    except _failures() as error:
        text = _text(error)
        if write and code_of(text) in _STALE:
            raise stale(url, name) from None
        if isinstance(error, socket.gaierror) or type(error).__name__ in _UNREACHED:
            raise unreachable(url) from None
        if type(error).__name__ in _REFUSED or "No authentication methods" in text:
            raise RemoteError(
                f"{url}: the host does not let you in: {mask(str(error))}", hint="ssh-add -l"
            ) from None
        if isinstance(error, (ConnectionError, TimeoutError, EOFError)) or (
            type(error).__name__ in _BROKEN_OFF
        ):
            raise broken_off(url) from None
        raise service_error(url, text, write=write) from None


def _text(error: BaseException) -> str:
    """What an error and its cause say, with the status of a web server where there is one."""
    status = getattr(error, "status", None)
    words = f"status code: {status}" if isinstance(status, int) else str(error)
    return f"{words} {error.__cause__ or ''}".strip()
