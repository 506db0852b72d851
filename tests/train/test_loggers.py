"""Loggers: what TensorBoard, Weights & Biases and MLflow are told.

The packages are other people's; stand-ins with the few calls that are made keep what they hear.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from voyager.errors import MissingExtraError, StateError, UsageError
from voyager.train.loggers import LOGGERS, Loggers, refuse_missing
from voyager.train.record import Record

RECORD = Record(
    run="0123456789", commit="ab" * 32, state="running", name="first", config={"lr": 0.1, "x": None}
)
EPOCH = {"epoch": 1, "loss": 0.5, "validation": {"hue": {"accuracy": 0.75}}, "score": 0.75}

Heard = list[tuple[Any, ...]]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """All three packages stood in for; what they hear."""
    calls: Heard = []

    def noting(name: str) -> Callable[..., Any]:
        return lambda *args, **named: calls.append((name, *args, *sorted(named.items())))

    class Lost(Exception):
        pass

    def module(name: str, **parts: Any) -> None:
        made = ModuleType(name)
        made.__spec__ = importlib.util.spec_from_loader(name, None)
        vars(made).update(parts)
        monkeypatch.setitem(sys.modules, name, made)

    def writer(folder: str, **named: Any) -> SimpleNamespace:
        calls.append(("writer", Path(folder).name, named["purge_step"]))
        return SimpleNamespace(
            add_text=noting("text"), add_scalar=noting("scalar"), close=noting("close")
        )

    def init(**named: Any) -> SimpleNamespace:
        calls.append(("init", named["id"], named["name"], named["config"]["lr"]))
        return SimpleNamespace(log=noting("log"), finish=noting("finish"))

    def metrics(numbers: dict[str, float], step: int) -> None:
        if step == 13:
            raise Lost("no connection")
        calls.append(("metrics", numbers, step))

    def start(**named: Any) -> SimpleNamespace:
        calls.append(("start", *sorted(named.items())))
        return SimpleNamespace(info=SimpleNamespace(run_id="theirs"))

    module("tensorboard")
    module("torch.utils.tensorboard", SummaryWriter=writer)
    module("wandb", init=init)
    module("wandb.errors", Error=Lost)
    module(
        "mlflow",
        start_run=start,
        log_params=noting("params"),
        log_metrics=metrics,
        end_run=noting("end"),
    )
    module("mlflow.exceptions", MlflowException=Lost)
    return calls


def tell(name: str, folder: Path) -> Loggers:
    loggers = Loggers([name], RECORD, folder)
    loggers.step(7, {"loss": 0.5})
    loggers.epoch(1, EPOCH)
    loggers.close("finished")
    return loggers


def test_tensorboard(heard: Heard, tmp_path: Path) -> None:
    tell("tensorboard", tmp_path)
    assert heard[0] == ("writer", "0123456789", 1)
    assert heard[1][:2] == ("text", "config")
    assert heard[2:] == [
        ("scalar", "loss", 0.5, 7),
        ("scalar", "epoch/epoch", 1.0, 7),
        ("scalar", "epoch/loss", 0.5, 7),
        ("scalar", "epoch/validation/hue/accuracy", 0.75, 7),
        ("scalar", "epoch/score", 0.75, 7),
        ("close",),
    ]


def test_weights_and_biases(heard: Heard, tmp_path: Path) -> None:
    tell("wandb", tmp_path)
    assert heard[0] == ("init", "0123456789", "first", 0.1)
    assert heard[1] == ("log", {"loss": 0.5}, ("step", 7))
    assert heard[2][1]["epoch/validation/hue/accuracy"] == 0.75
    assert heard[3] == ("finish", ("exit_code", 0))


def test_mlflow(heard: Heard, tmp_path: Path) -> None:
    tell("mlflow", tmp_path)
    assert heard[0][1] == ("run_name", "first")
    assert heard[1] == ("params", {"lr": 0.1})
    assert heard[2] == ("metrics", {"loss": 0.5}, 7)
    assert heard[-1] == ("end", "FINISHED")


def test_a_resume_goes_on_with_the_run_of_mlflow(heard: Heard, tmp_path: Path) -> None:
    for _ in range(2):
        Loggers(["mlflow"], RECORD, tmp_path / "events", tmp_path).close("stopped")
    starts = [call for call in heard if call[0] == "start"]
    assert starts[0][1] == ("run_name", "first")
    assert starts[1] == ("start", ("run_id", "theirs"))
    assert sum(call[0] == "params" for call in heard) == 1


def test_what_fails_on_the_way_is_told_no_more(heard: Heard, tmp_path: Path) -> None:
    loggers = Loggers(["mlflow", "wandb"], RECORD, tmp_path)
    for step in (12, 13, 14):
        loggers.step(step, {"loss": 1.0})
    loggers.close("stopped")
    assert loggers.failed == {"mlflow": "no connection"}
    assert [call[2] for call in heard if call[0] == "metrics"] == [12]
    assert [call[2] for call in heard if call[0] == "log"] == [("step", n) for n in (12, 13, 14)]


def test_one_that_cannot_begin(
    heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_key(**named: Any) -> None:
        raise sys.modules["wandb.errors"].Error("api_key not configured")

    monkeypatch.setattr(sys.modules["wandb"], "init", no_key)
    with pytest.raises(StateError, match="--log wandb: api_key not configured"):
        Loggers(["wandb"], RECORD, tmp_path)


def test_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voyager.train.loggers.find_spec", lambda package: None)
    for name in LOGGERS:
        with pytest.raises(MissingExtraError, match=f"--log {name} needs {name}") as caught:
            refuse_missing([name])
        assert caught.value.hint == f"pip install {name}"
    with pytest.raises(UsageError, match="no logger 'comet'; there are tensorboard"):
        refuse_missing(["comet"])
