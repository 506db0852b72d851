"""An ssh server with SFTP in this process (paramiko), on the loopback address, for one key."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko
from paramiko import SFTP_OK, SFTPAttributes, SFTPHandle, SFTPServer


class _Login(paramiko.ServerInterface):
    """Lets in whoever has the key."""

    def __init__(self, key: paramiko.PKey) -> None:
        self.key = key

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self.key else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Handle(SFTPHandle):
    """An open file that also tells its length."""

    def stat(self) -> Any:
        return SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


def _answered(work: Callable[[], Any]) -> Any:
    """What the system says, errors as SFTP has them."""
    try:
        return work()
    except OSError as error:
        return SFTPServer.convert_errno(error.errno or 0)


class _Files(paramiko.SFTPServerInterface):
    """The files of this machine, as whoever runs the tests may use them."""

    def list_folder(self, path: str) -> Any:
        def listed() -> list[SFTPAttributes]:
            found = []
            with os.scandir(path) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # removed since
                        found.append(SFTPAttributes.from_stat(entry.stat(), entry.name))
            return found

        return _answered(listed)

    def stat(self, path: str) -> Any:
        return _answered(lambda: SFTPAttributes.from_stat(os.stat(path)))

    lstat = stat

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> Any:
        def opened() -> SFTPHandle:
            fd = os.open(path, flags, 0o666)
            handle = _Handle(flags)
            mode = "r+b" if flags & os.O_RDWR else "wb" if flags & os.O_WRONLY else "rb"
            handle.readfile = handle.writefile = os.fdopen(fd, mode)
            return handle

        return _answered(opened)

    def remove(self, path: str) -> Any:
        return _answered(lambda: os.remove(path) or SFTP_OK)

    def posix_rename(self, oldpath: str, newpath: str) -> Any:
        return _answered(lambda: os.replace(oldpath, newpath) or SFTP_OK)

    def mkdir(self, path: str, attr: SFTPAttributes) -> Any:
        return _answered(lambda: Path(path).mkdir() or SFTP_OK)


@contextmanager
def sftp_server(home: Path, *, known: bool = True) -> Iterator[str]:
    """`host:port` of a server; `home` gets the key to it and, unless told else, knows its host."""
    folder = home / ".ssh"
    folder.mkdir(parents=True, exist_ok=True)
    own, host = paramiko.RSAKey.generate(2048), paramiko.RSAKey.generate(2048)
    own.write_private_key_file(str(folder / "id_rsa"))
    listening = socket.create_server(("127.0.0.1", 0))
    place = f"127.0.0.1:{listening.getsockname()[1]}"
    if known:
        name = "[{}]:{}".format(*place.split(":"))
        (folder / "known_hosts").write_text(f"{name} {host.get_name()} {host.get_base64()}\n")
    sessions: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # closed
            session = paramiko.Transport(connection)
            session.add_server_key(host)
            session.set_subsystem_handler("sftp", SFTPServer, _Files)
            sessions.append(session)
            try:
                session.start_server(server=_Login(own))
            except (paramiko.SSHException, EOFError):
                continue  # the client went away

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield place
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for session in sessions:
            session.close()
        thread.join(10)
