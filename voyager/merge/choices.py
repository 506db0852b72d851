"""Which strategy is asked for what: the texts after `-X`, parsed and bound to a vocabulary.

    theirs                     everything
    color=theirs               the labels of a task, and the task and its classes themselves
    category:fashion/shoes=ours  what is of a class or one below it: labels, and regions so labeled
    'kitchen/**=ours'          keys, as a glob, a folder or (with ./ where it has no slash) a key

Keys go before classes, classes before tasks, tasks before everything; of two that are alike the
later one. Nothing chosen is `manual`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from voyager.errors import NotFoundError, UsageError
from voyager.merge.fields import UNDECIDED
from voyager.merge.question import Question, Side, is_label, region_of_side
from voyager.merge.strategies import STRATEGIES
from voyager.merge.vote import vote_on_labels
from voyager.repo.keys import KeyPattern
from voyager.schema import Label
from voyager.schema.conflict import Terms
from voyager.schema.fields import (
    SAMPLE,
    decode_field,
    find_region,
    pair_of,
    region_of,
    region_path,
    task_of,
)
from voyager.schema.task import is_task_name
from voyager.schema.taxonomy import NodeId, Taxonomy
from voyager.schema.taxonomy_paths import not_found
from voyager.schema.vocabulary import Vocabulary

if TYPE_CHECKING:
    from voyager.merge.dispute import Dispute

Kind = Literal["everything", "task", "class", "keys"]
_RANK: Final[dict[Kind, int]] = {"everything": 0, "task": 1, "class": 2, "keys": 3}


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy for some of what may be in conflict: `what` is a task, TASK:CLASS or a pattern."""

    kind: Kind
    what: str
    strategy: str


@dataclass(frozen=True, slots=True)
class Choices:
    """The strategies of one merge, in the order they were given to a command."""

    choices: tuple[Choice, ...]
    command: str = "vgr merge"

    def resolver(self, sides: Sequence[Side], *, standing: bool = False) -> Resolver:
        """What decides conflicts of these sides, ours first.

        `standing` conflicts are left from an earlier merge: then a vote leaves labels alone that
        are in none. UsageError for `theirs` where there are several other sides.
        """
        if len(sides) > 2 and any(choice.strategy == "theirs" for choice in self.choices):
            raise UsageError(
                "'theirs' has no meaning with several other sides", hint=f"{self.command} -X vote"
            )
        return Resolver(self, tuple(sides), standing)


def parse_choices(texts: Sequence[str], *, command: str = "vgr merge") -> Choices:
    """The choices of texts as the `-X` of a command takes them; UsageError for one that is none."""
    return Choices(tuple(_parse(text, command) for text in texts), command)


def _parse(text: str, command: str) -> Choice:
    what, equals, strategy = text.rpartition("=")
    if strategy not in STRATEGIES:
        near = get_close_matches(strategy, STRATEGIES, 1, 0.5)
        raise UsageError(
            f"'{strategy}' is no strategy: there are {', '.join(STRATEGIES)}",
            hint=f"{command} -X {what}{equals}{near[0] if near else 'manual'}",
        )
    if not equals:
        return Choice("everything", "", strategy)
    if not what:
        raise UsageError(
            f"'{text}' chooses a strategy for nothing", hint=f"{command} -X {strategy}"
        )
    return Choice(_kind_of(what), what, strategy)


def _kind_of(what: str) -> Kind:
    task, colon, node = what.partition(":")
    if colon and node and is_task_name(task):
        return "class"
    return "task" if is_task_name(what) else "keys"


@dataclass(frozen=True, slots=True)
class Resolver:
    """Makes what resolves conflicts, once the vocabulary of the merge is known.

    `wants_all` where it has to see also labels that several sides changed alike.
    """

    choices: Choices
    sides: tuple[Side, ...]
    standing: bool

    @property
    def wants_all(self) -> bool:
        """Whether there are votes, which agreed labels take part in too."""
        return not self.standing and any(c.strategy == "vote" for c in self.choices.choices)

    def __call__(self, vocabulary: Vocabulary) -> Resolution:
        """NotFoundError for a task or class that the vocabulary does not have."""
        command = self.choices.command
        bound = [_bind(choice, vocabulary, command) for choice in self.choices.choices]
        bound.reverse()  # of two alike the later one
        bound.sort(key=lambda choice: -_RANK[choice.kind])
        return Resolution(bound, self.sides, vocabulary, every=self.wants_all)


@dataclass(frozen=True, slots=True)
class _Bound:
    """A choice whose task, classes or pattern are known."""

    kind: Kind
    strategy: str
    task: str = ""
    taxonomy: str | None = None
    nodes: frozenset[NodeId] = frozenset()
    matches: Callable[[str], bool] | None = None


def _bind(choice: Choice, vocabulary: Vocabulary, command: str) -> _Bound:
    if choice.kind == "everything":
        return _Bound(choice.kind, choice.strategy)
    if choice.kind == "keys":
        pattern = KeyPattern(choice.what.removeprefix("./"))
        return _Bound(choice.kind, choice.strategy, matches=pattern.matches)
    task, _, node = choice.what.partition(":")
    taxonomy = _taxonomy_of(choice, vocabulary, task, command)
    nodes = _nodes(vocabulary, task, taxonomy, node) if node else frozenset()
    name = None if taxonomy is None else taxonomy.name
    return _Bound(choice.kind, choice.strategy, task, name, nodes)


