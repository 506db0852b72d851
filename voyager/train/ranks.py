"""The processes of a training, as torchrun starts them, and what they share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import torch
from torch import distributed, nn

from voyager.config import foreign_variable
from voyager.errors import UsageError

_PATIENCE: Final = timedelta(days=1)
"""How long processes wait for each other, as they do for the first while it validates. torchrun
ends the others where one of them fails."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def shards(self, of_shards: int) -> range:
        """The shards of a batch that this process computes; UsageError where they do not divide."""
        if of_shards % self.world:
            raise UsageError(
                f"{self.world} processes cannot share {of_shards} parts of a batch evenly",
                hint=f"vgr train --ranks {self.world}",
            )
        part = of_shards // self.world
        return range(self.rank * part, (self.rank + 1) * part)

    def wrap(self, network: Any, device: torch.device) -> Any:
        """The network with gradients that are averaged over all processes."""
        if self.world == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        places = [device.index] if device.type == "cuda" else None
        with warnings.catch_warnings():
            # What replaces `broadcast_buffers` has no way yet to say the same.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(network, device_ids=places, broadcast_buffers=False)

    def share_buffers(self, network: nn.Module) -> None:
        """Give every process the running means of the first."""
        if self.world > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of a number over all processes."""
        if self.world > 1:
            distributed.all_reduce(value)
            value /= self.world
        return value

    def total(self, numbers: torch.Tensor) -> torch.Tensor:
        """Whole numbers of the CPU, added up over all processes."""
        if self.world == 1:
            return numbers
        shared = numbers.cuda() if distributed.get_backend() == "nccl" else numbers.clone()
        distributed.all_reduce(shared)
        return shared.cpu()

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        return bool(self.total(torch.tensor([int(here)])).item())


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started, if it did: nccl for CUDA, else gloo."""
    world = foreign_variable("WORLD_SIZE")
    if not world or int(world) == 1:
        yield Ranks()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        local = int(foreign_variable("LOCAL_RANK") or 0)
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), local)
    finally:
        distributed.destroy_process_group()
