"""Balanced sampling: shares are exact, rows of a group come round evenly, positions stand alone."""

from __future__ import annotations

import numpy as np
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from voyager.train.sampling import balanced, by_value

VALUES = st.lists(st.integers(-1, 6), min_size=1, max_size=400).filter(lambda v: max(v) >= 0)


@examples(60, deep=600)
@given(values=VALUES, seed=st.integers(0, 99), count=st.integers(1, 1000))
def test_every_class_has_its_share(values: list[int], seed: int, count: int) -> None:
    labels = np.array(values, np.int64)
    sampling = balanced(by_value(labels), seed, count=count)
    rows = sampling.at(3, np.arange(count))
    present = np.unique(labels[labels >= 0])
    shares = np.array([(labels[rows] == label).sum() for label in present])
    assert np.abs(shares - count / len(present)).max() <= 1
    for label in present.tolist():
        times = np.bincount(rows[labels[rows] == label], minlength=len(labels))
        used = times[labels == label]
        assert used.max() - used.min() <= 1


@examples(60, deep=600)
@given(values=VALUES, data=st.data())
def test_a_position_is_answered_by_itself(values: list[int], data: st.DataObject) -> None:
    sampling = balanced(by_value(np.array(values, np.int64)), 5, count=500)
    whole = sampling.at(1, np.arange(500))
    some = data.draw(st.lists(st.integers(0, 499), max_size=20))
    assert sampling.at(1, np.array(some, np.int64)).tolist() == whole[some].tolist()


def test_groups_have_equal_shares_whatever_their_sizes() -> None:
    groups = [np.arange(10), np.arange(10, 12), np.empty(0, np.int64), np.arange(12, 100)]
    rows = balanced(groups, 1, count=900).at(0, np.arange(900))
    assert (rows < 10).sum() == 300
    assert ((rows >= 10) & (rows < 12)).sum() == 300


def test_laps_and_epochs_have_orders_of_their_own() -> None:
    sampling = balanced([np.arange(50)], 1, count=100)
    first, other = (sampling.at(epoch, np.arange(100)) for epoch in (0, 1))
    assert (first == other).mean() < 0.2
    assert np.bincount(first).tolist() == [2] * 50


def test_a_row_may_be_in_several_groups() -> None:
    sampling = balanced([np.array([0, 1]), np.array([1, 2])], 1)
    assert sampling.count == 3
    assert set(sampling.at(0, np.arange(3)).tolist()) <= {0, 1, 2}
