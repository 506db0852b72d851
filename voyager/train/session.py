"""A training from the commit to the run in the store: checked, trained, recorded."""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import distributed

from voyager.errors import VoyagerError
from voyager.models.checkpoint import ModelCard
from voyager.models.network import Network
from voyager.models.transformer_trunk import Tower
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store import files
from voyager.store.cores import cores
from voyager.store.refs import RUNS, read_ref
from voyager.train.config import TrainConfig
from voyager.train.fresh_network import make_network
from voyager.train.loggers import Loggers
from voyager.train.ranks import Ranks, joined_ranks
from voyager.train.record import (
    ID_DIGITS,
    LOG,
    WEIGHTS,
    Record,
    Run,
    State,
    find_run,
    library_versions,
    put_run,
)
from voyager.train.run_folder import RunFolder, open_run_folder, runs_folder
from voyager.train.start import gather, pick_device, repeatable
from voyager.train.start_file import StartFile, find_start, folder_start
from voyager.train.trainer import Material, Trained, Training

_CHUNK: Final = 8 << 20
_TENSORBOARD: Final = "tensorboard"
"""The folder of the repository that has its event files, by run."""


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """Who hears of a training besides its folder: steps, epochs, and whether it shall stop."""

    step: Callable[[int, int, dict[str, float]], None] = lambda done, of, said: None
    epoch: Callable[[int, dict[str, Any]], None] = lambda epoch, said: None
    interrupted: Callable[[], bool] = lambda: False
    progress: Progress = no_progress


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A run that ended; `run` is None in all processes but the first, and where it was stopped."""

    id: str
    trained: Trained
    record: Record
    run: Run | None
    untold: Mapping[str, str] = field(default_factory=dict)
    """Loggers that failed on the way, and why."""


def train_run(
    repo: Repository,
    version: Dataset,
    config: TrainConfig,
    *,
    revision: str = "",
    name: str = "",
    message: str = "",
    device: str = "auto",
    resume: str | None = None,
    repeats: Record | None = None,
    keep: bool = True,
    loggers: Sequence[str] = (),
    listener: Listener | None = None,
) -> Outcome:
    """Train on a commit and keep the run; with `resume` go on with one that was stopped.

    With `repeats`, the record of a run whose settings these are, StateError where the checkpoint
    that it started from is another now. Nothing is checked about the commit here:
    `checks.refuse_unfit` does that. When it fails the folder of the run keeps its log, and says so.
    Without `keep` nothing is left of it.
    """
    listener = listener or Listener()
    place = pick_device(device)
    with ExitStack() as stack:
        ranks = stack.enter_context(joined_ranks(place))
        threads = stack.enter_context(repeatable(config))
        if place.type == "cuda":
            place = torch.device("cuda", ranks.local)
            torch.cuda.set_device(place)
        material = _gathered(repo, version, config, ranks, listener.progress)
        config = replace(config, rendition=material.rendition)
        folder = None if resume is None else open_run_folder(repo, resume)
        start = _start_of(repo, config, folder, repeats)
        path = start.path if start else None
        tower = _tower_of(folder)
        network, card = make_network(config, material.view, path, tower=tower)
        if folder is None:
            record = replace(
                _new_record(repo, version, config, material, network, card, ranks, start),
                threads=threads,
                hardware=_hardware(place, ranks),
                revision=revision,
                name=name,
                message=message,
            )
            folder = RunFolder(runs_folder(repo) / record.run, record)
        told = _Told(folder, listener)
        training = Training(
            material,
            config,
            network,
            card,
            recorder=told,
            checkpoint=folder.checkpoint,
            device=place,
            ranks=ranks,
        )
        if ranks.first:
            files.make_folder(folder.path)
            stack.enter_context(folder.lock())
            folder.write(replace(folder.record, state="running", error=""))
        stack.callback(folder.close)
        if folder.checkpoint.exists():
            training.resume()
        told.of = training.steps
        if ranks.first:
            folder.cut_log(training.progress.done)
            begun = replace(folder.record, steps=training.progress.done)
            told.loggers = Loggers(loggers, begun, repo.folder / _TENSORBOARD, folder.path)
            stack.callback(lambda: told.loggers.close(told.folder.record.state))
        done = _finish(repo, folder, training, ranks, listener, keep=keep)
        told.loggers.close(done.record.state)
        return replace(done, untold=told.loggers.failed)


def _finish(
    repo: Repository,
    folder: RunFolder,
    training: Training,
    ranks: Ranks,
    listener: Listener,
    *,
    keep: bool,
) -> Outcome:
    began, before = time.monotonic(), folder.record.seconds
    try:
        trained = training.run(listener.interrupted)
    except BaseException as error:
        if ranks.first:
            said = str(error) if isinstance(error, VoyagerError) else type(error).__name__
            seconds = before + time.monotonic() - began
            state: State = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            folder.write(replace(folder.record, state=state, error=said, seconds=seconds))
        raise
    record = replace(
        folder.record,
        state="stopped" if trained.stopped else "finished",
        seconds=before + time.monotonic() - began,
        steps=trained.steps,
        epochs=tuple(trained.epochs),
        metrics=_last_validation(trained, training.config),
        weights=trained.weights.hex(),
        losses=trained.losses.hex(),
        order=trained.order.hex(),
        failed=tuple(trained.failed),
    )
    if not ranks.first:
        return Outcome(folder.id, trained, record, None)
    folder.write(record)
    if not keep:
        folder.remove()
    if trained.stopped or not keep:
        return Outcome(folder.id, trained, record, None)
    return Outcome(folder.id, trained, record, _keep(repo, folder, record, trained))


def _keep(repo: Repository, folder: RunFolder, record: Record, trained: Trained) -> Run:
    """Put a finished run into the store, and its folder away."""
    weights, log = trained.encoded(), b"".join(folder.log_lines())
    start = read_ref(repo.store, RUNS + record.start) if record.start else None
    with repo.transaction("train", record.run) as txn:
        chunks = (weights[at : at + _CHUNK] for at in range(0, len(weights), _CHUNK))
        blobs = {
            WEIGHTS: txn.put_blob_stream(chunks, len(weights)),
            LOG: txn.put_blob(log, shrink=True),
        }
        put_run(txn, record, blobs, start=start)
        txn.commit()
    folder.remove()
    return find_run(repo, record.run)


class _Told:
    """Passes on what a training says to its folder, to loggers and to the listener."""

    def __init__(self, folder: RunFolder, listener: Listener) -> None:
        self.folder = folder
        self._listener = listener
        self.loggers = Loggers((), folder.record, folder.path)
        self.of = 0

    def step(self, step: int, said: dict[str, float]) -> None:
        self.folder.step(step, said)
        self.loggers.step(step, said)
        self._listener.step(step, self.of, said)

    def epoch(self, epoch: int, said: dict[str, Any]) -> None:
        self.folder.epoch(epoch, said)
        self.loggers.epoch(epoch, said)
        self._listener.epoch(epoch, said)


def _gathered(
    repo: Repository, version: Dataset, config: TrainConfig, ranks: Ranks, progress: Progress
) -> Material:
    """The material; the first process builds what is cached, the others read it then."""
    if ranks.world == 1:
        return gather(repo, version, config, progress=progress)
    material = gather(repo, version, config, progress=progress) if ranks.first else None
    distributed.barrier()
    return material or gather(repo, version, config)


def _start_of(
    repo: Repository, config: TrainConfig, stopped: RunFolder | None, repeats: Record | None
) -> StartFile | None:
    """The checkpoint that a training starts from; a checkpoint of its own has all that is left."""
    if stopped is not None and stopped.checkpoint.exists():
        return None
    pinned = repeats if stopped is None else stopped.record
    if config.start is None:
        return folder_start(config.model, pinned=pinned)
    return find_start(repo, config.start, pinned=pinned)


def _tower_of(stopped: RunFolder | None) -> Tower | None:
    """What the trunk of a stopped run is built from, which its checkpoint has the weights of."""
    if stopped is None or not stopped.record.tower or not stopped.checkpoint.exists():
        return None
    return Tower.from_dict(stopped.record.tower)


def _new_record(
    repo: Repository,
    version: Dataset,
    config: TrainConfig,
    material: Material,
    network: Network,
    card: ModelCard,
    ranks: Ranks,
    start: StartFile | None,
) -> Record:
    assert version.commit is not None
    when, zone = repo.config.now()
    said = [secrets.token_hex(ID_DIGITS // 2)]
    if ranks.world > 1:
        distributed.broadcast_object_list(said, 0)
    validation = material.validation
    return Record(
        run=said[0],
        commit=version.commit.hex(),
        state="running",
        author=repo.config.author_or_unknown(),
        started=when,
        zone=zone,
        config={**config.as_dict(), **(start.settings if start else {})},
        samples=len(material.view),
        validation_samples=0 if validation is None else len(validation),
        skipped=dict(material.view.skipped),
        versions=library_versions(*(("transformers",) if card.tower else ())),
        tower=card.tower.as_dict() if card.tower else {},
        parameters=sum(weights.numel() for weights in network.parameters()),
        start="" if start is None else start.run,
        start_hash="" if start is None else start.digest,
    )


def _hardware(device: torch.device, ranks: Ranks) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": device.type,
        "name": name,
        "processes": ranks.world,
        "cores": cores(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def _last_validation(trained: Trained, config: TrainConfig) -> dict[str, Any]:
    """The measures of the last validation, under its split."""
    for said in reversed(trained.epochs):
        if "validation" in said:
            return {str(config.validate): said["validation"]}
    return {}
