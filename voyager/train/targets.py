"""The answers of a batch as tensors, and what a network's answers to it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voyager.errors import UsageError
from voyager.models.checkpoint import ModelTask
from voyager.models.heads import choose_classes
from voyager.models.network import Network
from voyager.train.config import TrainConfig
from voyager.train.loader import Batch
from voyager.train.losses import TaskTargets, task_loss
from voyager.train.view import Target, View


def model_tasks(view: View) -> tuple[ModelTask, ...]:
    """The tasks of a view as the card of a network describes them."""
    return tuple(
        ModelTask(
            target.task,
            target.kind,
            tuple(
                (node.hex(), path) for node, path in zip(target.nodes, target.classes, strict=True)
            ),
        )
        for target in view.targets.values()
    )


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of the rows of a batch, by task, on the device of the network."""

    targets: Mapping[str, TaskTargets]

    def partner(self, rows: Tensor) -> Answers:
        """The answers of other rows of the same batch."""
        return Answers(
            {
                task: TaskTargets(
                    one.kind, one.values[rows], None if one.known is None else one.known[rows]
                )
                for task, one in self.targets.items()
            }
        )


def answers_of(view: View, rows: NDArray[np.int64], device: torch.device) -> Answers:
    """The answers of some rows of a view."""
    return Answers({task: _taken(target, rows, device) for task, target in view.targets.items()})


def _taken(target: Target, rows: NDArray[np.int64], device: torch.device) -> TaskTargets:
    values: NDArray[Any] = target.values[rows]
    if target.kind in ("one", "bool"):
        values = values.astype(np.int64)
    known = None if target.known is None else torch.from_numpy(target.known[rows]).to(device)
    return TaskTargets(target.kind, torch.from_numpy(values).to(device), known)


class Cost:
    """The loss of a batch: the weighted mean over the tasks."""

    def __init__(self, config: TrainConfig, view: View) -> None:
        weights = dict(config.task_weights)
        unknown = sorted(weights.keys() - view.targets.keys())
        if unknown:
            raise UsageError(f"a weight for '{unknown[0]}', which is no task of this training")
        self._weights = {task: weights.get(task, 1.0) for task in view.targets}
        self._config = config
        self._view = view

    def __call__(
        self, network: Any, bare: Network, pixels: Tensor, batch: Batch, turn: int
    ) -> Tensor:
        """The loss of a batch; `network` is called, `bare` is the same without what wraps it.

        `turn` numbers the batches of a training, for the classes that are compared.
        """
        answers = answers_of(self._view, batch.rows, pixels.device)
        chosen, answers = self._chosen(bare, answers, turn)
        logits = network(pixels, chosen)
        loss = self._of(logits, answers)
        if batch.partner is not None:
            partner = torch.from_numpy(batch.partner).to(pixels.device)
            loss = batch.share * loss + (1 - batch.share) * self._of(
                logits, answers.partner(partner)
            )
        return loss

    def _of(self, logits: Mapping[str, Tensor], answers: Answers) -> Tensor:
        losses = [
            self._weights[task] * task_loss(logits[task], targets, smoothing=self._config.smoothing)
            for task, targets in answers.targets.items()
        ]
        return torch.stack(losses).sum() / sum(self._weights.values())

    def _chosen(
        self, network: Network, answers: Answers, turn: int
    ) -> tuple[dict[str, Tensor] | None, Answers]:
        """The classes that are compared, and the answers as places among them."""
        count = self._config.classes_at_once
        if count is None:
            return None, answers
        chosen: dict[str, Tensor] = {}
        targets = dict(answers.targets)
        for task in network.cosine_tasks:
            classes = network.outputs[task].classes
            if count < classes:
                generator = torch.Generator().manual_seed(self._config.seed * 1_000_003 + turn)
                chosen[task], places = choose_classes(
                    targets[task].values, classes, count, generator
                )
                targets[task] = TaskTargets("one", places)
        return chosen, Answers(targets)
