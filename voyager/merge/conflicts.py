"""The conflicts that stand in a version: which of them are meant, and what each side says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from voyager.errors import NotFoundError, UsageError
from voyager.merge.sides import Rows, Traced, trace
from voyager.repo.conflicts import PREFIXES, iter_conflicted, name_of
from voyager.repo.dataset import Dataset
from voyager.repo.fact_filter import classes_named
from voyager.repo.keys import KeyPattern, shown
from voyager.repo.region_names import EVERY, MIN_PREFIX, find_regions, parse_region_name
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import FILES, SAMPLES, TASKS, TAXONOMIES
from voyager.schema import Label, Region, Sample, decode_sample
from voyager.schema.conflict import Terms
from voyager.schema.fields import decode_field, pair_of, region_of, task_of
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary_rows import parse_node_key

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """One field in conflict; `sides` is what each side says, None where that is no term of it.

    `name` is the key of a sample or file, `task:NAME` or `taxonomy:NAME/CLASS`.
    """

    space: str
    key: bytes
    name: str
    path: str
    terms: Terms
    sides: tuple[bytes | None, ...]
    base: bytes
    """What the field holds meanwhile."""

    @property
    def options(self) -> list[bytes]:
        """What there is to choose from, each once: `--pick 1` is the first."""
        return list(dict.fromkeys(self.terms.adds))

    @property
    def region(self) -> bytes | None:
        """The region that it is about; of two that may be the same thing, the lower one."""
        pair = pair_of(self.path) if self.space == SAMPLES else None
        return pair[0] if pair else region_of(self.path) if self.space == SAMPLES else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conflicts are meant: all that fit everything that is said.

    `names` are keys, folders, globs, KEY#REGION, task:NAME and taxonomy:NAME[/CLASS]; `path` is a
    field path or the beginning of one; `class_` holds for labels of a class or one below it.
    """

    names: Sequence[str] = ()
    path: str | None = None
    task: str | None = None
    class_: str | None = None
    where: str | None = None


def list_conflicts(
    repo: Repository,
    version: Dataset,
    wanted: Wanted | None = None,
    *,
    progress: Progress = no_progress,
) -> list[Standing]:
    """The conflicts of a version, by space, key and path.

    NotFoundError for a name that nothing in conflict has.
    """
    found = []
    rows = select(version, wanted or Wanted(), all_conflicts(version), progress=progress)
    for traced in trace(repo, version, rows):
        name = name_of(traced.space, traced.key, version)
        for path, terms in traced.conflicts.items():
            sides = tuple(traced.term(number, path) for number in range(len(traced.sides)))
            base = traced.base(path)
            found.append(Standing(traced.space, traced.key, name, path, terms, sides, base))
    return sorted(found, key=lambda one: (_ORDER.get(one.space, one.space), one.key, one.path))


_ORDER = {TASKS: "0", TAXONOMIES: "1", FILES: "2", SAMPLES: "3"}


# -- choosing -------------------------------------------------------------------------------------


def all_conflicts(version: Dataset) -> Rows:
    """Every conflict of a version, by row."""
    return {(space, key): found for space, key, found in iter_conflicted(version)}


def select(
    version: Dataset, wanted: Wanted, rows: Rows, *, progress: Progress = no_progress
) -> Rows:
    """Those of a version's conflicts that are meant."""
    if wanted.names:
        rows = _named(version, rows, wanted.names)
    if wanted.where is not None:
        from voyager.repo.where import keys_where

        keys = {key.encode() for key in keys_where(version, wanted.where, progress=progress)}
        rows = {at: found for at, found in rows.items() if at[0] == SAMPLES and at[1] in keys}
    tests = list(_tests(version, wanted))
    return _filtered(rows, tests) if tests else rows


Test = Callable[[str, bytes, str, Terms], bool]


def _filtered(rows: Rows, tests: Sequence[Test]) -> Rows:
    found = {}
    for (space, key), conflicts in rows.items():
        kept = {
            path: terms
            for path, terms in conflicts.items()
            if all(test(space, key, path, terms) for test in tests)
        }
        if kept:
            found[space, key] = kept
    return found


def _tests(version: Dataset, wanted: Wanted) -> Iterator[Test]:
    prefix = wanted.path
    if prefix is not None:
        yield lambda space, key, path, terms: path == prefix or path.startswith(f"{prefix}/")
    if wanted.task is not None:
        yield _AboutLabels(version, task=wanted.task)
    if wanted.class_ is not None:
        yield _AboutLabels(version, nodes=_classes(version, wanted.class_))


def _classes(version: Dataset, name: str) -> frozenset[NodeId]:
    try:
        return classes_named(name, version.vocabulary)
    except UsageError:
        raise NotFoundError(f"there is no class '{name}'", hint="vgr taxonomy tree") from None


