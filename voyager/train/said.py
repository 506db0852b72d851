"""What a network or a head says of the rows of a view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Logits, a row for each of the view."""

    logits: Mapping[str, NDArray[np.float32]]
    """By task, (n, outputs)."""
    valid: NDArray[np.bool_]
    """False where the picture could not be read, and nothing is said."""
    vectors: NDArray[np.float32] | None = None
    """Unit vectors (n, dims), where they were asked for."""


def probabilities(kind: str, logits: NDArray[np.float32]) -> NDArray[Any]:
    """Shares of 1 by class, (n, outputs): a softmax for `one`, logistic for `many` and `bool`."""
    if kind == "one":
        grown = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(grown / grown.sum(axis=1, keepdims=True))
    if kind == "number":
        return logits
    return np.asarray(1 / (1 + np.exp(-logits)))
