"""The folder of a transformers checkpoint: which model it says it is, its weights, its id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from blake3 import blake3
from PIL.Image import Resampling

from voyager.derived.transformer_preprocessing import Preprocessing, Usual, read_json
from voyager.errors import InvalidDataError, UsageError

_PURPOSE: Final = b"voyager transformers model 1\0"

_HALF: Final = (0.5, 0.5, 0.5)
_OPENAI: Final = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

# What the processors of the library take where a file says nothing.
_SQUARE: Final = {"height": 224, "width": 224}
_VIT: Final = Usual(_SQUARE, None, Resampling.BILINEAR, _HALF, _HALF)
_SIGLIP: Final = Usual(_SQUARE, None, Resampling.BICUBIC, _HALF, _HALF)
_CLIP: Final = Usual({"shortest_edge": 224}, 224, Resampling.BICUBIC, *_OPENAI)


@dataclass(frozen=True, slots=True)
class Kind:
    """How one architecture is loaded: its class and options, and whether it has a text tower.

    `padding` is how it was taught that its texts are made equally long.
    """

    model: str
    usual: Usual
    options: Mapping[str, object]
    padding: bool | str = False


KINDS: Final[Mapping[str, Kind]] = {
    "vit": Kind("ViTModel", _VIT, {"add_pooling_layer": False}),
    "dinov2": Kind("Dinov2Model", _CLIP, {}),
    "dinov2_with_registers": Kind("Dinov2WithRegistersModel", _CLIP, {}),
    "clip": Kind("CLIPModel", _CLIP, {}, padding=True),
    "siglip": Kind("SiglipModel", _SIGLIP, {}, padding="max_length"),
}
"""By `model_type` of a `config.json`."""

_NOT_THE_MODEL: Final = (
    *("_name_or_path", "architectures", "dtype", "id2label", "label2id", "problem_type"),
    *("torch_dtype", "transformers_version"),
)
"""Fields of a `config.json` on which no vector depends."""


def read_config(folder: Path) -> dict[str, Any]:
    """The fields of `config.json`; InvalidDataError where there is none."""
    path = folder / "config.json"
    if not path.is_file():
        raise InvalidDataError("not a transformers model: no config.json in it", path=folder)
    return read_json(path)


def kind_of(config: Mapping[str, Any], folder: Path) -> Kind:
    """How a model of that configuration is loaded; UsageError where nobody knows."""
    kind = KINDS.get(str(config.get("model_type")))
    if kind is None:
        raise UsageError(
            f"a model of type {config.get('model_type')!r} makes no embeddings here;"
            f" there are {', '.join(KINDS)}",
            path=folder / "config.json",
        )
    return kind


def weight_files(folder: Path) -> list[Path]:
    """The files with weights, in the order of their names."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if not index.is_file():
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        also = "; weights in pickles are not read, as they may run code" if pickled else ""
        raise InvalidDataError(f"no model.safetensors in it{also}", path=folder)
    parts = read_json(index).get("weight_map")
    if not isinstance(parts, dict):
        raise InvalidDataError("no weight_map in it", path=index)
    paths = [folder / Path(str(name)).name for name in sorted({*parts.values()})]
    for path in paths:
        if not path.is_file():
            raise InvalidDataError(f"{path.name} is named there and missing", path=index)
    return paths


def model_hash(config: Mapping[str, Any], how: Preprocessing, weights: Sequence[Path]) -> bytes:
    """32 bytes of all that the vectors of a model depend on."""
    known = {name: value for name, value in config.items() if name not in _NOT_THE_MODEL}
    told = json.dumps([known, repr(how)], sort_keys=True).encode()
    whole = blake3(_PURPOSE + blake3(told).digest())
    for path in weights:
        content = blake3(max_threads=blake3.AUTO)
        content.update_mmap(path)
        whole.update(content.digest())
    return whole.digest()
