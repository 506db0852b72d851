"""The conflicts of a version: rows of the space `conflicts`, one for each thing (spec 9.12).

While a conflict stands its field holds the base value. Whoever writes the field resolves it; rm
drops the conflicts of what it removes, and mv carries them along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from voyager.errors import StateError
from voyager.repo.snapshot import CONFLICTS, FILES, POLICIES, SAMPLES, TASKS, TAXONOMIES
from voyager.schema import decode_sample
from voyager.schema.conflict import (
    Conflicts,
    Terms,
    conflict_key,
    decode_conflicts,
    encode_conflicts,
    parse_conflict_key,
)
from voyager.schema.fields import KEY, pair_of, parse_path, region_of, region_path
from voyager.schema.row_fields import read_term
from voyager.schema.thin_rows import uid_of
from voyager.schema.vocabulary_rows import decode_node, parse_node_key

if TYPE_CHECKING:
    from voyager.repo.dataset import Dataset
    from voyager.repo.staging import RowChange


PREFIXES: Final = {TASKS: "task:", TAXONOMIES: "taxonomy:", POLICIES: "policies:"}
"""What the names of tasks, classes and policies begin with."""


class Conflict(NamedTuple):
    """One field in conflict: of which row (`name` as `name_of`), which path, and the terms."""

    space: str
    key: bytes
    name: str
    path: str
    terms: Terms


def name_of(space: str, key: bytes, version: Dataset) -> str:
    """What commands call a row: a key, `task:NAME`, `taxonomy:NAME/CLASS`, `SPACE:KEY` else."""
    text = key.decode(errors="replace")
    if space in (SAMPLES, FILES):
        return text
    if space != TAXONOMIES:
        return f"{PREFIXES.get(space, f'{space}:')}{text}"
    name, node = parse_node_key(key)
    if node is None:
        return f"taxonomy:{name}"
    taxonomy = version.vocabulary.taxonomies.get(name)
    path = taxonomy.path(node) if taxonomy is not None and node in taxonomy else None
    return f"taxonomy:{name}/{path or node.hex()}"


def has_conflicts(version: Dataset) -> bool:
    """Whether anything of a version is in conflict."""
    return next(version.rows(CONFLICTS), None) is not None


def conflicts_at(version: Dataset, space: str, key: bytes) -> dict[str, Terms]:
    """The conflicts of one row, by path."""
    row = version.row(CONFLICTS, conflict_key(space, key))
    return {} if row is None else decode_conflicts(row)


def iter_conflicted(version: Dataset) -> Iterator[tuple[str, bytes, dict[str, Terms]]]:
    """(space, key, conflicts by path) of every row in conflict, by space and key."""
    for at, row in version.rows(CONFLICTS):
        space, key = parse_conflict_key(at, row)
        yield space, key, decode_conflicts(row)


def iter_conflicts(version: Dataset) -> Iterator[Conflict]:
    """Every field in conflict, by space, key and path."""
    for space, key, found in iter_conflicted(version):
        name = name_of(space, key, version)
        for path in sorted(found):
            yield Conflict(space, key, name, path, found[path])


def count_conflicts(version: Dataset) -> int:
    """How many fields are in conflict."""
    return sum(len(found) for _, _, found in iter_conflicted(version))


def conflicted_keys(version: Dataset) -> frozenset[str]:
    """The keys of the samples of which something is in conflict."""
    return frozenset(key.decode() for space, key, _ in iter_conflicted(version) if space == SAMPLES)


def refuse_conflicts(version: Dataset, what: str, *, flag: str = "--allow-conflicts") -> None:
    """StateError for a version with conflicts, which `what` takes with a flag at most."""
    first = next(iter_conflicts(version), None)
    if first is not None:
        at = "" if version.commit is None else f" --at {version.commit.hex()[:12]}"
        raise StateError(
            f"{what} refuses a version with conflicts: {count_conflicts(version)},"
            f" first '{first.name}' {first.path}",
            hint=f"vgr conflicts{at}" + (f", or {flag}" if flag else ""),
        )


def conflict_change(space: str, key: bytes, conflicts: Conflicts) -> RowChange:
    """The change of rows that leaves a row with these conflicts."""
    row = encode_conflicts(conflicts, key) if conflicts else None
    return CONFLICTS, conflict_key(space, key), row


def settle(version: Dataset, changes: Iterable[RowChange]) -> list[RowChange]:
    """Changes of rows, with what they mean for the conflicts of a version."""
    given = list(changes)
    if not has_conflicts(version):
        return given
    written = {at for space, at, _ in given if space == CONFLICTS}
    rows = {(space, key): row for space, key, row in given}
    arrived = _arrived(version, given)
    left: dict[bytes, RowChange] = {}
    found: dict[bytes, RowChange] = {}
    for (space, key), row in rows.items():
        if space == CONFLICTS or conflict_key(space, key) in written:
            continue
        known = conflicts_at(version, space, key)
        if not known:
            continue
        before, to, after = version.row(space, key), key, row
        if before is not None and not _is_one(space, key, before, row):
            to = arrived.get(_identity(space, key, before), key)
            after = rows.get((space, to)) if to != key else None
        kept = {
            path: terms
            for path, terms in known.items()
            if after is not None and _stands(space, path, before, after)
        }
        if to != key:
            kept.pop(_place(space, key), None)
            left[conflict_key(space, key)] = conflict_change(space, key, {})
        if kept != known or to != key:
            (found if kept else left)[conflict_key(space, to)] = conflict_change(space, to, kept)
    return [*given, *{**left, **found}.values()]


_MOVING = {SAMPLES, TAXONOMIES}
"""Spaces of rows that go on under other keys."""


def _place(space: str, key: bytes) -> str:
    """The path that says where a row is, which who moves it decides; empty where none does."""
    if space == SAMPLES:
        return KEY
    return "name" if parse_node_key(key)[1] is None else ""


def _arrived(version: Dataset, changes: Iterable[RowChange]) -> dict[bytes, bytes]:
    """What samples, classes and taxonomies are, and their keys, where those are new to them."""
    return {
        _identity(space, key, row): key
        for space, key, row in changes
        if space in _MOVING
        and row is not None
        and not _is_one(space, key, row, version.row(space, key))
    }


def _is_one(space: str, key: bytes, row: bytes, other: bytes | None) -> bool:
    """Whether two rows at one key are of one thing."""
    return other is not None and _identity(space, key, row) == _identity(space, key, other)


def _identity(space: str, key: bytes, row: bytes) -> bytes:
    """What a row is, wherever it stands: the uid of a sample, the id of a class."""
    if space == SAMPLES:
        return uid_of(row)
    if space != TAXONOMIES:
        return key
    name, node = parse_node_key(key)
    return node or (decode_node(row).minted or name).encode()


def restored_conflicts(
    now: Dataset, origin: Dataset, rows: Iterable[tuple[str, str]], *, everything: bool = False
) -> list[RowChange]:
    """What makes the conflicts of some rows (or of all) those of another version."""
    if not has_conflicts(now) and not has_conflicts(origin):
        return []
    wanted = {conflict_key(space, key.encode()) for space, key in rows}
    if everything:
        wanted |= {at for version in (now, origin) for at, _ in version.rows(CONFLICTS)}
    found = [(at, origin.row(CONFLICTS, at)) for at in sorted(wanted)]
    return [(CONFLICTS, at, row) for at, row in found if row != now.row(CONFLICTS, at)]


Written = tuple[str, ...]
"""The parts of a path that was written, with everything below it."""


def settle_written(
    version: Dataset, changes: Iterable[RowChange], written: Mapping[bytes, Collection[Written]]
) -> list[RowChange]:
    """As `settle`; fields of samples that were written, by key, are settled though they are alike.

    Who says again what the field holds decides for that.
    """
    found = {(space, key): row for space, key, row in settle(version, changes)}
    for key, heads in written.items():
        at = conflict_key(SAMPLES, key)
        row = found.get((CONFLICTS, at), version.row(CONFLICTS, at))
        known = {} if row is None else decode_conflicts(row)
        kept = {path: terms for path, terms in known.items() if not _is_written(path, heads)}
        if kept != known:
            found[CONFLICTS, at] = conflict_change(SAMPLES, key, kept)[2]
    return [(space, key, row) for (space, key), row in found.items()]


def _is_written(path: str, heads: Collection[Written]) -> bool:
    """Whether a path lies in what was written, or holds it as a whole region does its parts."""
    parts = parse_path(path)
    return any(parts[: len(head)] == head or head[: len(parts)] == parts for head in heads)


def settled_between(before: Dataset, after: Dataset) -> list[tuple[bytes, bytes | None]]:
    """Rows of the conflicts that a later version settled or moved, by writing rows."""
    from voyager.repo.diff import changed_rows

    changes: list[RowChange] = []
    left: dict[str, set[bytes]] = {}
    for space, key, _ in iter_conflicted(before):
        old, new = before.row(space, key), after.row(space, key)
        if old != new:
            changes.append((space, key, new))
            if space in _MOVING and old is not None and not _is_one(space, key, old, new):
                left.setdefault(space, set()).add(_identity(space, key, old))
    for space, wanted in left.items():
        changes += [
            (space, key, row)
            for key, _, row in changed_rows(before, after, space)
            if row is not None and _identity(space, key, row) in wanted
        ]
    return sorted((at, row) for space, at, row in settle(before, changes) if space == CONFLICTS)


def _stands(space: str, path: str, before: bytes | None, row: bytes) -> bool:
    """Whether a conflict is still one after its row was written."""
    if space != SAMPLES:
        return read_term(space, before, path) == read_term(space, row, path)
    pair, owner = pair_of(path), region_of(path)
    needed = set(pair or ()) | ({owner} if owner and path != region_path(owner) else set())
    if needed and not needed <= {region.id for region in decode_sample(row).regions}:
        return False
    return read_term(space, before, path) == read_term(space, row, path)