def _taxonomy_of(
    choice: Choice, vocabulary: Vocabulary, task: str, command: str
) -> Taxonomy | None:
    if task not in vocabulary.tasks:
        near = get_close_matches(task, vocabulary.tasks, 1, 0.5)
        rest = choice.what[len(task) :]
        raise NotFoundError(
            f"there is no task '{task}'",
            hint=f"{command} -X {near[0]}{rest}={choice.strategy}" if near else "vgr task ls",
        )
    return vocabulary.taxonomy_of(task)


def _nodes(
    vocabulary: Vocabulary, task: str, taxonomy: Taxonomy | None, text: str
) -> frozenset[NodeId]:
    """A class and all below it."""
    if taxonomy is None:
        raise UsageError(f"task '{task}' has no classes", hint=f"vgr task show {task}")
    node = taxonomy.find(text)
    if node is None:
        raise not_found(vocabulary, f"{taxonomy.name}/{text}")
    return frozenset({node, *taxonomy.below(node)})


class Resolution:
    """What decides the conflicts of one row after another, each by the strategy chosen for it."""

    def __init__(
        self,
        choices: Sequence[_Bound],
        sides: Sequence[Side],
        vocabulary: Vocabulary,
        *,
        every: bool,
    ) -> None:
        self._choices = choices
        self._sides = sides
        self._every = every
        self._votes = any(choice.strategy == "vote" for choice in choices)
        self._many = frozenset(name for name, task in vocabulary.tasks.items() if task.many)

    def __call__(self, dispute: Dispute) -> None:
        """Decide what can be of a row in conflict."""
        for path in sorted(dispute.conflicts, key=partial(_place, dispute.space)):
            terms = dispute.conflicts.get(path)
            if terms is not None:
                self._decide(dispute, path, terms)
        if self._votes and dispute.space == "samples" and dispute.merged is not None:
            self._vote(dispute)

    def _decide(self, dispute: Dispute, path: str, terms: Terms) -> None:
        labels = _Labels(dispute, path, terms)
        strategy = self.strategy(dispute, path, labels)
        if strategy == "manual" or (strategy == "vote" and is_label(path)):
            return  # labels are voted on together
        merged = STRATEGIES[strategy](Question(dispute, path, terms, self._sides))
        if merged is UNDECIDED:
            return
        dispute.merged = merged
        del dispute.conflicts[path]
        if dispute.space == "samples":
            _forget_what_went(dispute)

    def _vote(self, dispute: Dispute) -> None:
        if SAMPLE in dispute.conflicts:
            return

        def elects(task: str, path: str, labels: Sequence[Label]) -> bool:
            return self.strategy(dispute, path, labels) == "vote"

        vote_on_labels(dispute, self._sides, self._many, elects, every=self._every)

    def strategy(self, dispute: Dispute, path: str, labels: Sequence[Label] | _Labels) -> str:
        """The strategy for a field where these labels contend."""
        task = task_of(path) if dispute.space == "samples" else None
        for choice in self._choices:
            if choice.kind == "everything":
                return choice.strategy
            if choice.kind == "keys":
                fits = _has_key(dispute) and _fits(choice, dispute.key.decode())
            elif choice.kind == "class":
                fits = any(
                    label.task == choice.task and label.node in choice.nodes for label in labels
                )
            else:
                fits = task == choice.task or _is_of(choice, dispute)
            if fits:
                return choice.strategy
        return "manual"


def _place(space: str, path: str) -> tuple[bool, bool, str]:
    """Whether there is a sample goes first, and last the name of a taxonomy, which is its key."""
    return path != SAMPLE, space == "taxonomies" and path == "name", path


def _has_key(dispute: Dispute) -> bool:
    return dispute.space in ("samples", "files")


def _fits(choice: _Bound, key: str) -> bool:
    return choice.matches is not None and choice.matches(key)


def _is_of(choice: _Bound, dispute: Dispute) -> bool:
    """Whether a row is the task itself, or one of its classes."""
    if dispute.space == "tasks":
        return dispute.key.decode() == choice.task
    name = dispute.key.decode().partition("/")[0]
    return dispute.space == "taxonomies" and name == choice.taxonomy


class _Labels:
    """The labels that a conflict is about, looked for when somebody asks."""

    def __init__(self, dispute: Dispute, path: str, terms: Terms) -> None:
        self._dispute = dispute
        self._path = path
        self._terms = terms

    def __iter__(self) -> Iterator[Label]:
        if self._dispute.space != "samples":
            return
        if is_label(self._path):
            for term in {*self._terms.adds, *self._terms.removes}:
                label = decode_field(self._path, term)
                if label is not None:
                    yield label
            return
        region = region_of(self._path)
        for own in pair_of(self._path) or (() if region is None else (region,)):
            dispute = self._dispute
            for sample in (dispute.merged, dispute.base, *dispute.sides):
                found = region_of_side(dispute, sample, own)
                yield from () if found is None else found.labels


def _forget_what_went(dispute: Dispute) -> None:
    """Drop conflicts inside what is not there any more."""
    if SAMPLE in dispute.conflicts:
        return
    for path in list(dispute.conflicts):
        owner = region_of(path)
        inner = () if owner is None or path == region_path(owner) else (owner,)
        needed = pair_of(path) or inner
        sample = dispute.merged
        if sample is None or not all(find_region(sample, own) for own in needed):
            del dispute.conflicts[path]
