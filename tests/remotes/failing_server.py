"""An HTTP server that answers what it is told to: for errors no real server gives on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answers:
    """What to answer to everything: a status, an S3 error code, or a body that breaks off."""

    status: int = 200
    code: str = ""
    more: str = ""
    body: bytes = b""
    claimed: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""
    asked: list[str] = field(default_factory=list)

    def text(self) -> bytes:
        if not self.code:
            return self.body
        said = f"<Code>{self.code}</Code><Message>of {self.code}</Message>{self.more}"
        return f"<?xml version='1.0'?><Error>{said}</Error>".encode()


@contextmanager
def failing_server() -> Iterator[Answers]:
    """A server on the loopback address, and what it answers."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answers.asked.append(self.command)
            body = answers.text()
            self.send_response(answers.status)
            for name, value in answers.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(answers.claimed or len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            if answers.claimed:
                self.close_connection = True

        do_PUT = do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    answers.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
