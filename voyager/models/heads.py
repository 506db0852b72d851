"""What sits on a trunk: one linear head for each task, and the head of an embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

TEMPERATURE: Final = 0.05


class TaskHeads(nn.Module):
    """A linear head for each task, by name and number of outputs.

    The classes of a long tail may share a bottleneck: that is what `EmbeddingHead` is for.
    """

    def __init__(self, dims: int, outputs: Mapping[str, int]) -> None:
        super().__init__()
        self.tasks = list(outputs)  # names of tasks may have dots, names of modules may not
        self.layers = nn.ModuleList(nn.Linear(dims, count) for count in outputs.values())

    def forward(self, vectors: Tensor) -> dict[str, Tensor]:
        """Logits (b, outputs) by task, of vectors (b, dims)."""
        return {task: layer(vectors) for task, layer in zip(self.tasks, self.layers, strict=True)}


class EmbeddingHead(nn.Module):
    """Unit vectors in which the cosine says how alike two images are.

    A linear layer and a norm without parameters, then length 1 (Zhai and Wu, "Classification is a
    Strong Baseline for Deep Metric Learning", 2019). The norm centres every vector at 0, so that
    the signs of its numbers are a binary code whose bits are set half of the time
    (`derived.binary_codes.sign_codes`).
    """

    def __init__(self, dims: int, out: int) -> None:
        super().__init__()
        self.dims = out
        self.project = nn.Linear(dims, out)

    def forward(self, vectors: Tensor) -> Tensor:
        """Unit vectors (b, out) of the trunk's vectors (b, dims)."""
        projected = self.project(vectors)
        centred = functional.layer_norm(projected.float(), projected.shape[-1:])
        return functional.normalize(centred, dim=1)


class NormalisedSoftmax(nn.Module):
    """Classes as unit vectors: logits are cosines over a temperature.

    For many classes only some are compared at a step: those of the batch, and others drawn at
    random, which keeps the cost of a long tail constant.
    """

    def __init__(self, dims: int, classes: int, *, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.temperature = temperature
        self.centres = nn.Parameter(torch.empty(classes, dims))
        nn.init.normal_(self.centres)

    def forward(self, unit: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Logits (b, classes), or (b, len(chosen)) for some classes alone."""
        centres = self.centres if chosen is None else self.centres[chosen]
        return unit @ functional.normalize(centres, dim=1).T / self.temperature


def choose_classes(
    targets: Tensor, classes: int, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Which classes a step compares, and the targets as places among those.

    `targets` are int64 (b,), -1 where there is no answer (and stay so). All classes of the batch
    are among the chosen, sorted; others are drawn without repetition until there are `count`.
    """
    present = torch.unique(targets[targets >= 0])
    if count < classes:
        others = torch.randperm(classes, generator=generator)
        others = others[~torch.isin(others, present.cpu())][: max(count - len(present), 0)]
        chosen = torch.cat((present, others.to(targets.device))).sort().values
    else:
        chosen = torch.arange(classes, device=targets.device)
    places = torch.searchsorted(chosen, targets.clamp(min=0))
    return chosen, torch.where(targets >= 0, places, targets)
