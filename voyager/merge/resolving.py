"""Resolving the conflicts of one sample: its fields, whether it is there, and where."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from voyager import wire
from voyager.merge.regions import Notes, join_regions
from voyager.merge.rules import Rules
from voyager.merge.sides import Traced
from voyager.schema import Sample, check_sample, decode_sample, encode_sample
from voyager.schema.conflict import ABSENT, Conflicts, Terms, join_field
from voyager.schema.fields import (
    KEY,
    SAMPLE,
    decode_field,
    encode_field,
    find_region,
    pair_of,
    pair_path,
    parse_path,
    read_field,
    region_of,
    region_path,
    write_field,
)
from voyager.schema.label_edit import drop_regions
from voyager.schema.thin_rows import uid_of

How: TypeAlias = Literal["side", "base", "union", "same", "different", "pick", "value"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a conflict is resolved to.

    `number` is that of a side or of an option, from 0; `value` the value itself, as the schema has
    it (None: not there).
    """

    how: How
    number: int = 0
    value: Any = None

    @property
    def word(self) -> str:
        """What commands call it."""
        if self.how == "side":
            return _SIDES.get(self.number, f"side {self.number + 1}")
        return f"pick {self.number + 1}" if self.how == "pick" else self.how


_SIDES: Final = {0: "ours", 1: "theirs"}

OURS = Choice("side", 0)
THEIRS = Choice("side", 1)
BASE = Choice("base")
UNION = Choice("union")
SAME = Choice("same")
DIFFERENT = Choice("different")


def chosen_term(choice: Choice, traced: Traced, path: str) -> bytes | None:
    """The term that a choice means, None where it means none of this conflict."""
    terms = traced.conflicts[path]
    match choice.how:
        case "side":
            return traced.term(choice.number, path)
        case "base":
            return traced.base(path)
        case "pick":
            options = list(dict.fromkeys(terms.adds))
            return options[choice.number] if choice.number < len(options) else None
        case "union":
            there = {*terms.adds} - {ABSENT}
            return there.pop() if len(there) == 1 else None
        case "value" if traced.space in ("tasks", "taxonomies"):
            return wire.encode(choice.value)
        case "value":
            return encode_field(path, choice.value)
    return None


