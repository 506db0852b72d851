"""Parts of a batch that have one picture: too little for norms over a batch."""

from __future__ import annotations

import copy

import torch

from voyager.errors import UsageError
from voyager.models.network import Network
from voyager.train.config import TrainConfig


def refuse_lone_pictures(network: Network, config: TrainConfig, count: int) -> None:
    """Raise UsageError where a step has parts of one picture and the network cannot learn of one.

    A norm over a batch needs two numbers of each channel. Whether one picture has those depends on
    the network and on the size, so that it is tried out, on a copy.
    """
    if min(config.batch, count) // config.shards > 1:
        return
    trunk = copy.deepcopy(network.trunk)
    assert isinstance(trunk, torch.nn.Module)
    try:
        with torch.no_grad():
            trunk.train()(torch.zeros(1, 3, config.size, config.size))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        more = count >= 2 * config.shards
        raise UsageError(
            f"a {config.model} learns nothing of one picture of {config.size} pixels at once, and"
            f" {_why(config, count)}",
            hint=f"vgr train {f'--batch {2 * config.shards}' if more else '--model cnn-small'}",
        ) from error


def _why(config: TrainConfig, count: int) -> str:
    if count < config.batch:
        have = "there is 1 sample" if count == 1 else f"there are {count} samples"
        return have if config.shards == 1 else f"{have} for {config.shards} parts"
    parts = "" if config.shards == 1 else f" in {config.shards} parts"
    return f"a batch is of {config.batch}{parts}"
