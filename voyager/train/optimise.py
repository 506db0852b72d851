"""The optimiser of a training, its learning rate at each step, and the average of its weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from voyager.train.config import TrainConfig


def make_optimiser(network: nn.Module, config: TrainConfig) -> Optimizer:
    """AdamW, or SGD with Nesterov's momentum; what is no matrix is not decayed."""
    decayed = [weights for weights in network.parameters() if weights.ndim > 1]
    others = [weights for weights in network.parameters() if weights.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimiser == "sgd":
        nesterov = config.momentum > 0
        return SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov)
    return AdamW(groups, lr=config.lr)


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The learning rate of a step of so many: a straight way up, then a cosine down."""
    warm = round(config.warmup * steps)
    if step < warm:
        return config.lr * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    left = config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * done)) / 2
    return config.lr * left


class Average:
    """A moving average of all weights; the first steps count more than `decay` would have it."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in _state(network)}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after a step (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in _state(network):
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)


def _state(network: nn.Module) -> Iterable[tuple[str, Tensor]]:
    return network.state_dict().items()
