"""Folders of what is in the making, and those that killed processes left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from voyager.remotes.own_folder import OwnFolder

_KILLED = """
import os, sys
from pathlib import Path
from voyager.remotes.own_folder import OwnFolder
own = OwnFolder(Path(sys.argv[1]), "remote")
(own.path / "pack").write_bytes(b"x")
os.kill(os.getpid(), 9)
"""


def test_a_folder_goes_with_its_context(tmp_path: Path) -> None:
    with OwnFolder(tmp_path, "remote") as folder:
        (folder / "below").mkdir()
        (folder / "below" / "pack").write_bytes(b"x")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert len(list((tmp_path / "tmp").iterdir())) == 2
    with OwnFolder(tmp_path, "push"):
        assert len(list((tmp_path / "tmp").glob("remote-*"))) == 2
    with OwnFolder(tmp_path, "remote") as own:
        there = sorted(path.name for path in (tmp_path / "tmp").iterdir())
        assert there == [own.name, f"{own.name}.lock"]


def test_that_of_a_running_process_stays(tmp_path: Path) -> None:
    with OwnFolder(tmp_path, "remote") as first:
        (first / "pack").write_bytes(b"x")
        with OwnFolder(tmp_path, "remote") as second:
            assert second != first
            assert (first / "pack").exists()
