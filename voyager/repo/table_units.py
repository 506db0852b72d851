"""Units: the columns that are kept of a version's samples, whatever its classes are called.

A unit knows classes by the ids of their nodes, so that a rename of a class touches none. What
depends on how tasks are answered has that in its name (`facet`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from voyager.repo.table_answers import Answers, TaskColumn
from voyager.repo.table_columns import TABLES, TEXT, TEXTS
from voyager.repo.table_plan import META
from voyager.repo.table_rows import SampleRows
from voyager.schema import Label
from voyager.schema.task import DEFAULT_POLICY, Task
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Vocabulary

ROWS: Final = "#"
"""The unit of a table that says how many rows each sample has in it."""

IMAGE_CLASSES, REGION_CLASSES = "image classes", "region classes"
META_NAMES, META_VALUES = "meta names", "meta values"

_NODE, _TEXT, _SCOPE = "n", "t", "s"
"""First letters of what is said: the node of a task, a text as it is, a node with its task."""

_UNIQUE = frozenset(("key", "uid", "region", "blob", "uri", "to_uid", "to_region", "origin_id"))
"""Columns whose texts are all different: codes would only be longer."""

SAID = frozenset(("classes", "negatives", "exhaustive", "value", IMAGE_CLASSES, REGION_CLASSES))
"""Units whose words are said, and mean what the classes of a version are called."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A kept column: `take` gives a value for each row of its table, `needs` the fields it reads.

    `type` is the SQL type of these values; `is_said` of words that stand for classes.
    """

    table: str
    name: str
    type: str
    take: Callable[[Any], Any]
    needs: tuple[str, ...] = ()
    facet: str = ""
    is_said: bool = False

    @property
    def id(self) -> str:
        """What tells it from every other."""
        return json.dumps([self.table, self.name, self.type, self.facet])

    @property
    def is_coded(self) -> bool:
        """Whether its texts are kept as codes."""
        return self.type in (TEXT, TEXTS) and self.name not in _UNIQUE


class NeutralAnswers(Answers):
    """Answers in words that no rename changes: ids of nodes, and texts marked as such."""

    def path(self, task: str, node: NodeId) -> str:
        return f"{_NODE}{task}\0{node.hex()}"

    def scope(self, task: str, node: NodeId | None) -> str:
        return _TEXT + task if node is None else _SCOPE + self.path(task, node)[1:]

    def word(self, label: Label) -> str:
        if label.node is not None:
            return self.path(label.task, label.node)
        return _TEXT + super().word(label)

    def _joined(self, texts: Sequence[Label]) -> str:
        return _TEXT + "\n".join(self.word(label)[1:] for label in texts)

    @property
    def numbers(self) -> Any:
        return _NO_NUMBERS


class _NoNumbers:
    """Numbers of classes, which only a version can give."""

    def __getitem__(self, key: tuple[str, NodeId]) -> tuple[int, ...]:
        return ()


_NO_NUMBERS = _NoNumbers()


def node_of(word: str) -> tuple[str, NodeId] | None:
    """(task, node) of what is said; None for a text."""
    return _parted(word) if word.startswith(_NODE) else None


def _parted(word: str) -> tuple[str, NodeId]:
    task, _, node = word[1:].rpartition("\0")
    return task, bytes.fromhex(node)


def spoken(word: str, vocabulary: Vocabulary) -> str:
    """What is said in the words of a version."""
    if word.startswith(_TEXT):
        return word[1:]
    task, node = _parted(word)
    path = vocabulary.resolve(task, node) or node.hex()
    return f"{task}:{path}" if word.startswith(_SCOPE) else path


def unit_of(table: str, name: str, vocabulary: Vocabulary) -> Unit:
    """The unit of a column of a table, or one that columns are made of."""
    special = _SPECIAL.get((table, name))
    if special is not None:
        return _with_facet(special, vocabulary)
    if name == ROWS:
        return Unit(table, ROWS, "INTEGER", _no_values, (), _facet_of(table, name, vocabulary))
    column = next(column for column in TABLES[table].columns if column.name == name)
    facet = _facet_of(table, name, vocabulary)
    return Unit(table, name, column.type, column.take, column.needs, facet, name in SAID)


def task_unit(table: str, task: TaskColumn, vocabulary: Vocabulary) -> Unit:
    """The unit of the answers to a task."""
    known = vocabulary.tasks[task.task]
    scope = "labels" if table == "samples" else "regions.labels"
    column = TaskColumn(task.name, task.type, task.task)

    def take(rows: Any) -> Any:
        return rows.spread(lambda answered: rows.answers.column(answered, column), column.type)

    facet = json.dumps([known.many, *known.policy])
    is_said = task.type in (TEXT, TEXTS)
    return Unit(table, f"task {task.task}", task.type, take, (scope,), facet, is_said)


def _no_values(_rows: Any) -> list[int]:
    raise AssertionError("how many rows there are is counted while they are read")


def _with_facet(unit: Unit, vocabulary: Vocabulary) -> Unit:
    facet = _facet_of(unit.table, unit.name, vocabulary)
    return Unit(unit.table, unit.name, unit.type, unit.take, unit.needs, facet, unit.is_said)


def _facet_of(table: str, name: str, vocabulary: Vocabulary) -> str:
    """What a unit depends on beside the samples: how tasks are answered."""
    if table != "answers" and name not in ("classes", IMAGE_CLASSES, REGION_CLASSES):
        return ""
    odd = [
        [task, known.many, *known.policy]
        for task, known in sorted(vocabulary.tasks.items())
        if _is_odd(known)
    ]
    return json.dumps(odd)


def _is_odd(task: Task) -> bool:
    """Whether labels answer it otherwise than they answer a task that nobody defined."""
    return task.many or task.policy != DEFAULT_POLICY


def _meta_names(rows: SampleRows) -> list[list[str]]:
    return [
        [name for name, value in sample.meta.items() if value is not None]
        for sample in rows.samples
    ]


def _meta_values(rows: SampleRows) -> list[list[str]]:
    from msgspec.json import encode

    return [
        [encode(value).decode() for value in sample.meta.values() if value is not None]
        for sample in rows.samples
    ]


_SPECIAL: Final[dict[tuple[str, str], Unit]] = {
    ("samples", unit.name): unit
    for unit in (
        Unit(
            "samples",
            IMAGE_CLASSES,
            TEXTS,
            lambda rows: rows.spread(lambda said: [one.classes for one in said], TEXTS),
            ("labels",),
            is_said=True,
        ),
        Unit(
            "samples",
            REGION_CLASSES,
            TEXTS,
            SampleRows.region_classes,
            ("regions.labels",),
            is_said=True,
        ),
        Unit("samples", META_NAMES, TEXTS, _meta_names, (META,)),
        Unit("samples", META_VALUES, TEXTS, _meta_values, (META,)),
    )
}
