"""Training: the same bits twice, after a kill and on virtual ranks; what it keeps and refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from blake3 import blake3
from training_repos import TRAINED, VALIDATED, Noted, config, make_photos_repo, trained

from voyager.errors import InvalidDataError, StateError, UsageError
from voyager.models.checkpoint import load_network, weights_hash
from voyager.models.network import Network
from voyager.repo.repository import Repository
from voyager.train import loader, trainer
from voyager.train.config import TrainConfig
from voyager.train.order import Order
from voyager.train.start import gather

GOLDEN = [
    2.4859, 1.7788, 1.5066, 1.1785, 0.8934, 0.7716, 0.6846, 0.6172, 0.5858, 0.5861,
    0.5725, 0.5600, 0.5653, 0.5518, 0.5455, 0.5515, 0.5511, 0.5545, 0.5502, 0.5439,
]  # fmt: skip
"""The loss of 20 steps over the first photographs, on whatever processor."""


TWELVE = "key like 'train/hat/%' or key like 'train/shoes/%'"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with make_photos_repo(tmp_path_factory.mktemp("photos")) as opened:
        yield opened


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sgd": {"optimiser": "sgd", "lr": 0.01},
    "average": {"ema": 0.9},
    "parts": {"accumulate": 2},
    "virtual ranks": {"ranks": 4},
    "an embedding": {"embedding": 16, "classes_at_once": 5},
    "mixed pictures": {"augmentation": "strong"},
    "balanced": {"sampling": "classes"},
    "patience": {"patience": 3, "batch": 20},
    "checkpointing": {"checkpointing": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_bits_again_and_after_a_stop(repo: Repository, tmp_path: Path, way: str) -> None:
    how = config(**WAYS[way])
    once, again = (trained(repo, tmp_path, how) for _ in range(2))
    assert once.weights == again.weights
    assert once.losses == again.losses
    stopped = trained(repo, tmp_path, how, stop_after=2)
    assert stopped.stopped
    assert stopped.steps == 2
    resumed = trained(repo, tmp_path, how, resume=True)
    assert not resumed.stopped
    assert resumed.weights == once.weights
    assert resumed.losses == once.losses
    assert resumed.order == once.order == again.order
    assert resumed.epochs == once.epochs


def test_seeds_differ(repo: Repository, tmp_path: Path) -> None:
    first, other = (trained(repo, tmp_path, config(seed=seed)) for seed in (1, 2))
    assert first.weights != other.weights
    assert first.order != other.order


def test_the_order_is_that_of_the_rows_that_were_shown(repo: Repository, tmp_path: Path) -> None:
    how = config(batch=16, ranks=2, accumulate=2, seed=5)
    view = gather(repo, repo.at("HEAD"), how).view
    named = b""
    for first in (0, 16, 32):
        rows = Order(len(view), how.seed).at(0, np.arange(first, first + 16))
        named = blake3(named + view.uids[rows].tobytes()).digest()
    for steps in (3, 5):
        assert trained(repo, tmp_path, replace(how, steps=steps)).order == named
    assert trained(repo, tmp_path, replace(how, steps=2)).order != named


def test_parts_of_a_batch_come_to_the_gradient_of_the_whole(
    repo: Repository, tmp_path: Path
) -> None:
    """Without running means, which follow the first part, the losses are those of the whole."""
    how = {"model": "vit-tiny/16", "steps": 2, "augmentation": "none"}
    whole, parts = Noted(), Noted()
    trained(repo, tmp_path, config(**how), noted=whole)
    trained(repo, tmp_path, config(**how, accumulate=4), noted=parts)
    for one, other in zip(whole.steps, parts.steps, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_the_loss_falls_as_it_always_did(repo: Repository, tmp_path: Path) -> None:
    noted = Noted()
    how = config(steps=20, batch=32, where="hash(uid) % 2 = 0", augmentation="light", lr=3e-3)
    trained(repo, tmp_path, how, noted=noted)
    losses = [said["loss"] for said in noted.steps]
    assert losses == pytest.approx(GOLDEN, rel=3e-2)
    assert losses[-1] < losses[0] / 2


def test_epochs_are_validated_and_told(repo: Repository, tmp_path: Path) -> None:
    noted = Noted()
    how = config(steps=None, epochs=2, batch=20)
    found = trained(repo, tmp_path, how, noted=noted)
    assert found.steps == 2 * (TRAINED // 20)
    assert [said["epoch"] for said in noted.epochs] == [1, 2]
    assert noted.epochs == found.epochs
    assert found.epochs[0]["validation"]["category"]["count"] == VALIDATED
    assert 0 <= found.epochs[0]["score"] <= 1


def test_training_stops_when_it_becomes_no_better(repo: Repository, tmp_path: Path) -> None:
    how = config(steps=None, epochs=50, batch=30, lr=1e-9, warmup=0.0, patience=2)
    found = trained(repo, tmp_path, how)
    assert len(found.epochs) <= 4
    assert not found.stopped


def test_a_network_is_kept_as_a_file(repo: Repository, tmp_path: Path) -> None:
    found = trained(repo, tmp_path, config())
    path = tmp_path / "weights.safetensors"
    path.write_bytes(found.encoded())
    network, card = load_network(path)
    assert weights_hash(network) == found.weights
    assert card == found.card
    assert [task.task for task in card.tasks] == ["category"]


def test_a_loss_that_is_no_number_names_the_batch(repo: Repository, tmp_path: Path) -> None:
    how = config(lr=1e30, optimiser="sgd", clip=0, warmup=0.0, steps=20)
    with pytest.raises(
        StateError, match=r"the loss of step \d+ is (nan|inf); its batch was 'train/"
    ) as caught:
        trained(repo, tmp_path, how)
    assert caught.value.hint == "vgr train --lr 1e+29"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch": 1}, "and a batch is of 1"),
        ({"batch": 4, "ranks": 2, "accumulate": 2}, "and a batch is of 4 in 4 parts"),
        ({"batch": 64, "accumulate": 8, "where": TWELVE}, "and there are 12 samples for 8 parts"),
    ],
)
def test_one_picture_is_too_few_for_norms_over_a_batch(
    repo: Repository, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=f"learns nothing of one picture of 32 .*{said}"):
        trained(repo, tmp_path, config(model="resnet-18", **settings))


def test_one_picture_is_enough_where_it_has_several_places(
    repo: Repository, tmp_path: Path
) -> None:
    for model in ("cnn-small", "vit-tiny/16"):
        assert trained(repo, tmp_path, config(model=model, batch=1, steps=1)).steps == 1


FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
NO_RING = MemoryError("Unable to allocate 9.19 GiB for an array with shape (65536, 224, 224, 3)")


@pytest.mark.parametrize(
    ("place", "name", "error", "said"),
    [
        (torch.autograd, "backward", FULL, "a step of 8 pictures of 32 pixels"),
        (loader, "_plain_memory", NO_RING, "a step of 8 pictures of 32 pixels"),
        (trainer, "predict", FULL, "validating at once 8 pictures of 32 pixels"),
    ],
)
def test_what_does_not_fit_says_which_knob(
    repo: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: object,
    name: str,
    error: Exception,
    said: str,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(place, name, full)
    with pytest.raises(StateError, match=f"{said} does not fit into memory") as caught:
        trained(repo, tmp_path, config())
    assert caught.value.hint == "vgr train --accumulate 2 or --checkpointing"


def test_a_network_that_does_not_fit(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr(Network, "to", full)
    with pytest.raises(StateError, match="a cnn-small does not fit into memory"):
        trained(repo, tmp_path, config())


def test_other_errors_of_torch_stay_as_they_are(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(torch.autograd, "backward", broken)
    with pytest.raises(RuntimeError, match="no kernel image"):
        trained(repo, tmp_path, config())


def test_a_checkpoint_that_is_none(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(InvalidDataError, match="no checkpoint"):
        trained(repo, tmp_path, config(), resume=True)


def test_fewer_samples_than_parts(repo: Repository, tmp_path: Path) -> None:
    how = config(where=TWELVE, batch=64, ranks=64)
    with pytest.raises(UsageError, match="12 samples cannot be shared among 64"):
        trained(repo, tmp_path, how)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tasks": ("colour",)}, "no task 'colour'; there are category"),
        ({"split": "nowhere"}, "no samples in split 'nowhere'; there are test, train, val"),
        ({"split": "test"}, "split 'test' is protected"),
        ({"where": "key like 'train/hat/%'"}, "task 'category' has one class alone to tell: hat"),
        ({"model": "resnet-50x"}, "no model 'resnet-50x'"),
        ({"validate": "vall"}, "no samples in split 'vall'; there are test, train, val"),
        ({"validate": None, "patience": 2}, "--patience waits for a better validation$"),
    ],
)
def test_what_cannot_be_trained(
    repo: Repository, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises((UsageError, StateError), match=said):
        trained(repo, tmp_path, config(**settings))


def test_no_question_reaches_into_a_protected_split(repo: Repository) -> None:
    how = config(split=None, where="key like 'test/%' or key like 'train/%'", validate=None)
    view = gather(repo, repo.at("HEAD"), how).view
    assert len(view) == TRAINED + VALIDATED
    assert not any(view.key(row).startswith("test/") for row in range(len(view)))


@pytest.mark.parametrize(
    "settings",
    [
        {"tasks": ()},
        {"batch": 10, "ranks": 4},
        {"lr": math.nan},
        {"precision": "fp64"},
        {"precision": "bf16"},
        {"compile": True},
        {"embedding": 12},
        {"classes_at_once": 5},
        {"augmentation": "wild"},
        {"augmentation": "light,flop=1"},
        {"epochs": 0},
        {"scope": "sample"},
        {"lr": math.inf},
        {"weight_decay": math.inf},
        {"patience": 0},
        {"checkpoint_steps": 0},
        {"threads": -1},
        {"seed": 1 << 63},
        {"task_weights": (("category", -1.0),)},
        {"task_weights": (("category", math.nan),)},
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        config(**settings)


def test_settings_come_back_from_json() -> None:
    how = config(task_weights=(("category", 2.0),), where="split = 'train'")
    assert TrainConfig.from_dict(how.as_dict()) == how
    with pytest.raises(InvalidDataError, match="no setting 'epoch'") as caught:
        TrainConfig.from_dict({**how.as_dict(), "epoch": 3})
    assert caught.value.hint == "did you mean 'epochs'?"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"tasks": "category"}, "tasks is a list of words, not 'category'"),
        ({"task_weights": {"category": "much"}}, "task_weights is an object of numbers by name"),
        ({"task_weights": [1]}, "task_weights is an object of numbers by name"),
        ({"steps": True}, "steps is a whole number or null, not True"),
    ],
)
def test_settings_of_another_kind(said: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        TrainConfig.from_dict({**config().as_dict(), **said})
