"""Servers that are processes of their own: the suite, the probe, and eight who push to one branch.

Those that `--server` names are started (see `real_servers.py`), without one moto.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from faulty import TRANSIENT, randomly
from faulty_proxy import faulty_proxy
from published import save
from real_servers import Server
from remote_content import Watch, root_of
from s3_server import SECRET, use_server

from voyager.cli import main
from voyager.errors import RemoteError
from voyager.remotes.base import Storage
from voyager.remotes.conformance import StorageSuite
from voyager.remotes.probe import probe_conditions, trusted
from voyager.remotes.push import push
from voyager.remotes.registry import open_storage
from voyager.repo.repository import Repository
from voyager.store.history import iter_history
from voyager.store.refs import read_ref

pytestmark = [pytest.mark.deep, pytest.mark.timeout(3000)]

MAIN = "refs/heads/main"
PEOPLE = 8


class TestServer(StorageSuite):
    """As commands see it: with a lease where conditions do not hold."""

    measures_memory = False  # a pack goes up in one piece
    moves = 4

    @pytest.fixture(autouse=True)
    def _empty(self, bucket: str) -> None:
        self.url = f"{bucket}/data set/100%25"

    def open_storage(self) -> Storage:
        return trusted(open_storage(self.url))


def test_the_probe_finds_out_what_holds(
    server: Server,
    bucket: str,
    empty_repo: Repository,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert probe_conditions(open_storage(bucket)).kept is server.conditions
    save(empty_repo, "One", {"a.jpg": 0})
    monkeypatch.chdir(empty_repo.tree())
    for args in (["remote", "add", "origin", bucket], ["remote", "check"]):
        assert main(args) == 0
    way = "compare-and-swap" if server.conditions else "a lease"
    assert f"told apart by {way}" in capsys.readouterr().out
    assert main(["push", "origin", "main"]) == 0
    warned = "a lease object guards pushes instead" in capsys.readouterr().err
    assert warned is not server.conditions


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_ACCESS_KEY_ID", "AKIAUNKNOWNEXAMPLE00", "the access key is not known"),
        ("AWS_SECRET_ACCESS_KEY", "ab/wrongwrongwrong+wrong", "the secret does not belong"),
    ],
)
def test_wrong_credentials_are_told(
    server: Server,
    bucket: str,
    empty_repo: Repository,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    words: str,
) -> None:
    save(empty_repo, "One", {"a.jpg": 0})
    monkeypatch.chdir(empty_repo.tree())
    monkeypatch.setenv(name, value)
    with _credentials_checked(server):
        for args in (["push", bucket, "main"], ["clone", bucket, "other"]):
            assert main(args) == RemoteError.exit
            said = "".join(capsys.readouterr())
            # moto knows no users, and so no secrets
            assert ("the access key is not known" if server.name == "moto" else words) in said
            assert "hint: export AWS_PROFILE=NAME" in said
            assert value not in said
            assert SECRET not in said


@contextlib.contextmanager
def _credentials_checked(server: Server) -> Iterator[None]:
    """moto looks at them only when told to."""
    if server.name != "moto":
        yield
        return
    plain = {"Content-Type": "text/plain"}
    for count in (b"0", b"inf"):  # so many requests before it looks
        address = f"{server.endpoint}/moto-api/reset-auth"
        urlopen(Request(address, count, plain, method="POST")).close()
        if count == b"0":
            yield


def test_eight_push_to_one_branch(bucket: str, tmp_path: Path) -> None:
    _push_together(open_storage(f"{bucket}/shared"), tmp_path, 25)


def test_eight_push_to_one_branch_through_a_storm(
    server: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every twentieth request of any of them fails in one way or another."""
    storage = open_storage(f"{bucket}/shared")
    with faulty_proxy(server.endpoint, randomly(1, 0.05)) as proxy:
        use_server(proxy.endpoint, monkeypatch)
        _push_together(storage, tmp_path, 5)
    assert {fault for _, fault in proxy.failed} == set(TRANSIENT)


def _push_together(storage: Storage, folder: Path, commits: int) -> None:
    """Let eight processes make and push so many commits each, and look at the remote meanwhile."""
    with Repository.init(folder / "first") as repo:
        save(repo, "First", {"a.jpg": 0})
        push(repo, trusted(storage), ["main"])
    script = Path(__file__).with_name("contributor.py")
    people = [
        subprocess.Popen(
            [sys.executable, script, folder / str(number), storage.url, str(number), str(commits)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PEOPLE)
    ]
    watch = Watch(storage)
    try:
        while any(person.poll() is None for person in people):
            watch.look()
            time.sleep(0.02)
    finally:
        for person in people:
            if sys.exc_info()[0] is not None:
                person.kill()
        said = [person.communicate()[1] for person in people]
    assert said == [""] * PEOPLE
    assert {person.returncode for person in people} == {0}
    watch.look()
    assert watch.generations[-1] == root_of(storage).generation >= PEOPLE * commits
    _check_branch(storage.url, folder / "all", commits)


def _check_branch(url: str, folder: Path, commits: int) -> None:
    """All that they committed is on the branch, and in the files of a clone."""
    assert main(["clone", "-q", url, str(folder)]) == 0
    assert main(["-C", str(folder), "fsck", "-q"]) == 0
    assert main(["-C", str(folder), "fsck", "--remote", "--full", "-q"]) == 0
    with Repository.open(folder) as repo:
        tip = read_ref(repo.store, MAIN)
        assert tip is not None
        messages = [commit.message for _, commit in iter_history(repo.store, [tip])]
    wanted = [f"{number}:{count}" for number in range(PEOPLE) for count in range(commits)]
    own = [message for message in messages if not message.startswith("Merge branch")]
    assert sorted(own) == sorted([*wanted, "First"])
    found = {str(path.relative_to(folder)) for path in folder.glob("[0-9]/*.png")}
    assert found == {f"{text.replace(':', '/')}.png" for text in wanted}
