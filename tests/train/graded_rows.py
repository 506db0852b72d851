"""Rows with answers and what is said of them, without a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from voyager.train.graded import TRUTHS, Graded


def one(values: list[int], logits: list[list[float]]) -> Graded:
    """Rows of a task with one answer; -2 is an answer that is none of the classes."""
    outputs = len(logits[0])
    return _graded("one", tuple("abcdefghij"[:outputs]), np.array(values, np.int32), logits)


def bools(values: list[int], logits: list[float]) -> Graded:
    """Rows of a task of yes and no."""
    return _graded("bool", TRUTHS, np.array(values, np.int32), [[each] for each in logits])


def numbers(values: list[float], said: list[float]) -> Graded:
    """Rows of a task of numbers."""
    return _graded("number", (), np.array(values, np.float32), [[each] for each in said])


def many(values: list[list[int]], known: list[list[int]], logits: list[list[float]]) -> Graded:
    """Rows of a task with any number of answers."""
    classes = tuple("abcdefghij"[: len(logits[0])])
    return _graded("many", classes, np.array(values, np.uint8), logits, np.array(known, np.uint8))


def _graded(
    kind: str,
    classes: tuple[str, ...],
    values: NDArray[Any],
    logits: list[Any],
    known: NDArray[np.uint8] | None = None,
) -> Graded:
    rows = np.arange(len(values), dtype=np.int64)
    return Graded("task", kind, classes, rows, values, known, np.array(logits, np.float32))


@st.composite
def graded_rows(draw: st.DrawFn, *, kinds: str = "one bool many number") -> Graded:
    """Rows of any kind of task; scores are often equal."""
    kind = draw(st.sampled_from(kinds.split()))
    count = draw(st.integers(1, 30))
    scores = st.integers(-4, 4).map(lambda n: n / 2)

    def rows(one: st.SearchStrategy[Any]) -> list[Any]:
        found: list[Any] = draw(st.lists(one, min_size=count, max_size=count))
        return found

    if kind == "bool":
        return bools(rows(st.integers(0, 1)), rows(scores))
    if kind == "number":
        return numbers(rows(scores), rows(scores))
    classes = draw(st.integers(2, 7))
    outputs = st.lists(scores, min_size=classes, max_size=classes)
    if kind == "one":
        places = st.integers(0, classes - 1) | st.just(-2)
        return one(rows(places), rows(outputs))
    bits = st.lists(st.integers(0, 1), min_size=classes, max_size=classes)
    return many(rows(bits), rows(bits), rows(outputs))
