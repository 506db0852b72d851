"""What the labels of a version answer: the paths, values and classes that its tables hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from msgspec import Raw

from voyager.schema import Label
from voyager.schema.codec import decode_labels
from voyager.schema.task import NO_ANSWER, Answer, Task, answer
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Vocabulary

if TYPE_CHECKING:
    from voyager.schema.taxonomy import Taxonomy

Labels: TypeAlias = Sequence[Label] | Raw
"""The labels of an image or region, or their bytes as a partial decoder leaves them."""

_MOST_REMEMBERED = 100_000


class Answered(NamedTuple):
    """What labels answer: (task, answer) for each task with an answer or a tie, and the classes."""

    given: tuple[tuple[str, Answer], ...] = ()
    classes: tuple[str, ...] = ()
    """The paths of the classes that are answers, each once."""
    numbers: tuple[int, ...] = ()
    """The numbers of these classes and of all above them."""


_NOTHING = Answered()


class TaskColumn(NamedTuple):
    """The column of a task: its name in SQL (no two are equal but for their case) and its type."""

    name: str
    type: str
    task: str


class ClassNumbers(dict[tuple[str, NodeId], tuple[int, ...]]):
    """(task, node) → the numbers of its class and of those above it, counted on first use."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        nodes = [
            (name, node)
            for name, taxonomy in sorted(vocabulary.taxonomies.items())
            for node in taxonomy
        ]
        self.of_node = {node: number for number, node in enumerate(nodes)}
        """(taxonomy, live node) → number."""

    def __missing__(self, key: tuple[str, NodeId]) -> tuple[int, ...]:
        task, node = key
        taxonomy = self._vocabulary.taxonomy_of(task)
        live = None if taxonomy is None else taxonomy.live(node)
        found: tuple[int, ...] = ()
        if taxonomy is not None and live is not None:
            above = [node for node in (live, *taxonomy.above(live)) if node in taxonomy]
            found = tuple(self.of_node[taxonomy.name, node] for node in above)
        self[key] = found
        return found

    def find(self, text: str) -> list[int]:
        """The numbers of the classes that a path, alias or unique name means, in any taxonomy."""
        found = []
        for name, taxonomy in sorted(self._vocabulary.taxonomies.items()):
            node = taxonomy.find(text)
            if node is not None:
                found.append(self.of_node[name, node])
        return found


