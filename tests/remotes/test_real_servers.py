"""Servers that are processes of their own: the suite, the probe, and eight who push to one branch.

Those that `--server` names are started (see `real_servers.py`), without one moto.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from published import save
from real_servers import Server
from remote_content import Watch, root_of

from voyager.cli import main
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
COMMITS = 25


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


def test_eight_push_to_one_branch(bucket: str, tmp_path: Path) -> None:
    storage = open_storage(f"{bucket}/shared")
    with Repository.init(tmp_path / "first") as repo:
        save(repo, "First", {"a.jpg": 0})
        push(repo, trusted(storage), ["main"])
    script = Path(__file__).with_name("contributor.py")
    people = [
        subprocess.Popen(
            [
                sys.executable,
                script,
                tmp_path / str(number),
                storage.url,
                str(number),
                str(COMMITS),
            ],
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
            person.kill()
    for person in people:
        assert person.communicate()[1] == ""
        assert person.returncode == 0
    watch.look()
    assert root_of(storage).generation >= PEOPLE * COMMITS
    _check_branch(storage.url, tmp_path / "all")


def _check_branch(url: str, folder: Path) -> None:
    """All that they committed is on the branch, and in the files of a clone."""
    assert main(["clone", "-q", url, str(folder)]) == 0
    assert main(["-C", str(folder), "fsck", "-q"]) == 0
    assert main(["-C", str(folder), "fsck", "--remote", "--full", "-q"]) == 0
    with Repository.open(folder) as repo:
        tip = read_ref(repo.store, MAIN)
        assert tip is not None
        messages = [commit.message for _, commit in iter_history(repo.store, [tip])]
    wanted = [f"{number}:{count}" for number in range(PEOPLE) for count in range(COMMITS)]
    own = [message for message in messages if not message.startswith("Merge branch")]
    assert sorted(own) == sorted([*wanted, "First"])
    found = {str(path.relative_to(folder)) for path in folder.glob("[0-9]/*.png")}
    assert found == {f"{text.replace(':', '/')}.png" for text in wanted}
