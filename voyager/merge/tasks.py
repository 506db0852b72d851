"""Merging tasks, field by field."""

from __future__ import annotations

from collections.abc import Sequence

from voyager import wire
from voyager.merge.terms import Rules, stand_off
from voyager.schema.conflict import ABSENT, Terms
from voyager.schema.task import Task
from voyager.schema.vocabulary_fields import TASK, read_part
from voyager.schema.vocabulary_rows import encode_task

_BOUND = ("kind", "taxonomy")
_BOTH = wire.encode("both")


def _decide(path: str, new: bool, _before: bytes, values: Sequence[bytes]) -> bytes | None:
    """A task that one side made for images and another for regions is asked of both."""
    return _BOTH if path == "scope" and new and len(set(values)) > 1 else None


def _bind(first: Task, changes: dict[str, bytes], conflicts: dict[str, Terms]) -> None:
    """Hold kind and taxonomy together where they no longer go together."""
    own = {path: read_part(first, path) for path in _BOUND}
    kind, taxonomy = (changes.get(path, own[path]) for path in _BOUND)
    if (wire.decode(kind) == "category") == (taxonomy != ABSENT):
        return
    for path in _BOUND:
        if path in changes:
            conflicts.setdefault(path, stand_off(own[path], changes.pop(path)))


def _join(merged: Task, _base: Task | None, _sides: Sequence[Task]) -> Task:
    return merged


TASKS: Rules[Task] = Rules(
    whole=TASK,
    encode=encode_task,
    decide=_decide,
    bind=_bind,
    join=_join,
    optional=frozenset({"applies_to", "skeleton", "taxonomy", "extra", "unknown"}),
)
