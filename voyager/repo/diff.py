"""What differs between two versions, row by row; cost follows the changes."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from voyager.repo.dataset import Dataset, Tracked, decode_row, tracked_row
from voyager.repo.snapshot import FILES, SAMPLES, TRACKED
from voyager.schema import Sample
from voyager.store import prolly

RowPair = tuple[bytes, bytes | None, bytes | None]


def changed_rows(before: Dataset, after: Dataset, space: str) -> Iterator[RowPair]:
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


def _tree_diff(before: Dataset, after: Dataset, space: str) -> Iterator[RowPair]:
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
    found: list[Change] = []
    for space in TRACKED:
        changes = [_change(space, *pair) for pair in changed_rows(before, after, space)]
        found += _pair_renames(changes) if renames else changes
    return sorted(found, key=lambda change: change.key)


def iter_changes(before: Dataset, after: Dataset) -> Iterator[Change]:
    """As `diff` without pairing renames: streams, in bounded memory."""
    for space in (SAMPLES, FILES):
        for pair in changed_rows(before, after, space):
            yield _change(space, *pair)


def _change(space: str, key: bytes, old: bytes | None, new: bytes | None) -> Change:
    name = key.decode()
    if old is None:
        return Change("added", name, space, after=new)
    if new is None:
        return Change("removed", name, space, before=old)
    return Change("modified", name, space, None, _parts(space, old, new), old, new)


_PARTS = ("image", "split", "labels", "regions", "negatives", "coverage", "meta", "group", "assets")


def _parts(space: str, old: bytes, new: bytes) -> tuple[str, ...]:
    a, b = decode_row(space, old), decode_row(space, new)
    if not isinstance(a, Sample) or not isinstance(b, Sample):
        return ("content",)
    parts = tuple(part for part in _PARTS if getattr(a, part) != getattr(b, part))
    return parts or ("details",)


def _pair_renames(changes: list[Change]) -> list[Change]:
    """Join a removed and an added row of one identity into a rename."""
    removed: dict[bytes, list[Change]] = {}
    for change in changes:
        if change.kind == "removed" and change.before is not None:
            removed.setdefault(_identity(change.space, change.before), []).append(change)
    if not removed:
        return changes
    paired: list[Change] = []
    gone: set[str] = set()
    for change in changes:
        if change.kind == "added" and change.after is not None:
            sources = removed.get(_identity(change.space, change.after))
            if sources:
                source = sources.pop(0)
                gone.add(source.key)
                assert source.before is not None
                parts = (
                    ()
                    if source.before == change.after
                    else _parts(change.space, source.before, change.after)
                )
                paired.append(
                    Change(
                        "renamed",
                        change.key,
                        change.space,
                        source.key,
                        parts,
                        source.before,
                        change.after,
                    )
                )
                continue
        paired.append(change)
    return [change for change in paired if change.kind != "removed" or change.key not in gone]


def _identity(space: str, row: bytes) -> bytes:
    """What survives a rename: the uid of a sample, the content of a file."""
    value = decode_row(space, row)
    return value.uid if isinstance(value, Sample) else row


def counts(changes: list[Change]) -> dict[str, int]:
    """How many changes there are of each kind; labels stand apart from images."""
    found = dict.fromkeys(("added", "removed", "modified", "renamed", "labels"), 0)
    for change in changes:
        labels_only = change.kind == "modified" and not {"image", "content"} & set(change.parts)
        found["labels" if labels_only else change.kind] += 1
    return found
