"""The network that a training begins with: from the seed, a checkpoint, or a folder's model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from voyager.derived.transformer_tower import open_tower
from voyager.errors import InvalidDataError
from voyager.models.checkpoint import ModelCard, load_network
from voyager.models.foreign_weights import is_foreign, take_foreign
from voyager.models.network import Network
from voyager.models.transformer_trunk import Tower, fitted
from voyager.train.config import TrainConfig
from voyager.train.targets import model_tasks
from voyager.train.validation import refuse_single_classes
from voyager.train.view import View


def make_network(
    config: TrainConfig, view: View, start: Path | None, *, tower: Tower | None = None
) -> tuple[Network, ModelCard]:
    """A network for the tasks of a view.

    Its weights come from the seed, and those of its trunk from `start`: a checkpoint, weights of
    another library, or a folder with a transformers model. With `tower` it is built as described,
    for a training that goes on from weights of its own.
    """
    refuse_single_classes(view)
    card = ModelCard(config.model, config.size, model_tasks(view), config.embedding, tower)
    torch.manual_seed(config.seed)
    if tower is not None or start is None:
        return _begun(card)
    if start.is_dir():
        return _from_folder(card, start)
    if is_foreign(start):
        network, card = _begun(card)
        take_foreign(_trunk(network), config.model, start)
        return network, card
    return _from_checkpoint(card, start, config)


def _begun(card: ModelCard) -> tuple[Network, ModelCard]:
    if card.tower is not None:
        card = replace(card, trunk=card.tower.name)
    return card.network(), card


def _from_folder(card: ModelCard, folder: Path) -> tuple[Network, ModelCard]:
    opened = open_tower(folder)
    network, card = _begun(replace(card, tower=opened.tower))
    model = _trunk(network).get_submodule("model")
    model.load_state_dict(fitted(opened.weights, model))
    return network, card


def _from_checkpoint(
    card: ModelCard, start: Path, config: TrainConfig
) -> tuple[Network, ModelCard]:
    known, from_card = load_network(start)
    if from_card.trunk != config.model:
        raise InvalidDataError(
            f"the checkpoint is of a {from_card.trunk}, not a {config.model}",
            path=config.start,
            hint=f"vgr train --from {config.start} --model {from_card.trunk}",
        )
    network, card = _begun(replace(card, tower=from_card.tower))
    trunk = _trunk(network)
    weights = _trunk(known).state_dict()
    try:
        trunk.load_state_dict(weights if card.tower is None else fitted(weights, trunk))
    except RuntimeError as error:
        raise InvalidDataError(
            f"the checkpoint is of pictures of {from_card.size} pixels, and fits no others",
            path=config.start,
            hint=f"vgr train --from {config.start} --size {from_card.size}",
        ) from error
    return network, card


def _trunk(network: Network) -> nn.Module:
    assert isinstance(network.trunk, nn.Module)
    return network.trunk
