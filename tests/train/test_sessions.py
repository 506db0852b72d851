"""Whole trainings as processes: killed and gone on with, on several ranks, repeated."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from training_repos import make_photos_repo

from voyager.repo.repository import Repository
from voyager.train.record import iter_runs
from voyager.train.run_folder import iter_run_folders

pytestmark = pytest.mark.deep

COMMAND = "train --task category --model cnn-small --size 32 --batch 8 --epochs 2 --threads 1"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("photos")
    make_photos_repo(folder).close()
    yield folder


def run(root: Path, words: str, *before: str) -> dict[str, Any]:
    """Run a command to its end; its JSON."""
    command = [sys.executable, *before, "-m", "voyager", *words.split(), "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def test_a_killed_training_goes_on_to_the_same_weights(root: Path) -> None:
    whole = run(root, COMMAND)
    for turn in range(3):
        victim = subprocess.Popen(
            [sys.executable, "-m", "voyager", *COMMAND.split(), "--checkpoint-steps", "1"],
            cwd=root,
            stdout=subprocess.DEVNULL,
        )
        wanted = random.Random(turn).randrange(1, 10)
        with Repository.open(root) as repo:
            while not any(len(one.log_lines()) >= wanted for one in iter_run_folders(repo)):
                time.sleep(0.01)
                assert victim.poll() is None
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            (killed,) = iter_run_folders(repo)
        resumed = run(root, f"train --resume {killed.id}")
        assert resumed["run"] == killed.id
        assert resumed["weights"] == whole["weights"]
    with Repository.open(root) as repo:
        assert not list(iter_run_folders(repo))
        runs = list(iter_runs(repo))
        assert len({found.record.losses for found in runs}) == 1
        logs = {repo.store.get_blob(found.files["log.jsonl"]).count(b"\n") for found in runs}
        assert len(logs) == 1


def test_ctrl_c_stops_after_a_step_and_the_next_goes_on(root: Path) -> None:
    whole = run(root, COMMAND)
    asked = subprocess.Popen(
        [sys.executable, "-m", "voyager", *COMMAND.split()],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    with Repository.open(root) as repo:
        while not any(one.log_lines() for one in iter_run_folders(repo)):
            time.sleep(0.01)
        asked.send_signal(signal.SIGINT)
        said, _ = asked.communicate()
        (stopped,) = iter_run_folders(repo)
    assert asked.returncode == 130
    assert f"hint: vgr train --resume {stopped.id}" in said
    assert run(root, f"train --resume {stopped.id}")["weights"] == whole["weights"]


def test_two_virtual_ranks_on_one_process_and_on_two(root: Path) -> None:
    alone = run(root, f"{COMMAND} --ranks 2")
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node=2")
    both = run(root, f"{COMMAND} --ranks 2", *torchrun, f"--master-port={free_port()}")
    assert both["weights"] == alone["weights"]
    assert both["metrics"] == alone["metrics"]
    with Repository.open(root) as repo:
        pair = [next(r for r in iter_runs(repo) if r.id == one["run"]) for one in (alone, both)]
    assert pair[0].record.losses == pair[1].record.losses
    assert pair[0].record.order == pair[1].record.order


def test_more_ranks_see_the_same_order(root: Path) -> None:
    """What the batches of all processes have shown, for parts on one process and on several."""
    orders = set()
    for ranks, processes in ((1, 1), (4, 1), (4, 2), (4, 4)):
        torchrun = ("-m", "torch.distributed.run", f"--nproc-per-node={processes}")
        before = (*torchrun, f"--master-port={free_port()}") if processes > 1 else ()
        found = run(root, f"{COMMAND} --ranks {ranks} --steps 9 --validate none", *before)
        with Repository.open(root) as repo:
            record = next(r.record for r in iter_runs(repo) if r.id == found["run"])
        assert record.hardware["processes"] == processes
        orders.add(record.order)
    assert len(orders) == 1


def test_a_run_is_repeated(root: Path) -> None:
    first = run(root, f"{COMMAND} --steps 3")
    again = run(root, f"train --repeat {first['run']}")
    assert again["repeats"] is True
    assert again["run"] is None
