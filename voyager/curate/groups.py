"""Groups of duplicates: what belongs together, which image to keep, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Duplicate(NamedTuple):
    """Two samples whose images are duplicates, and how far apart: 0 to 100."""

    a: str
    b: str
    kind: str
    distance: float


@dataclass(frozen=True, slots=True)
class Member:
    """A sample of a group; `pair` is that with its best partner, the surest and nearest.

    `instead` is the kept sample that it is a duplicate of, None where it is kept itself; `equal`
    says whether their pixels are the same.
    """

    key: str
    pair: Duplicate
    instead: str | None = None
    equal: bool = False

    @property
    def partner(self) -> str:
        """The sample that this one is most alike."""
        return self.pair.b if self.pair.a == self.key else self.pair.a


@dataclass(frozen=True, slots=True)
class Group:
    """Samples that hang together by pairs; the suggested keeper comes first.

    Whoever is no duplicate of one that is kept is kept too: of a chain its ends need not be alike.
    """

    members: tuple[Member, ...]

    @property
    def keeper(self) -> Member:
        """The one to keep."""
        return self.members[0]

    @property
    def kind(self) -> str:
        """The kind of the least sure pair."""
        return max((member.pair for member in self.members), key=_sureness).kind

    @property
    def removed(self) -> list[Member]:
        """Those that need not be kept."""
        return [member for member in self.members if member.instead is not None]


KINDS = ("bytes", "pixels", "near", "semantic")
"""How images are duplicates, the surest first."""


def _sureness(pair: Duplicate) -> tuple[int, float]:
    return KINDS.index(pair.kind), pair.distance


def surest(pairs: Iterable[Duplicate]) -> list[Duplicate]:
    """Of several pairs of the same two samples the surest, in order of their keys."""
    found: dict[tuple[str, str], Duplicate] = {}
    for pair in pairs:
        keys = min(pair.a, pair.b), max(pair.a, pair.b)
        known = found.get(keys)
        if known is None or _sureness(pair) < _sureness(known):
            found[keys] = pair
    return [pair for _, pair in sorted(found.items())]


def groups_of(pairs: Sequence[Duplicate], place: Callable[[str], Any]) -> list[Group]:
    """The groups of pairs; `place` orders samples, those to keep first.

    The pairs of equal images need not be complete: what is at no distance of one is so of all.
    """
    web = _Web(pairs)
    groups = [_group(keys, web, place) for keys in web.whole.sets()]
    return sorted(groups, key=lambda group: (KINDS.index(group.kind), group.keeper.key))


class _Web:
    """What pairs say of samples: which are equal, the same, alike, and which hang together."""

    def __init__(self, pairs: Sequence[Duplicate]) -> None:
        self.best = _best_pairs(pairs)
        self.equal, self.same, self.whole = (Sets[str](self.best) for _ in range(3))
        for pair in pairs:
            self.whole.join(pair.a, pair.b)
            if not pair.distance:
                self.same.join(pair.a, pair.b)
            if pair.kind in KINDS[:2]:
                self.equal.join(pair.a, pair.b)
        self._alike: dict[str, set[str]] = {}
        for pair in pairs:
            a, b = self.same.first(pair.a), self.same.first(pair.b)
            self._alike.setdefault(a, {a}).add(b)
            self._alike.setdefault(b, {b}).add(a)

    def alike(self, key: str) -> set[str]:
        """Those that stand for what a sample is a duplicate of, and for itself."""
        return self._alike[self.same.first(key)]


def _group(keys: Sequence[str], web: _Web, place: Callable[[str], Any]) -> Group:
    kept: dict[str, str] = {}
    members = []
    for key in sorted(keys, key=lambda key: (place(key), key)):
        alike = web.alike(key)
        instead = next((other for first, other in kept.items() if first in alike), None)
        if instead is None:
            kept[web.same.first(key)] = key
        equal = instead is not None and web.equal.first(key) == web.equal.first(instead)
        members.append(Member(key, web.best[key], instead, equal))
    return Group(tuple(members))


def _best_pairs(pairs: Iterable[Duplicate]) -> dict[str, Duplicate]:
    best: dict[str, Duplicate] = {}
    for pair in pairs:
        for key in (pair.a, pair.b):
            if key not in best or _sureness(pair) < _sureness(best[key]):
                best[key] = pair
    return best


def star(
    keys: Sequence[str], split_of: Mapping[str, str | None] | None
) -> Iterator[tuple[str, str]]:
    """Pairs that join equal samples, one less than there are: the first with each other.

    With splits only pairs of two splits, which still join all, where there are two.
    """
    first = keys[0]
    if split_of is None:
        yield from ((first, key) for key in keys[1:])
        return
    other = next((key for key in keys if split_of[key] != split_of[first]), None)
    if other is None:
        return
    for key in keys[1:]:
        yield (first, key) if split_of[key] != split_of[first] else (key, other)


class Sets(Generic[T]):
    """Disjoint sets that grow together; each is known by the first of its members."""

    def __init__(self, members: Iterable[T]) -> None:
        self._parents = {member: member for member in members}
        self._places = {member: place for place, member in enumerate(self._parents)}

    def first(self, member: T) -> T:
        """The member that stands for its set."""
        root = member
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[member] != root:
            self._parents[member], member = root, self._parents[member]
        return root

    def join(self, one: T, other: T) -> None:
        """Make one set of two."""
        roots = sorted((self.first(one), self.first(other)), key=self._places.__getitem__)
        self._parents[roots[1]] = roots[0]

    def sets(self) -> list[list[T]]:
        """All of them, with their members in order."""
        found: dict[T, list[T]] = {}
        for member in self._parents:
            found.setdefault(self.first(member), []).append(member)
        return list(found.values())
