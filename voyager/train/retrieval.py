"""How well vectors find others of the same class: recall among the nearest, and mean precision."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.train.intervals import generator_of

NEAREST: Final = (1, 5, 10)
_WORK: Final = 400_000_000
"""Likenesses that are looked at in all."""
_AT_ONCE: Final = 16_000_000
"""Likenesses that are held at once."""

Floats = NDArray[Any]


def retrieval(vectors: NDArray[np.float32], classes: NDArray[Any]) -> dict[str, float]:
    """recall_1, recall_5, recall_10 and retrieval_map of unit vectors whose classes are known.

    Every row is looked for among all others; of more than 20,000 rows only some are. Those that
    have no other of their class are not looked for. Recall is the share that find one of theirs
    among the nearest k; ties count against it. Precision counts all of the class, ties as one step,
    so that the order of rows does not matter. Nothing where there is nothing to look for.
    """
    _, classes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    queries = np.flatnonzero(counts[classes] > 1)
    if not len(queries):
        return {}
    most = max(_WORK // len(vectors), 1)
    if len(queries) > most:
        generator = generator_of("retrieval", str(len(classes)))
        queries = np.sort(generator.choice(queries, most, replace=False))
    nearest = np.zeros(len(NEAREST))
    precision = 0.0
    members = [np.flatnonzero(classes == one) for one in range(len(counts))]
    block = max(1, _AT_ONCE // len(vectors))
    for first in range(0, len(queries), block):
        some = queries[first : first + block]
        likenesses = vectors[some] @ vectors.T
        likenesses[np.arange(len(some)), some] = -np.inf
        for row, query in zip(likenesses, some.tolist(), strict=True):
            others = members[classes[query]]
            found = _ranked(row, row[others[others != query]])
            precision += found[0]
            nearest += found[1] < np.array(NEAREST)
    said = {f"recall_{k}": float(n) / len(queries) for k, n in zip(NEAREST, nearest, strict=True)}
    return {"queries": float(len(queries)), **said, "retrieval_map": precision / len(queries)}


def code_retrieval(vectors: NDArray[np.float32], classes: NDArray[Any]) -> dict[str, float]:
    """code_recall_1 and code_retrieval_map: the same of the signs of the vectors alone."""
    found = retrieval(np.where(vectors > 0, np.float32(1), np.float32(-1)), classes)
    return {f"code_{name}": found[name] for name in ("recall_1", "retrieval_map") if found}


def _ranked(row: Floats, own: Floats) -> tuple[float, int]:
    """The average precision of a query, and how many others are as near as its nearest own."""
    row, own = np.sort(row), np.sort(own)
    ranks = len(row) - np.searchsorted(row, own)
    hits = len(own) - np.searchsorted(own, own)
    return float((hits / ranks).mean()), int(ranks[-1] - hits[-1])
