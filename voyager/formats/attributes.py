"""Attributes in formats that have texts for them, and labels of other tasks as attributes.

A writer puts the answers of the other tasks beside the attributes of a region, under the task's
name. A reader that meets the name of such a task makes a label of the value again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from voyager.formats.reading import Reading
from voyager.formats.writing import Writing
from voyager.schema import Label
from voyager.schema.sample import MetaValue
from voyager.schema.task import Task

JOINT = "|"
"""Between the answers of a task that may have several, in formats whose attributes are texts."""

_MOST = 1 << 63
_TRUE = ("true", "yes", "1")
_FALSE = ("false", "no", "0")


def answers_of_others(writing: Writing, labels: tuple[Label, ...]) -> dict[str, MetaValue]:
    """Task → what it is answered with, for all tasks but the exported one."""
    found: dict[str, MetaValue] = {}
    for name in sorted({label.task for label in labels} - {writing.task}):
        words = [_word(writing, label) for label in writing.vocabulary.answer(name, labels).labels]
        said = [word for word in words if word is not None]
        if len(said) == 1:
            found[name] = said[0]
        elif said:
            found[name] = [word for word in said if not isinstance(word, list)]
    return found


def _word(writing: Writing, label: Label) -> MetaValue | None:
    if label.node is None:
        return label.value
    return writing.vocabulary.class_name(label.task, label.node)


def with_answers(
    writing: Writing, values: Mapping[str, MetaValue], labels: tuple[Label, ...], place: str
) -> dict[str, MetaValue]:
    """Attributes together with the answers of other tasks, which win where a name is the same."""
    answers = answers_of_others(writing, labels)
    for name in answers.keys() & values.keys():
        if answers[name] != values[name]:
            writing.report.add("lost", "an attribute has the name of a task", f"{place}: {name}")
    return {**values, **answers}


def labels_among(
    reading: Reading,
    values: Mapping[str, MetaValue],
    scope: Literal["image", "region"],
    **fields: Any,
) -> tuple[dict[str, MetaValue], list[Label]]:
    """Attributes parted into those that stay and labels of the tasks whose names they have.

    `fields` (a source, say) are for the labels.
    """
    kept: dict[str, MetaValue] = {}
    labels: list[Label] = []
    for name, value in values.items():
        task = reading.draft.tasks.get(name) if name != reading.task else None
        said = _labels_of(reading, name, task, value, fields) if _takes(task, scope) else None
        if said is None:
            kept[name] = value
        else:
            labels += said
    return kept, labels


def _takes(task: Task | None, scope: Literal["image", "region"]) -> bool:
    return task is not None and task.asks(scope)


def _labels_of(
    reading: Reading, name: str, task: Task | None, value: MetaValue, fields: Mapping[str, Any]
) -> list[Label] | None:
    """The labels that a value means, None when the task cannot have it."""
    assert task is not None
    if task.kind == "category":
        words = split_words(value, many=task.many)
        nodes = (reading.category(word, task=name) for word in words)
        return [reading.label(node, task=name, **fields) for node in nodes]
    plain = plain_value(task.kind, value)
    return None if plain is None else [reading.label(task=name, value=plain, **fields)]


def split_words(value: MetaValue, *, many: bool) -> Iterable[str]:
    """The class names in a value: several of a task that may have them."""
    if isinstance(value, list):
        parts = [str(part) for part in value]
    else:
        parts = str(value).split(JOINT) if many else [str(value)]
    return [part.strip() for part in parts if part.strip()]


def plain_value(kind: str, value: MetaValue) -> str | float | bool | None:
    """A value as text, number or bool tasks have it; None when it is none."""
    if isinstance(value, list):
        return None
    if kind == "text":
        return str(value)
    if kind == "bool":
        word = str(value).lower()
        return True if word in _TRUE else False if word in _FALSE else None
    try:
        return float(value)
    except ValueError:
        return None


# -- values as texts that say their type ----------------------------------------------------------


def parse_value(text: str) -> MetaValue | None:
    """A cell of our own: JSON where it is a number, true, false, a text in quotes or a list."""
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if is_meta(value) else text


def value_text(value: MetaValue) -> str:
    """The cell of a value: JSON, but for texts that cannot be taken for it."""
    if isinstance(value, str) and value and parse_value(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def is_meta(value: Any) -> bool:
    """Whether a value can stand in meta and attributes."""
    if isinstance(value, list):
        return all(map(is_scalar, value))
    return is_scalar(value)


def is_scalar(value: Any) -> bool:
    """Whether it can and is no list."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -_MOST <= value < _MOST
    return isinstance(value, str)


def storable(value: Any) -> Any:
    """A value of JSON as `extra` can keep it: numbers that no row can hold become texts."""
    if isinstance(value, dict):
        return {str(name): storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value if value is None or is_scalar(value) else str(value)
