"""A network as a file: weights in safetensors, and beside them what they are the weights of.

Reading such a file runs no code that is in it. The description is JSON in the file's own header:

    {"voyager": "1", "model": {"trunk", "size", "embedding",
     "tasks": [{"task", "kind", "classes": [{"node": hex, "path"}]}]}}

Where the trunk is a tower of the transformers library, the `model` also has `transformer`:
{"config", "mean", "std"}.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from blake3 import blake3
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from voyager.errors import InvalidDataError, NotFoundError
from voyager.models.network import Kind, Network, Output
from voyager.models.transformer_trunk import Tower, TransformerTrunk
from voyager.models.trunk import build

VERSION: Final = "1"
_MOST_HEADER: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class ModelTask:
    """A task that a network answers; classes as (node id in hex, path at the time), in order."""

    task: str
    kind: Kind
    classes: tuple[tuple[str, str], ...] = ()

    @property
    def output(self) -> Output:
        """What the network needs for it."""
        return Output(self.kind, len(self.classes) or 1)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a network is: enough to build it again, and to read its answers."""

    trunk: str
    size: int
    tasks: tuple[ModelTask, ...] = ()
    embedding: int | None = None
    tower: Tower | None = None
    """What the trunk is built from where no name says it."""

    def as_dict(self) -> dict[str, Any]:
        """The description as JSON has it."""
        said = {} if self.tower is None else {"transformer": self.tower.as_dict()}
        return {
            **said,
            "trunk": self.trunk,
            "size": self.size,
            "embedding": self.embedding,
            "tasks": [
                {
                    "task": task.task,
                    "kind": task.kind,
                    "classes": [{"node": node, "path": path} for node, path in task.classes],
                }
                for task in self.tasks
            ],
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> ModelCard:
        """The description of JSON; KeyError, TypeError or ValueError where it is none."""
        tasks = tuple(
            ModelTask(
                str(task["task"]),
                _kind(task["kind"]),
                tuple((str(one["node"]), str(one["path"])) for one in task["classes"]),
            )
            for task in said["tasks"]
        )
        embedding, tower = said["embedding"], said.get("transformer")
        return cls(
            str(said["trunk"]),
            int(said["size"]),
            tasks,
            None if embedding is None else int(embedding),
            None if tower is None else Tower.from_dict(tower),
        )

    def network(self) -> Network:
        """A network like this, with fresh weights."""
        outputs = {task.task: task.output for task in self.tasks}
        trunk = (
            build(self.trunk, size=self.size)
            if self.tower is None
            else TransformerTrunk(self.tower, self.size)
        )
        return Network(trunk, outputs, embedding=self.embedding)


def _kind(text: str) -> Kind:
    kinds: dict[str, Kind] = {"one": "one", "many": "many", "number": "number", "bool": "bool"}
    return kinds[text]


def encode_network(network: Network, card: ModelCard) -> bytes:
    """The file of a network."""
    weights = {name: value.detach().cpu().contiguous() for name, value in _state(network).items()}
    said = {"voyager": VERSION, "model": json.dumps(card.as_dict(), sort_keys=True)}
    return save(weights, said)


def read_card(path: Path) -> ModelCard:
    """What the network in a file is; reads only the header. InvalidDataError where it is none."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MOST_HEADER:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        said = header["__metadata__"]
        if said["voyager"] != VERSION:
            raise ValueError(f"it is of version {said['voyager']}")
        return ModelCard.from_dict(json.loads(said["model"]))
    except FileNotFoundError:
        raise NotFoundError(f"no checkpoint {path}") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise InvalidDataError(
            f"no checkpoint of Voyager: {error}", path=str(path), hint="vgr runs export RUN DIR"
        ) from error


def load_network(path: Path) -> tuple[Network, ModelCard]:
    """The network of a file, ready to answer; InvalidDataError where the weights do not fit it."""
    card = read_card(path)
    network = card.network()
    load_weights(network, path)
    return network.eval(), card


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Put the weights of a file into a network; InvalidDataError where they are another's."""
    try:
        weights = load(path.read_bytes())
    except SafetensorError as error:
        raise InvalidDataError(f"damaged weights: {error}", path=str(path)) from error
    state = network.state_dict()
    wrong = _differences(state, weights)
    if wrong:
        raise InvalidDataError(f"the weights of another network: {wrong}", path=str(path))
    network.load_state_dict(weights)


def _differences(state: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """The first thing in which weights differ from what a network has, in words; else nothing."""
    for name in state:
        if name not in weights:
            return f"no '{name}'"
        if weights[name].shape != state[name].shape:
            there, here = tuple(weights[name].shape), tuple(state[name].shape)
            return f"'{name}' is {there}, not {here}"
    extra: Sequence[str] = sorted(weights.keys() - state.keys())
    return f"'{extra[0]}' is not in it" if extra else ""


def weights_hash(network: torch.nn.Module) -> bytes:
    """BLAKE3 of all weights: names in order, each with its type, shape and numbers."""
    hasher = blake3()
    for name, value in sorted(_state(network).items()):
        told = f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode()
        hasher.update(told)
        flat = value.detach().cpu().contiguous().reshape(-1)
        hasher.update(flat.view(torch.uint8).numpy().tobytes())
    return hasher.digest()


def _state(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in network.state_dict().items() if value is not None}
