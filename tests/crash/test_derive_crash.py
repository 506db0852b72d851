"""`vgr derive` is killed while it works, by process: the next one goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from voyager.derived.registry import METHODS, method_of
from voyager.repo.add import add
from voyager.repo.deriving import derive, derived_cache, keys_of_images
from voyager.repo.repository import Repository
from voyager.samples import photo_paths

WHAT = "rendition-512-q95"
COPIES = 12
VGR = [sys.executable, "-m", "voyager"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A hundred photographs, each a dozen times in files of different bytes."""
    with Repository.init(tmp_path) as repo:
        for number, path in enumerate(photo_paths()):
            for copy in range(COPIES):
                data = path.read_bytes() + b"\n" * copy
                (tmp_path / f"{copy}-{number}.jpg").write_bytes(data)
        add(repo, ["."], cwd=tmp_path)
    return tmp_path


def kept(root: Path) -> dict[bytes, bytes]:
    with Repository.open(root) as repo:
        ids = keys_of_images(repo.staged())
        return derived_cache(repo).known(method_of(WHAT), ids).as_dict()


@pytest.mark.deep
def test_a_killed_derive_goes_on(root: Path) -> None:
    total = COPIES * len(photo_paths())
    command = [*VGR, "-C", str(root), "derive", WHAT, "--json"]
    path = root / ".vgr" / "cache" / "derived" / f"{WHAT}-{method_of(WHAT).version}"
    doomed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while doomed.poll() is None and not (path.exists() and path.stat().st_size > 18 << 20):
        time.sleep(0.005)
    os.kill(doomed.pid, signal.SIGKILL)
    assert doomed.wait() == -signal.SIGKILL
    left = kept(root)
    assert 0 < len(left) < total
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout) == {
        "what": [WHAT],
        "images": total,
        "computed": total - len(left),
        "failed": {},
        "absent": [],
    }
    found = kept(root)
    assert len(found) == total
    assert left.items() <= found.items()
    again = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(again.stdout)["computed"] == 0


@pytest.mark.deep
def test_other_processes_derive_the_same(root: Path) -> None:
    methods = [METHODS["sketch"], METHODS["thumbnail"], method_of("rendition-256")]
    with Repository.open(root) as repo:
        version = repo.staged()
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            done = derive(repo, version, methods, executor=pool)
        assert done.computed == len(version)
        ids = list(keys_of_images(version))
        far = {one.name: derived_cache(repo).known(one, ids).as_dict() for one in methods}
        derived_cache(repo).drop()
        assert derive(repo, version, methods).computed == len(version)
        near = {one.name: derived_cache(repo).known(one, ids).as_dict() for one in methods}
    assert far == near
