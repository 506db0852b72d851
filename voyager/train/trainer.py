"""Training: the loop, from flat arrays to weights.

A step computes the shards of its batch one after the other and adds up their gradients, in every
process those that are its own. A network's running means follow the first shard alone, so that one
process and several come to the same numbers.
"""

from __future__ import annotations

import copy
import math
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from blake3 import blake3
from numpy.typing import NDArray
from torch import Tensor, nn

from voyager.errors import StateError
from voyager.models.checkpoint import ModelCard, encode_network, weights_hash
from voyager.models.network import Network
from voyager.models.preprocess import normalise
from voyager.train.augment import parse_augmentation
from voyager.train.checkpoint import Progress, read_checkpoint, write_checkpoint
from voyager.train.config import TrainConfig
from voyager.train.loader import Batch, Loader
from voyager.train.lone_pictures import refuse_lone_pictures
from voyager.train.memory import fitting, smaller_steps
from voyager.train.metrics import Measures, measure, score
from voyager.train.optimise import Average, learning_rate, make_optimiser
from voyager.train.predict import predict
from voyager.train.ranks import Ranks
from voyager.train.reading import Source
from voyager.train.resizing import by_torch
from voyager.train.sampling import Positions
from voyager.train.targets import Cost
from voyager.train.view import View

