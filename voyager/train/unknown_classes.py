"""Answers that are none of the classes which a network or a head knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.train.view import Question, Target, View, open_view


def unknown_classes(
    repo: Repository, version: Dataset, question: Question, view: View
) -> dict[str, dict[str, int]]:
    """By task, the answers that are none of the classes that the question fixes."""
    if not any(_may_have_others(target) for target in view.targets.values()):
        return {}
    free = open_view(repo, version, replace(question, classes={}), for_evaluation=True)
    found: dict[str, dict[str, int]] = {}
    for task, target in free.targets.items():
        counts = _counts(target)
        others = set(target.nodes) - set(view.targets[task].nodes)
        told = {
            name: count
            for node, name, count in zip(target.nodes, target.classes, counts, strict=True)
            if node in others
        }
        found |= {task: told} if told else {}
    return found


def _may_have_others(target: Target) -> bool:
    return target.kind == "many" or (target.kind == "one" and bool((target.values == -2).any()))


def _counts(target: Target) -> list[int]:
    """How many rows have each class."""
    if target.kind == "many":
        return [int(count) for count in (target.values > 0).sum(axis=0)]
    counts = np.bincount(target.values[target.values >= 0], minlength=len(target.nodes))
    return [int(count) for count in counts] if target.nodes else []
