"""Tasks: what their fields may be, skeletons, answers, and attributes that become one."""

from __future__ import annotations

from typing import Any

import pytest

from voyager.schema import BadValueError, Image, Label, Region, Sample, node_id
from voyager.schema.promote import Promotion
from voyager.schema.relabel import relabeled, without_task
from voyager.schema.skeleton import (
    skeleton_from_json,
    skeleton_from_names,
    skeleton_to_json,
)
from voyager.schema.task import DEFAULT_POLICY, Skeleton, Task, answer, check_task_name

RED, BLUE = (node_id("color", name) for name in ("red", "blue"))
NAMES = ["nose", "left-eye", "right-eye"]


def label(node: bytes = RED, source: str = "human", **fields: Any) -> Label:
    return Label(task="color", node=node, source=source, **fields)


# -- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "text", "taxonomy": "color"},
        {"kind": "category"},
        {"taxonomy": "color", "answer": ("bob",)},
        {"taxonomy": "color", "answer": ("human:",)},
    ],
)
def test_what_no_task_is(fields: dict[str, Any]) -> None:
    with pytest.raises(BadValueError):
        Task(**fields)


def test_the_default_policy_is_left_out() -> None:
    task = Task(taxonomy="color", answer=DEFAULT_POLICY)
    assert (task.answer, task.policy) == ((), DEFAULT_POLICY)
    assert task == Task(taxonomy="color")
    assert Task(taxonomy="color", answer=("model:a",)).policy == ("model:a",)


@pytest.mark.parametrize("name", ["a", "color", "größe", "a.b-c_9"])
def test_names(name: str) -> None:
    assert check_task_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "a:b", "a=b", "a b", "_a", "a.", "x" * 101, "a/b"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(BadValueError, match="cannot name a task"):
        check_task_name(name)


# -- skeletons ------------------------------------------------------------------------------------


def test_a_skeleton_by_names() -> None:
    found = skeleton_from_names(NAMES, edges=["nose-left-eye"], flips=["left-eye-right-eye"])
    assert found == Skeleton(names=tuple(NAMES), edges=((0, 1),), flips=((1, 2),))
    assert skeleton_from_json(skeleton_to_json(found)) == found


def test_a_skeleton_of_coco_counts_from_one() -> None:
    category = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]}
    assert skeleton_from_json(category).edges == ((0, 1), (0, 2))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "a JSON object with names"),
        ({"edges": []}, "wants names"),
        ({"names": ["a"], "bones": []}, "no field 'bones'"),
        ({"names": []}, "a list of words"),
        ({"names": ["a", "a"]}, "'a' stands there twice"),
        ({"names": ["a", "b"], "edges": [[0, 2]]}, "2 is no keypoint"),
        ({"names": ["a", "b"], "edges": [["a", "c"]]}, "'c' is no keypoint"),
        ({"names": ["a", "b"], "flips": [[0]]}, "expected pairs"),
        ({"names": ["a", "b"], "sigmas": [0.1]}, "one for each name"),
        ({"names": ["a"], "sigmas": [float("nan")]}, "sigmas"),
        ({"keypoints": ["a"], "skeleton": [[0, 1]]}, "0 is no keypoint"),
        ({"keypoints": ["a"], "skeleton": 3}, "expected a list"),
        ({"keypoints": ["a"], "skeleton": [3]}, "expected pairs"),
        ({"keypoints": ["a"], "skeleton": [["a", "b"]]}, "edges"),
    ],
)
def test_what_no_skeleton_is(value: Any, message: str) -> None:
    with pytest.raises(BadValueError, match=message):
        skeleton_from_json(value)


def test_an_edge_between_unknown_names() -> None:
    with pytest.raises(BadValueError, match="'nose-mouth' is not two keypoints"):
        skeleton_from_names(NAMES, edges=["nose-mouth"])


# -- answers --------------------------------------------------------------------------------------

ONE = Task(taxonomy="color")
MANY = Task(taxonomy="color", many=True)


def answered(task: Task | None, *labels: Label) -> list[bytes | None]:
    return [one.node for one in answer("color", task, labels).labels]


def test_the_best_voice_answers() -> None:
    said = (label(BLUE, "model:a"), label(RED, "import"))
    assert answered(ONE, *said) == [RED]
    assert answered(ONE, *said, label(BLUE)) == [BLUE]
    assert answered(ONE, label(RED, state="verified"), label(BLUE, "human:bo")) == [RED]
    assert answered(Task(taxonomy="color", answer=("model:a",)), *said) == [BLUE]
    assert answered(Task(taxonomy="color", answer=("human",)), *said) == []


