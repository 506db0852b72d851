"""Measures against numbers worked out by hand and by the long way round, and the laws they keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from examples import examples
from graded_rows import bools, graded_rows, many, numbers, one
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voyager.train.calibration import calibrate
from voyager.train.class_scores import class_scores, confused, confusion
from voyager.train.graded import Graded
from voyager.train.intervals import (
    Figure,
    balanced,
    determination,
    draw_measures,
    draw_rows,
    figure,
    generator_of,
    mean_error,
    mean_precision,
    share,
)
from voyager.train.metrics import average_precision, measure_task
from voyager.train.mistakes import OTHER, mistakes
from voyager.train.retrieval import retrieval
from voyager.train.task_report import figures_of, report

HAND = one(
    [0, 0, 0, 1, 1, 2, -2],
    [[3, 1, 0], [3, 1, 0], [0, 2, 1], [0, 2, 1], [0, 2, 1], [1, 0, 0.5], [0, 0, 4]],
)
"""Three a (two said a, one b), two b (both said b), one c (said a), one of another class."""


def test_one_answer_by_hand() -> None:
    found = measure_task(HAND)
    assert found["count"] == 7
    assert found["unknown"] == 1
    assert found["accuracy"] == pytest.approx(4 / 7)
    # The class that the network does not know counts like any other, with nothing right.
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0 + 0) / 4)
    assert "top5" not in found


def test_classes_by_hand() -> None:
    a, b, c = class_scores(HAND)
    assert (a.count, a.said, a.hits) == (3, 3, 2)
    assert a.precision == a.recall == a.f1 == pytest.approx(2 / 3)
    assert (b.count, b.said, b.hits, b.recall) == (2, 3, 2, 1)
    assert b.f1 == pytest.approx(4 / 5)
    assert (c.count, c.said, c.precision, c.recall, c.f1) == (1, 1, 0, 0, 0)
    assert confusion(HAND).tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0], [0, 0, 1]]
    assert [(pair.true, pair.said, pair.count) for pair in confused(HAND)] == [
        ("a", "b", 1),
        ("c", "a", 1),
    ]


def test_what_is_not_defined_is_not_told() -> None:
    unsaid, said = class_scores(one([0, 0], [[0, 1], [0, 1]]))
    assert (unsaid.precision, unsaid.recall, unsaid.f1) == (None, 0, 0)
    assert (said.precision, said.recall, said.f1) == (0, None, 0)
    assert said.ap is None


def test_the_likeliest_five() -> None:
    logits = [[float(place) for place in range(7)]] * 3
    assert measure_task(one([6, 2, 1], logits))["top5"] == pytest.approx(2 / 3)


def test_many_answers_by_hand() -> None:
    graded = many(
        [[1, 0], [0, 1], [1, 1], [0, 0]],
        [[1, 1], [1, 1], [1, 0], [1, 1]],
        [[2, -1], [1, 1], [-1, 5], [-2, 2]],
    )
    found = measure_task(graded)
    # a: there in rows 0 and 2, ranked 0 1 2 3; b: there in row 1, ranked after row 3.
    assert found["map"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert found["exact"] == pytest.approx(1 / 4)
    first, second = class_scores(graded)
    assert (first.count, first.said, first.hits) == (2, 2, 1)
    assert (second.count, second.said, second.hits) == (1, 2, 1)


def test_numbers_by_hand() -> None:
    found = measure_task(numbers([1, 2, 3], [1, 2, 5]))
    assert found["mae"] == pytest.approx(2 / 3)
    assert found["r2"] == pytest.approx(1 - 4 / 2)
    assert "r2" not in measure_task(numbers([2, 2], [1, 3]))


def test_calibration_by_hand() -> None:
    logit = math.log(9)  # nine times out of ten
    found = calibrate(bools([1, 1, 1, 0], [logit] * 4))
    assert found is not None
    (bar,) = found.bins
    assert (bar.count, bar.right) == (4, 0.75)
    assert bar.sure == pytest.approx(0.9, abs=1e-6)
    assert found.ece == pytest.approx(0.15, abs=1e-6)
    assert found.brier == pytest.approx((3 * 0.01 + 0.81) / 4, abs=1e-6)


def test_the_surest_mistakes_come_first() -> None:
    found = mistakes(HAND, most=9)
    assert [(each.row, each.said, each.true) for each in found] == [
        (6, "c", OTHER),
        (2, "b", "a"),
        (5, "a", "c"),
    ]
    assert found[0].sure == pytest.approx(math.exp(4) / (math.exp(4) + 2))
    far = mistakes(numbers([1, 2, 3], [1, 9, 4]), most=2)
    assert [(each.row, each.said, each.true) for each in far] == [(1, "9", "2"), (2, "4", "3")]
    (missed,) = mistakes(many([[1, 0]], [[1, 1]], [[-3, -1]]), most=5)
    assert (missed.said, missed.true) == ("no a", "a")


# -- laws ------------------------------------------------------------------------------------------


def slow_precision(positive: list[bool], scores: list[float]) -> float:
    """The mean over the positives of how many of those that score at least as much are positive."""
    each = []
    for here, score in zip(positive, scores, strict=True):
        if here:
            above = [yes for yes, other in zip(positive, scores, strict=True) if other >= score]
            each.append(sum(above) / len(above))
    return sum(each) / len(each) if each else math.nan


@examples(100, deep=1000)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=40))
def test_average_precision_is_what_it_says(rows: list[tuple[bool, int]]) -> None:
    positive, scores = (list(column) for column in zip(*rows, strict=True))
    found = average_precision(np.array(positive), np.array(scores, np.float32))
    assert found == pytest.approx(slow_precision(positive, scores), nan_ok=True)


@examples(100, deep=1000)
@given(graded=graded_rows(), seed=st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(graded: Graded, seed: int) -> None:
    mixed = graded.only(np.random.default_rng(seed).permutation(len(graded)))
    assert measure_task(mixed) == pytest.approx(measure_task(graded), rel=1e-6, abs=1e-6)
    assert class_scores(mixed) == pytest.approx(class_scores(graded))
    ours, theirs = calibrate(graded), calibrate(mixed)
    if ours is not None and theirs is not None:
        assert (theirs.ece, theirs.brier) == pytest.approx((ours.ece, ours.brier), nan_ok=True)


@examples(100, deep=1000)
@given(graded=graded_rows(kinds="one bool many"))
def test_shares_are_shares(graded: Graded) -> None:
    found = measure_task(graded)
    shares = [value for name, value in found.items() if name not in ("count", "unknown")]
    for each in class_scores(graded):
        shares += [s for s in (each.precision, each.recall, each.f1, each.ap) if s is not None]
    assert all(0 <= value <= 1 + 1e-9 for value in shares)
    assert sum(confusion(graded).ravel()) == len(graded) if graded.kind != "many" else True


@examples(50, deep=500)
@given(graded=graded_rows())
def test_every_row_drawn_once_gives_the_measure_itself(graded: Graded) -> None:
    once = np.ones((1, len(graded)))
    found = measure_task(graded)
    functions = {
        "ap": mean_precision,
        "map": mean_precision,
        "mae": mean_error,
        "r2": determination,
        "exact": lambda draws, rows: share(draws, rows.right),
        "accuracy": lambda draws, rows: share(draws, rows.right),
        "balanced_accuracy": lambda draws, rows: balanced(draws, rows.values, rows.right),
    }
    for name, value in found.items():
        if name in functions:
            assert functions[name](once, graded)[0] == pytest.approx(value, rel=1e-5, abs=1e-6)


# -- intervals ------------------------------------------------------------------------------------


def test_an_interval_is_that_of_shares() -> None:
    """Of 400 rows, 300 right: 0.75 ± 1.96 · √(0.75 · 0.25 / 400)."""
    graded = one([0] * 400, [[1, 0]] * 300 + [[0, 1]] * 100)
    found = figures_of(graded, "all")["accuracy"]
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - 0.0424, abs=0.006)
    assert found.high == pytest.approx(0.75 + 0.0424, abs=0.006)


def test_an_interval_repeats_and_depends_on_its_name() -> None:
    graded = one([0] * 30, [[1, 0]] * 20 + [[0, 1]] * 10)
    assert figures_of(graded, "all") == figures_of(graded, "all")
    drawn = [draw_measures(graded, generator_of(name))["accuracy"] for name in "ab"]
    assert not np.array_equal(*drawn)


def test_rows_that_are_all_right_are_not_sure_to_stay_so() -> None:
    found = figures_of(one([0, 1] * 5, [[1, 0], [0, 1]] * 5), "all")["accuracy"]
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 10))
    wrong = figures_of(one([0] * 10, [[0, 1]] * 10), "all")["accuracy"]
    assert wrong == (0, 0, pytest.approx(1 - 0.025 ** (1 / 10)))


def test_too_few_draws_say_nothing() -> None:
    assert figure(0.5, np.full(1000, np.nan)) == Figure(0.5)


def test_draws_have_as_many_rows_as_there_are() -> None:
    blocks = list(draw_rows(50, generator_of("rows")))
    assert sum(len(block) for block in blocks) == 1000
    assert all((block.sum(axis=1) == 50).all() for block in blocks)
    few = list(draw_rows(100_000, generator_of("rows"), classes=100))
    assert sum(len(block) for block in few) == 60


# -- retrieval ------------------------------------------------------------------------------------


def slow_retrieval(vectors: NDArray[np.float32], classes: list[int]) -> dict[str, float]:
    found: dict[str, list[float]] = {"recall_1": [], "recall_5": [], "retrieval_map": []}
    for query, label in enumerate(classes):
        others = [row for row in range(len(classes)) if row != query]
        own = [classes[row] == label for row in others]
        if not any(own):
            continue
        scores = [float(np.float32(vectors[query] @ vectors[row])) for row in others]
        found["retrieval_map"].append(slow_precision(own, scores))
        best = max(score for score, yes in zip(scores, own, strict=True) if yes)
        rivals = sum(s >= best and not yes for s, yes in zip(scores, own, strict=True))
        for k in (1, 5):
            found[f"recall_{k}"].append(float(rivals < k))
    return {name: sum(each) / len(each) for name, each in found.items() if each}


@examples(50, deep=500)
@given(classes=st.lists(st.integers(0, 4), min_size=2, max_size=40), seed=st.integers(0, 99))
def test_retrieval_is_what_it_says(classes: list[int], seed: int) -> None:
    directions = np.eye(4, dtype=np.float32)  # many are equally near
    vectors = directions[np.random.default_rng(seed).integers(0, 4, len(classes))]
    found = retrieval(vectors, np.array(classes))
    slow = slow_retrieval(vectors, classes)
    assert {name: found[name] for name in slow} == pytest.approx(slow)
    assert bool(found) == bool(slow)
    order = np.random.default_rng(seed + 1).permutation(len(classes))
    assert retrieval(vectors[order], np.array(classes)[order]) == pytest.approx(found)


def test_vectors_that_are_all_the_same_find_nothing() -> None:
    found = retrieval(np.ones((20, 1), np.float32), np.array([0, 1] * 10))
    assert found["recall_5"] == 0
    assert found["retrieval_map"] == pytest.approx(9 / 19)


def test_a_report_tells_it_all() -> None:
    vectors = np.eye(7, dtype=np.float32)
    found = report(HAND, vectors=vectors, unknown={"hat": 1})
    assert found.measures()["unknown"] == 1
    assert found.measures()["accuracy"] == found.figures["accuracy"].value
    said = found.as_dict()
    assert said["confusion"]["classes"] == ["a", "b", "c"]
    assert said["unknown"] == {"hat": 1}
    assert "retrieval_map" in said["measures"]
    assert "code_recall_1" not in said["measures"]
