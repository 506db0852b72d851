"""A whole network: pixels in, an answer for every task out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from voyager.models.heads import EmbeddingHead, NormalisedSoftmax, TaskHeads
from voyager.models.preprocess import normalise
from voyager.models.trunk import Trunk

Kind: TypeAlias = Literal["one", "many", "number", "bool"]
"""One class · any number of classes · a number · yes or no."""


class Output(NamedTuple):
    """What a task wants of the network: its kind, and how many classes it has (1 for a number)."""

    kind: Kind
    classes: int


class Network(nn.Module):
    """A trunk with a head for each task; `embedding` puts unit vectors of that size between.

    Tasks with one class of many are then answered by the cosine to the class (`NormalisedSoftmax`);
    all others, and all without an embedding, by a linear head on the trunk's vectors.
    """

    def __init__(
        self, trunk: Trunk, outputs: Mapping[str, Output], *, embedding: int | None = None
    ) -> None:
        super().__init__()
        assert isinstance(trunk, nn.Module)
        self.trunk = trunk
        self.outputs = dict(outputs)
        self.cosine_tasks = [
            task for task, output in outputs.items() if embedding and output.kind == "one"
        ]
        self.embedding = EmbeddingHead(trunk.dims, embedding) if embedding else None
        self.softmaxes = nn.ModuleList(
            NormalisedSoftmax(embedding or 0, outputs[task].classes) for task in self.cosine_tasks
        )
        linear = {
            task: output.classes
            for task, output in outputs.items()
            if task not in self.cosine_tasks
        }
        self.heads = TaskHeads(trunk.dims, linear)

    def forward(
        self, pixels: Tensor, chosen: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Logits by task, float32 (b, outputs), of uint8 or normalised pixels (b, 3, h, w).

        `chosen` are the classes to compare of tasks whose softmax is subsampled (`choose_classes`).
        """
        return self.answers(self.vectors(pixels), chosen)

    def answers(
        self, vectors: Tensor, chosen: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Logits by task, of what the trunk makes of images."""
        logits = {task: found.float() for task, found in self.heads(vectors).items()}
        if self.embedding is not None:
            unit = self.embedding(vectors)
            for task, softmax in zip(self.cosine_tasks, self.softmaxes, strict=True):
                logits[task] = softmax(unit, None if chosen is None else chosen.get(task))
        return {task: logits[task] for task in self.outputs}

    def vectors(self, pixels: Tensor) -> Tensor:
        """What the trunk makes of images, (b, dims)."""
        if pixels.dtype == torch.uint8:
            pixels = normalise(pixels)
        return self.trunk(pixels)

    def embed(self, pixels: Tensor) -> Tensor:
        """Unit vectors: of the embedding head where there is one, else of the trunk."""
        return self.unit(self.vectors(pixels))

    def unit(self, vectors: Tensor) -> Tensor:
        """The same, of what the trunk makes of images."""
        if self.embedding is not None:
            unit: Tensor = self.embedding(vectors)
            return unit
        return functional.normalize(vectors.float(), dim=1)

    @property
    def embedding_dims(self) -> int:
        """How many numbers `embed` gives."""
        return self.trunk.dims if self.embedding is None else self.embedding.dims
