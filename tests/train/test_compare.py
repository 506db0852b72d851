"""Two runs on the same rows: exact tests, paired intervals, what cannot be compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from examples import examples
from graded_rows import graded_rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voyager.errors import UsageError
from voyager.train.compare import compare, mcnemar
from voyager.train.evaluate import Evaluation
from voyager.train.graded import Graded, grade_all
from voyager.train.said import Said
from voyager.train.view import Target, View

NODES = {name: bytes([number]) * 16 for number, name in enumerate("abcdef", 1)}


def asked(
    classes: str,
    values: list[int],
    guesses: list[int],
    *,
    uids: list[int] | None = None,
    kind: Any = "one",
    scope: Any = "image",
    task: str = "task",
) -> Evaluation:
    """A network that knows some classes and says these places of them."""
    count = len(values)
    target = Target(
        task,
        kind,
        tuple(classes),
        tuple(NODES[name] for name in classes),
        np.array(values, np.int32),
    )
    logits = np.full((count, max(len(classes), 1)), -1, np.float32)
    logits[np.arange(count), guesses] = 1
    return _evaluation(target, logits, uids or list(range(count)), scope)


def many(
    classes: str, values: list[list[int]], logits: list[list[float]], known: list[list[int]]
) -> Evaluation:
    target = Target(
        "task",
        "many",
        tuple(classes),
        tuple(NODES[name] for name in classes),
        np.array(values, np.uint8),
        np.array(known, np.uint8),
    )
    return _evaluation(target, np.array(logits, np.float32), list(range(len(values))), "image")


def _evaluation(
    target: Target, logits: NDArray[np.float32], uids: list[int], scope: Any
) -> Evaluation:
    count = len(uids)
    keys = [f"{uid:02}.jpg".encode() for uid in uids]
    view = View(
        commit=bytes(32),
        scope=scope,
        split="test",
        blobs=np.zeros((count, 32), np.uint8),
        uids=np.array([[uid] * 15 + [0] for uid in uids], np.uint8),
        sizes=np.full((count, 2), 10, np.int32),
        orientations=np.ones(count, np.uint8),
        key_ends=np.cumsum([len(key) for key in keys], dtype=np.int64),
        key_bytes=np.frombuffer(b"".join(keys), np.uint8),
        regions=None,
        boxes=None,
        targets={target.task: target},
        skipped={},
    )
    said = Said({target.task: logits}, np.ones(count, np.bool_))
    return Evaluation(view, said, grade_all(view, said), {})


# -- McNemar --------------------------------------------------------------------------------------


def binomial(gained: int, lost: int) -> float:
    """The two-sided test of a fair coin, with whole numbers."""
    count, least = gained + lost, min(gained, lost)
    return min(1.0, 2 * sum(math.comb(count, at) for at in range(least + 1)) / 2**count)


@examples(100, deep=1000)
@given(st.integers(0, 300), st.integers(0, 300))
def test_the_test_is_exact(gained: int, lost: int) -> None:
    assert mcnemar(gained, lost) == pytest.approx(binomial(gained, lost), rel=1e-6)
    assert mcnemar(gained, lost) == mcnemar(lost, gained)


def test_the_test_by_hand() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert mcnemar(6, 0) == pytest.approx(2 / 64)
    assert mcnemar(9, 1) == pytest.approx(2 * 11 / 1024)


# -- comparing -------------------------------------------------------------------------------------


def test_what_one_gets_right_and_the_other_does_not() -> None:
    values = [0, 0, 0, 1, 1, 1]
    first = asked("ab", values, [0, 0, 1, 1, 0, 0])
    other = asked("ab", values, [0, 1, 0, 1, 1, 0])
    (found,) = compare(first, other)
    assert [first.view.key(row) for row in found.gained] == ["02.jpg", "04.jpg"]
    assert [first.view.key(row) for row in found.lost] == ["01.jpg"]
    by_name = {one.measure: one for one in found.differences}
    accuracy = by_name["accuracy"]
    assert (accuracy.first, accuracy.other) == (pytest.approx(3 / 6), pytest.approx(4 / 6))
    assert accuracy.difference.value == pytest.approx(1 / 6)
    assert accuracy.p == pytest.approx(binomial(2, 1))
    assert found.as_dict(first.view)["gained"] == ["02.jpg", "04.jpg"]


def test_classes_in_another_order_are_the_same_classes() -> None:
    first = asked("ab", [0, 1, 1], [0, 1, 0])
    other = asked("ba", [1, 0, 0], [1, 0, 1])
    (found,) = compare(first, other)
    assert [one.difference.value for one in found.differences] == [0, 0]
    assert not len(found.gained)
    assert not len(found.lost)
    assert found.left_out == 0


def test_rows_are_the_same_samples_whatever_their_order() -> None:
    first = asked("ab", [0, 1, 1], [0, 1, 0], uids=[1, 2, 3])
    other = asked("ab", [1, 1, 0], [1, 1, 0], uids=[3, 2, 1])
    (found,) = compare(first, other)
    assert [first.view.key(row) for row in found.gained] == ["03.jpg"]
    assert found.count == 3


def test_only_answers_that_both_know_are_compared() -> None:
    first = asked("ab", [0, 1, -2, 0], [0, 1, 0, 0])
    other = asked("abc", [0, 1, 2, 0], [0, 1, 2, 2])
    (found,) = compare(first, other)
    assert (found.count, found.left_out) == (3, 1)
    assert (found.only_first, found.only_other) == ((), ("c",))
    # It says c of a row that is a, which is wrong whatever the other one knows.
    assert found.lost.tolist() == [3]


def test_many_answers_are_compared_in_the_classes_that_both_know() -> None:
    values, known = [[1, 0], [0, 1], [1, 1], [0, 0]], [[1, 1]] * 4
    first = many("ab", values, [[1, -1], [-1, 1], [1, 1], [-1, -1]], known)
    turned = [[b, 1, a] for a, b in values]
    logits = [[-1.0, 0, 1], [1, 0, -1], [1, 0, 1], [-1, 0, -1]]
    other = many("bca", turned, logits, [[1, 1, 1]] * 4)
    (found,) = compare(first, other)
    assert found.classes == ("a", "b")
    assert {one.measure: one.difference.value for one in found.differences} == {
        "map": 0,
        "exact": 0,
    }


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (asked("cd", [0], [0]), "know 0 classes alike"),
        (asked("bc", [0], [0]), "know 1 classes alike"),
        (asked("ab", [0], [0], task="other"), "no task in common: task and other"),
        (asked("", [0], [0], kind="bool"), "wants one in one run and bool in the other"),
        (asked("ab", [0], [0], scope="region"), "one run looks at images, the other at regions"),
        (asked("ab", [0], [0], uids=[9]), "no row has an answer"),
    ],
)
def test_what_cannot_be_compared_is_refused(other: Evaluation, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compare(asked("ab", [0], [0]), other)


@examples(40, deep=400)
@given(graded=graded_rows())
def test_a_run_is_as_good_as_itself(graded: Graded) -> None:
    target = Target(
        "task",
        graded.kind,  # type: ignore[arg-type]
        graded.classes if graded.kind != "bool" else (),
        tuple(bytes([place]) * 16 for place in range(len(graded.classes))),
        graded.values,
        graded.known,
    )
    same = _evaluation(target, graded.logits, list(range(len(graded))), "image")
    try:
        (found,) = compare(same, same)
    except UsageError:
        return  # nothing is known of any row
    for one in found.differences:
        assert one.difference.value == 0
        assert one.p == 1
        assert one.difference.low in (None, 0)


def test_better_by_far_is_no_chance() -> None:
    values = [0, 1] * 40
    bad = asked("ab", values, [0] * 80)
    good = asked("ab", values, [0, 1] * 38 + [1, 0] * 2)
    (found,) = compare(bad, good)
    for one in found.differences:
        assert one.p < 0.01
        assert one.difference.low is not None
        assert one.difference.low > 0.2
