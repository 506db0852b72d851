"""A small network for small pictures: crops of regions, thumbnails, first tries on a laptop."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_WIDTHS: Final = (32, 64, 128, 256)


class SmallCnn(nn.Module):
    """Four stages that halve the picture; the vector is the mean and the maximum of the last map.

    390,000 parameters. The mean says how much there is of something, the maximum whether there is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dims = 2 * _WIDTHS[-1]
        self.checkpointing = False
        ins = (3, *_WIDTHS[:-1])
        self.blocks = nn.ModuleList(
            _stage(channels, out) for channels, out in zip(ins, _WIDTHS, strict=True)
        )
        self.apply(_reset)

    def forward(self, images: Tensor) -> Tensor:
        """Mean and maximum of the last map of each image, (b, dims)."""
        maps = images
        for block in self.blocks:
            if self.checkpointing and self.training:
                maps = checkpoint(block, maps, use_reentrant=False)
            else:
                maps = block(maps)
        return torch.cat((maps.mean((2, 3)), maps.amax((2, 3))), dim=1)


def _stage(channels: int, out: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


def _reset(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