@dataclass(slots=True)
class Work:
    """One sample while its conflicts are resolved.

    `sample` is None where nothing is at the key; `moved` is where it goes; `beside` are rows that
    get a key of their own; `joined` maps a region to the one that it became.
    """

    key: bytes
    sample: Sample | None
    left: dict[str, Terms]
    rules: Rules
    moved: bytes | None = None
    beside: list[bytes] = field(default_factory=list)
    joined: dict[bytes, bytes] = field(default_factory=dict)
    decided: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    unchecked: bool = False

    @classmethod
    def of(cls, key: bytes, row: bytes | None, conflicts: Conflicts, rules: Rules) -> Work:
        """The work on a row."""
        return cls(key, None if row is None else decode_sample(row), dict(conflicts), rules)

    def row(self) -> bytes | None:
        """The row as resolved."""
        if self.sample is None:
            return None
        return encode_sample(check_sample(self.sample) if self.unchecked else self.sample)

    def resolve(self, traced: Traced, choose: Callable[[str], Choice | None]) -> None:
        """Resolve what is chosen for: first whether there is a sample, then its fields."""
        paths = sorted(traced.conflicts, key=lambda path: (path != SAMPLE, path))
        for path in paths:
            choice = choose(path) if path in self.left else None
            if choice is None:
                continue
            if self._resolved(traced, path, choice):
                self.decided.append(path)
                self.left.pop(path, None)
            else:
                self.undecided.append(path)
        self._prune()

    def take_decided(
        self, asked: Iterable[str], left: Conflicts, sample: Sample | None, key: bytes
    ) -> None:
        """Take what a strategy made of the sample, where it left only some conflicts."""
        gone = [path for path in asked if path not in left]
        self.decided += gone
        self.undecided += [path for path in asked if path in left]
        self.sample = sample
        if key != self.key:
            self.moved = key
        for path in gone:
            self.left.pop(path, None)
        if SAMPLE in gone:
            self._keep_what_holds()
        self._prune()

    def _resolved(self, traced: Traced, path: str, choice: Choice) -> bool:
        if pair_of(path) is not None:
            return self._resolve_pair(traced, path, choice)
        if choice.how in ("same", "different"):
            return False
        if path == SAMPLE and choice.how == "union" and self._keep_all(traced, path):
            return True
        term = chosen_term(choice, traced, path)
        if term is None:
            return False
        self.unchecked |= choice.how == "value"
        return self._take(path, term)

    def _take(self, path: str, term: bytes) -> bool:
        """Let a field have the value of a term."""
        if path == SAMPLE:
            self._put(None if term == ABSENT else term)
            return True
        if self.sample is None:
            return False
        if path == KEY:
            if term == ABSENT:
                return False
            self.moved = str(decode_field(path, term)).encode()
            return True
        own = region_of(path)
        if term == ABSENT and own is not None and path == region_path(own):
            self.sample = drop_regions(self.sample, {own})
            return True
        if (path == "image" and term == ABSENT) or not self._is_there(own, path):
            return False
        self.sample = write_field(self.sample, path, decode_field(path, term))
        return True

    def _is_there(self, own: bytes | None, path: str) -> bool:
        """Whether the region that a path lies in is there to be written."""
        assert self.sample is not None
        whole = own is None or path == region_path(own)
        return whole or (own is not None and find_region(self.sample, own) is not None)

    # -- whether it is there ---------------------------------------------------------------------

    def _put(self, row: bytes | None) -> None:
        """Let this row be at the key; its own conflicts stay, those of another sample go."""
        self.sample = None if row is None else decode_sample(row)
        self._keep_what_holds()

    def _keep_what_holds(self) -> None:
        self.left = {
            path: terms
            for path, terms in self.left.items()
            if path == SAMPLE or self._holds(path, terms)
        }

    def _holds(self, path: str, terms: Terms) -> bool:
        if self.sample is None:
            return False
        if path == KEY or pair_of(path) is not None:
            return True
        return encode_field(path, read_field(self.sample, path)) == terms.held

    def _keep_all(self, traced: Traced, path: str) -> bool:
        """Keep several samples that want one key: ours, or else the first, stays there."""
        rows = [add for add in dict.fromkeys(traced.conflicts[path].adds) if add != ABSENT]
        if len({uid_of(row) for row in rows}) < 2 or len(rows) < 2:
            return False
        ours = traced.term(0, path)
        first = ours if ours in rows else rows[0]
        self._put(first)
        self.beside = [row for row in rows if row != first]
        return True

    # -- two regions that may be one -------------------------------------------------------------

    def _resolve_pair(self, traced: Traced, path: str, choice: Choice) -> bool:
        pair = pair_of(path)
        sample = self.sample
        if pair is None or sample is None:
            return False
        one, other = (find_region(sample, own) for own in pair)
        if choice.how in ("different", "union") or one is None or other is None:
            return True
        if choice.how == "same":
            self._join(*sorted(pair))
            return True
        term = chosen_term(choice, traced, path)
        if term is None or choice.how == "value":
            return False
        kept = None if term == ABSENT else wire.decode(term)
        self.sample = drop_regions(sample, set(pair) - {kept})
        return True

    def _join(self, lower: bytes, upper: bytes) -> None:
        """Let two regions be one, which has the lower id."""
        assert self.sample is not None
        both = [region for region in self.sample.regions if region.id in (lower, upper)]
        notes = Notes()
        whole = join_regions(lower, both, self.rules, notes)
        kept = (r for r in self.sample.regions if r.id != upper)
        regions = tuple(whole if r.id == lower else r for r in kept)
        self.sample = self.sample.replace(regions=regions)
        self.joined[upper] = lower
        moved = {_with_region(path, upper, lower): terms for path, terms in self.left.items()}
        self.left = {**moved, **notes.conflicts}

    def _prune(self) -> None:
        """Conflicts about regions that are gone are gone too."""
        there = set() if self.sample is None else {region.id for region in self.sample.regions}
        if self.sample is not None:
            self.left = {path: t for path, t in self.left.items() if _needs(path) <= there}


def _needs(path: str) -> set[bytes]:
    """The regions without which a conflict is about nothing."""
    pair, own = pair_of(path), region_of(path)
    if pair is not None:
        return set(pair)
    return set() if own is None or path == region_path(own) else {own}


def _with_region(path: str, old: bytes, new: bytes) -> str:
    """A path with one region for another."""
    pair = pair_of(path)
    if pair is not None:
        one, other = (new if own == old else own for own in pair)
        return pair_path(one, other) if one != other else path
    if region_of(path) != old:
        return path
    return join_field(["regions", new.hex(), *parse_path(path)[2:]])


def free_key(key: bytes, is_taken: Callable[[str], bool]) -> str:
    """The first key like `name~2.jpg` that is not taken."""
    stem, extension = os.path.splitext(key.decode())
    return next(name for name in _numbered(stem, extension) if not is_taken(name))


def _numbered(stem: str, extension: str) -> Iterator[str]:
    number = 2
    while True:
        yield f"{stem}~{number}{extension}"
        number += 1
