"""Tasks: the questions asked of samples and regions, and the answers that their labels give."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, field
from msgspec.structs import force_setattr

from voyager.schema.sample import Label, Part
from voyager.schema.values import (
    EMPTY,
    BadValueError,
    Finite,
    Id16,
    as_floats,
    as_tuple,
)

TaskKind: TypeAlias = Literal["category", "text", "number", "bool"]
TaskScope: TypeAlias = Literal["image", "region", "both"]
Overlap: TypeAlias = Literal["allowed", "forbidden", "partition"]

DEFAULT_POLICY: Final = ("verified-human", "human", "import", "model")
"""Whose labels answer a task, the first that has any; `verified-` asks for that state."""

_TASK_NAME = re.compile(r"[^\W\d_][\w.-]{0,98}\w|[^\W\d_]")
_VOICE = re.compile(r"(?:verified-)?(?:human|import|model)(?::.+)?")
_Index = Annotated[int, Meta(ge=0)]


class Skeleton(Part, frozen=True, kw_only=True):
    """The keypoints of a task: their names in order, edges and flip pairs by index, OKS sigmas."""

    edges: tuple[tuple[_Index, _Index], ...] = field(default=(), name="e")
    flips: tuple[tuple[_Index, _Index], ...] = field(default=(), name="f")
    names: tuple[str, ...] = field(name="n")
    sigmas: tuple[Finite, ...] = field(default=(), name="s")

    def _settle(self) -> None:
        force_setattr(self, "names", as_tuple(self.names, "names"))
        for name in ("edges", "flips"):
            pairs = tuple(tuple(pair) for pair in as_tuple(getattr(self, name), name))
            if any(len(pair) != 2 or max(pair) >= len(self.names) for pair in pairs):
                raise BadValueError(f"{name}: expected pairs of places in the list of names")
            force_setattr(self, name, pairs or ())
        sigmas = as_floats(self.sigmas, "sigmas")
        if sigmas and len(sigmas) != len(self.names):
            raise BadValueError("sigmas: expected one for each name")
        force_setattr(self, "sigmas", sigmas or ())


class Task(Part, frozen=True, kw_only=True):
    """What is asked; its name is the key of the row (spec 9.8)."""

    applies_to: Id16 | None = field(default=None, name="a")
    """Asked only of things of this class or one below it."""
    description: str = field(default="", name="d")
    skeleton: Skeleton | None = field(default=None, name="e")
    kind: TaskKind = field(default="category", name="k")
    many: bool = field(default=False, name="m")
    """Whether one source may give several answers."""
    overlap: Overlap = field(default="allowed", name="o")
    ordered: bool = field(default=False, name="r")
    scope: TaskScope = field(default="both", name="s")
    taxonomy: str | None = field(default=None, name="t")
    answer: tuple[str, ...] = field(default=(), name="w")
    """The answer policy; empty for DEFAULT_POLICY."""
    extra: dict[str, Any] = field(default=EMPTY, name="x")

    def _settle(self) -> None:
        if (self.kind == "category") != (self.taxonomy is not None):
            raise BadValueError("taxonomy: a category task has one, and no other task")
        for word in as_tuple(self.answer, "answer"):
            if not isinstance(word, str) or _VOICE.fullmatch(word) is None:
                raise BadValueError(f"answer: {word!r} is not [verified-]KIND[:NAME]")
        answer = tuple(self.answer)
        force_setattr(self, "answer", () if answer == DEFAULT_POLICY else answer or ())
        if not self.extra:
            force_setattr(self, "extra", EMPTY)
        for name, default in (("kind", "category"), ("overlap", "allowed"), ("scope", "both")):
            if getattr(self, name) == default:  # the encoder leaves a default out by identity
                force_setattr(self, name, default)

    @property
    def policy(self) -> tuple[str, ...]:
        """Whose labels answer the task, in order of rank."""
        return self.answer or DEFAULT_POLICY

    def asks(self, scope: Literal["image", "region"]) -> bool:
        """Whether the task is asked of images, or of regions."""
        return self.scope in ("both", scope)


def is_task_name(name: str) -> bool:
    """Whether a name would do in `name=value` and SQL."""
    return _TASK_NAME.fullmatch(name) is not None


def check_task_name(name: str) -> str:
    """The name of a task; BadValueError for one that would not do in `name=value` and SQL."""
    if not is_task_name(name):
        raise BadValueError(
            f"'{name}' cannot name a task: a letter, then letters, digits and _ . -"
        )
    return name


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task's policy makes of labels: those that answer, or a tie between sources.

    `labels` is empty without an answer; `disagree` holds the labels of a tie.
    """

    labels: tuple[Label, ...] = ()
    disagree: tuple[Label, ...] = ()

    @property
    def label(self) -> Label | None:
        """The answer of a one-answer task."""
        return self.labels[0] if self.labels else None


NO_ANSWER: Final = Answer()


def answer(name: str, task: Task | None, labels: Iterable[Label]) -> Answer:
    """The answer of a task (None: one with all defaults) among the labels of a sample or region.

    Labels that are rejected or only proposed answer nothing. Of the first voice of the policy that
    said anything, a one-answer task takes what all its sources agree on; a many-answer task takes
    all that is said.
    """
    said = [
        label
        for label in labels
        if label.task == name and label.state not in ("rejected", "proposed")
    ]
    if not said:
        return NO_ANSWER
    many = task is not None and task.many
    if len(said) == 1:
        return Answer((said[0],)) if _heard(task, said[0]) else NO_ANSWER
    for voice in DEFAULT_POLICY if task is None else task.policy:
        heard = [label for label in said if _speaks(voice, label)]
        if heard:
            return _of_one_voice(heard, many=many)
    return NO_ANSWER


def _of_one_voice(heard: list[Label], *, many: bool) -> Answer:
    by_value: dict[Any, Label] = {}
    for label in heard:
        by_value.setdefault((label.node, label.value, label.ordinal, label.language), label)
    if many or len(by_value) == 1:
        return Answer(tuple(by_value.values()))
    if all(label.node is None and label.ordinal is not None for label in heard):
        return Answer(tuple(by_value.values()))  # several texts of one task, told apart by ordinal
    return Answer(disagree=tuple(by_value.values()))


def _heard(task: Task | None, label: Label) -> bool:
    if task is None or not task.answer:
        return True  # the default policy hears every kind of source
    return any(_speaks(voice, label) for voice in task.answer)


def _speaks(voice: str, label: Label) -> bool:
    """Whether a label is of a voice of the policy: `[verified-]kind[:name]`."""
    wanted = voice.removeprefix("verified-")
    if wanted != voice and label.state != "verified":
        return False
    return label.source == wanted or label.source.startswith(wanted + ":")
