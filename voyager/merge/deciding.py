"""Who decides a standing conflict: a choice that was made for it, or a strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from voyager.merge.choices import parse_choices
from voyager.merge.dispute import Dispute
from voyager.merge.question import Side
from voyager.merge.resolving import Choice, Work, chosen_term
from voyager.merge.sides import Traced
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES, TASKS, TAXONOMIES
from voyager.schema.conflict import ABSENT
from voyager.schema.vocabulary_fields import find_term
from voyager.store.history import read_commit
from voyager.store.refs import HEADS, iter_refs

if TYPE_CHECKING:
    from voyager.merge.dispute import Resolve

Choose: TypeAlias = Callable[[str, bytes, str], Choice | None]
"""What to do with the conflict of (space, key, path); None leaves it."""

Decided: TypeAlias = Mapping[str, bytes | None]
"""Path → the term that a field is to have, None where it cannot be told."""


class Decider(Protocol):
    """What decides conflicts."""

    @property
    def word(self) -> str:
        """What commands call it."""

    def work(self, work: Work, traced: Traced) -> None:
        """Resolve conflicts of a sample."""

    def terms(self, traced: Traced) -> Decided:
        """What fields of a row of another space are to be; those left out are not meant."""


@dataclass(frozen=True, slots=True)
class ByChoice:
    """Every conflict as was chosen for it."""

    choose: Choose
    word: str

    def work(self, work: Work, traced: Traced) -> None:
        work.resolve(traced, lambda path: self.choose(SAMPLES, traced.key, path))

    def terms(self, traced: Traced) -> Decided:
        found = {}
        for path in traced.conflicts:
            choice = self.choose(traced.space, traced.key, path)
            if choice is not None:
                found[path] = chosen_term(choice, traced, path)
        return found


class ByStrategy:
    """Every conflict by the strategies that `-X` names for merges."""

    def __init__(self, repo: Repository, texts: Sequence[str]) -> None:
        self.word = ", ".join(texts)
        self._repo = repo
        self._choices = parse_choices(texts, command="vgr resolve --all")
        self._resolvers: dict[tuple[bytes | None, ...], Resolve] = {}
        tips = sorted(iter_refs(repo.store, HEADS).items(), reverse=True)
        self._branches = {tip: ref.removeprefix(HEADS) for ref, tip in tips}

    def work(self, work: Work, traced: Traced) -> None:
        paths = [path for path in traced.conflicts if path in work.left]
        numbers = range(len(traced.sides))
        dispute = Dispute(
            SAMPLES,
            work.key,
            work.sample,
            {path: work.left[path] for path in paths},
            work.sample,
            [traced.side(number) for number in numbers],
            standing=[traced.standing(number) for number in numbers],
            joined=traced.joined(),
            keys=[None if place is None else place[0] for place in traced.at],
        )
        self._resolve(traced)(dispute)
        work.take_decided(paths, dispute.conflicts, dispute.merged, dispute.key)

    def terms(self, traced: Traced) -> Decided:
        words = traced.space in (TASKS, TAXONOMIES)
        own = traced.own.vocabulary
        dispute = Dispute(
            traced.space,
            traced.key,
            own if words else traced.row,
            dict(traced.conflicts),
            own if words else traced.row,
            [
                side.vocabulary if words else None if place is None else place[1]
                for side, place in zip(traced.sides, traced.at, strict=True)
            ],
            standing=[traced.standing(number) for number in range(len(traced.sides))],
        )
        self._resolve(traced)(dispute)
        found: dict[str, bytes | None] = dict.fromkeys(traced.conflicts)
        for path in traced.conflicts.keys() - dispute.conflicts.keys():
            if words:
                found[path] = find_term(dispute.merged, own, traced.space, traced.key, path)
            else:
                found[path] = ABSENT if dispute.merged is None else dispute.merged
        return found

    def _resolve(self, traced: Traced) -> Resolve:
        commits = tuple(side.commit for side in traced.sides)
        if commits not in self._resolvers:
            sides = [self._side(number, side) for number, side in enumerate(traced.sides)]
            resolver = self._choices.resolver(sides, standing=True)
            self._resolvers[commits] = resolver(traced.own.vocabulary)
        return self._resolvers[commits]

    def _side(self, number: int, version: Dataset) -> Side:
        if version.commit is None:
            return Side(f"side {number + 1}")
        name = self._branches.get(version.commit, version.commit.hex()[:12])
        return Side(name, version.commit, read_commit(self._repo.store, version.commit).time)
