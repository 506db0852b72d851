"""A proxy in front of an S3 server that fails on purpose: what `faulty.py` does, on the wire.

    with faulty_proxy(server, at(3, "lost-reply")) as proxy:
        …  # the client speaks to proxy.endpoint

Requests have the HTTP method and the name of the object, or the query of a listing. To the faults
of `faulty.py` come `half-sent`: the server gets half of the body of a request, then nobody speaks
any more; and `expired` and `elsewhere`, as services refuse old credentials and other regions.
`die` and `die-after` call `proxy.kill`, which a test sets.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from faulty import Fault, Plan, Request, nothing

_REFUSALS = {
    "500": (500, "InternalError"),
    "503": (503, "ServiceUnavailable"),
    "slow-down": (503, "SlowDown"),
    "expired": (400, "ExpiredToken"),
    "elsewhere": (301, "PermanentRedirect"),
}
_ENTRY = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
_KEY = re.compile(rb"<Key>(.*?)</Key>")
_TIME = re.compile(rb"(?<=<LastModified>)[^<]*")
_OWN = {"connection", "content-length", "transfer-encoding"}

Headers = Sequence[tuple[str, str]]


@dataclass
class Proxy:
    """What to do, and what was asked. `list_lag` and `clock_off` are as of `Faulty`."""

    server: str
    plan: Plan = nothing
    list_lag: int = 0
    clock_off: float = 0.0
    kill: Callable[[], None] = lambda: None
    endpoint: str = ""
    requests: list[Request] = field(default_factory=list)
    failed: list[tuple[Request, Fault]] = field(default_factory=list)
    _written: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, plan: Plan = nothing) -> None:
        """Count from 1 again, with another plan."""
        self.plan = plan
        self.requests, self.failed, self._written = [], [], {}

    def note(self, method: str, path: str) -> tuple[Request, Fault | None]:
        """Count a request; what the plan has for it."""
        parts = urlsplit(path)
        name = unquote(parts.path).partition("/")[2].partition("/")[2] or f"?{parts.query}"
        with self._lock:
            request = Request(len(self.requests) + 1, method, name)
            self.requests.append(request)
            if method == "PUT":
                self._written[name] = request.number
            fault = self.plan(request)
            if fault is not None:
                self.failed.append((request, fault))
            return request, fault

    def seen(self, body: bytes) -> bytes:
        """A listing as of a while ago, by a clock that is off."""
        now = len(self.requests)

        def entry(found: re.Match[bytes]) -> bytes:
            key = _KEY.search(found[0])
            name = unquote(key[1].decode()) if key else ""
            lags = now - self._written.get(name, -self.list_lag) <= self.list_lag
            return b"" if self.list_lag and lags else _TIME.sub(self._moved, found[0])

        return _ENTRY.sub(entry, body)

    def _moved(self, found: re.Match[bytes]) -> bytes:
        then = datetime.fromisoformat(found[0].decode()) + timedelta(seconds=self.clock_off)
        return then.isoformat().replace("+00:00", "Z").encode()

    def moved_date(self, value: str) -> str:
        """A date of HTTP by that clock."""
        return format_datetime(
            parsedate_to_datetime(value) + timedelta(seconds=self.clock_off), usegmt=True
        )


@contextmanager
def faulty_proxy(server: str, plan: Plan = nothing) -> Iterator[Proxy]:
    """A proxy on the loopback address in front of the endpoint of a server."""
    proxy = Proxy(server, plan)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=[0.05], daemon=True)
    thread.start()
    proxy.endpoint = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield proxy
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request, fault = self.proxy.note(self.command, self.path)
        if fault in _REFUSALS:
            self._refuse(*_REFUSALS[fault])
        elif fault in ("drop", "die"):
            self._hang_up(killing=fault == "die")
        elif fault == "half-sent":
            self._forward_half(body)
            self._hang_up()
        else:
            self._forward(body, request, fault)

    do_PUT = do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815

    def _forward(self, body: bytes, request: Request, fault: Fault | None) -> None:
        status, headers, data = self._asked(body)
        if fault in ("lost-reply", "die-after"):
            self._hang_up(killing=fault == "die-after")
            return
        if request.name.startswith("?"):
            data = self.proxy.seen(data)
        half = len(data) // 2
        if fault == "reorder":
            data = data[half:] + data[:half]
        length = len(data)
        if fault == "truncate":
            data = data[:half]
        self._answer(status, headers, data, length)
        if fault == "truncate":
            self._hang_up()

    def _asked(self, body: bytes) -> tuple[int, Headers, bytes]:
        """What the server answers."""
        connection = self._connect()
        try:
            self._send_head(connection)
            connection.send(body)
            reply = connection.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            connection.close()

    def _forward_half(self, body: bytes) -> None:
        connection = self._connect()
        self._send_head(connection)
        connection.send(body[: len(body) // 2])
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.proxy.server).netloc, timeout=60)

    def _send_head(self, connection: http.client.HTTPConnection) -> None:
        """The head as it came, the host too, for both are signed."""
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders()

    def _answer(self, status: int, headers: Headers, data: bytes, length: int) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _OWN:
                dated = name.lower() in ("date", "last-modified")
                self.send_header(name, self.proxy.moved_date(value) if dated else value)
        if self.command == "HEAD":
            length = next((int(v) for name, v in headers if name.lower() == "content-length"), 0)
        if status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def _refuse(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
        self._answer(status, [], b"" if self.command == "HEAD" else body, len(body))

    def _hang_up(self, *, killing: bool = False) -> None:
        if killing:
            self.proxy.kill()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
