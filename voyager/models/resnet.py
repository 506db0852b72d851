"""Residual networks, and ResNeXt with its grouped convolutions.

He et al., "Deep Residual Learning", 2016, with the stride in the 3×3 convolution; Xie et al.,
"Aggregated Residual Transformations", 2017. `resnext-101-32x8d` is `groups=32, width=8`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def _convolution(
    channels: int, out: int, side: int = 3, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(channels, out, side, stride, side // 2, groups=groups, bias=False)


class BasicBlock(nn.Module):
    """Two convolutions of 3×3 beside a way straight through."""

    expansion = 1

    def __init__(self, channels: int, width: int, out: int, stride: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, width, stride=stride, groups=groups),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            _convolution(width, out, groups=groups),
            nn.BatchNorm2d(out),
        )
        self.straight = _straight(channels, out, stride)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.body(images) + self.straight(images))


class Bottleneck(nn.Module):
    """1×1 to fewer channels, 3×3 among those in groups, 1×1 back, beside a straight way."""

    expansion = 4

    def __init__(self, channels: int, width: int, out: int, stride: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, width, side=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            _convolution(width, width, stride=stride, groups=groups),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            _convolution(width, out, side=1),
            nn.BatchNorm2d(out),
        )
        self.straight = _straight(channels, out, stride)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.body(images) + self.straight(images))


def _straight(channels: int, out: int, stride: int) -> nn.Module:
    if stride == 1 and channels == out:
        return nn.Identity()
    return nn.Sequential(_convolution(channels, out, side=1, stride=stride), nn.BatchNorm2d(out))


class ResNet(nn.Module):
    """Four stages of residual blocks; the vector of an image is the mean over the last map.

    `width` is the number of channels of a group in the first stage.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: Sequence[int],
        *,
        groups: int = 1,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.dims = 512 * block.expansion
        self.checkpointing = False
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        channels = 64
        for stage, depth in enumerate(depths):
            out = 64 * 2**stage * block.expansion
            for place in range(depth):
                stride = 2 if stage and not place else 1
                blocks.append(block(channels, groups * width * 2**stage, out, stride, groups))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.apply(_reset)
        for made in blocks:
            # Every block begins as a way straight through (Goyal et al., 2017).
            nn.init.zeros_(made.body[-1].weight)  # type: ignore[index, union-attr]

    def forward(self, images: Tensor) -> Tensor:
        """The mean of the last map of each image, (b, dims)."""
        maps = self.stem(images)
        for block in self.blocks:
            if self.checkpointing and self.training:
                maps = checkpoint(block, maps, use_reentrant=False)
            else:
                maps = block(maps)
        mean: Tensor = maps.mean((2, 3))
        return mean


def _reset(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
