"""Resolving conflicts that stand in the staging area: one operation, which `undo` takes back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from voyager import wire
from voyager.errors import ExistsError, NotFoundError, StateError, UsageError
from voyager.merge.check import followed_links, links_into
from voyager.merge.conflicts import Wanted, all_conflicts, select, traced_conflicts
from voyager.merge.deciding import ByChoice, ByStrategy, Choose, Decider
from voyager.merge.moves import Changes
from voyager.merge.resolving import Choice, Work, free_key
from voyager.merge.rules import Rules
from voyager.merge.sides import Traced
from voyager.repo.conflicts import conflict_change, name_of
from voyager.repo.dataset import Dataset
from voyager.repo.keys import check_key, shown
from voyager.repo.merging import running_merge
from voyager.repo.namespace import check_rows
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import CONFLICTS, SAMPLES, TASKS, TAXONOMIES
from voyager.repo.staging import RowChange, fold, overlay_of, stage
from voyager.repo.switch import Goal, followed, go
from voyager.repo.vocabulary import vocabulary_changes
from voyager.repo.worktree import Updated
from voyager.schema import decode_sample, encode_sample
from voyager.schema.conflict import ABSENT, Conflicts, Terms, conflict_key
from voyager.schema.fields import parse_path
from voyager.schema.taxonomy_faults import iter_faults
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import Draft
from voyager.schema.vocabulary_fields import put_term
from voyager.schema.vocabulary_rows import node_key, parse_node_key
from voyager.store import bulk
from voyager.store.ids import Kind


@dataclass(slots=True)
class Resolved:
    """What was resolved, and how many conflicts are left.

    `kinds` counts by the first part of the path; `undecided` are (name, path) of those that were
    meant but that the choice does not decide; `moved` are (old key, new key), `added` the keys that
    were made to keep two samples.
    """

    resolved: int = 0
    left: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)
    undecided: list[tuple[str, str]] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    updated: Updated = field(default_factory=Updated)


@dataclass(frozen=True, slots=True)
class Strategies:
    """Strategies as `-X` takes them: `theirs`, `color=newest`."""

    texts: tuple[str, ...]


def resolve(
    repo: Repository,
    how: Choice | Choose | Strategies,
    wanted: Wanted | None = None,
    *,
    message: str = "",
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Resolved:
    """Resolve the conflicts of the staging area that are meant, as is chosen for each.

    Raises NotFoundError for a name that nothing in conflict has, StateError where the choice
    decides nothing, where a class would be where none can be, or files would be overwritten;
    nothing is changed then.
    """
    repo.refuse_if_running()
    decider = _decider(repo, how)
    with bulk.paused_gc():
        work = Resolution(repo, decider)
        work.run(wanted or Wanted(), progress)
        done = work.done
        if not done.resolved and done.undecided:
            raise _undecided(done, decider.word)
        if not dry_run and work.changes:
            _stage(repo, work, message)
    return done


def way_of(
    repo: Repository,
    *,
    take: str | None,
    value: Any,
    strategy: str | None,
    file: str | os.PathLike[str] | None,
) -> Choice | Choose | Strategies:
    """The one way to resolve that is given, `...` being no value; UsageError for several."""
    from voyager.merge.conflict_json import WORDS, choices_from

    if [take is None, value is ..., strategy is None, file is None].count(False) != 1:
        raise UsageError("one of take, value, strategy and file says how it is resolved")
    if strategy is not None:
        return Strategies((strategy,))
    if file is not None:
        return choices_from(repo.staged(), Path(file))
    if take is None:
        return Choice("value", value=value)
    if take not in WORDS:
        near = get_close_matches(take, WORDS, 1)
        raise UsageError(
            f"'{take}' is no way to resolve: there are {', '.join(WORDS)}",
            hint=f"take='{near[0]}'" if near else None,
        )
    return WORDS[take]


def _decider(repo: Repository, how: Choice | Choose | Strategies) -> Decider:
    if isinstance(how, Strategies):
        return ByStrategy(repo, how.texts)
    if isinstance(how, Choice):
        choice = how
        return ByChoice(lambda space, key, path: choice, how.word)
    return ByChoice(how, "that")


def _undecided(done: Resolved, word: str) -> StateError:
    name, path = done.undecided[0]
    more = len(done.undecided) - 1
    rest = f" and {more:,} more" if more else ""
    return StateError(
        f"'{word}' decides nothing of {path} of '{shown(name)}'{rest}",
        hint=f"vgr conflicts {shown(name)} lists what there is, for --pick N",
    )


class Resolution:
    """All that changes by one resolution."""

    def __init__(self, repo: Repository, decider: Decider) -> None:
        self.repo = repo
        self.staging = repo.staging
        self.version = repo.staged_view(self.staging)
        self.done = Resolved()
        self._decider = decider
        self._rows: dict[tuple[str, bytes], bytes | None] = {}
        self._joined: dict[tuple[bytes, bytes], bytes] = {}
        self._without: list[Dataset] = []
        """Versions that do not have the regions that became one with others."""
        self._terms: list[tuple[str, bytes, str, bytes]] = []
        self._words: dict[tuple[str, bytes], Conflicts] = {}

    @property
    def changes(self) -> list[RowChange]:
        """The rows that change."""
        return [(space, key, row) for (space, key), row in self._rows.items()]

    @property
    def touches_files(self) -> bool:
        """Whether samples or files come, go or change their bytes."""
        done = self.done
        return bool({"sample", "key", "file", "image"} & done.kinds.keys() or done.added)

    def run(self, wanted: Wanted, progress: Progress) -> None:
        """Resolve everything that is meant."""
        every = all_conflicts(self.version)
        if not every:
            raise NotFoundError("nothing is in conflict", hint="vgr status")
        chosen = select(self.version, wanted, every, progress=progress)
        traced = traced_conflicts(self.repo, self.version, chosen)
        self.done.left = sum(map(len, every.values()))
        rules = Rules(self.version.vocabulary, self._load)
        for number, ((space, key), parts) in enumerate(traced.items()):
            progress(number, len(traced))
            if space == SAMPLES:
                self._sample(key, parts, every[space, key], rules)
            elif space in (TASKS, TAXONOMIES):
                self._word(space, key, parts, dict(every[space, key]))
            else:
                self._plain(space, key, parts)
        if self._terms:
            self._put_vocabulary()
        if self._joined:
            self._follow_joined()

    def _load(self, blob: bytes) -> bytes:
        return self.version.objects.get(blob, Kind.BLOB)

    def _note(
        self, space: str, key: bytes, decided: Iterable[str], undecided: Iterable[str]
    ) -> None:
        paths = list(decided)
        name = name_of(space, key, self.version)
        if paths:
            self.done.names.append(name)
            self.done.resolved += len(paths)
            self.done.kinds.update(parse_path(path)[0] for path in paths)
        self.done.undecided += [(name, path) for path in undecided]

    # -- samples ---------------------------------------------------------------------------------

    def _sample(
        self, key: bytes, parts: Sequence[Traced], conflicts: Conflicts, rules: Rules
    ) -> None:
        work = Work.of(key, parts[0].row, conflicts, rules)
        for traced in parts:
            self._decider.work(work, traced)
        self._note(SAMPLES, key, work.decided, work.undecided)
        if not work.decided:
            return
        self.done.left += len(work.left) - len(conflicts)
        row = work.row()
        to = self._place(work, row)
        if row != parts[0].row or to != key:
            self._rows[SAMPLES, to] = row
        if row is None:
            self.done.removed.append(key.decode())
        self._put_conflicts(SAMPLES, to, work.left)
        for other in work.beside:
            name = free_key(key, self._is_taken)
            self._rows[SAMPLES, name.encode()] = other
            self.done.added.append(name)
        if work.joined and work.sample is not None:
            uid = work.sample.uid
            self._joined.update({(uid, own): now for own, now in work.joined.items()})
            self._without += [side for part in parts for side in part.sides]

    def _place(self, work: Work, row: bytes | None) -> bytes:
        """Where the sample goes; ExistsError where something is there already."""
        if work.moved is None or work.moved == work.key or row is None:
            return work.key
        name = check_key(work.moved.decode())
        if self._is_taken(name):
            raise ExistsError(
                f"'{shown(name)}' exists already", hint=f"vgr mv '{shown(name)}' elsewhere first"
            )
        self._rows[SAMPLES, work.key] = None
        self._put_conflicts(SAMPLES, work.key, {})
        self.done.moved.append((work.key.decode(), name))
        return work.moved

    def _is_taken(self, name: str) -> bool:
        key = name.encode()
        if (SAMPLES, key) in self._rows:
            return self._rows[SAMPLES, key] is not None
        return self.version.space_of(name) is not None or self.version.has_folder(name)

    def _put_conflicts(self, space: str, key: bytes, left: Conflicts) -> None:
        _, at, row = conflict_change(space, key, left)
        self._rows[CONFLICTS, at] = row

    def _follow_joined(self) -> None:
        """Let links to regions that became one lead to that one.

        Only rows that differ from a side without those regions can have such a link.
        """
        keys = {key for space, key in self._rows if space == SAMPLES}
        keys |= self.version.overlay_keys(SAMPLES)
        for side in {id(side): side for side in self._without}.values():
            keys |= {key for key, _ in Changes(self.version.objects, [side, self.version], SAMPLES)}
        for key in sorted(keys):
            row = self._rows.get((SAMPLES, key), self.version.row(SAMPLES, key))
            if row is not None and links_into(row, self._joined):
                sample = followed_links(decode_sample(row), self._joined)
                self._rows[SAMPLES, key] = encode_sample(sample)
                at = CONFLICTS, conflict_key(SAMPLES, key)
                self._rows.setdefault(at, self.version.row(*at))  # a link decides no conflict

    # -- files, policies and other rows that are one value ---------------------------------------

    def _plain(self, space: str, key: bytes, parts: Sequence[Traced]) -> None:
        decided, undecided = [], []
        for traced in parts:
            for path, term in self._decider.terms(traced).items():
                if term is None:
                    undecided.append(path)
                    continue
                decided.append(path)
                self._rows[space, key] = None if term == ABSENT else term
        self._note(space, key, decided, undecided)
        if decided:
            self.done.left -= len(decided)
            self._put_conflicts(space, key, {})

    # -- tasks and classes -----------------------------------------------------------------------

    def _word(
        self, space: str, key: bytes, parts: Sequence[Traced], left: dict[str, Terms]
    ) -> None:
        decided, undecided = [], []
        for traced in parts:
            for path, term in self._decider.terms(traced).items():
                if term is None:
                    undecided.append(path)
                    continue
                self._terms.append((space, key, path, term))
                decided.append(path)
                left.pop(path)
        self._note(space, key, decided, undecided)
        self.done.left -= len(decided)
        self._words[space, key] = left

    def _put_vocabulary(self) -> None:
        """Set the fields of tasks and classes; StateError for a tree that cannot be."""
        draft, names = Draft(self.version.vocabulary), dict[str, str]()
        for space, key, path, term in sorted(self._terms, key=_roots_last):
            try:
                put_term(draft, space, key, path, term)
            except (BadValueError, ExistsError) as error:
                raise StateError(f"that cannot be: {error.message}", hint="vgr conflicts") from None
            if path == "name" and space == TAXONOMIES and parse_node_key(key)[1] is None:
                names[parse_node_key(key)[0]] = wire.decode(term)
        worse = set(iter_faults(draft)) - set(iter_faults(self.version.vocabulary))
        if worse:
            first = min(worse, key=lambda fault: fault.message)
            raise StateError(
                f"that cannot be: {first.message}",
                hint="vgr conflicts lists what else there is; vgr taxonomy mv makes room",
            )
        for space, key, row in vocabulary_changes(draft):
            self._rows[space, key] = row
        for (space, key), left in self._words.items():
            self._put_conflicts(space, key, {})
            self._put_conflicts(space, _renamed(space, key, names), left)


def _roots_last(item: tuple[str, bytes, str, bytes]) -> bool:
    """Keys name taxonomies, so a new name of one comes after all else."""
    space, key, path, _ = item
    return space == TAXONOMIES and path == "name" and parse_node_key(key)[1] is None


def _renamed(space: str, key: bytes, names: Mapping[str, str]) -> bytes:
    if space != TAXONOMIES:
        return key
    name, node = parse_node_key(key)
    return node_key(names.get(name, name), node)


def _stage(repo: Repository, work: Resolution, message: str) -> None:
    """Stage what changes, and let files follow; a kill on the way can be continued or aborted."""
    version, changes = work.version, work.changes
    with repo.transaction("resolve", message[:200]) as txn:
        if work.touches_files:
            overlay = {**work.staging.overlay, **overlay_of(changes)}
            check_rows(version, Dataset(txn, version.roots, overlay), changes)
            goal = Goal(
                repo.head,
                work.staging.base,
                fold(txn, work.staging.roots, overlay),
                merging=running_merge(repo.store),
            )
            updated = go(repo, txn, work.staging, goal)
        else:
            stage(txn, work.staging, changes)
            txn.commit()
            updated = Updated()
    work.done.updated = followed(repo, updated)
