"""Trainings that start from a checkpoint: a repeat wants the same one, a resume none."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from training_repos import ctrl_c, make_photos_repo

from voyager.cli import main
from voyager.repo.repository import Repository
from voyager.train.record import find_run

SMALL = "--task category --model cnn-small --size 16 --batch 8 --threads 1 --validate none"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with make_photos_repo(tmp_path_factory.mktemp("photos")) as opened:
        yield opened


@pytest.fixture(scope="module")
def weights(repo: Repository, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of two networks that differ."""
    out = tmp_path_factory.mktemp("weights")
    for seed in (1, 2):
        assert train(repo, f"{SMALL} --steps 1 --seed {seed} --name seed-{seed} -q") == 0
        assert run(repo, f"runs export seed-{seed} {out / str(seed)} -q") == 0
    return [out / str(seed) / "weights.safetensors" for seed in (1, 2)]


def run(repo: Repository, words: str) -> int:
    code = main(["-C", str(repo.folder.parent), *words.split()])
    repo.store.refresh()
    return code


def train(repo: Repository, words: str) -> int:
    return run(repo, f"train {words}")


def test_a_repeat_wants_the_file_that_the_run_started_from(
    repo: Repository,
    weights: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "start.safetensors"
    shutil.copyfile(weights[0], file)
    relative = os.path.relpath(file, repo.folder.parent)
    made = json_of(repo, capsys, f"{SMALL} --steps 1 --from {relative}")
    named = find_run(repo, made["run"])
    assert named.record.start_hash == blake3(weights[0].read_bytes()).hexdigest()
    assert named.record.config["start"] == str(file)
    assert json_of(repo, capsys, f"--repeat {named.id}")["repeats"] is True
    shutil.copyfile(weights[1], file)
    capsys.readouterr()
    assert train(repo, f"--repeat {named.id}") == 5
    said = capsys.readouterr().err
    assert f"error: '{file}' is not what run {named.id} started from: its hash is" in said
    file.unlink()
    assert train(repo, f"--repeat {named.id}") == 3
    assert f"error: no file and no run '{file}'" in capsys.readouterr().err


def test_a_stopped_training_needs_its_file_no_more(
    repo: Repository,
    weights: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "start.safetensors"
    shutil.copyfile(weights[0], file)
    how = f"{SMALL} --steps 3 --from {file}"
    whole = json_of(repo, capsys, how)
    with ctrl_c():
        assert train(repo, f"{how} --name halted -q") == 130
    file.unlink()
    assert json_of(repo, capsys, "--resume halted")["weights"] == whole["weights"]


def test_a_run_stays_the_one_that_was_named(
    repo: Repository, weights: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Though a later one has the name now."""
    made = json_of(repo, capsys, f"{SMALL} --steps 1 --from seed-1")["run"]
    start = find_run(repo, "seed-1").id
    assert train(repo, f"{SMALL} --steps 1 --seed 3 --name seed-1 -q") == 0
    assert find_run(repo, "seed-1").id != start
    record = find_run(repo, made).record
    assert (record.start, record.config["start"]) == (start, start)
    assert record.start_hash == blake3(weights[0].read_bytes()).hexdigest()
    assert json_of(repo, capsys, f"--repeat {made}")["repeats"] is True


def json_of(repo: Repository, capsys: pytest.CaptureFixture[str], words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert train(repo, f"{words} --json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found
