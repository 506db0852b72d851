"""Whether a network is as often right as it is sure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.train.graded import Graded

BINS: Final = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers that are about equally sure: how many, how sure on average, how many are right."""

    low: float
    high: float
    count: int
    sure: float
    right: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How sure and how right a network is.

    `ece` is the expected calibration error: the mean distance of the two over bins of equal width
    (Guo et al., "On Calibration of Modern Neural Networks", 2017). `brier` is the mean squared
    distance of the chances of all classes from the truth, 0 to 2; of tasks with many answers, and
    of yes and no, from 0 to 1 for each class.
    """

    ece: float
    brier: float
    bins: tuple[Bin, ...]

    def as_dict(self) -> dict[str, Any]:
        """The calibration as JSON has it."""
        return {"ece": self.ece, "brier": self.brier, "bins": [asdict(b) for b in self.bins]}


def calibrate(graded: Graded) -> Calibration | None:
    """The calibration of a task; nothing for numbers, nor without rows."""
    if graded.kind == "number" or not len(graded):
        return None
    chances = graded.chances
    if graded.kind == "many":
        known = graded.known
        assert known is not None
        if not known.any():
            return None
        chances, true = chances[known > 0], graded.values[known > 0] > 0
        sure, right = np.maximum(chances, 1 - chances), (chances >= 0.5) == true
        brier = float(((chances - true) ** 2).mean())
    else:
        sure, right = chances.max(axis=1), graded.right
        truth = (graded.values[:, None] == np.arange(chances.shape[1])).astype(np.float64)
        brier = float(((chances - truth) ** 2).sum(axis=1).mean())
        brier = brier / 2 if graded.kind == "bool" else brier
    bins = _bins(sure, right)
    ece = sum(one.count * abs(one.sure - one.right) for one in bins) / len(sure)
    return Calibration(ece, brier, bins)


def _bins(sure: NDArray[Any], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    places = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    sums = np.bincount(places, sure, BINS), np.bincount(places, right, BINS)
    return tuple(
        Bin(at / BINS, (at + 1) / BINS, int(count), sums[0][at] / count, sums[1][at] / count)
        for at, count in enumerate(counts.tolist())
        if count
    )
