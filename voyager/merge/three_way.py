"""Merging versions: a pure function of snapshots, whose cost follows what the sides changed.

Rows that one side changed are taken as bytes. Rows that several changed are merged field by field
(`samples`), after samples whose keys changed were found by uid (`moves`). What cannot be decided
goes into the space of conflicts, and a resolver may decide it on the way.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from voyager.errors import InvalidDataError, StateError
from voyager.merge.dispute import Dispute, Resolve, Resolver
from voyager.merge.fields import UNDECIDED, decide
from voyager.merge.merged_version import MergedVersion, Outcomes
from voyager.merge.moves import Changes, Rows, Traced, find_moves
from voyager.merge.rules import Rules
from voyager.merge.samples import merge_sample
from voyager.merge.standing import (
    Placed,
    decide_plainly,
    follow,
    is_whole,
    merge_keys,
    merge_standing,
    merge_whole,
    whole_terms,
)
from voyager.merge.terms import merge_terms
from voyager.repo.conflicts import conflict_change, conflicts_at
from voyager.repo.dataset import Dataset
from voyager.repo.namespace import WrittenKeys
from voyager.repo.repository import Progress, no_progress
from voyager.repo.snapshot import (
    CONFLICTS,
    FILES,
    SAMPLES,
    TASKS,
    TAXONOMIES,
    read_snapshot,
    write_snapshot,
)
from voyager.repo.staging import edit_map
from voyager.schema import Sample, decode_sample, encode_sample
from voyager.schema.conflict import (
    ABSENT,
    Conflicts,
    Terms,
    parse_conflict_key,
)
from voyager.schema.fields import FILE, KEY, SAMPLE, decode_field
from voyager.schema.row_fields import ROW
from voyager.store import bulk
from voyager.store.ids import Kind
from voyager.store.objects import ObjectWriter

_EVERY = 256
_APART = (SAMPLES, TASKS, TAXONOMIES, CONFLICTS)
"""Spaces that are not merged row by row."""


def merge_versions(
    objects: ObjectWriter,
    base: Dataset,
    sides: Sequence[Dataset],
    *,
    resolver: Resolver | None = None,
    progress: Progress = no_progress,
) -> MergedVersion:
    """The version that the sides make of a base; the first side's trees are edited.

    The objects of `base` are to give those of all versions. `resolver` decides conflicts.
    Raises StateError where the keys of the sides cannot be in one version.
    """
    with bulk.paused_gc():
        return _Merge(objects, base, sides, resolver, progress).run()


Outcome = tuple[bytes, bytes | None]


class _Merge:
    """One merge: `versions` are the base and then the sides."""

    def __init__(
        self,
        objects: ObjectWriter,
        base: Dataset,
        sides: Sequence[Dataset],
        resolver: Resolver | None,
        progress: Progress,
    ) -> None:
        self._objects = objects
        self._reader = base.objects  # which knows the trees of all versions, and of a made-up base
        self._versions = [base, *sides]
        self._ours = sides[0]
        self._resolver = resolver
        self._resolve: Resolve | None = None
        self._wants_all: bool = getattr(resolver, "wants_all", False)
        self._progress = progress
        self._are_conflicted = [CONFLICTS in version.roots for version in self._versions]
        self._conflicts: dict[bytes, bytes | None] = {}
        self._done = MergedVersion(b"", dict(sides[0].roots), sides[0].vocabulary)

    def run(self) -> MergedVersion:
        done = self._done
        self._merge_vocabularies()
        if self._resolver is not None:
            self._resolve = self._resolver(done.vocabulary)
        self._put(SAMPLES, self._samples())
        spaces = sorted({space for version in self._versions for space in version.roots})
        for space in spaces:
            if space not in _APART:
                self._put(space, self._plain_rows(space))
        self._check_keys()
        self._put(CONFLICTS, iter(sorted(self._conflicts.items())))
        done.snapshot = write_snapshot(self._objects, done.roots)
        done.roots = read_snapshot(self._objects, done.snapshot)
        return done

    def _put(self, space: str, rows: Iterator[Outcome]) -> None:
        """Change rows of our tree."""
        first = next(rows, None)
        if first is not None:
            rows = heapq.merge([first], rows)
            old = self._done.roots.get(space)
            self._done.roots[space] = edit_map(self._objects, old, rows)

    def _check_keys(self) -> None:
        """StateError where one side has a file and the other a folder of its name."""
        written = WrittenKeys()
        after = Dataset(self._objects, self._done.roots)
        for key in self._new_keys(after):
            written.note(key)
        try:
            written.check(self._ours, after)
        except InvalidDataError as error:
            raise StateError(f"cannot merge: {error.message}", hint=error.hint) from None

    def _new_keys(self, after: Dataset) -> Iterator[bytes]:
        """Keys of samples and files that our side has not."""
        outcomes = self._done.outcomes
        if outcomes is not None:
            for key, _, ours, row in outcomes.each(self._versions[0], self._ours, after):
                if ours is None and row is not None:
                    yield key
        for key, (ours, row) in Changes(self._reader, [self._ours, after], FILES):
            if ours is None and row is not None:
                yield key

    # -- conflicts -------------------------------------------------------------------------------

    def _standing(self, version: int, space: str, key: bytes | None) -> Conflicts:
        """What is in conflict already in a version (0 is the base)."""
        if key is None or not self._are_conflicted[version]:
            return {}
        return conflicts_at(self._versions[version], space, key)

    def _note(self, space: str, key: bytes, conflicts: Conflicts) -> None:
        """Leave a row with these conflicts in the merged version."""
        self._done.conflicts += len(conflicts)
        if conflicts or any(self._are_conflicted):
            before = self._standing(1, space, key)
            if dict(conflicts) != dict(before):
                _, at, row = conflict_change(space, key, conflicts)
                self._conflicts[at] = row

    def _restated(self, space: str, seen: Callable[[bytes], bool]) -> Iterator[bytes]:
        """Keys whose conflicts differ between the versions and that were not `seen`, in order."""
        if not any(self._are_conflicted):
            return
        keys = set()
        for at, rows in Changes(self._reader, self._versions, CONFLICTS):
            row = next(row for row in rows if row is not None)
            place, key = parse_conflict_key(at, row)
            if place == space and not seen(key):
                keys.add(key)
        yield from sorted(keys)

    # -- vocabulary ------------------------------------------------------------------------------

    def _merge_vocabularies(self) -> None:
        done = self._done
        spaces = (TASKS, TAXONOMIES)
        roots = {tuple(v.roots.get(space) for space in spaces) for v in self._versions}
        standing = [self._vocabulary_conflicts(at) for at in range(len(self._versions))]
        if len(roots) < 2 and not any(standing):
            return
        from voyager.merge.vocabulary import merge_vocabulary  # most merges change no classes

        base, *sides = self._versions
        merged = merge_vocabulary(
            base.vocabulary, [side.vocabulary for side in sides], standing=standing
        )
        if self._resolver is not None and merged.conflicts:
            from voyager.merge.vocabulary_choices import decide_vocabulary

            self._resolve = self._resolver(merged.vocabulary)
            versions = [version.vocabulary for version in self._versions]
            merged = decide_vocabulary(merged, versions, standing, self._ask)
        done.vocabulary = merged.vocabulary
        rows: dict[str, list[Outcome]] = {space: [] for space in spaces}
        for space, key, row in merged.changes(sides[0].vocabulary):
            rows[space].append((key, row))
        for space, found in rows.items():
            self._put(space, iter(sorted(found)))
        for space, key in sorted({*merged.conflicts, *standing[1]}):
            self._note(space, key, merged.conflicts.get((space, key), {}))

    def _vocabulary_conflicts(self, version: int) -> Mapping[tuple[str, bytes], Conflicts]:
        if not self._are_conflicted[version]:
            return {}
        from voyager.repo.conflicts import iter_conflicted

        return {
            (space, key): found
            for space, key, found in iter_conflicted(self._versions[version])
            if space in (TASKS, TAXONOMIES)
        }

    @cached_property
    def _rules(self) -> Rules:
        def load(blob: bytes) -> bytes:
            return self._objects.get(blob, Kind.BLOB)

        return Rules(self._done.vocabulary, load)

    # -- rows without fields ---------------------------------------------------------------------

    def _plain_rows(self, space: str) -> Iterator[Outcome]:
        """Files, policies and what a newer version keeps: a row is one value."""
        path = FILE if space == FILES else ROW
        seen: set[bytes] = set()
        for key, rows in Changes(self._reader, self._versions, space):
            seen.add(key)
            yield from self._plain_row(space, key, path, rows)
        for key in self._restated(space, seen.__contains__):
            rows = [version.row(space, key) for version in self._versions]
            yield from self._plain_row(space, key, path, rows)

    def _plain_row(self, space: str, key: bytes, path: str, rows: Rows) -> Iterator[Outcome]:
        values = [
            self._standing(at, space, key).get(path) or Terms((ABSENT if row is None else row,))
            for at, row in enumerate(rows)
        ]
        terms = merge_terms(values[0], values[1:])
        settled = terms.settled
        held = terms.held if settled is None else settled
        dispute = Dispute(space, key, None if held == ABSENT else held, {}, rows[0], rows[1:])
        if settled is None:
            dispute.conflicts[path] = terms
            self._ask(dispute)
        self._note(space, key, dispute.conflicts)
        if dispute.merged != rows[1]:
            yield key, dispute.merged

    def _ask(self, dispute: Dispute) -> None:
        """Let the resolver decide."""
        if self._resolve is None:
            return
        before = dict(dispute.conflicts)
        self._resolve(dispute)
        gone = before.keys() - dispute.conflicts.keys()
        self._done.resolved.update(path.partition("/")[0] for path in gone)

    # -- samples ---------------------------------------------------------------------------------

    def _samples(self) -> Iterator[Outcome]:
        changes = Changes(self._reader, self._versions, SAMPLES)
        outcomes = self._done.outcomes = Outcomes(changes)
        moves = find_moves(changes, len(self._versions) - 1)
        self._done.twins = moves.twins
        moved = self._settle_moved(moves.samples, moves.keys)
        seen: set[bytes] | None = set() if any(self._are_conflicted) else None

        def changed() -> Iterator[tuple[bytes, Rows]]:
            for key, rows in changes:
                if seen is not None:
                    seen.add(key)
                yield key, rows

        for done, (key, rows) in enumerate(changed()):
            if done % _EVERY == 0:
                self._progress(done, None)
            row = moved[key] if key in moved else self._sample_at(key, rows)
            if row != rows[1]:
                outcomes.note(key, rows, row)
                yield key, row
        if seen is not None:
            yield from self._restated_samples(seen, outcomes)

    def _restated_samples(self, seen: set[bytes], outcomes: Outcomes) -> Iterator[Outcome]:
        """Samples whose rows are equal but whose conflicts are not: one side settled one."""
        for key in self._restated(SAMPLES, seen.__contains__):
            rows = [version.row(SAMPLES, key) for version in self._versions]
            row = self._sample_at(key, rows)
            if row != rows[1]:
                outcomes.note(key, rows, row, listed=False)
                yield key, row

    def _sample_at(self, key: bytes, rows: Rows) -> bytes | None:
        """The merged row of a sample that stays where it is; its conflicts are noted."""
        if not any(self._are_conflicted):
            if not self._is_asked_of(rows):
                choice: bytes | None = decide(rows[0], rows[1:])
                if choice is not UNDECIDED:
                    return choice
            standing: list[Conflicts] = [{}] * len(rows)
        else:
            standing = [self._standing(at, SAMPLES, key) for at in range(len(rows))]
        row, conflicts = self._merge(key, [key] * len(rows), rows, standing)
        self._note(SAMPLES, key, conflicts)
        return row

    def _is_asked_of(self, rows: Rows) -> bool:
        """Whether the resolver has to see a sample, be it in conflict or not."""
        return self._wants_all and sum(row != rows[0] for row in rows[1:]) > 1

    def _merge(
        self, key: bytes, keys: Sequence[bytes], rows: Rows, standing: Sequence[Conflicts]
    ) -> tuple[bytes | None, dict[str, Terms]]:
        """The merged row of one sample, and its conflicts.

        `keys`, `rows` and `standing` say where and how the versions have it.
        """
        choice = decide_plainly(list(zip(rows, standing, strict=True)))
        is_asked = self._is_asked_of(rows)
        if choice is not UNDECIDED and not choice[1] and not is_asked:
            return choice[0], {}
        base, *sides = [
            Placed(at, None if row is None else decode_sample(row), known)
            for at, row, known in zip(keys, rows, standing, strict=True)
        ]
        dispute = Dispute(SAMPLES, key, None, {}, base.sample, [side.sample for side in sides])
        dispute.standing = standing[1:]
        if choice is not UNDECIDED:
            dispute.merged = None if choice[0] is None else decode_sample(choice[0])
            dispute.conflicts = dict(choice[1])
        elif is_whole(base, sides):
            dispute.merged, dispute.conflicts = merge_whole(base, sides)
        else:
            self._merge_fields(dispute, base, sides)
        if dispute.conflicts or is_asked:
            self._ask(dispute)
        merged: Sample | None = dispute.merged
        return None if merged is None else encode_sample(merged), dispute.conflicts

    def _merge_fields(self, dispute: Dispute, base: Placed, sides: Sequence[Placed]) -> None:
        there = [side.sample for side in sides if side.sample is not None]
        merged, notes = merge_sample(base.sample, there, self._rules)
        dispute.joined = notes.joined
        dispute.merged, dispute.conflicts = merge_standing(
            merged, notes.conflicts, base, [follow(side, notes.joined) for side in sides]
        )
        self._done.joined.update({(merged.uid, own): to for own, to in notes.joined.items()})
        self._done.lowered += [(dispute.key, name) for name in notes.lowered]
        self._done.both.append(dispute.key)

    # -- samples whose keys changed --------------------------------------------------------------

    def _settle_moved(
        self, samples: Sequence[Traced], keys: set[bytes]
    ) -> dict[bytes, bytes | None]:
        """What is in the end at the keys that uids decide."""
        found: dict[bytes, list[tuple[bytes | None, dict[str, Terms]]]] = {key: [] for key in keys}
        moved = dict.fromkeys(keys, False)
        for traced in samples:
            standing = [
                {} if place is None else self._standing(at, SAMPLES, place[0])
                for at, place in enumerate(traced.at)
            ]
            key, terms = self._key_of(traced, standing)
            places = [(key, None) if place is None else place for place in traced.at]
            names, rows = zip(*places, strict=True)
            row, conflicts = self._merge(key, names, rows, standing)
            conflicts.pop(KEY, None)
            if terms is not None and (row is not None or SAMPLE in conflicts):
                conflicts[KEY] = terms
            if row is not None or conflicts:
                found[key].append((row, conflicts))
                moved[key] |= traced.at[0] is not None
        return {
            key: self._at_one_key(key, there, ask=not moved[key]) for key, there in found.items()
        }

    def _key_of(self, traced: Traced, standing: Sequence[Conflicts]) -> tuple[bytes, Terms | None]:
        """Where a sample goes; two different renames are a conflict."""
        base, *sides = traced.at
        old = None if base is None else base[0]
        there = [side[0] for side in sides if side is not None]
        if old is not None and not there:
            return old, None
        if not any(KEY in known for known in standing):
            key = decide(old, there)
            if key is not UNDECIDED and key is not None:
                return key, None
        terms = merge_keys(traced.at, standing)
        if terms.settled is not None and terms.settled != ABSENT:
            return decode_field(KEY, terms.settled).encode(), None
        dispute = Dispute(SAMPLES, old or min(there), None, {KEY: terms}, None, [None] * len(sides))
        dispute.keys = [None if side is None else side[0] for side in sides]
        self._ask(dispute)
        return dispute.key, dispute.conflicts.get(KEY)

    def _at_one_key(
        self, key: bytes, there: list[tuple[bytes | None, dict[str, Terms]]], *, ask: bool
    ) -> bytes | None:
        """The one sample at a key; of several none, and a conflict that holds them all.

        The resolver is only asked of samples that are new: of others one would be lost for good.
        """
        there = there + self._waiting_at(key)
        if len(there) < 2:
            row, conflicts = there[0] if there else (None, {})
            self._note(SAMPLES, key, conflicts)
            return row
        ways = [whole_terms(row, conflicts) for row, conflicts in there]
        terms = merge_terms(Terms((ABSENT,)), ways)
        held = None if terms.held == ABSENT else decode_sample(terms.held)
        at = [version.row(SAMPLES, key) for version in self._versions[1:]]
        sides = [None if row is None else decode_sample(row) for row in at]
        dispute = Dispute(SAMPLES, key, held, {SAMPLE: terms}, None, sides)
        if ask:
            self._ask(dispute)
        self._note(SAMPLES, key, dispute.conflicts)
        return None if dispute.merged is None else encode_sample(dispute.merged)

    def _waiting_at(self, key: bytes) -> list[tuple[bytes | None, dict[str, Terms]]]:
        """Samples of which none holds a key yet, on sides that did not find them in the base."""
        if not any(self._are_conflicted):
            return []
        old, *news = [
            dict(self._standing(at, SAMPLES, key)) if version.row(SAMPLES, key) is None else {}
            for at, version in enumerate(self._versions)
        ]
        found: list[tuple[bytes | None, dict[str, Terms]]] = []
        for conflicts in news:
            if conflicts and conflicts != old and (None, conflicts) not in found:
                found.append((None, conflicts))
        return found
