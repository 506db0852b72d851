"""What a task's answers cost, where there is an answer; the others are masked out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from voyager.models.network import Kind


@dataclass(frozen=True, slots=True)
class TaskTargets:
    """The answers of a batch to one task.

    `values` are int64 (b,) class places for `one` and `bool`, -1 without an answer; float (b, c) 0
    to 1 for `many`; float (b,) for `number`, NaN without one. `known` is float or bool (b, c) for
    `many`: 0 where it is not known whether the class is there.
    """

    kind: Kind
    values: Tensor
    known: Tensor | None = None


def task_loss(logits: Tensor, targets: TaskTargets, *, smoothing: float = 0.0) -> Tensor:
    """The mean loss of one task over the answers that there are, 0 (with a gradient) for none.

    Cross-entropy for `one`; binary cross-entropy for `many` (the mean over its known classes counts
    as one answer of a sample) and `bool`; Huber's loss for `number`. `smoothing` moves so much of
    every answer to all classes alike.
    """
    losses, weights = _LOSSES[targets.kind](logits.float(), targets, smoothing)
    return (losses * weights).sum() / weights.sum().clamp(min=1)


def _one(logits: Tensor, targets: TaskTargets, smoothing: float) -> tuple[Tensor, Tensor]:
    answered = targets.values >= 0
    losses = functional.cross_entropy(
        logits, targets.values.clamp(min=0), reduction="none", label_smoothing=smoothing
    )
    return losses, answered.to(losses.dtype)


def _bool(logits: Tensor, targets: TaskTargets, smoothing: float) -> tuple[Tensor, Tensor]:
    answered = targets.values >= 0
    wanted = _smoothed(targets.values.clamp(min=0).to(logits.dtype), smoothing)
    losses = functional.binary_cross_entropy_with_logits(logits[:, 0], wanted, reduction="none")
    return losses, answered.to(losses.dtype)


def _many(logits: Tensor, targets: TaskTargets, smoothing: float) -> tuple[Tensor, Tensor]:
    wanted = _smoothed(targets.values.to(logits.dtype), smoothing)
    losses = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    known = torch.ones_like(losses) if targets.known is None else targets.known.to(losses.dtype)
    count = known.sum(1)
    return (losses * known).sum(1) / count.clamp(min=1), (count > 0).to(losses.dtype)


def _number(logits: Tensor, targets: TaskTargets, smoothing: float) -> tuple[Tensor, Tensor]:
    answered = ~targets.values.isnan()
    wanted = targets.values.nan_to_num(0).to(logits.dtype)
    losses = functional.smooth_l1_loss(logits[:, 0], wanted, reduction="none")
    return losses, answered.to(losses.dtype)


def _smoothed(wanted: Tensor, smoothing: float) -> Tensor:
    return wanted * (1 - smoothing) + smoothing / 2


_LOSSES: Final[Mapping[Kind, Callable[[Tensor, TaskTargets, float], tuple[Tensor, Tensor]]]] = {
    "one": _one,
    "many": _many,
    "number": _number,
    "bool": _bool,
}