class _AboutLabels:
    """Whether a conflict is about labels of a task, or of some classes, or a region with such."""

    def __init__(
        self, version: Dataset, *, task: str | None = None, nodes: frozenset[NodeId] | None = None
    ) -> None:
        self._version = version
        self._task = task
        self._nodes = nodes

    def __call__(self, space: str, key: bytes, path: str, terms: Terms) -> bool:
        if space == TASKS:
            return self._task == key.decode()
        if space == TAXONOMIES:
            return self._nodes is not None and parse_node_key(key)[1] in self._nodes
        if space != SAMPLES:
            return False
        if self._task is not None and task_of(path) is not None:
            return task_of(path) == self._task
        return any(map(self._fits, self._labels(key, path, terms)))

    def _fits(self, label: Label) -> bool:
        if self._task is not None:
            return label.task == self._task
        return label.node is not None and label.node in (self._nodes or ())

    def _labels(self, key: bytes, path: str, terms: Terms) -> Iterator[Label]:
        if pair_of(path) is None:
            for term in {*terms.adds, *terms.removes}:
                yield from _labels_in(decode_field(path, term))
        row = self._version.row(SAMPLES, key)
        own = {*(pair_of(path) or ()), region_of(path)} - {None}
        if row is not None and own and task_of(path) is None:
            for region in decode_sample(row).regions:
                if region.id in own:
                    yield from region.labels


def _labels_in(value: Any) -> Iterator[Label]:
    if isinstance(value, Label):
        yield value
    if isinstance(value, (Region, Sample)):
        yield from value.labels
    if isinstance(value, Sample):
        for region in value.regions:
            yield from region.labels


# -- names ----------------------------------------------------------------------------------------


def _named(version: Dataset, rows: Rows, names: Iterable[str]) -> Rows:
    """What names name; NotFoundError for one that names nothing in conflict."""
    by_name = {name_of(space, key, version): (space, key) for space, key in rows}
    found: dict[tuple[str, bytes], dict[str, Terms]] = {}
    for name in names:
        new = _rows_named(version, rows, by_name, name)
        if not new:
            raise _not_in_conflict(version, rows, by_name, name)
        for at, conflicts in new.items():
            found.setdefault(at, {}).update(conflicts)
    return found


def _rows_named(
    version: Dataset, rows: Rows, by_name: dict[str, tuple[str, bytes]], name: str
) -> Rows:
    def is_key(text: str) -> bool:
        return text in by_name or version.space_of(text) is not None or version.has_folder(text)

    if name in by_name:
        exact = by_name[name]
        below = [] if exact[0] != TAXONOMIES else [n for n in by_name if n.startswith(f"{name}/")]
        return {at: rows[at] for at in (exact, *(by_name[n] for n in below))}
    if name.startswith(tuple(PREFIXES.values())) and not is_key(name):
        return {at: rows[at] for n, at in by_name.items() if n.startswith(f"{name.rstrip('/')}/")}
    parted = parse_region_name(name, is_key)
    pattern = KeyPattern(parted.key)
    keys = [at for n, at in by_name.items() if at[0] in (SAMPLES, FILES) and pattern.matches(n)]
    if parted.region is None:
        return {at: rows[at] for at in keys}
    found = {at: _of_region(version, at, rows[at], parted.region) for at in keys}
    return {at: conflicts for at, conflicts in found.items() if conflicts}


def _of_region(
    version: Dataset, at: tuple[str, bytes], conflicts: dict[str, Terms], text: str
) -> dict[str, Terms]:
    """The conflicts about a region, which need not be in the sample while it is in conflict."""
    ids = {path: {*(pair_of(path) or ()), region_of(path)} - {None} for path in conflicts}
    if text == EVERY:
        return {path: conflicts[path] for path, own in ids.items() if own}
    if len(text) < MIN_PREFIX or text.startswith("#"):
        key = at[1].decode()
        sample = version.get(key) if at[0] == SAMPLES else None
        wanted = {region.id for region in find_regions(key, sample, text)} if sample else set()
        return {path: conflicts[path] for path, own in ids.items() if own & wanted}
    hits = {each for own in ids.values() for each in own if each and each.hex().startswith(text)}
    if len(hits) > 1 and not any(pair_of(path) and own >= hits for path, own in ids.items()):
        raise UsageError(
            f"'{text}' begins the ids of {len(hits)} regions in conflict",
            hint=f"{at[1].decode()}#{min(hits).hex()}",
        )
    return {path: conflicts[path] for path, own in ids.items() if own & hits}


def _not_in_conflict(
    version: Dataset, rows: Rows, by_name: dict[str, tuple[str, bytes]], name: str
) -> NotFoundError:
    from difflib import get_close_matches

    if not rows:
        return NotFoundError(f"'{shown(name)}' is not in conflict: nothing is", hint="vgr status")
    key, hash_, _ = name.rpartition("#")
    if hash_ and key in by_name:
        regions = dict.fromkeys(
            own.hex()[:8] for path in rows[by_name[key]] if (own := region_of(path)) is not None
        )
        there = f"regions {', '.join(regions)}" if regions else ", ".join(rows[by_name[key]])
        return NotFoundError(
            f"'{shown(name)}' is not in conflict; in conflict there: {there}",
            hint=f"vgr conflicts {shown(key)}",
        )
    if version.space_of(name) is not None:
        return NotFoundError(f"nothing of '{shown(name)}' is in conflict", hint="vgr conflicts")
    near = get_close_matches(name, by_name, 1)
    hint = f"did you mean '{shown(near[0])}'? vgr conflicts lists them" if near else "vgr conflicts"
    return NotFoundError(f"'{shown(name)}' is not in conflict", hint=hint)


def traced_conflicts(
    repo: Repository, version: Dataset, rows: Rows
) -> dict[tuple[str, bytes], list[Traced]]:
    """The conflicts of rows with their sides, by row in order."""
    found: dict[tuple[str, bytes], list[Traced]] = {}
    for traced in trace(repo, version, rows):
        found.setdefault((traced.space, traced.key), []).append(traced)
    return dict(sorted(found.items()))