class Answers:
    """The answers of one version, with what is looked up for every label remembered."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._paths: dict[tuple[str, NodeId], str] = {}
        self._of_one: dict[Any, Answered] = {}
        self._of_bytes: dict[bytes, Answered] = {b"": _NOTHING}

    @cached_property
    def numbers(self) -> ClassNumbers:
        return ClassNumbers(self.vocabulary)

    def of(self, labels: Labels) -> Answered:
        """What the labels of an image or region answer."""
        return self._of_read(read_labels(labels))

    def of_all(self, all_labels: Sequence[Labels]) -> list[Answered]:
        """What those of many images or regions answer; one object for labels of equal bytes."""
        try:
            encoded: list[bytes] = list(map(bytes, all_labels))  # type: ignore[arg-type]
        except TypeError:  # some were read as a whole
            return list(map(self.of, all_labels))
        if len(self._of_bytes) > _MOST_REMEMBERED:
            self._of_bytes = {b"": _NOTHING}
        known = self._of_bytes
        for data in set(encoded) - known.keys():
            known[data] = self._of_read(decode_labels(data))
        return list(map(known.__getitem__, encoded))

    def _of_read(self, labels: Sequence[Label]) -> Answered:
        if len(labels) != 1:
            return self._of_many(labels) if labels else _NOTHING
        label = labels[0]
        said = label.task, label.node, label.value, label.state, label.source
        found = self._of_one.get(said)
        if found is None:
            found = self._of_one[said] = self._of_many(labels)
            if len(self._of_one) > _MOST_REMEMBERED:
                self._of_one.clear()
        return found

    def _of_many(self, labels: Sequence[Label]) -> Answered:
        tasks = self.vocabulary.tasks
        answered = [
            (name, answer(name, tasks.get(name), labels))
            for name in dict.fromkeys([label.task for label in labels])
        ]
        given = tuple((name, found) for name, found in answered if found != NO_ANSWER)
        nodes = {
            (task, label.node)
            for task, found in given
            for label in found.labels
            if label.node is not None
        }
        classes = {self.path(*node) for node in nodes}
        numbers = {number for node in nodes for number in self.numbers[node]}
        return Answered(given, tuple(sorted(classes)), tuple(sorted(numbers)))

    def path(self, task: str, node: NodeId) -> str:
        """The path of a node, its hex where nobody knows it."""
        found = self._paths.get((task, node))
        if found is None:
            found = self.vocabulary.resolve(task, node) or node.hex()
            self._paths[task, node] = found
        return found

    def scope(self, task: str, node: NodeId | None) -> str:
        """What a coverage is about: a task, or a class of it as TASK:PATH."""
        return task if node is None else f"{task}:{self.path(task, node)}"

    def word(self, label: Label) -> str:
        """A label's value as text: a path, a text, a number, yes or no."""
        if label.node is not None:
            return self.path(label.task, label.node)
        return label.value if isinstance(label.value, str) else self.vocabulary.word(label)

    def column(self, answered: Sequence[Answered], column: TaskColumn) -> list[Any]:
        """The values of a task's column."""
        values: list[Any] = [None] * len(answered)
        for at, answers in enumerate(answered):
            for task, given in answers.given:
                if task == column.task and given.labels:
                    values[at] = self._value(given, column.type)
        return values

    def _value(self, given: Answer, type_: str) -> Any:
        if type_.endswith("[]"):
            items = [self._scalar(label, type_[:-2]) for label in given.labels]
            return [item for item in items if item is not None]
        if len(given.labels) == 1:
            return self._scalar(given.labels[0], type_)
        texts = sorted(given.labels, key=lambda label: label.ordinal or 0)
        return self._joined(texts) if type_ == "VARCHAR" else None

    def _joined(self, texts: Sequence[Label]) -> str:
        """Several texts of one task as one."""
        return "\n".join(map(self.word, texts))

    def _scalar(self, label: Label, type_: str) -> Any:
        if type_ == "VARCHAR":
            return self.word(label)
        wanted = bool if type_ == "BOOLEAN" else float
        return label.value if isinstance(label.value, wanted) else None


def read_labels(labels: Labels) -> Sequence[Label]:
    """Labels that may be undecoded."""
    return decode_labels(bytes(labels)) if isinstance(labels, Raw) else labels


def task_columns(vocabulary: Vocabulary, scope: str) -> list[TaskColumn]:
    """The columns of the tasks that are asked of images, or of regions."""
    tasks = {name: task for name, task in vocabulary.tasks.items() if task.scope in ("both", scope)}
    names = distinct_names(sorted(tasks))
    return [TaskColumn(names[name], _type_of(task), name) for name, task in sorted(tasks.items())]


def _type_of(task: Task) -> str:
    scalar = {"number": "DOUBLE", "bool": "BOOLEAN"}.get(task.kind, "VARCHAR")
    return scalar + "[]" * task.many


def distinct_names(names: Iterable[str]) -> dict[str, str]:
    """Each name and what it is called in SQL, where `Color` and `color` are one name."""
    called: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        sql, number = name, 1
        while sql.lower() in taken:
            number += 1
            sql = f"{name}_{number}"
        taken.add(sql.lower())
        called[name] = sql
    return called


def known_classes(taxonomies: Iterable[Taxonomy]) -> list[str]:
    """Paths and names of all classes, for near misses."""
    found: set[str] = set()
    for taxonomy in taxonomies:
        for node in taxonomy:
            found.update((taxonomy.nodes[node].name, taxonomy.path(node) or ""))
    return sorted(found - {""})
