"""What a training starts from, for `vgr train`: the settings that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voyager.commands.run_options import needs_torch

if TYPE_CHECKING:
    from voyager.repo.repository import Repository


def implied_settings(repo: Repository, said: Mapping[str, Any]) -> dict[str, Any]:
    """Network and size of pictures where nobody said them: those of what it starts from."""
    if "model" in said and "size" in said:
        return {}
    if said.get("start") is not None:
        return _of_checkpoint(repo, str(said["start"]))
    model = str(said.get("model", ""))
    if not model:
        return {}
    needs_torch()
    from voyager.train.start_file import is_model_folder

    if not is_model_folder(model):
        return {}
    from voyager.derived.transformer_tower import tower_size

    return {"size": tower_size(Path(model))}


def _of_checkpoint(repo: Repository, start: str) -> dict[str, Any]:
    needs_torch()
    from voyager.models.checkpoint import read_card
    from voyager.models.foreign_weights import is_foreign
    from voyager.train.start_file import find_start

    path = find_start(repo, start).path
    if is_foreign(path):
        return {}
    card = read_card(path)
    return {"model": card.trunk, "size": card.size}
