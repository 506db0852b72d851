"""What does not fit into memory, said with the knob to turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from voyager.errors import StateError
from voyager.train.config import TrainConfig

_FULL: Final = ("out of memory", "can't allocate memory", "not enough memory")
"""How torch says it; `torch.OutOfMemoryError` is of accelerators alone."""


@contextmanager
def fitting(what: str, *, hint: str) -> Iterator[None]:
    """StateError for what does not fit into memory, of torch or of NumPy, with a command."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(said in str(error) for said in _FULL):
            raise
        raise StateError(f"{what} does not fit into memory", hint=hint) from error


def smaller_steps(config: TrainConfig) -> str:
    """What makes the steps of a training smaller, and what it validates at once."""
    parts = f"--accumulate {2 * config.accumulate}"
    return f"vgr train {parts if config.checkpointing else f'{parts} or --checkpointing'}"
