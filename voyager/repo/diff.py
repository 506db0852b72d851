"""What differs between two versions, row by row; cost follows the changes."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from voyager.repo.dataset import Dataset, Tracked, tracked_row
from voyager.repo.row_spool import RowSpool
from voyager.repo.snapshot import FILES, SAMPLES, TRACKED
from voyager.schema.thin_rows import thin_sample, uid_of
from voyager.store import bulk, prolly

ChangedRow = tuple[bytes, bytes | None, bytes | None]


class RowPair(NamedTuple):
    """The rows (or values) of one thing before and after; None where it is not.

    `old_key` is where it was, when it was renamed.
    """

    space: str
    key: str
    old_key: str | None
    before: Any
    after: Any


def changed_rows(before: Dataset, after: Dataset, space: str) -> Iterator[ChangedRow]:
    """(key, row before, row after) for every key whose row differs, in key order."""
    staged = sorted(before.overlay_keys(space) | after.overlay_keys(space))
    committed = _tree_diff(before, after, space)
    if not staged:
        yield from committed
        return
    hidden = set(staged)
    pairs = ((key, before.row(space, key), after.row(space, key)) for key in staged)
    yield from heapq.merge(
        (pair for pair in pairs if pair[1] != pair[2]),
        (pair for pair in committed if pair[0] not in hidden),
        key=lambda pair: pair[0],
    )


def _tree_diff(before: Dataset, after: Dataset, space: str) -> Iterator[ChangedRow]:
    old, new = before.roots.get(space), after.roots.get(space)
    if old == new:
        return
    if old is None or new is None:
        for key, row in (after if old is None else before).base_rows(space):
            yield (key, None, row) if old is None else (key, row, None)
        return
    yield from prolly.diff(after.objects, old, new)


def changed_files(
    before: Dataset, after: Dataset
) -> Iterator[tuple[str, Tracked | None, Tracked | None]]:
    """(key, before, after) for every key whose file in the working tree differs, in key order."""
    streams = [_changed_files_of(before, after, space) for space in TRACKED]
    merged: dict[str, tuple[Tracked | None, Tracked | None]] = {}
    for key, old, new in heapq.merge(*streams, key=lambda change: change[0]):
        if key in merged:  # a key that went from one space to the other
            first = merged[key]
            merged[key] = (first[0] or old, first[1] or new)
        else:
            merged[key] = (old, new)
    for key, (old, new) in merged.items():
        if old is None or new is None or old[1:] != new[1:]:
            yield key, old, new


def _changed_files_of(
    before: Dataset, after: Dataset, space: str
) -> Iterator[tuple[str, Tracked | None, Tracked | None]]:
    for key, old, new in changed_rows(before, after, space):
        a = None if old is None else before.tracked_as(space, key, old)
        b = None if new is None else tracked_row(space, key, new)  # a purged one is named later
        if a is not None or b is not None:
            yield key.decode(), a, b


@dataclass(frozen=True, slots=True)
class Change:
    """One changed key in words.

    `kind` is added, removed, renamed (from `old_key`) or modified; `parts` names what of a
    modified row changed: image, split, labels, regions, …
    """

    kind: str
    key: str
    space: str
    old_key: str | None = None
    parts: tuple[str, ...] = ()
    before: bytes | None = None
    after: bytes | None = None


def diff(before: Dataset, after: Dataset, *, renames: bool = True) -> list[Change]:
    """The changes from one version to another, in key order; renames are paired by uid."""
    with bulk.paused_gc():
        found = [
            _change(pair)
            for space in TRACKED
            for pair in iter_row_pairs(before, after, space, renames=renames)
        ]
    return sorted(found, key=lambda change: change.key)


def iter_changes(before: Dataset, after: Dataset) -> Iterator[Change]:
    """As `diff` without pairing renames: streams, in bounded memory."""
    for space in (SAMPLES, FILES):
        for pair in iter_row_pairs(before, after, space, renames=False):
            yield _change(pair)


def iter_row_pairs(
    before: Dataset, after: Dataset, space: str, *, renames: bool = True
) -> Iterator[RowPair]:
    """The changed rows of a space in key order, in bounded memory; renames are paired.

    What was renamed is known only at the end of the walk: rows wait for it in a spool.
    """
    rows = changed_rows(before, after, space)
    if not renames:
        yield from (RowPair(space, key.decode(), None, old, new) for key, old, new in rows)
        return
    with RowSpool() as spool:
        gone: dict[bytes, list[bytes]] = {}
        come: dict[bytes, list[bytes]] = {}
        for key, old, new in rows:
            spool.add(key, old, new)
            if old is None and new is not None:
                come.setdefault(_identity(space, new), []).append(key)
            elif new is None and old is not None:
                gone.setdefault(_identity(space, old), []).append(key)
        origins = _renamed(gone, come)
        taken = set(origins.values())
        for key, old, new in spool:
            if new is None and key in taken:
                continue
            origin = origins.get(key) if old is None else None
            if origin is None:
                yield RowPair(space, key.decode(), None, old, new)
            else:
                row = before.row(space, origin)
                yield RowPair(space, key.decode(), origin.decode(), row, new)


def _renamed(gone: dict[bytes, list[bytes]], come: dict[bytes, list[bytes]]) -> dict[bytes, bytes]:
    """New key → old key, of one identity."""
    return {
        new: old
        for identity in gone.keys() & come.keys()
        for old, new in zip(gone[identity], come[identity], strict=False)
    }


def _identity(space: str, row: bytes) -> bytes:
    """What survives a rename: the uid of a sample, the content of a file."""
    return row if space == FILES else uid_of(row)


def _change(pair: RowPair) -> Change:
    space, key, old_key, old, new = pair
    if old is None:
        return Change("added", key, space, after=new)
    if new is None:
        return Change("removed", key, space, before=old)
    kind = "modified" if old_key is None else "renamed"
    parts = () if old == new else _parts(space, old, new)
    return Change(kind, key, space, old_key, parts, old, new)


_PARTS = ("image", "split", "labels", "regions", "negatives", "coverage", "meta", "group", "assets")


def _parts(space: str, old: bytes, new: bytes) -> tuple[str, ...]:
    if space == FILES:
        return ("content",)
    a, b = thin_sample(old), thin_sample(new)
    parts = tuple(part for part in _PARTS if getattr(a, part) != getattr(b, part))
    return parts or ("details",)


def counts(changes: list[Change]) -> dict[str, int]:
    """How many changes there are of each kind; labels stand apart from images."""
    found = dict.fromkeys(("added", "removed", "modified", "renamed", "labels"), 0)
    for change in changes:
        labels_only = change.kind == "modified" and not {"image", "content"} & set(change.parts)
        found["labels" if labels_only else change.kind] += 1
    return found
