"""Losses with answers that are missing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from voyager.train.losses import TaskTargets, task_loss

NAN = math.nan


def _targets(kind: str) -> tuple[TaskTargets, int]:
    """Targets of four samples of which the third has no answer, and the number of outputs."""
    return {
        "one": (TaskTargets("one", torch.tensor([0, 2, -1, 1])), 3),
        "bool": (TaskTargets("bool", torch.tensor([0, 1, -1, 1])), 1),
        "number": (TaskTargets("number", torch.tensor([0.5, -3, NAN, 2])), 1),
        "many": (
            TaskTargets(
                "many",
                torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]]),
                torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 0], [0, 0, 1]]),
            ),
            3,
        ),
    }[kind]


def _without_third(targets: TaskTargets) -> TaskTargets:
    keep = [0, 1, 3]
    known = None if targets.known is None else targets.known[keep]
    return TaskTargets(targets.kind, targets.values[keep], known)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["one", "bool", "number", "many"])
def test_a_sample_without_an_answer_costs_nothing(kind: str, smoothing: float) -> None:
    targets, outputs = _targets(kind)
    logits = torch.randn(4, outputs, generator=torch.Generator().manual_seed(1))
    logits.requires_grad_()
    loss = task_loss(logits, targets, smoothing=smoothing)
    rest = logits.detach()[[0, 1, 3]]
    assert torch.allclose(loss, task_loss(rest, _without_third(targets), smoothing=smoothing))
    loss.backward()
    gradient = logits.grad
    assert isinstance(gradient, Tensor)
    assert (gradient[2] == 0).all()
    assert (gradient[[0, 1, 3]].abs().sum(1) > 0).all()


@pytest.mark.parametrize("kind", ["one", "bool", "number", "many"])
def test_a_batch_without_any_answer_costs_nothing(kind: str) -> None:
    targets, outputs = _targets(kind)
    known = None if targets.known is None else targets.known[2:3]
    none = TaskTargets(targets.kind, targets.values[2:3], known)
    logits = torch.randn(1, outputs, requires_grad=True)
    loss = task_loss(logits, none)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_unknown_classes_cost_nothing() -> None:
    targets, _ = _targets("many")
    logits = torch.zeros(4, 3, requires_grad=True)
    task_loss(logits, targets).backward()
    assert targets.known is not None
    assert logits.grad is not None
    assert ((logits.grad != 0) == (targets.known != 0)).all()


def test_a_right_answer_costs_less_than_a_wrong_one() -> None:
    one = TaskTargets("one", torch.tensor([1]))
    right, wrong = torch.tensor([[0.0, 4, 0]]), torch.tensor([[4.0, 0, 0]])
    assert task_loss(right, one) < task_loss(wrong, one)
    assert task_loss(right, one, smoothing=0.1) > task_loss(right, one)
