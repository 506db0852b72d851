"""Where else a training is told: TensorBoard, Weights & Biases, MLflow.

Each is other people's package, asked for by name and imported only then. Nothing is sent anywhere
unless that is said. What fails while a training goes on ends the telling, not the training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from voyager.errors import MissingExtraError, StateError, UsageError
from voyager.store import files
from voyager.train.record import Record, State

Numbers = dict[str, float]

_MLFLOW_ID: Final = "mlflow.id"
"""The file in the folder of a run that has MLflow's name for it."""


class Logger(Protocol):
    """One place that a training is told to."""

    def told(self, numbers: Numbers, step: int) -> None:
        """Numbers by name, after a step counted from 1."""

    def close(self, state: State) -> None:
        """The training ended, or was stopped."""


class TensorBoard:
    """Writes event files, `tensorboard --logdir` shows them."""

    def __init__(self, record: Record, folder: Path, there: Path) -> None:
        writer = import_module("torch.utils.tensorboard").SummaryWriter
        self._writer = writer(str(folder / record.run), purge_step=record.steps + 1)
        self._writer.add_text("config", _code(record.config), 0)

    def told(self, numbers: Numbers, step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self, state: State) -> None:
        self._writer.close()


class WeightsAndBiases:
    """Sends to the project and the server that WANDB_PROJECT and its other variables say."""

    def __init__(self, record: Record, folder: Path, there: Path) -> None:
        self._run = import_module("wandb").init(
            id=record.run,
            name=record.name or record.run,
            notes=record.message or None,
            config={**record.config, "commit": record.commit},
            resume="allow",
        )

    def told(self, numbers: Numbers, step: int) -> None:
        self._run.log(numbers, step=step)

    def close(self, state: State) -> None:
        self._run.finish(exit_code=1 if state == "failed" else 0)


class MLflow:
    """Sends to the server, or writes into the folder, that MLFLOW_TRACKING_URI says."""

    _ENDS: Final = {"finished": "FINISHED", "failed": "FAILED"}

    def __init__(self, record: Record, folder: Path, there: Path) -> None:
        self._mlflow = import_module("mlflow")
        tags = {"voyager.run": record.run, "voyager.commit": record.commit}
        known = there / _MLFLOW_ID
        if known.exists():
            self._mlflow.start_run(run_id=known.read_text().strip())
            return
        made = self._mlflow.start_run(run_name=record.name or record.run, tags=tags)
        files.write_atomic(known, f"{made.info.run_id}\n".encode())
        said = {name: value for name, value in record.config.items() if value is not None}
        self._mlflow.log_params(said)

    def told(self, numbers: Numbers, step: int) -> None:
        self._mlflow.log_metrics(numbers, step=step)

    def close(self, state: State) -> None:
        self._mlflow.end_run(self._ENDS.get(state, "KILLED"))


class _Kind(NamedTuple):
    """A kind of logger: the package that it needs, what that raises, and what makes it."""

    package: str
    error: str
    make: Callable[[Record, Path, Path], Logger]

    def failures(self) -> tuple[type[Exception], ...]:
        """What is raised where it cannot be told."""
        module, _, name = self.error.rpartition(".")
        return (OSError, getattr(import_module(module), name))


LOGGERS: Final[Mapping[str, _Kind]] = {
    "tensorboard": _Kind("tensorboard", "builtins.OSError", TensorBoard),
    "wandb": _Kind("wandb", "wandb.errors.Error", WeightsAndBiases),
    "mlflow": _Kind("mlflow", "mlflow.exceptions.MlflowException", MLflow),
}


def refuse_missing(names: Iterable[str]) -> None:
    """UsageError for a logger that there is none of, MissingExtraError for one not installed."""
    for name in names:
        if name not in LOGGERS:
            raise UsageError(f"no logger '{name}'; there are {', '.join(LOGGERS)}")
        package = LOGGERS[name].package
        if find_spec(package) is None:
            raise MissingExtraError(
                f"--log {name} needs {package}, which is not installed",
                hint=f"pip install {package}",
            )


class Loggers:
    """Several loggers as one; it listens to a training as its `Recorder`."""

    def __init__(
        self, names: Sequence[str], record: Record, folder: Path, there: Path | None = None
    ) -> None:
        """Open them; event files go to `folder`. StateError where one cannot begin.

        `there` is the folder of the run, which keeps what a resume goes on with.
        """
        self.failed: dict[str, str] = {}
        """What could not be told to the end, and why."""
        self._loggers: dict[str, Logger] = {}
        self._done = record.steps
        refuse_missing(names)
        for name in dict.fromkeys(names):
            kind = LOGGERS[name]
            try:
                self._loggers[name] = kind.make(record, folder, there or folder)
            except kind.failures() as error:
                raise StateError(f"--log {name}: {error}", hint="vgr train without it") from error

    def step(self, step: int, said: Mapping[str, float]) -> None:
        """Tell a step."""
        self._done = step
        self._tell(lambda logger: logger.told(dict(said), step))

    def epoch(self, epoch: int, said: Mapping[str, Any]) -> None:
        """Tell an epoch, at the step that it ended with."""
        numbers = {f"epoch/{name}": value for name, value in flat(said)}
        self._tell(lambda logger: logger.told(numbers, self._done))

    def close(self, state: State) -> None:
        """Tell that it ended."""
        self._tell(lambda logger: logger.close(state))
        self._loggers.clear()

    def _tell(self, tell: Callable[[Logger], None]) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                tell(logger)
            except LOGGERS[name].failures() as error:
                self.failed[name] = str(error) or type(error).__name__
                del self._loggers[name]


def flat(said: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of nested mappings, by their path: `validation/category/accuracy`."""
    for name, value in said.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}/")
        elif isinstance(value, int | float):
            yield before + name, float(value)


def _code(config: Mapping[str, Any]) -> str:
    """A configuration as text of Markdown."""
    lines = json.dumps(config, indent=2, ensure_ascii=False).splitlines()
    return "\n".join("    " + line for line in lines)
