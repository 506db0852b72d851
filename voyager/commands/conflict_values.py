"""What the text after `vgr resolve --value` means to a field in conflict."""

from __future__ import annotations

import json
from typing import Any

from voyager.commands.labels import meta_value
from voyager.errors import InvalidDataError, UsageError
from voyager.merge.conflict_json import value_from_json
from voyager.merge.conflicts import Standing
from voyager.repo.assignments import read_value
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Box, Label
from voyager.schema.fields import decode_field, parse_path, region_of
from voyager.schema.label_edit import Voice, say
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import Vocabulary

_PLAIN = ("meta", "attrs", "extra")
_NUMBERS = 4


def value_of_text(vocabulary: Vocabulary, one: Standing, text: str) -> Any:
    """The value; JSON where it begins so, else a class, four numbers of a box, or plain.

    UsageError for what the field cannot have.
    """
    try:
        return _value(vocabulary, one, text)
    except (InvalidDataError, BadValueError) as error:
        raise UsageError(f"--value: {error.message}", hint=f"vgr conflicts {one.name}") from None


def _value(vocabulary: Vocabulary, one: Standing, text: str) -> Any:
    if text.startswith(("{", "[", '"')) or text == "null":
        try:
            said = json.loads(text)
        except ValueError as error:
            raise UsageError(f"--value is no JSON: {error}") from None
        return value_from_json(one.space, one.path, said, vocabulary)
    if one.space != SAMPLES:
        return value_from_json(one.space, one.path, meta_value(text), vocabulary)
    parts = parse_path(one.path)
    if region_of(one.path) is not None:
        parts = parts[2:]
    if parts[:1] == ("labels",):
        return _label(vocabulary, one, parts, text)
    if parts[:1] == ("geometries",):
        return _box(text)
    if parts[:1] and (parts[0] in _PLAIN or parts[0] == "score"):
        return value_from_json(one.space, one.path, meta_value(text), vocabulary)
    return value_from_json(one.space, one.path, text, vocabulary)


def _label(vocabulary: Vocabulary, one: Standing, parts: tuple[str, ...], text: str) -> Label:
    """A label that says something: one of the sides' where it says just that."""
    task, source = parts[1], parts[2]
    if task in vocabulary.tasks:
        new = say(task, read_value(vocabulary, task, text), Voice(source))
    else:
        new = Label(task=task, value=text, source=source)
    for term in one.options:
        label = decode_field(one.path, term)
        if label is not None and (label.node, label.value) == (new.node, new.value):
            return label if isinstance(label, Label) else new
    return new


def _box(text: str) -> Box:
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != _NUMBERS:
        raise UsageError(
            f"'{text}' is no box: X0,Y0,X1,Y1", hint="other shapes as JSON: '{\"type\": …}'"
        )
    return Box(*numbers)
