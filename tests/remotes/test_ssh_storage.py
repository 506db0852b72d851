"""Remotes on a machine with ssh: the suite within the lease, host keys, and logins that fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sftp_server import sftp_server

from voyager.errors import RemoteError
from voyager.remotes.base import Storage
from voyager.remotes.conformance import StorageSuite
from voyager.remotes.probe import check, trusted
from voyager.remotes.registry import StorageOptions, open_storage
from voyager.remotes.retrying import Patience

ONCE = StorageOptions(Patience(attempts=1), timeout=5.0)


class TestSsh(StorageSuite):
    measures_memory = False  # the server is in this process
    moves = 2

    @pytest.fixture(autouse=True)
    def _server(self, tmp_path: Path) -> Iterator[None]:
        with sftp_server(tmp_path) as place:
            self.url = f"ssh://ann@{place}{tmp_path}/remote"
            yield

    def open_storage(self) -> Storage:
        return trusted(open_storage(self.url))

    @pytest.mark.deep
    def test_what_is_too_long_is_not_read_as_a_whole(self, storage: Storage) -> None:
        super().test_what_is_too_long_is_not_read_as_a_whole(storage)


def test_ssh_has_no_conditions_and_gets_a_lease(tmp_path: Path) -> None:
    with sftp_server(tmp_path) as place:
        storage = open_storage(f"sftp://ann@{place}{tmp_path}/remote", options=ONCE)
        found = check(storage)
        assert found.locking == "lease"
        assert (found.clock, found.problems) == (0.0, ())
        assert found.may.read and found.may.write and found.may.list and found.may.delete
        told: list[str] = []
        trusted(storage, warn=told.append).put_if("root", b"x", None)
        assert "lease" in told[0]
        storage.close()


def test_hosts_that_are_not_known_are_not_spoken_with(tmp_path: Path) -> None:
    said = r"the key of host \[127.0.0.1\]:\d+ .* is not in"
    with sftp_server(tmp_path, known=False) as place, pytest.raises(RemoteError, match=said):
        open_storage(f"ssh://ann@{place}{tmp_path}/remote", options=ONCE)


def test_a_key_that_the_host_does_not_take(tmp_path: Path) -> None:
    with sftp_server(tmp_path) as place:
        (tmp_path / ".ssh" / "id_rsa").unlink()
        with pytest.raises(RemoteError, match="does not let you in"):
            open_storage(f"ssh://ann@{place}{tmp_path}/remote", options=ONCE)


def test_a_host_that_does_not_answer() -> None:
    with pytest.raises(RemoteError, match="cannot be reached"):
        open_storage("ssh://127.0.0.1:1/data", options=ONCE)


def test_a_connection_that_has_ended_is_made_anew(tmp_path: Path) -> None:
    with sftp_server(tmp_path) as place:
        storage = open_storage(f"ssh://ann@{place}{tmp_path}/remote", options=ONCE)
        storage.put("root", b"x")
        storage.close()
        assert storage.get("root") == b"x"
        storage.close()
