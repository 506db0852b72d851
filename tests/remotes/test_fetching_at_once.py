"""Several processes that fetch the same into one repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from published import assert_same, assert_whole, publish, save

from voyager.remotes.config import Remote, set_remote
from voyager.remotes.storages.file import FileStorage
from voyager.repo.repository import Repository

_FETCH = """
import sys
from voyager.errors import RefMoved
from voyager.remotes.config import find_remote
from voyager.remotes.fetching import fetch
from voyager.repo.repository import Repository

with Repository.open(sys.argv[1]) as repo:
    try:
        fetch(repo, find_remote(repo, "origin"))
    except RefMoved:
        fetch(repo, find_remote(repo, "origin"))
"""


def test_fetches_at_once(tmp_path: Path) -> None:
    with Repository.init(tmp_path / "there") as there:
        for number in range(3):
            save(there, f"{number}", {f"{number}/{n}.jpg": 3 * number + n for n in range(3)})
            publish(there, FileStorage(tmp_path / "remote"))
        with Repository.init(tmp_path / "here") as here:
            set_remote(here, Remote("origin", str(tmp_path / "remote")))
        running = [
            subprocess.Popen([sys.executable, "-c", _FETCH, str(tmp_path / "here")])
            for _ in range(4)
        ]
        assert [process.wait() for process in running] == [0, 0, 0, 0]
        with Repository.open(tmp_path / "here") as here:
            assert_same(there.at("HEAD"), here.at("origin/main"))
            assert_whole(here)
            assert not list(here.folder.glob("packs/tmp-*"))
