"""The order of training: every row once, the same for all, mixed nearly as by a shuffle."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from voyager.train.order import BLOCK, WINDOW, Order, draw, permute

GOLDEN = [260, 85487, 62363, 8573]
DRAWN = [11155946729393207450, 4006963956679934678]

SIZES = st.integers(1, 3000) | st.sampled_from([BLOCK * WINDOW, BLOCK * WINDOW + 1, 20_000])


@examples(60, deep=600)
@given(count=SIZES, seed=st.integers(0, 2**40), epoch=st.integers(0, 1000))
def test_every_row_stands_at_one_position(count: int, seed: int, epoch: int) -> None:
    rows = Order(count, seed).at(epoch, np.arange(count))
    assert np.array_equal(np.sort(rows), np.arange(count))


@examples(60, deep=600)
@given(count=SIZES, seed=st.integers(0, 99), data=st.data())
def test_a_position_is_answered_by_itself(count: int, seed: int, data: st.DataObject) -> None:
    order = Order(count, seed)
    whole = order.at(1, np.arange(count))
    some = data.draw(st.lists(st.integers(0, count - 1), max_size=20))
    assert order.at(1, np.array(some, np.int64)).tolist() == whole[some].tolist()


@examples(60, deep=600)
@given(count=st.integers(1, 5000), keys=st.lists(st.integers(0, 2**62), min_size=1, max_size=3))
def test_a_permutation_is_one(count: int, keys: list[int]) -> None:
    places = np.arange(count)
    assert np.array_equal(np.sort(permute(places, count, *keys)), places)
    outside = np.arange(count, count + 5)
    assert np.array_equal(permute(outside, count, *keys), outside)


def test_the_order_never_changes_again() -> None:
    """A run of years ago is repeated by these numbers."""
    assert Order(100_000, 7).at(3, np.array([0, 1, 50_000, 99_999])).tolist() == GOLDEN
    assert draw(np.arange(2), 1, 2).tolist() == DRAWN


def test_epochs_and_seeds_differ() -> None:
    places = np.arange(10_000)
    first = Order(10_000, 1).at(0, places)
    for other in (Order(10_000, 1).at(1, places), Order(10_000, 2).at(0, places)):
        assert (first == other).mean() < 0.01


@pytest.mark.parametrize("classes", [10, 100])
def test_batches_are_mixed_though_classes_lie_together(classes: int) -> None:
    """The spread of a class over batches, relative to that of a full shuffle (1), as keys sort."""
    count, batch = 100_000, 256
    labels = np.arange(count) * classes // count
    mixed = labels[Order(count, 1).at(0, np.arange(count))]
    batches = mixed[: count // batch * batch].reshape(-1, batch)
    counts = np.stack([(batches == label).sum(1) for label in range(classes)])
    full = batch / classes * (1 - 1 / classes)
    assert counts.var(axis=1).mean() / full < 1.7


def test_what_a_window_reads_lies_in_blocks() -> None:
    """But for the block that goes over the end of the rows to their beginning."""
    order = Order(100_000, 5)
    rows = np.sort(order.at(0, np.arange(BLOCK * WINDOW)))
    assert 1 + (np.diff(rows) != 1).sum() <= WINDOW + 1


@pytest.mark.parametrize("count", [70, 1000, 20_005])
def test_what_the_end_of_an_epoch_leaves_out_differs(count: int) -> None:
    """Whole batches alone are trained on; over epochs every row is about as often."""
    batch, epochs = 16, 60
    order, seen = Order(count, 3), np.zeros(count, np.int64)
    for epoch in range(epochs):
        seen[order.at(epoch, np.arange(count // batch * batch))] += 1
    left_out = epochs - seen
    expected = epochs * (count % batch) / count
    assert left_out.mean() == pytest.approx(expected)
    assert left_out.max() <= expected + 5 * expected**0.5 + 2
    assert left_out.var() <= 1.5 * expected


def test_neighbours_differ_from_epoch_to_epoch() -> None:
    """Blocks begin elsewhere, and the short one at the end is one of other rows."""
    count = 100
    begins = {int(np.argsort(Order(count, 1).at(epoch, np.arange(count)))[0]) for epoch in range(9)}
    assert len(begins) > 5
    ends = [frozenset(Order(count, 1).at(epoch, np.arange(96, 100)).tolist()) for epoch in range(9)]
    assert len(set(ends)) == 9
