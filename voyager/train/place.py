"""Where a training stands: all that a loader has to know to go on."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from voyager.errors import InvalidDataError

_FORMAT: Final = struct.Struct("<16sqQQ")


@dataclass(frozen=True, slots=True)
class Place:
    """The next step of a training: 40 bytes, whatever the size of the commit.

    What was loaded before it, and in which order, follows from these numbers.
    """

    commit: bytes
    """The first 16 bytes of the commit's id."""
    seed: int
    epoch: int
    step: int

    def as_bytes(self) -> bytes:
        """The place as 40 bytes."""
        return _FORMAT.pack(self.commit, self.seed, self.epoch, self.step)

    @classmethod
    def from_bytes(cls, data: bytes) -> Place:
        """The place that `as_bytes` gave; InvalidDataError for other bytes."""
        if len(data) != _FORMAT.size:
            raise InvalidDataError(f"a place in a training has {_FORMAT.size} bytes")
        return cls(*_FORMAT.unpack(data))

    def as_dict(self) -> dict[str, Any]:
        """The place in plain values."""
        return {
            "commit": self.commit.hex(),
            "seed": self.seed,
            "epoch": self.epoch,
            "step": self.step,
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Place:
        """The place that `as_dict` gave; InvalidDataError for anything else."""
        try:
            commit = bytes.fromhex(said["commit"])
            return cls(commit, int(said["seed"]), int(said["epoch"]), int(said["step"]))
        except (KeyError, TypeError, ValueError):
            raise InvalidDataError("no place in a training: commit, seed, epoch, step") from None