_NAMED: Final = 8
"""Samples of a batch that a message names."""
_TYPES: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Recorder(Protocol):
    """Who is told how a training goes, in the first process."""

    def step(self, step: int, said: dict[str, float]) -> None:
        """After an optimiser step, counted from 1: loss, lr, images_per_second, waiting (share)."""

    def epoch(self, epoch: int, said: dict[str, Any]) -> None:
        """After an epoch, counted from 1: its mean loss, and the measures of the validation."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a training is made of: rows, where their pictures come from, and their order."""

    view: View
    source: Source
    order: Positions
    rendition: str = "none"
    """What is read in the place of originals, as the setting says it; never `auto`."""
    validation: View | None = None
    validation_source: Source | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What came out: the network, and what is recorded of the way there."""

    network: Network
    card: ModelCard
    weights: bytes
    """The hash of all weights."""
    steps: int
    losses: bytes
    """The hash of the loss of every step."""
    order: bytes
    """The hash of the rows that the steps of the first epoch have shown, in order."""
    epochs: list[dict[str, Any]]
    stopped: bool
    """Whether it was interrupted, and can be gone on with."""
    failed: list[str]
    """Rows whose pictures could not be read; others stood in for them."""

    def encoded(self) -> bytes:
        """The network as a file."""
        return encode_network(self.network, self.card)


class Training:
    """A network on its way, with all that a checkpoint keeps of it."""

    def __init__(
        self,
        material: Material,
        config: TrainConfig,
        network: Network,
        card: ModelCard,
        *,
        recorder: Recorder,
        checkpoint: Path,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.material = material
        self.config = config
        self.network = network
        self.card = card
        self.recorder = recorder
        self.device = device
        self.ranks = ranks
        self.progress = Progress()
        self._checkpoint = checkpoint
        refuse_lone_pictures(network, config, material.order.count)
        network.trunk.checkpointing = config.checkpointing
        self._best: dict[str, Tensor] | None = None
        self._cost = Cost(config, material.view)
        self._shards = ranks.shards(config.shards)
        with fitting(f"a {config.model}", hint="vgr train --model NAME, a smaller one"):
            network.to(device)
            if config.channels_last:
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._average = Average(network, config.ema) if config.ema else None
            called: Any = torch.compile(network) if config.compile else network
            self._called = ranks.wrap(called, device)
        self._optimiser = make_optimiser(network, config)
        self._scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.loader = self._loader()
        self.steps = config.steps or config.epochs * self.loader.steps

    def run(self, interrupted: Callable[[], bool] = lambda: False) -> Trained:
        """Train to the end, or until `interrupted` says so after a step.

        Raises StateError for a loss that is no number, naming the samples of the batch, and for a
        batch that does not fit into memory.
        """
        clock = _Clock(self.loader)
        stop = False
        while self.progress.done < self.steps and not stop:
            epoch, first = divmod(self.progress.done, self.loader.steps)
            with closing(self.loader.epoch(epoch, first)) as batches:
                stop = self._epoch(epoch, batches, clock, interrupted)
        return self._trained()

    def _epoch(
        self,
        epoch: int,
        batches: Iterator[Batch],
        clock: _Clock,
        interrupted: Callable[[], bool],
    ) -> bool:
        """What is left of an epoch; whether the training stops in it or after it."""
        over = stop = False
        while not over and not stop:
            rate = self.step(batches)
            progress = self.progress
            if self.ranks.first:
                said = {"loss": progress.losses[-1], "lr": rate, **clock.tick()}
                self.recorder.step(progress.done, said)
            over = progress.done % self.loader.steps == 0 or progress.done == self.steps
            gave_up = over and self._end_epoch(epoch)
            stop = self.ranks.any(interrupted() or gave_up)
            if stop or over or self._is_due():
                self._save()
        return stop

    def step(self, batches: Iterator[Batch]) -> float:
        """One step of the optimiser; the learning rate that it had."""
        config, progress = self.config, self.progress
        rate = learning_rate(config, progress.done, self.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        self.ranks.share_buffers(self.network)
        total = torch.zeros((), device=self.device)
        used: list[Batch] = []
        with self._fitting("a step of", config.batch):
            for shard, batch in zip(self._shards, islice(batches, len(self._shards)), strict=True):
                with self._means_of_first(shard), self._apart(shard), self._autocast():
                    turn = progress.done * config.shards + shard
                    pixels = self.pixels(batch)
                    loss = self._cost(self._called, self.network, pixels, batch, turn)
                    loss = loss / len(self._shards)
                    torch.autograd.backward(self._scaler.scale(loss))
                total += loss.detach()
                used.append(batch)
            if config.clip:
                self._scaler.unscale_(self._optimiser)
                nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
            self._scaler.step(self._optimiser)
            self._scaler.update()
            self._optimiser.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update(self.network, progress.done)
        self._note_order(used)
        self._note(float(self.ranks.mean(total)), used)
        return rate

    def _note_order(self, batches: list[Batch]) -> None:
        """Note which rows a step of the first epoch has shown, those of all processes."""
        step, loader, view = self.progress.done, self.loader, self.material.view
        if step >= loader.steps:
            return
        first = step * loader.batch
        rows = torch.zeros(min(loader.batch, loader.count - first), dtype=torch.int64)
        for shard, batch in zip(self._shards, batches, strict=True):
            rows[loader.positions(step, shard) - first] = torch.from_numpy(batch.rows)
        shown = self.ranks.total(rows).numpy()
        hasher = blake3(bytes.fromhex(self.progress.order))
        hasher.update(view.uids[shown].tobytes())
        if view.regions is not None:
            hasher.update(view.regions[shown].tobytes())
        self.progress.order = hasher.hexdigest()

    def _note(self, loss: float, batches: list[Batch]) -> None:
        self.progress.done += 1
        if not math.isfinite(loss):
            view = self.material.view
            rows = [int(row) for batch in batches for row in batch.rows]
            named = ", ".join(f"'{view.name(row)}'" for row in rows[:_NAMED])
            more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
            raise StateError(
                f"the loss of step {self.progress.done} is {loss}; its batch was {named}{more}",
                hint=f"vgr train --lr {self.config.lr / 10:g}",
            )
        self.progress.losses.append(struct.unpack("<f", struct.pack("<f", loss))[0])

    def _fitting(self, what: str, pictures: int) -> AbstractContextManager[None]:
        what = f"{what} {pictures} pictures of {self.config.size} pixels"
        return fitting(what, hint=smaller_steps(self.config))

    # -- parts of a step ---------------------------------------------------------------------------

    def pixels(self, batch: Batch) -> Tensor:
        """The pictures of a batch on the device, normalised, (b, 3, size, size)."""
        # Not asynchronously: the loader draws over the memory soon.
        pixels = torch.from_numpy(batch.images).to(self.device).permute(0, 3, 1, 2)
        if self.config.channels_last:
            return normalise(pixels).contiguous(memory_format=torch.channels_last)
        return normalise(pixels).contiguous()

    def _autocast(self) -> AbstractContextManager[Any]:
        kind = _TYPES.get(self.config.precision)
        return nullcontext() if kind is None else torch.autocast(self.device.type, dtype=kind)

    def _apart(self, shard: int) -> AbstractContextManager[Any]:
        """Processes share gradients only with the last of their shards."""
        if self.ranks.world == 1 or shard == self._shards[-1]:
            return nullcontext()
        unsynced: AbstractContextManager[Any] = self._called.no_sync()
        return unsynced

    @contextmanager
    def _means_of_first(self, shard: int) -> Iterator[None]:
        """Let running means follow the first shard alone."""
        if shard == 0:
            yield
            return
        kept = [buffer.clone() for buffer in self.network.buffers()]
        yield
        for buffer, before in zip(self.network.buffers(), kept, strict=True):
            buffer.copy_(before)

    # -- epochs ------------------------------------------------------------------------------------

    def _end_epoch(self, epoch: int) -> bool:
        """Validate and tell; whether the training has not become better for too long."""
        progress = self.progress
        first = epoch * self.loader.steps
        losses = progress.losses[first:]
        said: dict[str, Any] = {"epoch": epoch + 1, "loss": math.fsum(losses) / len(losses)}
        measures = self._validate() if self.ranks.first else None
        if measures is not None:
            assert self.material.validation is not None
            said["validation"] = measures
            said["score"] = score(self.material.validation, measures)
        progress.epochs.append(said)
        if self.ranks.first:
            self.recorder.epoch(epoch + 1, said)
        if self.config.patience is None or measures is None:
            return False
        if progress.best is None or said["score"] > progress.best:
            progress.best, progress.best_epoch = said["score"], epoch
            self._best = copy.deepcopy(self._shown().state_dict())
        return epoch - progress.best_epoch >= self.config.patience

    def _validate(self) -> Measures | None:
        view, source = self.material.validation, self.material.validation_source
        if view is None or source is None:
            return None
        size, batch = self.config.size, self.config.batch // self.config.shards
        with self._fitting("validating at once", batch):
            loader = Loader(source, view, size=size, batch=batch, evaluate=True, resize=by_torch)
            return measure(view, predict(self._shown(), loader, self.device))

    def _shown(self) -> Network:
        """The network with the weights that are kept in the end, as far as it is."""
        if self._average is None:
            return self.network
        shown = copy.deepcopy(self.network)
        shown.load_state_dict(self._average.weights)
        return shown

    def _loader(self) -> Loader:
        config, material = self.config, self.material
        return Loader(
            material.source,
            material.view,
            size=config.size,
            batch=config.batch,
            seed=config.seed,
            augmentation=parse_augmentation(config.augmentation),
            order=material.order,
            drop_last=True,
            shards=self._shards,
            of_shards=config.shards,
            allocate=_pinned if self.device.type == "cuda" else None,
            resize=by_torch,
        )

    # -- checkpoints -------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        every = self.config.checkpoint_steps
        return every is not None and self.progress.done % every == 0

    def _save(self) -> None:
        if not self.ranks.first:
            return
        parts = {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": None if self._average is None else self._average.weights,
            "best": self._best,
        }
        write_checkpoint(self._checkpoint, parts, self.progress)

    def resume(self) -> None:
        """Go on from the checkpoint; InvalidDataError where it is none, or another network's."""
        parts, self.progress = read_checkpoint(self._checkpoint)
        self.network.load_state_dict(parts["network"])
        self._optimiser.load_state_dict(parts["optimiser"])
        self._scaler.load_state_dict(parts["scaler"])
        if self._average is not None:
            self._average.weights = {
                name: value.to(self.device) for name, value in parts["average"].items()
            }
        self._best = parts["best"]

    def _trained(self) -> Trained:
        progress, view = self.progress, self.material.view
        ended = progress.done >= self.steps or self._gave_up()
        self.ranks.share_buffers(self.network)
        network = self._shown()
        if self._best is not None:
            network = copy.deepcopy(network)
            network.load_state_dict(self._best)
        losses = struct.pack(f"<{len(progress.losses)}f", *progress.losses)
        return Trained(
            network=network.eval(),
            card=self.card,
            weights=weights_hash(network),
            steps=progress.done,
            losses=blake3(losses).digest(),
            order=bytes.fromhex(progress.order),
            epochs=progress.epochs,
            stopped=not ended,
            failed=[view.name(row) for row in sorted(self.loader.stats.failed)],
        )

    def _gave_up(self) -> bool:
        """Whether the last validations were no better, which ends a training early."""
        patience, progress = self.config.patience, self.progress
        if patience is None or not progress.epochs or progress.done % self.loader.steps:
            return False
        return len(progress.epochs) - 1 - progress.best_epoch >= patience


class _Clock:
    """How fast a training is, from step to step."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._at = time.perf_counter()
        self._pictures = loader.stats.pictures
        self._waited = loader.stats.waited

    def tick(self) -> dict[str, float]:
        """Pictures a second, and the share of the time in which there was no batch yet."""
        now, stats = time.perf_counter(), self._loader.stats
        took = max(now - self._at, 1e-9)
        said = {
            "images_per_second": (stats.pictures - self._pictures) / took,
            "waiting": (stats.waited - self._waited) / took,
        }
        self._at, self._pictures, self._waited = now, stats.pictures, stats.waited
        return said


def _pinned(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Memory that an accelerator reads by itself."""
    memory: NDArray[np.uint8] = torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
    return memory
