"""Repositories to train on: real photographs with their classes, some of them to validate with."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from voyager.cli import main
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.train.config import TrainConfig
from voyager.train.fresh_network import make_network
from voyager.train.ranks import Ranks
from voyager.train.start import gather, repeatable
from voyager.train.trainer import Trained, Training

CLASSES = 10
TRAINED, VALIDATED, TESTED = 60, 10, 30
"""How many of the photographs are in each split."""


def make_photos_repo(root: Path) -> Repository:
    """A hundred photographs of clothes, classes by folder: 60 in train, 10 in val, 30 in test."""
    for path in photo_paths():
        split, label = path.parts[-3:-1]
        target = root / split / label / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for words in ("init -q .", "add . --split-from folder --class-from folder -q"):
        assert main(["-C", str(root), *words.split()]) == 0
    repo = Repository.open(root)
    assert main(["-C", str(root), "commit", "-q", "-m", "Clothes"]) == 0
    repo.store.refresh()
    with repo.edit(message="One of each class to validate with") as edit:
        keys = list(repo.at("HEAD").keys())
        for name in {Path(key).parent for key in keys if key.startswith("train/")}:
            key = next(key for key in keys if Path(key).parent == name)
            edit[key] = repo.at("HEAD")[key].replace(split="val")
    return repo


def train(repo: Repository, words: str) -> int:
    """`vgr train` with some words, in a repository; its exit code."""
    return main(["-C", str(repo.folder.parent), "train", *words.split()])


@contextmanager
def ctrl_c(*, after: int = 1, times: int = 1) -> Iterator[None]:
    """Trainings meanwhile are interrupted in the step after so many, as by the keyboard."""
    step = Training.step

    def pressed(training: Training, batches: Any) -> float:
        if training.progress.done == after:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return step(training, batches)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Training, "step", pressed)
        yield


def config(**settings: Any) -> TrainConfig:
    """A training of a few seconds on one thread."""
    usual: dict[str, Any] = {
        "tasks": ("category",),
        "model": "cnn-small",
        "size": 32,
        "batch": 8,
        "steps": 6,
        "threads": 1,
    }
    return TrainConfig(**{**usual, **settings})


class Noted:
    """Listens to a training and keeps what it hears."""

    def __init__(self) -> None:
        self.last = 0
        self.steps: list[dict[str, float]] = []
        self.epochs: list[dict[str, Any]] = []

    def step(self, step: int, said: dict[str, float]) -> None:
        assert step == self.last + 1 or not self.last
        self.last = step
        self.steps.append(said)

    def epoch(self, epoch: int, said: dict[str, Any]) -> None:
        self.epochs.append(said)


def trained(
    repo: Repository,
    folder: Path,
    how: TrainConfig,
    *,
    noted: Noted | None = None,
    resume: bool = False,
    stop_after: int | None = None,
) -> Trained:
    """Train on HEAD with the checkpoint in a folder."""
    with repeatable(how):
        material = gather(repo, repo.at("HEAD"), how)
        network, card = make_network(how, material.view, None)
        training = Training(
            material,
            how,
            network,
            card,
            recorder=noted or Noted(),
            checkpoint=folder / "checkpoint.pt",
            device=torch.device("cpu"),
            ranks=Ranks(),
        )
        if resume:
            training.resume()
        return training.run(lambda: training.progress.done == stop_after)
