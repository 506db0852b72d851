"""Weights of other libraries for the trunks here: torchvision's and timm's ResNets, timm's ViTs.

They are networks of the same shape whose parts have other names. Heads are left aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from voyager.errors import InvalidDataError
from voyager.models.transformer_trunk import fitted

_OURS: Final = "trunk."
_HEADS: Final = re.compile(r"(fc|head|heads|classifier|fc_norm|pre_logits)\.")
_COUNTS: Final = "num_batches_tracked"
"""Of a norm: not all files have it, and no answer depends on it."""

_STAGE: Final = re.compile(r"layer(\d+)\.(\d+)\.")
_BLOCK: Final = {
    **{"conv1": "body.0", "bn1": "body.1", "conv2": "body.3", "bn2": "body.4"},
    **{"conv3": "body.6", "bn3": "body.7", "downsample": "straight"},
}
_STEM: Final = {"conv1": "stem.0", "bn1": "stem.1"}

_VIT: Final = (
    (r"^cls_token$", "token"),
    (r"^pos_embed$", "places"),
    (r"^patch_embed\.proj\.", "patches."),
    (r"\.norm1\.", ".norm_attention."),
    (r"\.norm2\.", ".norm_layers."),
    (r"\.attn\.qkv\.", ".attention.asks."),
    (r"\.attn\.proj\.", ".attention.out."),
    (r"\.mlp\.fc1\.", ".layers.0."),
    (r"\.mlp\.fc2\.", ".layers.2."),
)


def is_foreign(path: Path) -> bool:
    """Whether a file is one of safetensors that Voyager did not write."""
    try:
        with safe_open(path, "pt") as file:
            return "voyager" not in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def take_foreign(trunk: nn.Module, model: str, path: Path) -> None:
    """Put the weights of a file into a trunk; InvalidDataError where they do not fit it."""
    found = fitted(renamed(load_file(path)), trunk)
    wanted = trunk.state_dict()
    found |= {
        name: value
        for name, value in wanted.items()
        if name.endswith(_COUNTS) and name not in found
    }
    if wrong := _misfit(wanted, found):
        raise InvalidDataError(
            f"its weights are not those of a {model}: {wrong}",
            path=str(path),
            hint=f"vgr train --from {path} --model NAME, the network that it is of",
        )
    trunk.load_state_dict(found)


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names that the trunks here have, without those of heads."""
    kept = {
        name.removeprefix(_OURS): value
        for name, value in weights.items()
        if not _HEADS.match(name.removeprefix(_OURS))
    }
    blocks = sorted({(int(one[1]), int(one[2])) for one in map(_STAGE.match, kept) if one})
    places = {block: place for place, block in enumerate(blocks)}
    return {_name_here(name, places): value for name, value in kept.items()}


def _name_here(name: str, places: Mapping[tuple[int, int], int]) -> str:
    if stage := _STAGE.match(name):
        part, _, rest = name[stage.end() :].partition(".")
        place = places[int(stage[1]), int(stage[2])]
        return f"blocks.{place}.{_BLOCK.get(part, part)}.{rest}"
    part, _, rest = name.partition(".")
    if part in _STEM:
        return f"{_STEM[part]}.{rest}"
    for pattern, new in _VIT:
        name = re.sub(pattern, new, name)
    return name


def _misfit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """The first thing that does not fit, in words; else nothing."""
    for name, value in wanted.items():
        if name not in found:
            return f"no '{name}'"
        if found[name].shape != value.shape:
            return f"'{name}' is {tuple(found[name].shape)}, not {tuple(value.shape)}"
    extra = sorted(found.keys() - wanted.keys())
    return f"'{extra[0]}' has no place in it" if extra else ""
