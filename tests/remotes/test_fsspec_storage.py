"""What fsspec serves: S3 where obstore is absent, folders, web servers; and what is missing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import fsspec
import pytest
from failing_server import failing_server
from s3_server import new_bucket

from voyager.errors import CorruptError, MissingExtraError, NotFoundError, RemoteError, UsageError
from voyager.remotes.base import Storage, Unconditional, Unreachable
from voyager.remotes.conformance import ODD_NAMES, StorageSuite
from voyager.remotes.lease import Leased
from voyager.remotes.registry import StorageOptions, open_storage
from voyager.remotes.retrying import Patience, Retrying
from voyager.remotes.storages.file import FileStorage
from voyager.remotes.storages.fsspec import FsspecStorage
from voyager.remotes.urls import split_url

ONCE = StorageOptions(Patience(attempts=1), timeout=5.0)


@pytest.mark.usefixtures("s3")
class TestS3WithoutObstore(StorageSuite):
    measures_memory = False  # the server is in this process
    moves = 3

    @pytest.fixture(autouse=True)
    def _empty(self, s3: str) -> None:
        self.url = f"{new_bucket()}/data set"

    def open_storage(self) -> Storage:
        return Retrying(FsspecStorage.open(self.url, split_url(self.url), timeout=20.0))


class TestLocalFolder(StorageSuite):
    """A file system that is no object store, as on ssh; a lease makes up for conditions."""

    @pytest.fixture(autouse=True)
    def _empty(self, tmp_path: Path) -> None:
        self.url = f"local://{tmp_path}/remote"

    def open_storage(self) -> Storage:
        return Leased(open_storage(self.url))


def test_without_conditions_none_is_pretended(tmp_path: Path) -> None:
    with pytest.raises(Unconditional):
        open_storage(f"local://{tmp_path}").put_if("root", b"x", None)


@pytest.mark.usefixtures("s3")
def test_no_such_bucket() -> None:
    url = "s3://no-such-bucket/data"
    storage = FsspecStorage.open(url, split_url(url), timeout=5.0)
    for ask in (lambda: storage.put("root", b"x"), lambda: storage.put_if("root", b"x", None)):
        with pytest.raises(RemoteError, match="no bucket 'no-such-bucket'"):
            ask()


# -- web servers ----------------------------------------------------------------------------------


class _Quiet(SimpleHTTPRequestHandler):
    """Python's own server: it has no ranges."""

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Ranges(_Quiet):
    """The same with ranges, as usual servers have them."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        first, last = wanted.removeprefix("bytes=").split("-")
        part = data[int(first) : int(last) + 1]
        self.send_response(206 if part else 416)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


@contextmanager
def web_server(folder: Path, handler: type[_Quiet]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("handler", [_Quiet, _Ranges])
def test_web_servers_are_read(handler: type[_Quiet], tmp_path: Path) -> None:
    written = FileStorage(tmp_path / "data")
    big = bytes(range(256)) * 40_000
    written.put("packs/a.pack", big)
    for name in ODD_NAMES:
        written.put(name, name.encode())
    with web_server(tmp_path, handler) as base:
        storage = open_storage(f"{base}/data", options=ONCE)
        assert storage.read_only
        for name in ODD_NAMES:
            assert storage.get(name) == name.encode()
        assert storage.get_tagged("packs/a.pack").data == big
        assert storage.get_range("packs/a.pack", 1000, 77) == big[1000:1077]
        storage.fetch("packs/a.pack", tmp_path / "back", size=len(big))
        assert (tmp_path / "back").read_bytes() == big
        assert storage.size("packs/a.pack") == len(big)
        assert storage.size("packs/b.pack") is None
        for size in (len(big) - 1, len(big) + 1):
            with pytest.raises(RemoteError):
                storage.fetch("packs/a.pack", tmp_path / "other", size=size)
        with pytest.raises(NotFoundError):
            storage.get("root")
        storage.close()


class _Endless(_Quiet):
    """A server that says a terabyte and sends as long as anybody listens."""

    sent: ClassVar[int] = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(1 << 20))
                _Endless.sent += 1 << 20
        except OSError:
            self.close_connection = True


def test_a_web_server_that_sends_without_end(tmp_path: Path) -> None:
    with web_server(tmp_path, _Endless) as base:
        storage = open_storage(f"{base}/data", options=ONCE)
        with pytest.raises(CorruptError, match=r"'root' of .* has more than 16,777,216 bytes"):
            storage.get("root")
        assert storage.get_range("packs/a.idx", 500, 100) == bytes(100)
        with pytest.raises(RemoteError, match="instead of 5,000,000"):
            storage.fetch("packs/a.pack", tmp_path / "a", size=5_000_000)
        assert not (tmp_path / "a").exists()
        assert _Endless.sent < 64 << 20
        storage.close()


def test_web_servers_are_not_written_or_listed() -> None:
    storage = open_storage("https://example.invalid/data", options=ONCE)
    for ask in (
        lambda: storage.put("root", b"x"),
        lambda: storage.put_if("root", b"x", None),
        lambda: storage.delete(["root"]),
        lambda: list(storage.list("")),
    ):
        with pytest.raises(RemoteError, match="web server"):
            ask()


@pytest.mark.parametrize(
    ("status", "words", "retry"),
    [
        (403, "no permission to read", False),
        (503, "too many requests", True),
        (500, "failed", True),
    ],
)
def test_errors_of_web_servers(status: int, words: str, retry: bool) -> None:
    with failing_server() as answers:
        answers.status = status
        storage = open_storage(f"{answers.endpoint}/data", options=ONCE)
        with pytest.raises(RemoteError, match=words) as told:
            storage.get("root")
        assert told.value.retry is retry


def test_a_web_server_that_is_not_there() -> None:
    with pytest.raises(RemoteError, match="cannot be reached"):
        open_storage("http://127.0.0.1:1/data", options=ONCE).get("root")


# -- what is not there ----------------------------------------------------------------------------


def test_schemes_that_nobody_knows() -> None:
    with pytest.raises(
        UsageError, match=r"no remote can lie at 'gopher://' \(it can at: az, file,"
    ):
        open_storage("gopher://host/data")


def test_file_systems_that_are_not_installed() -> None:
    with pytest.raises(MissingExtraError) as told:
        open_storage("dropbox://host/data")
    assert str(told.value.hint).startswith("pip install ")


@pytest.mark.parametrize(
    ("url", "gone", "extra"),
    [
        ("s3://shoes", ("obstore", "fsspec"), "s3"),
        ("https://example.org/shoes", ("fsspec",), "s3"),
        ("ssh://example.org/shoes", ("fsspec",), "ssh"),
        ("ssh://example.org/shoes", ("paramiko",), "ssh"),
    ],
)
def test_extras_that_are_not_installed(
    url: str, gone: tuple[str, ...], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in list(sys.modules):
        if module.startswith(("voyager.remotes.storages.", *gone)):
            monkeypatch.delitem(sys.modules, module)
    for module in gone:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as told:
        open_storage(url)
    assert told.value.hint == f"pip install 'voyager-vgr[{extra}]'"


def test_a_client_that_raises_errors_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class HTTPError(Exception): ...

    class ConnectError(HTTPError): ...

    class Far(fsspec.AbstractFileSystem):
        def cat_file(self, path: str, **_: object) -> bytes:
            raise ConnectError("Name or service not known")

    monkeypatch.setitem(sys.modules, "httpx", ModuleType("httpx"))
    monkeypatch.setattr(sys.modules["httpx"], "HTTPError", HTTPError, raising=False)
    storage = FsspecStorage(Far(), "x/y", url="hf://datasets/x/y", scheme="hf")
    with pytest.raises(Unreachable, match="hf://datasets/x/y: the server cannot be reached"):
        storage.get("root")
