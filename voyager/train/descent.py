"""The minimum of a smooth convex function: L-BFGS (Nocedal and Wright, algorithm 7.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Doubles: TypeAlias = NDArray[np.float64]

_MEMORY: Final = 10
_ENOUGH: Final = 1e-4
"""The share of the promised descent that a step must bring."""
_SHORTEST: Final = 1e-6
_TOLERANCE: Final = 1e-6


def minimum(
    function: Callable[[Doubles], tuple[float, Doubles]],
    start: Doubles,
    precondition: Callable[[Doubles], Doubles],
    *,
    most: int = 200,
    tolerance: float = _TOLERANCE,
) -> Doubles:
    """Where a function is least, that gives its value and its gradient.

    `precondition` is about the inverse of its curvature, and symmetric. It ends after `most` steps,
    and before that where a step promises less than `tolerance`, or no step brings it further.
    """
    place, (value, gradient) = start, function(start)
    memory: deque[tuple[Doubles, Doubles]] = deque(maxlen=_MEMORY)
    for _ in range(most):
        direction = -_step(gradient, memory, precondition)
        promised = -float(np.vdot(gradient, direction))
        if promised < tolerance:
            break
        length = 1.0
        while length > _SHORTEST:
            moved = place + length * direction
            new_value, new_gradient = function(moved)
            if new_value <= value - _ENOUGH * length * promised:
                break
            length /= 2
        else:
            break
        if np.vdot(moved - place, new_gradient - gradient) > 0:
            memory.append((moved - place, new_gradient - gradient))
        place, value, gradient = moved, new_value, new_gradient
    return place


def _step(
    gradient: Doubles,
    memory: deque[tuple[Doubles, Doubles]],
    precondition: Callable[[Doubles], Doubles],
) -> Doubles:
    """The gradient over the curvature, as the last steps show it."""
    rest = gradient
    shares: list[float] = []
    for moved, turned in reversed(memory):
        share = float(np.vdot(moved, rest)) / float(np.vdot(moved, turned))
        shares.append(share)
        rest = rest - share * turned
    found = precondition(rest)
    if memory:
        moved, turned = memory[-1]
        found = found * (np.vdot(moved, turned) / np.vdot(turned, precondition(turned)))
    for (moved, turned), share in zip(memory, reversed(shares), strict=True):
        back = float(np.vdot(turned, found)) / float(np.vdot(moved, turned))
        found = found + (share - back) * moved
    return found
