"""The trunks by name: what is common to them, and the table that `build` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Final, Protocol, runtime_checkable

from torch import Tensor, nn

from voyager.errors import UsageError
from voyager.models.cnn import SmallCnn
from voyager.models.resnet import BasicBlock, Bottleneck, ResNet
from voyager.models.vit import VisionTransformer


@runtime_checkable
class Trunk(Protocol):
    """A network without a head.

    Called with normalised images, float (b, 3, height, width), it gives float (b, dims). With
    `checkpointing` its blocks keep no activations but compute them again for the gradient: less
    memory for a third more time.
    """

    dims: int
    checkpointing: bool

    def __call__(self, images: Tensor) -> Tensor: ...


_TRUNKS: Final[Mapping[str, Callable[[int], nn.Module]]] = {
    "cnn-small": lambda _size: SmallCnn(),
    "resnet-18": lambda _size: ResNet(BasicBlock, (2, 2, 2, 2)),
    "resnet-26": lambda _size: ResNet(Bottleneck, (2, 2, 2, 2)),
    "resnet-50": lambda _size: ResNet(Bottleneck, (3, 4, 6, 3)),
    "resnet-101": lambda _size: ResNet(Bottleneck, (3, 4, 23, 3)),
    "resnext-26-32x4d": lambda _size: ResNet(Bottleneck, (2, 2, 2, 2), groups=32, width=4),
    "resnext-50-32x4d": lambda _size: ResNet(Bottleneck, (3, 4, 6, 3), groups=32, width=4),
    "resnext-101-32x8d": lambda _size: ResNet(Bottleneck, (3, 4, 23, 3), groups=32, width=8),
    "vit-tiny/16": partial(VisionTransformer, patch=16, dims=192, depth=12, heads=3),
    "vit-small/16": partial(VisionTransformer, patch=16, dims=384, depth=12, heads=6),
    "vit-base/16": partial(VisionTransformer, patch=16, dims=768, depth=12, heads=12),
    "vit-large/16": partial(VisionTransformer, patch=16, dims=1024, depth=24, heads=16),
}


def trunk_names() -> list[str]:
    """The names that `build` knows."""
    return list(_TRUNKS)


def build(name: str, *, size: int = 224) -> Trunk:
    """A trunk with fresh weights for square images of `size` pixels.

    The weights come from torch's global generator. UsageError for a name that is none, and for a
    size that the network cannot be given.
    """
    make = _TRUNKS.get(name)
    if make is None:
        near = get_close_matches(name, _TRUNKS, 1, 0.4)
        known = ", ".join(_TRUNKS)
        hint = f"did you mean '{near[0]}'?" if near else None
        raise UsageError(
            f"no model '{name}'; there are {known}, and folders with transformers models", hint=hint
        )
    made = make(size)
    assert isinstance(made, Trunk)
    return made
