"""Measures of two runs, each evaluated at its own commit, side by side."""

from __future__ import annotations

from voyager.commands.runs_difference import measures_of
from voyager.train.record import Record


def record(**metrics: dict[str, dict[str, float]]) -> Record:
    places = {name.replace("_", "@", 1): value for name, value in metrics.items()}
    return Record(run="r" * 10, commit="c" * 64, state="finished", metrics=places)


def test_one_evaluation_of_a_split_is_called_by_the_split() -> None:
    said = {"task": {"accuracy": 0.5}}
    found = measures_of(record(val=said, test_0123456789ab=said))
    assert found == {("val", "task", "accuracy"): 0.5, ("test", "task", "accuracy"): 0.5}


def test_several_are_told_apart_by_their_commits() -> None:
    said = {"task": {"accuracy": 0.5}}
    found = measures_of(record(test_0123456789ab=said, test_ba9876543210=said))
    assert {where for where, _, _ in found} == {"test@0123456789ab", "test@ba9876543210"}


def test_what_was_asked_about_stays() -> None:
    said = {"task": {"accuracy": 0.5}}
    found = measures_of(record(**{"test_0123456789ab where has('hat')": said}))
    assert {where for where, _, _ in found} == {"test where has('hat')"}
