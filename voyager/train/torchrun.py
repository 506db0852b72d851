"""What torchrun tells the processes that it starts, asked without loading torch."""

from __future__ import annotations

from voyager.config import foreign_variable


def speaks() -> bool:
    """Whether this process is the one that speaks, before the processes have joined."""
    return foreign_variable("RANK") in ("", "0")
