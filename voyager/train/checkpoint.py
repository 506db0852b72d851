"""Everything that a training goes on from, in one file that is written whole or not at all."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from voyager.errors import InvalidDataError
from voyager.store import files

_VERSION: Final = 2


@dataclass(slots=True)
class Progress:
    """How far a training is: `done` optimiser steps, and what was seen on the way."""

    done: int = 0
    losses: list[float] = field(default_factory=list)
    """The loss of every step, float32."""
    order: str = ""
    """The hash of the rows that the first epoch has shown so far, in hex."""
    best: float | None = None
    """The best validation so far, and the epoch that reached it."""
    best_epoch: int = 0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """The metrics of every epoch that is over."""


def write_checkpoint(path: Path, parts: dict[str, Any], progress: Progress) -> None:
    """Write the states of network, optimiser and what else there is."""
    said = {name: getattr(progress, name) for name in Progress.__slots__}
    buffer = io.BytesIO()
    torch.save({"version": _VERSION, "progress": said, "parts": parts}, buffer)
    files.write_atomic(path, buffer.getvalue())


def read_checkpoint(path: Path) -> tuple[dict[str, Any], Progress]:
    """The states and the progress in a file; runs no code that is in it.

    InvalidDataError for a file that is no checkpoint.
    """
    try:
        said = torch.load(path, map_location="cpu", weights_only=True)
        if said["version"] != _VERSION:
            raise ValueError(f"it is of version {said['version']}")
        return said["parts"], Progress(**said["progress"])
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        pickle.UnpicklingError,
    ) as error:
        raise InvalidDataError(f"no checkpoint: {error}", path=str(path)) from error
