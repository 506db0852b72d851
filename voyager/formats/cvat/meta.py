"""What the <meta> of a CVAT file says: labels with their attributes, skeletons, tasks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

from voyager.schema.sample import Scalar

FRAMES: Final = "vgr_frames"
"""Our element of a task that lists its frames."""

_INTEGER = re.compile(r"[+-]?\d{1,15}")
_NODE = re.compile(r"<[^>]*data-node-id[^>]*>")
_EDGE = re.compile(r"<[^>]*data-node-from[^>]*>")
_STEP = re.compile(r"step\s*=\s*(\d{1,9})")
_NUMBERS = re.compile(r"\b\d{1,9}\b")
_MOST_FRAMES = 10_000_000


@dataclass(slots=True)
class LabelMeta:
    """One label: `attributes` maps a name to its type (checkbox, number, text, select, radio)."""

    name: str
    extra: dict[str, Any]
    attributes: dict[str, str]
    parent: str | None = None
    svg: str = ""


@dataclass(slots=True)
class TaskMeta:
    """One task: its frames from start to stop by step, the size of its video."""

    name: str = ""
    subset: str | None = None
    video: bool = False
    start: int = 0
    stop: int | None = None
    step: int = 1
    width: int | None = None
    height: int | None = None
    listed: frozenset[int] = frozenset()
    """The frames that are samples even without a shape, where we wrote the file."""

    def frames(self) -> range:
        """Its frames, none where it does not say how many they are."""
        if self.stop is None or self.stop - self.start > _MOST_FRAMES * self.step:
            return range(0)
        return range(self.start, self.stop + 1, self.step)


@dataclass(slots=True)
class Meta:
    """The whole of it; a task that has no id is under ""."""

    labels: dict[str, LabelMeta] = field(default_factory=dict)
    tasks: dict[str, TaskMeta] = field(default_factory=dict)
    project: bool = False
    source: str = ""

    def task(self, task_id: str | None) -> TaskMeta:
        """The task of an id, else the only one."""
        found = self.tasks.get(task_id or "")
        if found is None and len(self.tasks) == 1:
            found = next(iter(self.tasks.values()))
        return found or TaskMeta()

    def skeletons(self) -> dict[str, list[str]]:
        """Label → names of the points of its skeleton, in order."""
        found: dict[str, list[str]] = {}
        for label in self.labels.values():
            if label.parent is not None:
                found.setdefault(label.parent, []).append(label.name.rpartition("\0")[2])
        return found

    def edges(self, label: str) -> Iterator[tuple[str, str]]:
        """Pairs of points of a label's skeleton that a line joins in its drawing."""
        svg = self.labels[label].svg if label in self.labels else ""
        names = {_drawn(node, "data-node-id"): node for node in _NODE.findall(svg)}
        for edge in _EDGE.findall(svg):
            ends = [names.get(_drawn(edge, f"data-node-{end}"), "") for end in ("from", "to")]
            first, second = (_drawn(node, "data-label-name") for node in ends)
            if first and second:
                yield first, second


def _drawn(element: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', element)
    return found[1] if found else ""


def read_meta(element: Element) -> Meta:
    """The meta of a file."""
    meta = Meta(source=_text(element, "source"))
    for owner in element:
        if owner.tag not in ("task", "project", "job"):
            continue
        meta.project = owner.tag == "project"
        for label in owner.iterfind("labels/label"):
            found = _label(label)
            key = found.name if found.parent is None else f"{found.parent}\0{found.name}"
            found.name = key
            meta.labels[key] = found
        tasks = owner.findall("tasks/task") if meta.project else [owner]
        meta.tasks.update({_text(task, "id"): _task(task) for task in tasks})
    return meta


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _label(element: Element) -> LabelMeta:
    attributes = list(map(_attribute, element.iterfind("attributes/attribute")))
    extra: dict[str, Any] = {
        name: _text(element, name) for name in ("color", "type") if _text(element, name)
    }
    if attributes:
        extra["attributes"] = attributes
    return LabelMeta(
        name=element.findtext("name") or "",
        extra=extra,
        attributes={found["name"]: found.get("input_type", "text") for found in attributes},
        parent=element.findtext("parent") or None,
        svg=element.findtext("svg") or "",
    )


def _attribute(element: Element) -> dict[str, str]:
    fields = {"name": element.findtext("name") or ""}
    for name in ("mutable", "input_type", "default_value", "values"):
        text = element.findtext(name)
        if text is not None:
            fields[name] = text
    return fields


def _task(element: Element) -> TaskMeta:
    start, stop = _whole(element, "start_frame"), _whole(element, "stop_frame")
    step = _STEP.search(element.findtext("frame_filter") or "")
    return TaskMeta(
        name=_text(element, "name"),
        subset=_text(element, "subset") or None,
        video=_text(element, "mode") == "interpolation",
        start=start or 0,
        stop=stop,
        step=max(int(step[1]), 1) if step else 1,
        width=_whole(element, "original_size/width") or None,
        height=_whole(element, "original_size/height") or None,
        listed=frozenset(map(int, _NUMBERS.findall(_text(element, FRAMES)))),
    )


def _whole(element: Element, path: str) -> int | None:
    text = _text(element, path)
    return int(text) if re.fullmatch(r"\d{1,9}", text) else None


def typed(text: str, kind: str) -> Scalar:
    """An attribute's text as its type has it: a bool, a number, else the text."""
    if kind == "checkbox" and text.strip().lower() in ("true", "false"):
        return text.strip().lower() == "true"
    if kind == "number":
        if _INTEGER.fullmatch(text.strip()):
            return int(text)
        try:
            number = float(text)
        except ValueError:
            return text
        return number if math.isfinite(number) else text
    return text
