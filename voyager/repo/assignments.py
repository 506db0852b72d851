"""Words like `category=furniture/chair` and `color+=red`, as assignments of labels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple, cast

from voyager.errors import NotFoundError, UsageError
from voyager.schema.fields import label_slot
from voyager.schema.label_edit import Assignment, Operator, Value, Voice, assignment
from voyager.schema.task import Task
from voyager.schema.taxonomy import NodeId, Taxonomy, split_path
from voyager.schema.vocabulary import Draft, Vocabulary

_WORD = re.compile(r"([^\W\d_](?:[\w.-]*\w)?)(\+=|-=|=)(.*)", re.DOTALL)
_MOST_NAMED = 4
_BOOLS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class Word(NamedTuple):
    """`task`, operator and text of an assignment."""

    task: str
    operator: Operator
    text: str


def parse_word(text: str) -> Word | None:
    """The parts of `task=text`, `task+=text` or `task-=text`; None for what is no assignment."""
    found = _WORD.fullmatch(text)
    return None if found is None else Word(found[1], cast(Operator, found[2]), found[3])


def part_words(
    words: Sequence[str],
    tasks: Mapping[str, Task],
    *,
    is_key: Callable[[str], bool],
    after_dashes: Sequence[str] | None = None,
) -> tuple[list[str], list[Word]]:
    """Keys, and the assignments that follow them.

    Assignments begin at the first word whose left side is a task; words after `--` are all
    assignments. NotFoundError for the task of one that nobody defined, UsageError for a word among
    them that is none.
    """
    end = len(words) - len(after_dashes) if after_dashes is not None else 0
    if after_dashes is None:
        while end < len(words) and not _begins(words[end], tasks, is_key):
            end += 1
    return list(words[:end]), [_assigning(word, tasks) for word in words[end:]]


def _begins(text: str, tasks: Mapping[str, Task], is_key: Callable[[str], bool]) -> bool:
    word = parse_word(text)
    return word is not None and (word.task in tasks or not is_key(text))


def _assigning(text: str, tasks: Mapping[str, Task]) -> Word:
    word = parse_word(text)
    if word is None:
        raise UsageError(
            f"'{text}' is no assignment", hint="keys come first, then TASK=CLASS, TASK+= or TASK-="
        )
    known_task(tasks, word.task)
    return word


def known_task(tasks: Mapping[str, Task], name: str) -> Task:
    """The task of a name; NotFoundError with the nearest name, or how to make it."""
    if name not in tasks:
        near = get_close_matches(name, tasks, 1)
        hint = f"did you mean '{near[0]}'? Else vgr task add {name}" if near else None
        raise NotFoundError(f"no task '{name}'", hint=hint or f"vgr task add {name}")
    return tasks[name]


def read_assignments(
    draft: Draft, words: Iterable[Word], voice: Voice, *, create: bool = False
) -> list[Assignment]:
    """Words as assignments; several `=` of one task are one. `create` mints classes not yet there.

    Raises NotFoundError for an unknown class, UsageError for a value that the task cannot take.
    """
    gathered: dict[tuple[str, Operator], list[Value]] = {}
    for task, operator, text in words:
        values = gathered.setdefault((task, operator), [])
        if text:
            values.append(read_value(draft, task, text, create=create and operator != "-="))
        elif operator != "=":
            raise UsageError(f"'{task}{operator}' says no value", hint=f"{task}= removes all")
    for (task, operator), values in gathered.items():
        _refuse_mixture(draft, task, operator, values, gathered)
    return [
        assignment(task, operator, values, voice, heirs_of(draft, task))
        for (task, operator), values in gathered.items()
    ]


def written_paths(assignments: Iterable[Assignment]) -> Iterator[tuple[str, ...]]:
    """The parts of the paths that assignments write: all of a task and source, or single values."""
    for item in assignments:
        head = ("labels", item.task, item.voice.source)
        if item.operator == "=":
            yield head
        for label in () if item.operator == "=" else item.said:
            yield ("labels", *label_slot(label, many=True))


def _refuse_mixture(
    draft: Draft,
    task: str,
    operator: Operator,
    values: Sequence[Value],
    gathered: Mapping[tuple[str, Operator], object],
) -> None:
    if operator == "=" and any((task, other) in gathered for other in ("+=", "-=")):
        raise UsageError(f"'{task}=' sets everything: it goes with no {task}+= or {task}-=")
    if operator != "-=" and len(set(values)) > 1 and not draft.tasks[task].many:
        raise UsageError(
            f"task '{task}' takes one answer, not {len(set(values))}",
            hint=f"vgr task set {task} --many",
        )


def read_value(
    vocabulary: Vocabulary, task: str, text: str, *, create: bool | None = None
) -> Value:
    """What a text means to a task: a node, a number, a bool, or the text.

    `create` mints a class that is not there, in a vocabulary that is a Draft; None means that
    nobody can ask for that. Raises as `read_assignments`.
    """
    known = known_task(vocabulary.tasks, task)
    if known.kind == "category":
        return _read_node(vocabulary, task, text, create=create)
    if known.kind == "number":
        return _read_number(task, text)
    if known.kind == "bool":
        if text.lower() not in _BOOLS:
            raise UsageError(f"task '{task}' takes yes or no, not '{text}'")
        return _BOOLS[text.lower()]
    return text


def _read_number(task: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"task '{task}' takes a number, not '{text}'")
    return number


def _read_node(vocabulary: Vocabulary, task: str, text: str, *, create: bool | None) -> bytes:
    name = vocabulary.tasks[task].taxonomy or task
    taxonomy = vocabulary.taxonomies.get(name)
    found = None if taxonomy is None else taxonomy.find(text)
    if found is not None:
        return found
    if create and isinstance(vocabulary, Draft):
        names = split_path(text)
        return vocabulary.mint(name, names[1:] if names[0] == name and names[1:] else names)
    called = [] if taxonomy is None else _called(taxonomy, text)
    if len(called) > 1:
        raise UsageError(
            f"'{text}' names {len(called)} classes of task '{task}'",
            hint=" or ".join(f"'{path}'" for path in called[:_MOST_NAMED]),
        )
    hint = _class_hint(taxonomy, name, text) + ("" if create is None else ", or --create")
    raise NotFoundError(f"task '{task}' has no class '{text}'", hint=hint)


def _called(taxonomy: Taxonomy, name: str) -> list[str]:
    """The paths of all classes of a name."""
    named = (node for node in taxonomy if taxonomy.nodes[node].name == name)
    return sorted(path for path in map(taxonomy.path, named) if path is not None)


def _class_hint(taxonomy: Taxonomy | None, name: str, text: str) -> str:
    """The class that was meant, if one is near, and how to make it."""
    rest = text.removeprefix(name + "/")
    make = f"vgr taxonomy mkdir '{name}/{rest}'"
    known: dict[str, str] = {}
    for node in taxonomy or ():
        path = taxonomy.path(node) or "" if taxonomy is not None else ""
        known.setdefault(path.rpartition("/")[2].lower(), path)
        known[path.lower()] = path
    near = get_close_matches(rest.lower(), known, 1)
    return f"did you mean '{known[near[0]]}'? Else {make}" if near else make


def heirs_of(vocabulary: Vocabulary, task: str) -> dict[NodeId, NodeId]:
    """Each class of a task that was merged away, and the class that it is now."""
    taxonomy = vocabulary.taxonomy_of(task)
    merged = () if taxonomy is None else taxonomy.nodes.items()
    found = ((key, taxonomy.live(key)) for key, node in merged if node.redirect and taxonomy)
    return {key: heir for key, heir in found if heir is not None}


def meanings(vocabulary: Vocabulary, task: str, nodes: Iterable[NodeId]) -> set[NodeId]:
    """Classes of a task, and all that were merged into them."""
    wanted = set(nodes)
    return wanted.union(dead for dead, heir in heirs_of(vocabulary, task).items() if heir in wanted)


def check_value(vocabulary: Vocabulary, task: str, value: object) -> Value:
    """A value from Python as a label may say it: text is resolved, a bool or number must fit.

    Raises as `read_value`.
    """
    known = known_task(vocabulary.tasks, task)
    if known.kind == "category":
        if isinstance(value, bytes):
            return _live_node(vocabulary, task, value)
        if isinstance(value, str):
            return _read_node(vocabulary, task, value, create=None)
    elif known.kind == "bool" and isinstance(value, bool):
        return value
    elif known.kind == "number" and isinstance(value, (int, float)) and type(value) is not bool:
        return _read_number(task, str(value))
    elif known.kind == "text" and isinstance(value, str):
        return value
    kinds = {"category": "a class", "bool": "True or False", "number": "a number", "text": "text"}
    raise UsageError(f"task '{task}' takes {kinds[known.kind]}, not {value!r}")


def _live_node(vocabulary: Vocabulary, task: str, node: bytes) -> bytes:
    taxonomy = vocabulary.taxonomy_of(task)
    live = None if taxonomy is None else taxonomy.live(node)
    if live is None:
        raise NotFoundError(f"task '{task}' has no class with the id {node.hex()}")
    return live
