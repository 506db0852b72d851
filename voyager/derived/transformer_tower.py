"""The vision tower in a transformers folder, to train on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from voyager.derived.transformer_embedder import load_model, needs_transformers
from voyager.derived.transformer_folder import Kind, kind_of, model_hash, read_config, weight_files
from voyager.derived.transformer_preprocessing import Preprocessing, read_preprocessing
from voyager.errors import InvalidDataError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from voyager.models.transformer_trunk import Tower

_TOWERS: Final = {"CLIPModel": "CLIPVisionModel", "SiglipModel": "SiglipVisionModel"}
"""Of models that know words too: the half that sees."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedTower:
    """What a trunk is built from, and its weights by the library's names."""

    tower: Tower
    weights: Mapping[str, Tensor]


def tower_hash(folder: Path) -> bytes:
    """32 bytes of all that its vectors depend on: the `model_id` of its embedder."""
    found = _described(folder)
    return model_hash(found.config, found.preprocessing, weight_files(folder))


def tower_size(folder: Path) -> int:
    """The side of the images that the folder's model is given; UsageError unless a square."""
    height, width = _described(folder).preprocessing.size
    if height != width:
        raise UsageError(
            f"its images are {height}x{width}, and those of a training are squares",
            path=folder,
            hint=f"vgr train --model {folder} --size {height}",
        )
    return height


def open_tower(folder: Path) -> OpenedTower:
    """The tower of a folder.

    InvalidDataError or UsageError where it is none that is known, MissingExtraError where
    transformers lacks.
    """
    found = _described(folder)
    weight_files(folder)
    needs_transformers()
    from voyager.models.transformer_trunk import Tower

    kind, how = found.kind, found.preprocessing
    model = load_model(folder, replace(kind, model=_TOWERS.get(kind.model, kind.model)))
    unit = 255 * how.factor
    mean = how.mean[0] / unit, how.mean[1] / unit, how.mean[2] / unit
    std = how.std[0] / unit, how.std[1] / unit, how.std[2] / unit
    return OpenedTower(Tower.of(model.config.to_dict(), mean, std), model.state_dict())


class _Described(NamedTuple):
    config: Mapping[str, Any]
    kind: Kind
    preprocessing: Preprocessing


def _described(folder: Path) -> _Described:
    """What the files of a folder say, besides its weights."""
    try:
        config = read_config(folder)
        kind = kind_of(config, folder)
        return _Described(config, kind, read_preprocessing(folder, kind.usual))
    except (InvalidDataError, UsageError) as error:
        error.hint = error.hint or "vgr train --help"
        raise
