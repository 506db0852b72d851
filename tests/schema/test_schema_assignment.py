"""Optimal assignment against brute force."""

from __future__ import annotations

import time
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voyager.schema.assignment import assign

Scores = np.ndarray[Any, Any]


def best_sum(scores: Scores, threshold: float) -> float:
    """The highest sum over all ways to pair."""
    if scores.shape[0] > scores.shape[1]:
        scores = scores.T
    worth = np.where(scores >= threshold, scores, 0.0)
    rows, columns = worth.shape
    return max(
        sum(worth[row, column] for row, column in enumerate(chosen))
        for chosen in permutations(range(columns), rows)
    )


@st.composite
def matrices(draw: st.DrawFn) -> Scores:
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    cell = draw(
        st.sampled_from([st.sampled_from([0.0, 0.5, 0.75, 1.0]), st.floats(0, 1, width=16)])
    )
    cells = draw(st.lists(cell, min_size=rows * columns, max_size=rows * columns))
    return np.array(cells).reshape(rows, columns)


@given(matrices(), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_no_other_pairing_sums_higher(scores: Scores, threshold: float) -> None:
    pairs = assign(scores, threshold)
    assert pairs == sorted(pairs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(scores[pair] >= threshold for pair in pairs)
    total = sum(scores[pair] for pair in pairs)
    assert total == pytest.approx(best_sum(scores, threshold))
    assert assign(scores.copy(order="F"), threshold) == pairs


@given(matrices())
def test_turned_over_it_sums_to_the_same(scores: Scores) -> None:
    pairs, turned = assign(scores, 0.5), assign(scores.T, 0.5)
    assert sum(scores[pair] for pair in pairs) == pytest.approx(
        sum(scores.T[pair] for pair in turned)
    )


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (5, 3), (3, 5), (1, 1)])
def test_equals_are_paired_in_order(rows: int, columns: int) -> None:
    pairs = [(n, n) for n in range(min(rows, columns))]
    assert assign(np.ones((rows, columns)), 0.7) == pairs


def test_the_greatest_pair_may_be_given_up_for_the_sum() -> None:
    scores = np.array([[0.9, 0.8], [0.85, 0.1]])
    assert assign(scores, 0.5) == [(0, 1), (1, 0)]
    assert assign(scores, 0.82) == [(0, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_pairs_with_nothing(shape: tuple[int, int]) -> None:
    assert assign(np.zeros(shape), 0.0) == []


def test_what_is_no_number_is_never_paired() -> None:
    assert assign(np.array([[np.nan, 0.9], [0.8, np.nan]]), 0.5) == [(0, 1), (1, 0)]


def test_many_small_groups_and_one_large() -> None:
    scores = np.eye(300) * 0.9
    assert assign(scores, 0.5) == [(n, n) for n in range(300)]
    scores[:40, :40] = np.random.default_rng(0).random((40, 40))
    pairs = assign(scores, 0.6)
    assert pairs[-260:] == [(n, n) for n in range(40, 300)]


def test_five_hundred_by_five_hundred_takes_less_than_a_second() -> None:
    scores = np.random.default_rng(1).random((500, 500))
    began = time.process_time()
    pairs = assign(scores, 0.1)
    assert time.process_time() - began < 1
    # The expected cost of a random assignment is π²/6 (Aldous 2001).
    assert 500 - sum(scores[pair] for pair in pairs) == pytest.approx(np.pi**2 / 6, abs=0.2)
