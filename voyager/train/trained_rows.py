"""Which rows of a commit a configuration trains on, and in which order."""

from __future__ import annotations

import numpy as np

from voyager.errors import UsageError
from voyager.train.config import TrainConfig
from voyager.train.order import Order
from voyager.train.sampling import Positions, balanced, by_value
from voyager.train.view import Question, View


def question_of(config: TrainConfig) -> Question:
    """What a configuration asks of a commit."""
    return Question(
        config.tasks,
        config.split,
        config.scope,
        config.where,
        sources=config.sampling == "sources",
    )


def order_of(view: View, config: TrainConfig) -> Positions:
    """The order that a configuration samples rows in."""
    if config.sampling == "all":
        return Order(len(view), config.seed)
    if config.sampling == "tasks":
        groups = [np.flatnonzero(target.answered()) for target in view.targets.values()]
        return balanced(groups, config.seed, count=len(view))
    if config.sampling == "sources":
        assert view.sources is not None
        return balanced(by_value(view.sources.astype(np.int64)), config.seed, count=len(view))
    groups = []
    for target in view.targets.values():
        if target.kind in ("one", "bool"):
            groups += by_value(target.values.astype(np.int64))
        elif target.kind == "many":
            groups += [
                np.flatnonzero(target.values[:, place]) for place in range(target.values.shape[1])
            ]
    if not groups:
        raise UsageError("no task of this training has classes to balance", hint="vgr task ls")
    return balanced(groups, config.seed, count=len(view))
