"""Whose values stand in a conflict: found by going back to the merge in which it first appeared.

Versions hold terms, and no names for them. The sides of a conflict are the fields at the parents of
the commit, or of the merge that waits, in which the entry stands while none of the parents has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from voyager.merge.moves import Changes
from voyager.repo.conflicts import conflicts_at
from voyager.repo.dataset import Dataset
from voyager.repo.merging import running_merge
from voyager.repo.repository import Repository
from voyager.repo.snapshot import CONFLICTS, SAMPLES, TASKS, TAXONOMIES
from voyager.schema import Image, Sample, decode_sample
from voyager.schema.conflict import ABSENT, Conflicts, Terms
from voyager.schema.fields import (
    KEY,
    SAMPLE,
    encode_field,
    find_region,
    pair_of,
    read_field,
    region_of,
    region_path,
)
from voyager.schema.thin_rows import uid_of
from voyager.store.history import read_commit

Place: TypeAlias = tuple[bytes, bytes]
"""The key of a row, and the row."""


@dataclass(slots=True)
class Traced:
    """Conflicts of one row that first appeared together, and where the sides have that row.

    `row` is what the version holds (None: nothing is there), `base` and `sides` are the versions
    that were merged, first ours, `at` where each side has the row.
    """

    space: str
    key: bytes
    row: bytes | None
    conflicts: dict[str, Terms]
    own: Dataset
    sides: Sequence[Dataset]
    at: Sequence[Place | None]
    _samples: dict[int, Sample | None] = field(default_factory=dict)
    _known: dict[int, Conflicts] = field(default_factory=dict)

    def side(self, number: int) -> Sample | None:
        """The sample as a side has it, None where it does not."""
        if number not in self._samples:
            place = self.at[number]
            self._samples[number] = None if place is None else decode_sample(place[1])
        return self._samples[number]

    def term(self, number: int, path: str) -> bytes | None:
        """What a side said, None where that is none of the terms."""
        if number >= len(self.sides) or path in self.standing(number):
            return None
        terms = self.conflicts[path]
        found = self._said(number, path, terms)
        return found if found in terms.adds or found in terms.removes else None

    def base(self, path: str) -> bytes:
        """What the field holds meanwhile: the base, which a tree may need though no term is it."""
        terms = self.conflicts[path]
        if terms.removes or self.space not in (TASKS, TAXONOMIES):
            return terms.held
        from voyager.schema.vocabulary_fields import find_term

        own = self.own.vocabulary
        return find_term(own, own, self.space, self.key, path)

    def standing(self, number: int) -> Conflicts:
        """What is in conflict on a side itself: it holds a base there, and has said nothing."""
        if number not in self._known:
            side, place = self.sides[number], self.at[number]
            key = self.key if place is None else place[0]
            known = CONFLICTS in side.roots
            self._known[number] = conflicts_at(side, self.space, key) if known else {}
        return self._known[number]

    def _said(self, number: int, path: str, terms: Terms) -> bytes | None:
        if self.space in (TASKS, TAXONOMIES):
            from voyager.schema.vocabulary_fields import find_term

            there = self.sides[number].vocabulary
            return find_term(there, self.own.vocabulary, self.space, self.key, path)
        place = self.at[number]
        if place is None:
            return ABSENT
        if self.space != SAMPLES:
            return place[1]
        if path == KEY:
            return encode_field(KEY, place[0].decode())
        if path == SAMPLE:
            return _same_sample(place[1], terms)
        sample = self.side(number)
        pair = pair_of(path)
        if pair is not None and sample is not None:
            there_is = [own for own in pair if find_region(sample, own) is not None]
            return encode_field(path, there_is[0]) if len(there_is) == 1 else None
        own = region_of(path)
        if own is None or path == region_path(own) or _has_region(sample, own):
            return encode_field(path, read_field(sample, path))
        return self._said_of_joined(sample, own, path, terms)

    def _said_of_joined(
        self, sample: Sample | None, own: bytes, path: str, terms: Terms
    ) -> bytes | None:
        """What a side says of a region that it drew under another id, before they became one."""
        said = set(self._drawn_as(sample, own, path, terms).values())
        return said.pop() if len(said) == 1 else None

    def joined(self) -> dict[bytes, bytes]:
        """Regions of sides that became one with another, and that one, as far as is known."""
        found: dict[bytes, bytes] = {}
        for path, terms in self.conflicts.items():
            own = region_of(path)
            if self.space != SAMPLES or own is None or path == region_path(own):
                continue
            for number in range(len(self.sides)):
                sample = self.side(number)
                if not _has_region(sample, own):
                    drawn = self._drawn_as(sample, own, path, terms)
                    found.update(dict.fromkeys(drawn if len(drawn) == 1 else (), own))
        return found

    def _drawn_as(
        self, sample: Sample | None, own: bytes, path: str, terms: Terms
    ) -> dict[bytes, bytes]:
        """Regions that a side alone drew, and what they say that is one of the terms."""
        now = set() if self.row is None else {each.id for each in decode_sample(self.row).regions}
        found = {}
        for region in () if sample is None else sample.regions:
            if region.id not in now:
                there = Sample(uid=bytes(16), image=Image(), regions=(region.replace(id=own),))
                term = encode_field(path, read_field(there, path))
                if term in terms.adds:
                    found[region.id] = term
        return found


def _has_region(sample: Sample | None, own: bytes) -> bool:
    return sample is not None and find_region(sample, own) is not None


def _same_sample(row: bytes, terms: Terms) -> bytes | None:
    """The term that is a row of a side, or else what the merge made of the same sample."""
    if row in terms.adds:
        return row
    uid = uid_of(row)
    same = [add for add in dict.fromkeys(terms.adds) if add != ABSENT and uid_of(add) == uid]
    return same[0] if len(same) == 1 else row


Rows: TypeAlias = Mapping[tuple[str, bytes], dict[str, Terms]]
"""(space, key) → the conflicts of a row."""


def trace(repo: Repository, version: Dataset, rows: Rows) -> Iterator[Traced]:
    """Find the sides of conflicts of a version, in no order; a row may come in several parts."""
    walk = _Walk(repo, version)
    started = [_Entry(space, key, key, found) for (space, key), found in rows.items()]
    left = [(version, started)]
    while left:
        here, entries = left.pop()
        parents = walk.parents(here)
        for parent in parents:
            older = walk.older(here, parent, entries)
            if older:
                left.append((parent, older))
                entries = _without(entries, older)
        if entries:
            yield from walk.placed(here, parents, entries)


@dataclass(slots=True)
class _Entry:
    """A row with conflicts: its key in the version asked for, and in the one that is looked at."""

    space: str
    key: bytes
    here: bytes
    conflicts: dict[str, Terms]


def _without(entries: Sequence[_Entry], gone: Iterable[_Entry]) -> list[_Entry]:
    paths = {(entry.space, entry.key): entry.conflicts.keys() for entry in gone}
    kept = []
    for entry in entries:
        older = paths.get((entry.space, entry.key), set[str]())
        rest = {path: terms for path, terms in entry.conflicts.items() if path not in older}
        if rest:
            kept.append(_Entry(entry.space, entry.key, entry.here, rest))
    return kept


class _Walk:
    """Going back through history from one version."""

    def __init__(self, repo: Repository, version: Dataset) -> None:
        self._repo = repo
        self._version = version
        self._renames: dict[tuple[int, int], dict[bytes, bytes]] = {}
        self._kept: list[Any] = []  # so that no id() is given twice

    def parents(self, version: Dataset) -> list[Dataset]:
        """The versions that one was made of."""
        if version.commit is not None:
            ids = read_commit(self._repo.store, version.commit).parent_ids
        else:
            base, merging = self._repo.staging.base, running_merge(self._repo.store)
            alone = [] if base is None else [base]
            ids = alone if merging is None else list(merging.sides_on(base))
        return [self._repo.dataset_of(each) for each in ids]

    def older(self, here: Dataset, parent: Dataset, entries: Sequence[_Entry]) -> list[_Entry]:
        """The entries that a parent has as well, with the key that they have there."""
        if CONFLICTS not in parent.roots:
            return []
        if _same_conflicts(here, parent):
            return list(entries)
        found = []
        for entry in entries:
            key = self._key_there(here, parent, entry)
            known = {} if key is None else conflicts_at(parent, entry.space, key)
            same = {
                path: terms for path, terms in entry.conflicts.items() if known.get(path) == terms
            }
            if same and key is not None:
                found.append(_Entry(entry.space, entry.key, key, same))
        return found

    def _key_there(self, here: Dataset, parent: Dataset, entry: _Entry) -> bytes | None:
        row = here.row(entry.space, entry.here)
        if entry.space != SAMPLES or row is None:
            return entry.here
        there = parent.row(SAMPLES, entry.here)
        if there is not None and (there == row or uid_of(there) == uid_of(row)):
            return entry.here
        return self.renames(here, parent).get(uid_of(row))

    def placed(
        self, here: Dataset, parents: Sequence[Dataset], entries: Sequence[_Entry]
    ) -> Iterator[Traced]:
        """Where the parents have the rows of entries that begin here."""
        for space in sorted({entry.space for entry in entries}):
            own = sorted((e for e in entries if e.space == space), key=lambda entry: entry.here)
            keys = [entry.here for entry in own]
            rows = [row for _, row in here.rows_at(space, keys)]
            there = [[row for _, row in parent.rows_at(space, keys)] for parent in parents]
            now = self._rows_now(space, own, here, rows)
            for at, entry in enumerate(own):
                places = [
                    self._place(here, parent, space, entry.here, rows[at], found[at])
                    for parent, found in zip(parents, there, strict=True)
                ]
                yield Traced(
                    space, entry.key, now[at], entry.conflicts, self._version, parents, places
                )

    def _rows_now(
        self, space: str, own: Sequence[_Entry], here: Dataset, rows: list[bytes | None]
    ) -> list[bytes | None]:
        if here is self._version:
            return rows
        return [self._version.row(space, entry.key) for entry in own]

    def _place(
        self,
        here: Dataset,
        parent: Dataset,
        space: str,
        key: bytes,
        row: bytes | None,
        there: bytes | None,
    ) -> Place | None:
        """The key and row that a parent has of what is here."""
        if space != SAMPLES or row is None:
            return None if there is None else (key, there)
        if there is not None and (there == row or uid_of(there) == uid_of(row)):
            return key, there
        other = self.renames(here, parent).get(uid_of(row))
        found = None if other is None else parent.row(SAMPLES, other)
        return None if other is None or found is None else (other, found)

    def renames(self, here: Dataset, parent: Dataset) -> dict[bytes, bytes]:
        """Uid → key in the parent, of the samples that are not at the same key here."""
        pair = id(here), id(parent)
        if pair not in self._renames:
            self._kept += (here, parent)
            found = self._renames[pair] = {}
            for key, (old, new) in self._changes(here, parent):
                if old is not None and (new is None or uid_of(new) != uid_of(old)):
                    found[uid_of(old)] = key
        return self._renames[pair]

    def _changes(self, here: Dataset, parent: Dataset) -> Iterable[tuple[bytes, Any]]:
        changed = {key for key, _ in Changes(here.objects, [parent, here], SAMPLES)}
        for key in sorted(changed | here.overlay_keys(SAMPLES)):
            yield key, (parent.row(SAMPLES, key), here.row(SAMPLES, key))


def _same_conflicts(one: Dataset, other: Dataset) -> bool:
    return one.roots.get(CONFLICTS) == other.roots.get(CONFLICTS) and not (
        one.overlay_keys(CONFLICTS) or other.overlay_keys(CONFLICTS)
    )
