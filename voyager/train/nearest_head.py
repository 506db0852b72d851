"""Nearest neighbours as a head: the k vectors of the highest cosine vote, weighed by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.train.linear_head import Floats
from voyager.train.view import Target

_ASKED: Final = 1024
_KNOWN: Final = 8192
"""Vectors that are compared at once: so many of those asked about with so many known ones."""
_LEAST: Final = 1e-3
"""What a class has of the votes that nobody gave it."""


@dataclass(frozen=True, slots=True, eq=False)
class NearestHead:
    """The known unit vectors (n, dims), what they answer, and how many of them have a vote.

    All rows of the target have an answer.
    """

    vectors: NDArray[Any]
    target: Target
    k: int

    def logits(self, vectors: NDArray[Any]) -> Floats:
        """What the neighbours of unit vectors say, (n, outputs); their mean for a number."""
        parts = []
        for first in range(0, len(vectors), _ASKED):
            cosines, places = self.neighbours(vectors[first : first + _ASKED])
            parts.append(self._votes(np.maximum(cosines, 0), places))
        outputs = len(self.target.classes) or 1
        return np.concatenate([np.empty((0, outputs), np.float32), *parts], dtype=np.float32)

    def neighbours(self, vectors: NDArray[Any]) -> tuple[Floats, NDArray[np.int64]]:
        """The cosines of the nearest known vectors, nearest first, and their places, (n, k)."""
        asked = vectors.astype(np.float32)
        cosines: NDArray[Any] = np.empty((len(asked), 0), np.float32)
        places: NDArray[Any] = np.empty((len(asked), 0), np.int64)
        for first in range(0, len(self.vectors), _KNOWN):
            found = asked @ self.vectors[first : first + _KNOWN].astype(np.float32).T
            here = np.broadcast_to(np.arange(found.shape[1]) + first, found.shape)
            cosines, places = np.hstack((cosines, found)), np.hstack((places, here))
            most = min(self.k, cosines.shape[1])
            chosen = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
            cosines, places = (np.take_along_axis(one, chosen, 1) for one in (cosines, places))
        order = np.lexsort((places, -cosines), axis=1)
        return np.take_along_axis(cosines, order, 1), np.take_along_axis(places, order, 1)

    def _votes(self, weights: Floats, places: NDArray[np.int64]) -> NDArray[Any]:
        values = self.target.values[places]
        weights = np.maximum(weights, _LEAST)[..., None]
        if self.target.kind == "one":
            each = np.eye(len(self.target.classes), dtype=np.float32)[values]
            shares = (each * weights).sum(axis=1) / weights.sum(axis=1)
            return np.asarray(np.log(shares + _LEAST))
        if self.target.kind == "number":
            return np.asarray((values[..., None] * weights).sum(1) / weights.sum(1))
        if self.target.kind == "bool":
            yes, no = values[..., None] == 1, values[..., None] == 0
        else:
            assert self.target.known is not None
            known = self.target.known[places] > 0
            yes, no = known & (values > 0), known & (values == 0)
        for_it, against = ((one * weights).sum(axis=1) + _LEAST for one in (yes, no))
        return np.asarray(np.log(for_it / against))