def test_what_is_proposed_or_rejected_answers_nothing() -> None:
    assert answered(ONE, label(state="proposed")) == []
    assert answered(ONE, label(state="rejected"), label(BLUE, "model")) == [BLUE]


def test_a_tie_is_a_disagreement() -> None:
    found = answer("color", ONE, [label(RED, "human:a"), label(BLUE, "human:b")])
    assert (found.labels, len(found.disagree)) == ((), 2)
    assert answered(ONE, label(RED, "human:a"), label(RED, "human:b")) == [RED]
    assert answered(MANY, label(RED, "human:a"), label(BLUE, "human:b")) == [RED, BLUE]


def test_texts_are_told_apart_by_ordinal() -> None:
    texts = [Label(task="t", value=text, ordinal=at) for at, text in enumerate("ab")]
    assert [one.value for one in answer("t", Task(kind="text"), texts).labels] == ["a", "b"]


# -- samples whose classes go ---------------------------------------------------------------------


def sample(*labels: Label, **fields: Any) -> Sample:
    region = Region(id=bytes(16), geometries={}, labels=labels)
    return Sample(uid=bytes(16), image=Image(uri="x"), labels=labels, regions=(region,), **fields)


def test_relabeled() -> None:
    before = sample(
        label(RED),
        label(BLUE),
        label(RED, "model"),
        negatives={"color": (RED, BLUE), "other": (RED,)},
        coverage={f"color:{RED.hex()}": "exhaustive", "color": "partial"},
    )
    after = relabeled(before, frozenset([RED]), BLUE)
    assert after.labels == (label(BLUE), label(BLUE, "model"))
    assert after.regions[0].labels == after.labels
    assert after.negatives == {"color": (BLUE,)}
    assert after.coverage == {"color": "partial"}


def test_without_a_task() -> None:
    note = Label(task="note", value="x")
    before = sample(label(), note, negatives={"color": (RED,)}, coverage={"color": "partial"})
    assert without_task(before, "color") == sample(note)


# -- attributes that become a task ----------------------------------------------------------------


def promoted(task: Task, value: Any) -> tuple[list[Any], list[str]]:
    classes: list[str] = []

    def category(name: str) -> bytes:
        classes.append(name)
        return node_id("t", name)

    promotion = Promotion("a", "t", task, category)
    region = Region(id=bytes(16), geometries={}, attrs={"a": value, "b": 1})
    after = promotion.promote(
        Sample(uid=bytes(16), image=Image(uri="x"), regions=(region,))
    ).regions[0]
    fits = not promotion.left
    assert after.attrs == ({"b": 1} if fits else {"a": value, "b": 1})
    assert promotion.labels == len(after.labels)
    said = [one.value for one in after.labels] if task.kind != "category" else classes
    return said, list(promotion.left)


TEXTS, NUMBERS, BOOLS = (Task(kind=kind) for kind in ("text", "number", "bool"))


@pytest.mark.parametrize(
    ("task", "value", "said", "left"),
    [
        (ONE, "red", ["red"], []),
        (ONE, True, ["true"], []),
        (ONE, 2.5, ["2.5"], []),
        (ONE, ["red"], ["red"], []),
        (ONE, ["red", "blue"], [], ["['red', 'blue']"]),
        (MANY, ["red", "blue", "red"], ["red", "blue"], []),
        (MANY, ["red", " "], [], ["['red', ' ']"]),
        (TEXTS, "so", ["so"], []),
        (NUMBERS, "2.5", [2.5], []),
        (NUMBERS, 3, [3.0], []),
        (NUMBERS, True, [], ["True"]),
        (NUMBERS, "inf", [], ["inf"]),
        (NUMBERS, "many", [], ["many"]),
        (BOOLS, "Yes", [True], []),
        (BOOLS, 0, [False], []),
        (BOOLS, "maybe", [], ["maybe"]),
    ],
)
def test_promotion(task: Task, value: Any, said: list[Any], left: list[str]) -> None:
    assert promoted(task, value) == (said, left)


def test_a_label_that_is_there_is_not_said_twice() -> None:
    same = Label(task="t", value=True)
    region = Region(id=bytes(16), geometries={}, attrs={"a": True}, labels=(same,))
    promotion = Promotion("a", "t", BOOLS, lambda name: b"")
    before = Sample(uid=bytes(16), image=Image(uri="x"), regions=(region,))
    after = promotion.promote(before)
    assert after.regions[0].labels == (same,)
    assert promotion.promote(after) is after
