"""Label Studio's tasks in a file: annotations and predictions of each, the flat form made full."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from voyager.errors import InvalidDataError
from voyager.formats.attributes import is_scalar
from voyager.formats.base import parse_json
from voyager.formats.json_stream import Window, stream
from voyager.formats.label_studio.config import Config

Json = dict[str, Any]
_T = TypeVar("_T")

_KINDS = {"dict": "an object", "list": "a list", "str": "text"}
_SIZES = ("original_width", "original_height")
_SHAPES = ("rectangle", "polygon", "ellipse", "keypoint", "brush")
_MIN_FIELDS = frozenset({"annotation_id", "annotator", "created_at", "updated_at", "lead_time"})


@dataclass(frozen=True, slots=True)
class Voice:
    """An annotation or prediction: its results and who gave them when."""

    results: list[Any]
    place: str
    annotator: str | None = None
    time: str | None = None
    model: str | None = None
    """The version of a model, empty where a prediction names none; None for an annotation."""
    score: float | None = None
    verified: bool = False


@dataclass(slots=True)
class Task:
    """One task: its data, what was said of it, and what of it was passed over."""

    data: Json
    voices: list[Voice]
    place: str
    id: int | str | None = None
    extra: Json = field(default_factory=dict)
    cancelled: int = 0
    drafts: int = 0


class TaskFile:
    """A JSON file of tasks, which can be walked again."""

    def __init__(self, path: Path, shown: str, config: Config) -> None:
        self.path = path
        self.shown = shown
        self.config = config

    def tasks(self) -> Iterator[Task]:
        """Every task, in order."""
        for number, value in enumerate(self._values()):
            place = f"tasks[{number}]"
            yield self._task(self.expect(value, dict, place), place)

    def _values(self) -> Iterator[Any]:
        with open(self.path, "rb") as file:
            head = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        if head[:1] != b"[":
            yield parse_json(self.path.read_bytes(), self.shown)
            return
        try:
            for part in stream(self.path):
                assert isinstance(part, Window)
                for element in part.elements:
                    yield self._parsed(bytes(element))
        except InvalidDataError as error:
            if error.path == self.shown:
                raise
            raise InvalidDataError(error.message, path=self.shown, line=error.line) from None

    def _parsed(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidDataError(f"not JSON: {error}", path=self.shown) from None

    def bad(self, message: str) -> InvalidDataError:
        """The error that something is malformed."""
        return InvalidDataError(message, path=self.shown)

    def expect(self, value: Any, kind: type[_T], place: str) -> _T:
        """The value, if it is of a type."""
        if not isinstance(value, kind):
            words = _KINDS.get(kind.__name__, kind.__name__)
            raise self.bad(f"{place}: expected {words}")
        return value

    def _task(self, task: Json, place: str) -> Task:
        if "data" not in task and "annotations" not in task and "completions" not in task:
            return self._flat_task(task, place)
        data = task.get("data", {})
        if isinstance(data, str):
            data = {"image": data}
        found = Task(self.expect(data, dict, f"{place}.data"), [], place, _id_of(task.get("id")))
        for name in ("annotations", "completions"):
            said = self.expect(task.get(name) or [], list, f"{place}.{name}")
            for number, annotation in enumerate(said):
                self._add_annotation(found, annotation, f"{place}.{name}[{number}]")
        said = self.expect(task.get("predictions") or [], list, f"{place}.predictions")
        for number, prediction in enumerate(said):
            found.voices += self._prediction(prediction, f"{place}.predictions[{number}]")
        found.drafts = len(self.expect(task.get("drafts") or [], list, f"{place}.drafts"))
        found.extra = {
            name: value
            for name, value in task.items()
            if name not in _BOOKS and (name != "meta" or value)
        }
        return found

    def _add_annotation(self, task: Task, value: Any, place: str) -> None:
        annotation = self.expect(value, dict, place)
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            task.cancelled += 1
            return
        results = self.expect(annotation.get("result") or [], list, f"{place}.result")
        task.voices.append(
            Voice(
                results,
                place + ".result",
                annotator=_annotator(annotation.get("completed_by")),
                time=_text(annotation.get("updated_at") or annotation.get("created_at")),
                verified=annotation.get("ground_truth") is True,
            )
        )

    def _prediction(self, value: Any, place: str) -> Iterator[Voice]:
        if not isinstance(value, dict):
            return  # a bare number: the id of a prediction that is not in the file
        results = self.expect(value.get("result") or [], list, f"{place}.result")
        score: Any = value.get("score")
        yield Voice(
            results,
            place + ".result",
            time=_text(value.get("created_at")),
            model=_text(value.get("model_version")) or "",
            score=float(score) if _is_number(score) else None,
        )

    # -- the flat form (JSON-MIN, and lists of data to import) -----------------------------------

    def _flat_task(self, task: Json, place: str) -> Task:
        results: list[Json] = []
        data: Json = {}
        for name, value in task.items():
            said = list(self._flat_results(name, value)) if name not in _MIN_FIELDS else []
            if said:
                results += said
            elif name not in _MIN_FIELDS and name != "id":
                data[name] = value
        found = Task(data, [], place, _id_of(task.get("id")))
        if results or "annotation_id" in task:
            annotator, time = _annotator(task.get("annotator")), task.get("updated_at")
            voice = Voice(results, place, annotator=annotator, time=_text(time))
            found.voices.append(voice)
        return found

    def _flat_results(self, name: str, value: Any) -> Iterator[Json]:
        """The results that a field of a flat task stands for; none for a field of its data."""
        control = self.config.controls.get(name)
        for part in value if isinstance(value, list) else [value]:
            shape = _shape_of(part) if isinstance(part, Mapping) else None
            if shape is not None:
                sizes = {
                    key: part[key] for key in ("original_width", "original_height") if key in part
                }
                yield {"from_name": name, "type": shape, "value": dict(part), **sizes}
                continue
            if isinstance(part, Mapping) and "choices" in part:
                yield {"from_name": name, "type": "choices", "value": dict(part)}
                continue
            kind = None if control is None else control.kind
            if kind in ("choices", "textarea", "rating", "number", "taxonomy"):
                key = "text" if kind == "textarea" else kind
                whole = [part] if kind in ("choices", "textarea") else part
                yield {"from_name": name, "type": kind, "value": {key: whole}}


def _shape_of(part: Mapping[str, Any]) -> str | None:
    """The type of a result of which only the value is there."""
    for shape in _SHAPES:
        if f"{shape}labels" in part:
            return f"{shape}labels"
    if "points" in part:
        return "polygon"
    if "rle" in part:
        return "brush"
    if "radiusX" in part:
        return "ellipse"
    return "rectangle" if {"x", "y", "width", "height"} <= part.keys() else None


def _id_of(value: Any) -> int | str | None:
    if isinstance(value, str):
        return value
    return value if type(value) is int and abs(value) < 1 << 63 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and is_scalar(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _annotator(value: Any) -> str | None:
    """Who labeled: an address, a name, or a number."""
    if isinstance(value, dict):
        value = value.get("email") or value.get("username") or value.get("id")
    return str(value) if type(value) in (int, str) and value != "" else None


_BOOKS = frozenset(
    {
        *("id", "data", "annotations", "completions", "predictions", "drafts"),
        *("created_at", "updated_at", "inner_id", "total_annotations", "cancelled_annotations"),
        *("total_predictions", "comment_count", "unresolved_comment_count", "project"),
        *("last_comment_updated_at", "updated_by", "comment_authors", "file_upload", "agreement"),
        *("annotators", "annotations_results", "annotations_ids", "predictions_results"),
        *("predictions_score", "predictions_model_versions", "avg_lead_time", "is_labeled"),
        *(
            "overlap",
            "storage_filename",
            "draft_exists",
            "reviewed",
            "reviewers",
            "reviews_accepted",
        ),
        *("reviews_rejected", "ground_truth", "completed_at", "assignee", "queue", "allow_skip"),
    }
)
"""Fields of a task that say nothing of the image: how the work went."""
