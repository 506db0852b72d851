"""What a training is told: values with defaults, checked once, kept with the run as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Final, Literal, TypeAlias, get_args

from voyager.errors import InvalidDataError, UsageError
from voyager.train.augment import parse_augmentation
from voyager.train.renditions import AUTO, parse_rendition
from voyager.train.setting_kinds import refuse_misfits
from voyager.train.view import Scope

Optimiser: TypeAlias = Literal["adamw", "sgd"]
Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]
Repro: TypeAlias = Literal["bits", "order"]
Sampling: TypeAlias = Literal["all", "classes", "tasks", "sources"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """All that decides what comes out of a training, besides the commit."""

    tasks: tuple[str, ...]
    scope: Scope | None = None
    split: str | None = "train"
    validate: str | None = "val"
    """The split that is looked at after each epoch; None, or a split without samples, for none."""
    where: str | None = None
    model: str = "resnet-18"
    start: str | None = None
    """The checkpoint whose trunk the training starts from: a run or a file."""
    size: int = 224
    batch: int = 64
    """Samples of an optimiser step, over all ranks."""
    epochs: int = 10
    steps: int | None = None
    """Optimiser steps in all, instead of whole epochs."""
    augmentation: str = "standard"
    sampling: Sampling = "all"
    rendition: str = "auto"
    """What is read where a crop needs no more: `none`, `256`, `384`, `512`, or `-q95` of these.
    `auto` takes what all images have already; a run keeps what that was."""
    optimiser: Optimiser = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.05
    momentum: float = 0.9
    warmup: float = 0.05
    """The share of steps in which the learning rate grows to `lr`; then it falls as a cosine."""
    final_lr: float = 0.01
    """What is left of `lr` at the end, as a share."""
    clip: float = 1.0
    """The most that the norm of the gradient may be; 0 for no limit."""
    smoothing: float = 0.1
    ema: float = 0.0
    """The decay of the moving average of weights that is kept in the end; 0 for none."""
    embedding: int | None = None
    classes_at_once: int | None = None
    """How many classes a step compares, where there is an embedding; None for all."""
    task_weights: tuple[tuple[str, float], ...] = ()
    precision: Precision = "fp32"
    channels_last: bool = True
    compile: bool = False
    checkpointing: bool = False
    accumulate: int = 1
    """Parts of a batch that are computed one after the other, for what does not fit into memory."""
    ranks: int = 1
    """Virtual ranks: the parts of a batch that processes share among each other."""
    patience: int | None = None
    """Epochs without a better validation after which the training stops."""
    checkpoint_steps: int | None = None
    """Steps between checkpoints; None for one an epoch."""
    seed: int = 0
    repro: Repro = "bits"
    threads: int | None = None
    """Threads of the computation; the bits depend on them, so they are recorded."""

    def __post_init__(self) -> None:
        for check, fails in _CHECKS.items():
            if fails(self):
                raise UsageError(check)
        parse_augmentation(self.augmentation)
        if self.rendition != AUTO:
            parse_rendition(self.rendition)

    @property
    def shards(self) -> int:
        """Parts that a batch is computed in: ranks times accumulation."""
        return self.ranks * self.accumulate

    def as_dict(self) -> dict[str, Any]:
        """The configuration as JSON has it."""
        said = asdict(self)
        said["tasks"] = list(self.tasks)
        said["task_weights"] = dict(self.task_weights)
        return said

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> TrainConfig:
        """A configuration of JSON; InvalidDataError for a setting or a kind that is none of it."""
        refuse_misfits(cls, said, "a training")
        values = dict(said)
        try:
            values["tasks"] = tuple(values.get("tasks", ()))
            values["task_weights"] = tuple(sorted(dict(values.get("task_weights", {})).items()))
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise InvalidDataError(f"no configuration of a training: {error}") from None


_CHECKS: Final[dict[str, Callable[[TrainConfig], bool]]] = {
    "no task to train": lambda it: not it.tasks,
    "the scope is image or region": lambda it: it.scope not in (None, *get_args(Scope)),
    "a picture has at least 8 pixels a side": lambda it: it.size < 8,
    "a batch has at least one sample": lambda it: it.batch < 1,
    "a batch is cut into equal parts: --batch by --ranks times --accumulate leaves a rest": (
        lambda it: min(it.ranks, it.accumulate) < 1 or it.batch % it.shards != 0
    ),
    "a training has at least one epoch": lambda it: it.epochs < 1,
    "a training has at least one step": lambda it: it.steps is not None and it.steps < 1,
    "the learning rate is a number above 0": lambda it: not 0 < it.lr < inf,
    "weight decay is 0 or more": lambda it: not 0 <= it.weight_decay < inf,
    "momentum, smoothing, warmup and ema are shares from 0 to below 1": lambda it: (
        not all(0 <= one < 1 for one in (it.momentum, it.smoothing, it.warmup, it.ema))
    ),
    "what is left of the learning rate is a share from 0 to 1": lambda it: (
        not 0 <= it.final_lr <= 1
    ),
    "the norm of a gradient has a limit above 0, or 0 for none": lambda it: not it.clip >= 0,
    "a task counts 0 times or more, and not each of them 0 times": lambda it: (
        not all(0 <= one < inf for _, one in it.task_weights)
        or not any(dict(it.task_weights).get(task, 1.0) for task in it.tasks)
    ),
    "patience, checkpoint_steps and threads are 1 or more, if they are given": lambda it: any(
        one is not None and one < 1 for one in (it.patience, it.checkpoint_steps, it.threads)
    ),
    "a seed is a whole number of 64 bits": lambda it: not -(1 << 63) <= it.seed < 1 << 63,
    "the optimiser is adamw or sgd": lambda it: it.optimiser not in get_args(Optimiser),
    "the precision is fp32, bf16 or fp16": lambda it: it.precision not in get_args(Precision),
    "repro is bits or order": lambda it: it.repro not in get_args(Repro),
    "sampling is all, classes, tasks or sources": lambda it: it.sampling not in get_args(Sampling),
    "the bits of a training repeat in fp32 and uncompiled: --repro order for others": lambda it: (
        it.repro == "bits" and (it.precision != "fp32" or it.compile)
    ),
    "an embedding has whole bytes of bits": lambda it: (
        it.embedding is not None and (it.embedding < 8 or it.embedding % 8 != 0)
    ),
    "only a training with an embedding compares some classes alone": lambda it: (
        it.classes_at_once is not None and (it.embedding is None or it.classes_at_once < 2)
    ),
}
