"""A vision tower of the transformers library as a trunk: ViT, DINOv2, CLIP or SigLIP.

What the library needs to build it lies in the card of the network, so that a checkpoint is opened
without the folder that the weights once came from. No code but the library's own is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from voyager.errors import InvalidDataError, MissingExtraError, UsageError
from voyager.models.preprocess import DEVIATION, MEAN

Colours: TypeAlias = tuple[float, float, float]


class _Kind(NamedTuple):
    """The library's class, its options, and whether it has a pooled vector of its own."""

    model: str
    options: Mapping[str, Any]
    pooled: bool


_KINDS: Final[Mapping[str, _Kind]] = {
    "vit": _Kind("ViTModel", {"add_pooling_layer": False}, False),
    "dinov2": _Kind("Dinov2Model", {}, False),
    "dinov2_with_registers": _Kind("Dinov2WithRegistersModel", {}, False),
    "clip_vision_model": _Kind("CLIPVisionModel", {}, True),
    "siglip_vision_model": _Kind("SiglipVisionModel", {}, True),
}
"""By `model_type` of the tower's configuration."""

_CHANCES: Final = (
    *("attention_dropout", "attention_probs_dropout_prob", "drop_path_rate", "dropout"),
    "hidden_dropout_prob",
)
"""Fields that make a step draw numbers of its own, which no resume could draw again."""
_DROPPED: Final = (
    *("architectures", "attn_implementation", "dtype", "experts_implementation", "id2label"),
    *("label2id", "output_attentions", "output_hidden_states", "problem_type"),
    *("quantization_config", "return_dict", "torch_dtype", "transformers_version"),
)
"""Fields that say nothing of the network, or have others run it."""
_PLACES: Final = ("position_embeddings", "position_embedding.weight", "places")
_UNFIT: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What the library raises for a configuration that fits no network."""
_UNTRAINED: Final = ("mask_token",)
"""Weights that only the way of teaching needed which came before."""


@dataclass(frozen=True, slots=True)
class Tower:
    """What a trunk is built from: the tower's configuration, and how its pixels are scaled.

    `mean` and `std` are of red, green and blue, of 1.
    """

    config: Mapping[str, Any]
    mean: Colours
    std: Colours

    @classmethod
    def of(cls, config: Mapping[str, Any], mean: Colours, std: Colours) -> Tower:
        """The tower of a configuration of the library, without what does not matter to it."""
        kept = {
            name: value
            for name, value in config.items()
            if name not in _DROPPED and not name.startswith("_")
        }
        kept |= {name: 0.0 for name in _CHANCES if name in kept}
        return cls(kept, mean, std)

    @property
    def name(self) -> str:
        """What kind of network it is: the library's `model_type`."""
        return str(self.config["model_type"])

    def as_dict(self) -> dict[str, Any]:
        """The tower as JSON has it."""
        return {"config": dict(self.config), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Tower:
        """The tower of JSON; KeyError, TypeError or ValueError where it is none."""
        config = dict(said["config"])
        if config["model_type"] not in _KINDS:
            raise ValueError(f"a tower of type {config['model_type']!r} is not known")
        mean, std = ((float(r), float(g), float(b)) for r, g, b in (said["mean"], said["std"]))
        return cls.of(config, mean, std)


class TransformerTrunk(nn.Module):
    """A tower for square images of `size` pixels; the vector of an image is what it pools to."""

    def __init__(self, tower: Tower, size: int) -> None:
        super().__init__()
        kind = _KINDS[tower.name]
        patch, self.dims = _sides(tower)
        if size % patch or size < patch:
            near = max(patch, round(size / patch) * patch)
            raise UsageError(f"images of {size} pixels are no whole patches of {patch}: {near} is")
        self.model = _built(tower, kind, size)
        self._pooled = kind.pooled
        self._checkpointing = False
        for name, weights in self.model.named_parameters():
            weights.requires_grad_(not name.endswith(_UNTRAINED))
        # Images come as other trunks want them: from those numbers to the ones of this tower.
        mean, std = torch.tensor(tower.mean), torch.tensor(tower.std)
        scale, shift = torch.tensor(DEVIATION) / std, (torch.tensor(MEAN) - mean) / std
        self.register_buffer("scale", scale.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(1, 3, 1, 1), persistent=False)

    @property
    def checkpointing(self) -> bool:
        """Whether its blocks compute their activations again for the gradient."""
        return self._checkpointing

    @checkpointing.setter
    def checkpointing(self, wanted: bool) -> None:
        if wanted == self._checkpointing:
            return
        self._checkpointing = wanted
        verb = "enable" if wanted else "disable"
        how = [{"use_reentrant": False}] if wanted else []
        # The older name goes with the library's version 6, the newer came in the midst of 5.
        new, old = f"activation_checkpointing_{verb}", f"gradient_checkpointing_{verb}"
        getattr(self.model, new if hasattr(self.model, new) else old)(*how)

    def forward(self, images: Tensor) -> Tensor:
        """The vector of each image, (b, dims)."""
        scale, shift = self.get_buffer("scale"), self.get_buffer("shift")
        found = self.model(pixel_values=torch.addcmul(shift, images, scale))
        vectors: Tensor = found.pooler_output if self._pooled else found.last_hidden_state[:, 0]
        return vectors


def _sides(tower: Tower) -> tuple[int, int]:
    """The sides of a patch, and of a vector; InvalidDataError where they are not said."""
    found = tower.config.get("patch_size"), tower.config.get("hidden_size")
    if not all(isinstance(one, int) and one > 0 for one in found):
        raise InvalidDataError(f"patch_size and hidden_size of a {tower.name} are {found}")
    return int(found[0] or 0), int(found[1] or 0)


def _built(tower: Tower, kind: _Kind, size: int) -> Any:
    """The library's model with fresh weights, for images of that size."""
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError(
            f"a {tower.name} needs {error.name}, which is not installed",
            hint="pip install 'voyager-vgr[embeddings]'",
        ) from None
    fields = {name: value for name, value in tower.config.items() if name != "model_type"}
    try:
        how: Any = transformers.AutoConfig.for_model(tower.name, **{**fields, "image_size": size})
        return getattr(transformers, kind.model)(how, **kind.options)
    except _UNFIT as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidDataError(f"no {tower.name} can be built as described: {lines[0]}") from error


def fitted(weights: Mapping[str, Tensor], trunk: nn.Module) -> dict[str, Tensor]:
    """Weights with the places of patches interpolated to those that a trunk has.

    As the library does it for images of another size, but once.
    """
    wanted = trunk.state_dict()
    return {
        name: _resized(value, wanted[name])
        if name.endswith(_PLACES) and name in wanted and value.shape != wanted[name].shape
        else value
        for name, value in weights.items()
    }


def _resized(places: Tensor, wanted: Tensor) -> Tensor:
    """Places of a square of patches (…, n, dims), with or without one for a token before them."""
    rows = places.reshape(-1, places.shape[-1])
    count, aim = len(rows), wanted.shape[-2]
    if wanted.shape[-1] != places.shape[-1]:
        return places
    tokens = 0 if isqrt(count) ** 2 == count and isqrt(aim) ** 2 == aim else 1
    side, new = isqrt(count - tokens), isqrt(aim - tokens)
    grid = rows[tokens:].T.reshape(1, -1, side, side).float()
    grid = functional.interpolate(grid, (new, new), mode="bicubic", align_corners=False)
    found = torch.cat((rows[:tokens], grid.flatten(2)[0].T.to(rows.dtype)))
    return found.reshape(wanted.shape)
