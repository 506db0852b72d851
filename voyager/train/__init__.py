"""Training pinned to a commit: a loader, a trainer, and runs that can be repeated.

For people with a loop of their own: `torch_dataset` and `batches`, loaded when they are used.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from voyager.train.data import batches
    from voyager.train.torch_data import CommitDataset, torch_dataset

__all__ = ["CommitDataset", "batches", "torch_dataset"]

_HOMES = {"batches": "data", "torch_dataset": "torch_data", "CommitDataset": "torch_data"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
