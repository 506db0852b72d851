"""The vision transformer: an image is a sentence of patches.

Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021; sizes of Touvron et al., "DeiT", 2021.
Norms come before attention and after the last block; the vector of an image is its class token.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from voyager.errors import UsageError

_EPSILON: Final = 1e-6
_DEVIATION: Final = 0.02


class VisionTransformer(nn.Module):
    """A transformer over square patches; `size` is the side of the images it is made for.

    Images of another size that `patch` divides are taken too: the places of patches are then
    interpolated.
    """

    def __init__(self, size: int, *, patch: int, dims: int, depth: int, heads: int) -> None:
        super().__init__()
        if size % patch or size < patch:
            near = max(patch, round(size / patch) * patch)
            raise UsageError(
                f"images of {size} pixels are no whole patches of {patch}: {near} is",
                hint=f"vgr train --size {near}",
            )
        self.dims = dims
        self.checkpointing = False
        self.patches = nn.Conv2d(3, dims, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, dims))
        self.places = nn.Parameter(torch.zeros(1, 1 + (size // patch) ** 2, dims))
        self.blocks = nn.ModuleList(Block(dims, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dims, eps=_EPSILON)
        self.apply(_reset)
        nn.init.trunc_normal_(self.token, std=_DEVIATION)
        nn.init.trunc_normal_(self.places, std=_DEVIATION)

    def forward(self, images: Tensor) -> Tensor:
        """The class token of each image, (b, dims)."""
        grid = self.patches(images)
        words = grid.flatten(2).transpose(1, 2)
        words = torch.cat((self.token.expand(len(words), -1, -1), words), dim=1)
        words = words + self._places(grid.shape[2], grid.shape[3])
        for block in self.blocks:
            if self.checkpointing and self.training:
                words = checkpoint(block, words, use_reentrant=False)
            else:
                words = block(words)
        first: Tensor = self.norm(words[:, 0])
        return first

    def _places(self, rows: int, columns: int) -> Tensor:
        side = round((self.places.shape[1] - 1) ** 0.5)
        if rows == columns == side:
            return self.places
        grid = self.places[:, 1:].transpose(1, 2).reshape(1, self.dims, side, side)
        grid = functional.interpolate(grid, (rows, columns), mode="bicubic", antialias=True)
        return torch.cat((self.places[:, :1], grid.flatten(2).transpose(1, 2)), dim=1)


class Block(nn.Module):
    """Attention among the words, then two layers for each of them."""

    def __init__(self, dims: int, heads: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dims, eps=_EPSILON)
        self.attention = Attention(dims, heads)
        self.norm_layers = nn.LayerNorm(dims, eps=_EPSILON)
        self.layers = nn.Sequential(nn.Linear(dims, 4 * dims), nn.GELU(), nn.Linear(4 * dims, dims))

    def forward(self, words: Tensor) -> Tensor:
        words = words + self.attention(self.norm_attention(words))
        grown: Tensor = words + self.layers(self.norm_layers(words))
        return grown


class Attention(nn.Module):
    """Self-attention with several heads."""

    def __init__(self, dims: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.asks = nn.Linear(dims, 3 * dims)
        self.out = nn.Linear(dims, dims)

    def forward(self, words: Tensor) -> Tensor:
        split = self.asks(words).reshape(*words.shape[:2], 3, self.heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return mixed


def _reset(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_DEVIATION)
        nn.init.zeros_(module.bias)
