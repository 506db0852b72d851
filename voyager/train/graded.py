"""What a network says of the rows that have an answer to a task, beside what is true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.train.said import Said, probabilities
from voyager.train.view import Target, View

Mask = NDArray[np.bool_]

TRUTHS: Final = ("false", "true")
"""The classes of a task of yes and no."""
_TOP: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Graded:
    """The answered rows of one task, in the order of the view.

    An answer that is none of the network's classes is -2, and whatever is said of it is wrong.
    """

    task: str
    kind: str
    classes: tuple[str, ...]
    rows: NDArray[np.int64]
    """Their places in the view."""
    values: NDArray[Any]
    """What is true, as in `Target`."""
    known: NDArray[np.uint8] | None
    logits: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, mask: Mask | NDArray[np.int64]) -> Graded:
        """Some of the rows, or rows at some places."""
        return Graded(
            self.task,
            self.kind,
            self.classes,
            self.rows[mask],
            self.values[mask],
            None if self.known is None else self.known[mask],
            self.logits[mask],
        )

    @property
    def chances(self) -> NDArray[Any]:
        """Shares of 1 by class, (n, classes): two columns for yes and no."""
        found = probabilities(self.kind, self.logits)
        return np.concatenate((1 - found, found), axis=1) if self.kind == "bool" else found

    @property
    def guesses(self) -> NDArray[np.int64]:
        """The class that is said, where one is: its place."""
        if self.kind == "bool":
            return (self.logits[:, 0] > 0).astype(np.int64)
        return np.asarray(self.logits.argmax(axis=1))

    @property
    def right(self) -> Mask:
        """Whether what is said is true; with many answers, whether all of it is."""
        if self.kind == "many":
            assert self.known is not None
            same = (self.logits > 0) == (self.values > 0)
            return np.asarray((same | (self.known == 0)).all(axis=1))
        return np.asarray(self.guesses == self.values)

    @property
    def in_top(self) -> Mask | None:
        """Whether the true class is among the five that are likeliest; None where all are."""
        if self.kind != "one" or self.logits.shape[1] <= _TOP:
            return None
        best = np.argpartition(-self.logits, _TOP - 1, axis=1)[:, :_TOP]
        return np.asarray((best == self.values[:, None]).any(axis=1))

    def scored(self) -> Iterator[tuple[str, Mask, NDArray[np.float32], Mask]]:
        """Of each class whether it is there and how surely it is said to be, over some rows.

        The rows are those of which it is known. Of yes and no the class is yes.
        """
        everywhere = np.ones(len(self), np.bool_)
        if self.kind == "bool":
            yield TRUTHS[1], self.values == 1, self.logits[:, 0], everywhere
            return
        scores = self.logits if self.kind == "many" else self.chances
        for place, name in enumerate(self.classes):
            if self.known is None:
                yield name, self.values == place, scores[:, place], everywhere
            else:
                here = self.known[:, place] > 0
                yield name, self.values[here, place] > 0, scores[here, place], here


def grade(target: Target, logits: NDArray[np.float32], valid: Mask) -> Graded:
    """The rows that have an answer and that something is said of."""
    rows = np.flatnonzero(target.answered() & valid)
    return Graded(
        target.task,
        target.kind,
        TRUTHS if target.kind == "bool" else target.classes,
        rows,
        np.asarray(target.values[rows]),
        None if target.known is None else np.asarray(target.known[rows]),
        logits[rows],
    )


def grade_all(view: View, said: Said) -> Mapping[str, Graded]:
    """All tasks of a view."""
    return {
        task: grade(target, said.logits[task], said.valid) for task, target in view.targets.items()
    }
