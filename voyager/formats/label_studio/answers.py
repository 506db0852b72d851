"""Results that are labels: whose they are, which task they answer, with what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from voyager.formats.attributes import is_scalar, parse_value, plain_value
from voyager.formats.label_studio.config import Config
from voyager.formats.label_studio.shapes import SHAPES
from voyager.formats.label_studio.tasks import Json, TaskFile, Voice
from voyager.formats.reading import Reading
from voyager.schema import FLAGS, Label
from voyager.schema.sample import MetaValue, State

ATTR: Final = "attr."
FLAG_CONTROL: Final = "flags"
ON_REGIONS: Final = ".region"
"""Ends the name of a control for regions where images have one of the same task."""

_WORDS = ("choices", "taxonomy", "rating", "number", "textarea", "datetime")


@dataclass(slots=True)
class Survey:
    """What a first walk over all tasks found: who speaks, which controls there are."""

    annotators: set[str] = field(default_factory=set)
    draws: bool = False
    choices: set[str] = field(default_factory=set)
    points: list[str] = field(default_factory=list)

    def add(self, voice: Voice) -> None:
        """Look at an annotation or prediction."""
        if voice.annotator is not None:
            self.annotators.add(voice.annotator)
        shapes = {r.get("id"): r for r in voice.results if is_shape(r)}
        self.draws = self.draws or bool(shapes)
        for result in voice.results:
            if not isinstance(result, dict):
                continue
            name = str(result.get("from_name"))
            if result.get("type") in ("choices", "taxonomy") and result.get("id") not in shapes:
                self.choices.add(name)
            parent = result.get("parentID")
            if kind_of(result) == "keypoint" and isinstance(parent, str) and parent in shapes:
                words = [word for word in class_words(result) if word not in self.points]
                self.points += words[:1]


def kind_of(result: Any) -> str:
    """The kind of shape of a result, or its type where it is none."""
    if not isinstance(result, dict):
        return ""
    return str(result.get("type", "")).lower().removesuffix("labels")


def is_shape(result: Any) -> bool:
    return kind_of(result) in SHAPES


def class_words(result: Json) -> list[str]:
    """The classes that a result gives its shape."""
    value = result.get("value")
    words = value.get(str(result.get("type", "")).lower()) if isinstance(value, dict) else None
    return [word for word in words if isinstance(word, str)] if isinstance(words, list) else []


def task_name(text: str) -> str:
    """The name of a control as one of a task."""
    word = re.sub(r"[^\w.-]+", "_", text).strip("_.-")[:90]
    return word if word[:1].isalpha() else f"task_{word}".rstrip("_.-")


class Answers:
    """Makes labels of results, for all tasks of a file."""

    def __init__(self, reading: Reading, file: TaskFile, survey: Survey) -> None:
        self.reading = reading
        self.file = file
        self.config: Config = file.config
        self.survey = survey
        self._several = len(survey.annotators) > 1

    def place_of(self, result: Json) -> str:
        """Where a result stands, for reports."""
        return f"{self.file.shown}: {result['~place']}"

    # -- who speaks ------------------------------------------------------------------------------

    def source_of(self, voice: Voice) -> str:
        """The source of what a voice says."""
        if voice.model is not None:
            return f"model:{voice.model}" if voice.model else "model"
        if self._several and voice.annotator is not None:
            return f"human:{voice.annotator}"
        return self.reading.source

    def said(self, voice: Voice) -> dict[str, Any]:
        """Source, state and origin of a voice's labels, as far as they are not the default."""
        found: dict[str, Any] = {}
        source = self.source_of(voice)
        if source != self.reading.source:
            found["source"] = source
        state = _state_of(voice)
        if state != "accepted":
            found["state"] = state
        return found

    # -- labels ----------------------------------------------------------------------------------

    def class_label(self, voice: Voice, word: str, task: str | None = None) -> Label:
        node = self.reading.category(word, task=task)
        return self.reading.label(node, task=task, **self.said(voice))

    def note_many(self, labels: list[Label]) -> None:
        """Note that one voice gives several answers of a task."""
        tasks = [label.task for label in labels]
        for name in {task for task in tasks if tasks.count(task) > 1}:
            task = self.reading.draft.tasks[name]
            if not task.many:
                self.reading.draft.put_task(name, task.replace(many=True))

    def beside(
        self, voice: Voice, result: Json, attrs: dict[str, MetaValue], flags: list[str]
    ) -> list[Label]:
        """What is said of a shape: labels of further tasks, attributes, flags."""
        name = str(result.get("from_name", ""))
        words = result["value"].get("choices")
        if name == FLAG_CONTROL and isinstance(words, list) and {*map(str, words)} <= {*FLAGS}:
            flags += words
            return []
        texts = result["value"].get("text")
        if name.startswith(ATTR) and texts:
            value = parse_value(str(texts[0] if isinstance(texts, list) else texts))
            if value is not None:
                attrs[name.removeprefix(ATTR)] = value
            return []
        if str(result.get("type", "")).lower().endswith("labels"):
            found = class_words(result)
            only = not any(control.draws for control in self.config.controls.values())
            task = None if only and result.get("type") == "labels" else task_name(name)
            if task is not None and task != self.reading.task:
                self.reading.define(task, scope="region")
            return [self.class_label(voice, word, task) for word in found]
        return self.labels_of(voice, result, "region")

    def labels_of(
        self, voice: Voice, result: Json, scope: Literal["image", "region"]
    ) -> list[Label]:
        """The labels of a result that is no shape."""
        kind = str(result.get("type", "")).lower()
        name = str(result.get("from_name", "")).removesuffix(ON_REGIONS)
        if kind not in _WORDS:
            self.reading.report.add("lost", f"a result of type {kind!r}", self.place_of(result))
            return []
        if kind in ("choices", "taxonomy"):
            return self._categories(voice, result, kind, name, scope)
        labels = self._values(voice, result, kind, name, scope)
        self.note_many(labels)
        return labels

    def _categories(
        self, voice: Voice, result: Json, kind: str, name: str, scope: Literal["image", "region"]
    ) -> list[Label]:
        said = result["value"].get(kind)
        place = f"{result['~place']}.value.{kind}"
        words = [said] if isinstance(said, str) else self.file.expect(said, list, place)
        task = self._task_of(name, scope)
        control = self.config.controls.get(str(result.get("from_name", "")))
        if control is not None and control.asks_yes_or_no and task not in self.reading.draft.tasks:
            self.reading.define(task, scope=scope, kind="bool")
        known = self.reading.draft.tasks.get(task)
        if known is not None and known.kind != "category":
            values = [plain_value(known.kind, str(word)) for word in words]
            return [self._plain(voice, task, value) for value in values if value is not None]
        self.reading.define(task, scope=scope)
        for word, fields in control.classes.items() if control is not None else ():
            if word.strip():
                self.reading.category(word, task=task, extra=extra_of(fields))
        labels = [self._word_label(voice, task, word, place) for word in words]
        found = [label for label in labels if label is not None]
        self.note_many(found)
        return found

    def _word_label(self, voice: Voice, task: str, word: Any, place: str) -> Label | None:
        """The label of a choice, or of a path of a taxonomy."""
        path = word if isinstance(word, list) else [word]
        if not path or not all(isinstance(name, str) for name in path):
            raise self.file.bad(f"{place}: expected texts")
        names = [name for name in path if name.strip()]
        if not names:
            return None
        if len(names) == 1:
            return self.class_label(voice, names[0], task)
        taxonomy = self.reading.draft.tasks[task].taxonomy
        assert taxonomy is not None
        node = self.reading.draft.mint(taxonomy, names)
        return self.reading.label(node, task=task, **self.said(voice))

    def _task_of(self, name: str, scope: str) -> str:
        """The task that a control of choices asks: the import's own where it is the only one."""
        task = task_name(name) if name else self.reading.task
        if task in self.reading.draft.tasks or task == self.reading.task:
            return task
        alone = scope == "image" and not self.survey.draws and len(self.survey.choices) == 1
        return self.reading.task if alone else task

    def _values(
        self, voice: Voice, result: Json, kind: str, name: str, scope: Literal["image", "region"]
    ) -> list[Label]:
        key = "text" if kind == "textarea" else kind
        said = result["value"].get(key)
        values = said if isinstance(said, list) else [said]
        number = kind in ("rating", "number")
        wanted = "number" if number else "text"
        task = task_name(name or kind)
        known = self.reading.draft.tasks.get(task)
        if task == self.reading.task or (known is not None and known.kind != wanted):
            task = f"{task}_{wanted}"
        self.reading.define(task, scope=scope, kind=wanted)
        found = []
        for place, value in enumerate(values):
            if not isinstance(value, (int, float) if number else str) or isinstance(value, bool):
                raise self.file.bad(f"{result['~place']}.value.{key}: expected {wanted}")
            if not is_scalar(value):
                self.reading.report.add("lost", "a number is not finite", self.place_of(result))
                continue
            ordinal = {"ordinal": place} if len(values) > 1 else {}
            found.append(self._plain(voice, task, value, **ordinal))
        return found

    def _plain(self, voice: Voice, task: str, value: Any, **fields: Any) -> Label:
        return self.reading.label(task=task, value=value, **fields, **self.said(voice))


def _state_of(voice: Voice) -> State:
    if voice.model is not None:
        return "proposed"
    return "verified" if voice.verified else "accepted"


def extra_of(said: Mapping[str, Any]) -> Json:
    return {name: text for name, text in said.items() if name not in ("model_index", "selected")}
