"""Heads as a file: safetensors, with what the heads answer in its header.

    {"voyager": "1", "heads": {"head", "dims", "k", "tasks": [{"task", "kind",
     "classes": [{"node": hex, "path"}], "strength"}]}}

A linear head of task number N has the tensors `N.weights` (outputs, dims) and `N.bias` (outputs).
Nearest neighbours have none: what they know is the commit they were trained on. Written here, so
that no package is needed for it; any reader of safetensors can open it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from voyager.errors import InvalidDataError
from voyager.train.linear_head import Floats, LinearHead
from voyager.train.view import Target, TargetKind

HEAD: Final = "head.safetensors"

_VERSION: Final = "1"
_ALIGNMENT: Final = 8

HeadName: TypeAlias = Literal["linear", "knn"]


@dataclass(frozen=True, slots=True)
class HeadTask:
    """A task that a head answers; classes as (node id, path at the time), in order."""

    task: str
    kind: TargetKind
    classes: tuple[tuple[bytes, str], ...]
    strength: float | None = None

    @classmethod
    def of(cls, target: Target, strength: float | None = None) -> HeadTask:
        """The task of a target."""
        classes = tuple(zip(target.nodes, target.classes, strict=True))
        return cls(target.task, target.kind, classes, strength)

    @property
    def outputs(self) -> int:
        """How many numbers a head says for it."""
        return len(self.classes) or 1

    def as_dict(self) -> dict[str, Any]:
        """The task as JSON has it."""
        classes = [{"node": node.hex(), "path": path} for node, path in self.classes]
        return {
            "task": self.task,
            "kind": self.kind,
            "classes": classes,
            "strength": self.strength,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """The heads of a run: `linear` has one for each task, none where neighbours answer."""

    head: HeadName
    dims: int
    k: int
    tasks: tuple[HeadTask, ...]
    linear: Mapping[str, LinearHead]


def encode_heads(heads: Heads) -> bytes:
    """The file of heads; the same heads make the same bytes."""
    tensors: dict[str, Floats] = {}
    for number, task in enumerate(heads.tasks):
        if task.task in heads.linear:
            tensors[f"{number}.bias"] = heads.linear[task.task].bias
            tensors[f"{number}.weights"] = heads.linear[task.task].weights
    said = {
        "head": heads.head,
        "dims": heads.dims,
        "k": heads.k,
        "tasks": [task.as_dict() for task in heads.tasks],
    }
    header: dict[str, Any] = {
        "__metadata__": {"voyager": _VERSION, "heads": json.dumps(said, sort_keys=True)}
    }
    end = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [end, end + tensor.nbytes],
        }
        end += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    data = (np.ascontiguousarray(one, "<f4").tobytes() for one in tensors.values())
    return b"".join((struct.pack("<Q", len(text)), text, *data))


def decode_heads(data: bytes) -> Heads:
    """The heads of a file; InvalidDataError where it is none."""
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        about = header["__metadata__"]
        if about["voyager"] != _VERSION:
            raise ValueError(f"it is of version {about['voyager']}")
        said = json.loads(about["heads"])
        tasks = tuple(map(_task, said["tasks"]))
        body = memoryview(data)[8 + length :]
        linear = {
            task.task: LinearHead(
                _tensor(header[f"{number}.weights"], body),
                _tensor(header[f"{number}.bias"], body),
            )
            for number, task in enumerate(tasks)
            if f"{number}.weights" in header
        }
        return Heads(said["head"], int(said["dims"]), int(said["k"]), tasks, linear)
    except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise InvalidDataError(f"no heads of Voyager: {error}", path=HEAD) from error


def _task(said: Mapping[str, Any]) -> HeadTask:
    classes = tuple((bytes.fromhex(one["node"]), str(one["path"])) for one in said["classes"])
    return HeadTask(said["task"], said["kind"], classes, said["strength"])


def _tensor(said: Mapping[str, Any], body: memoryview) -> Floats:
    first, end = said["data_offsets"]
    return np.frombuffer(body[first:end], "<f4").reshape(said["shape"])
