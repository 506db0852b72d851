"""Trainings that stop: through the command line, with what is said and the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from training_repos import ctrl_c, make_photos_repo, train

from voyager.cli import main
from voyager.commands import run_options
from voyager.repo.repository import Repository
from voyager.train.record import iter_runs
from voyager.train.run_folder import iter_run_folders, open_run_folder

SMALL = "--task category --model cnn-small --size 16 --batch 8 --threads 1 --validate none"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with make_photos_repo(tmp_path_factory.mktemp("photos")) as opened:
        yield opened


def test_without_torch(
    repo: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_options, "find_spec", lambda package: None)
    assert train(repo, SMALL) == 9
    assert capsys.readouterr().err == (
        "error: training needs torch, which is not installed\n"
        "hint: pip install 'voyager-vgr[train]'\n"
    )


def test_a_device_that_is_not_there(
    repo: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for device in ("cuda", "tpu"):
        assert train(repo, f"{SMALL} --device {device}") == 2
        assert capsys.readouterr().err == (
            f"error: no device '{device}' here, only cpu\nhint: vgr train --device auto\n"
        )


def test_a_loss_that_is_no_number(repo: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"{SMALL} --lr 1e30 --set optimiser=sgd --set clip=0 --set warmup=0 --steps 9"
    assert train(repo, f"{words} --name lost") == 5
    said = capsys.readouterr().err
    assert "is nan; its batch was 'train/" in said or "is inf; its batch was 'train/" in said
    assert "hint: vgr train --lr 1e+29" in said
    record = open_run_folder(repo, "lost").record
    assert record.state == "failed"
    assert "its batch was" in record.error


def test_no_memory(
    repo: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(torch.autograd, "backward", full)
    assert train(repo, f"{SMALL} --fast-dev-run") == 5
    assert capsys.readouterr().err == (
        "error: a step of 8 pictures of 16 pixels does not fit into memory\n"
        "hint: vgr train --accumulate 2 or --checkpointing\n"
    )


def test_ctrl_c_keeps_what_was_done(repo: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    with ctrl_c():
        assert train(repo, f"{SMALL} --steps 4 --name halted") == 130
    said = capsys.readouterr()
    run = open_run_folder(repo, "halted")
    assert f"stopped after step 2; nothing is lost\nhint: vgr train --resume {run.id}" in said.out
    with run.lock():
        assert train(repo, f"--resume {run.id}") == 5
    assert f"error: run {run.id} goes on in another process" in capsys.readouterr().err
    assert train(repo, f"--resume {run.id} --lr 1") == 2
    assert "--resume takes the settings of the run, and no others: lr" in capsys.readouterr().err
    assert train(repo, "--resume halted --json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "finished"
    assert "halted" not in {folder.record.name for folder in iter_run_folders(repo)}


def test_a_second_ctrl_c_stops_at_once(repo: Repository) -> None:
    with ctrl_c(after=2, times=2):
        assert train(repo, f"{SMALL} --steps 3 --checkpoint-steps 1 --name twice") == 130
    assert open_run_folder(repo, "twice").record.state == "stopped"
    assert train(repo, "--resume twice") == 0


def test_what_is_refused_leaves_no_run(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {folder.id for folder in iter_run_folders(repo)}
    assert train(repo, "--task category --model resnet-18 --size 16 --batch 1 --threads 1") == 2
    assert capsys.readouterr().err == (
        "error: a resnet-18 learns nothing of one picture of 16 pixels at once, and a batch is of"
        " 1\nhint: vgr train --batch 2\n"
    )
    assert {folder.id for folder in iter_run_folders(repo)} == before


def test_a_checkpoint_of_another_network(
    repo: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(repo, f"{SMALL} --steps 1 --name first") == 0
    vit = "--task category --model vit-tiny/16 --batch 8 --threads 1 --steps 1"
    assert train(repo, f"{vit} --size 32 --name second") == 0
    capsys.readouterr()
    assert train(repo, f"{vit} --size 32 --from first") == 6
    assert capsys.readouterr().err == (
        "error: first: the checkpoint is of a cnn-small, not a vit-tiny/16\n"
        "hint: vgr train --from first --model cnn-small\n"
    )
    assert train(repo, f"{vit} --size 64 --from second") == 6
    assert capsys.readouterr().err == (
        "error: second: the checkpoint is of pictures of 32 pixels, and fits no others\n"
        "hint: vgr train --from second --size 32\n"
    )


def test_an_image_that_cannot_be_read_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with make_photos_repo(tmp_path) as repo:
        whole = next(path for path in sorted(tmp_path.glob("train/hat/*.jpg")))
        cut = tmp_path / "train/hat/cut.jpg"
        cut.write_bytes(whole.read_bytes()[:3000])
        assert main(["-C", str(tmp_path), "add", "train", "--split", "train", "-q"]) in (0, 10)
        named = ["label", "train/hat/cut.jpg", "category=hat", "-q"]
        assert main(["-C", str(tmp_path), *named]) == 0
        assert main(["-C", str(tmp_path), "commit", "-q", "-m", "Cut"]) == 0
        repo.store.refresh()
        capsys.readouterr()
        assert train(repo, f"{SMALL} --epochs 1 --allow-unchecked --name cut") == 10
        assert "skipped train/hat/cut.jpg: its image cannot be read" in capsys.readouterr().err
        repo.store.refresh()
        (run,) = iter_runs(repo)
        assert run.record.failed == ("train/hat/cut.jpg",)
        assert run.record.state == "finished"
