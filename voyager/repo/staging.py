"""The staging area: a staged root plus an overlay of changed rows, both journaled (spec 6.3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from voyager.repo.snapshot import CONFLICTS, Roots, read_snapshot, write_snapshot
from voyager.store import prolly
from voyager.store.objects import ObjectWriter
from voyager.store.objectstore import Store
from voyager.store.operation import GONE, NIL
from voyager.store.spec import BULK_ROWS, OVERLAY_ROWS
from voyager.store.transaction import Transaction
from voyager.wire import Ext, object_ref

STAGING = "STAGING"

Overlay = Mapping[tuple[str, bytes], bytes]
"""(space, key) → encoded row, or GONE."""

Rows = Iterable[tuple[bytes, bytes | None]]
"""(key, encoded row or None to remove it) of one space, in key order."""

RowChange = tuple[str, bytes, bytes | None]
"""(space, key, encoded row or None to remove it)."""


@dataclass(frozen=True, slots=True)
class Staging:
    """What the next commit will hold.

    `base` is the commit that was checked out (None while unborn), `snapshot` the staged root.
    """

    base: bytes | None
    snapshot: bytes
    roots: Roots
    overlay: Overlay = field(default_factory=dict)


def read_staging(store: Store) -> Staging:
    """The staging area as it stands."""
    value = store.value(STAGING)
    snapshot = bytes(value["root"].data)
    base = value.get("base")
    return Staging(
        base=bytes(base.data) if base is not None else None,
        snapshot=snapshot,
        roots=read_snapshot(store, snapshot),
        overlay=store.overlay(),
    )


def staging_value(base: bytes | None, snapshot: bytes) -> dict[str, Ext]:
    """How a staging area without its overlay is stored."""
    value = {"root": object_ref(snapshot)}
    if base is not None:
        value["base"] = object_ref(base)
    return value


def overlay_of(changes: Iterable[RowChange]) -> dict[tuple[str, bytes], bytes]:
    """Changed rows as an overlay."""
    return {(space, key): GONE if row is None else row for space, key, row in changes}


def stage(txn: Transaction, staging: Staging, changes: Iterable[RowChange]) -> None:
    """Stage rows; many at once, or a large overlay, are folded into a staged root.

    Rows of a bulk import are then written once, and not journaled first. A conflict whose field is
    written is settled.
    """
    rows = overlay_of(_settled(txn, staging, changes))
    if len(rows) > BULK_ROWS or len(staging.overlay) + len(rows) > OVERLAY_ROWS:
        merged = {**staging.overlay, **rows}
        snapshot = fold(txn, staging.roots, merged)
        replace_staging(txn, staging, base=staging.base, snapshot=snapshot)
        return
    trees = {space: prolly.Map(txn, root) for space, root in staging.roots.items()}
    for (space, key), row in rows.items():
        old = staging.overlay.get((space, key), NIL)
        new = row
        tree = trees.get(space)
        if (tree is None and row == GONE) or (tree is not None and tree.get(key) == row):
            new = NIL  # what the staged root says anyway needs no overlay
        elif row == GONE and tree is not None and key not in tree:
            new = NIL
        if new != old:
            txn.change(space, key, new, old=old)


def _settled(
    txn: Transaction, staging: Staging, changes: Iterable[RowChange]
) -> Iterable[RowChange]:
    """Changes with what they mean for conflicts, which most staging areas have none of."""
    if CONFLICTS not in staging.roots and all(space != CONFLICTS for space, _ in staging.overlay):
        return changes
    from voyager.repo.conflicts import settle
    from voyager.repo.dataset import Dataset

    return settle(Dataset(txn, staging.roots, staging.overlay), changes)


def fold(objects: ObjectWriter, roots: Roots, overlay: Overlay) -> bytes:
    """Write the rows of an overlay into the trees; the id of the resulting snapshot."""
    return write_snapshot(objects, fold_roots(objects, roots, overlay))


def fold_roots(objects: ObjectWriter, roots: Roots, overlay: Overlay) -> dict[str, bytes]:
    """As `fold`, giving the roots."""
    by_space: dict[str, list[tuple[bytes, bytes | None]]] = {}
    for (space, key), row in overlay.items():
        by_space.setdefault(space, []).append((key, None if row == GONE else row))
    folded = dict(roots)
    for space, rows in by_space.items():
        rows.sort()
        folded[space] = edit_map(objects, folded.get(space), rows)
    return folded


def edit_map(
    objects: ObjectWriter, root: bytes | None, rows: Iterable[tuple[bytes, bytes | None]]
) -> bytes:
    """Edit a map that may not exist yet; its root."""
    if root is None:
        return prolly.build(objects, ((key, row) for key, row in rows if row is not None))
    return prolly.edit(objects, root, rows)


def fold_staging(txn: Transaction, staging: Staging) -> bytes:
    """The snapshot that a commit of this staging area would hold."""
    if not staging.overlay:
        return staging.snapshot
    return fold(txn, staging.roots, staging.overlay)


def replace_staging(
    txn: Transaction,
    staging: Staging | None,
    *,
    base: bytes | None,
    snapshot: bytes,
    overlay: Overlay | None = None,
    folded: bytes | None = None,
) -> None:
    """Let the staging area stand on another commit or root, with `overlay` on top.

    Undo puts back the old one with its overlay folded in, so that the overlay need not be kept;
    `folded` is that snapshot where the caller has it already.
    """
    old = None if staging is None else staging_value(staging.base, staging.snapshot)
    txn.move(STAGING, staging_value(base, snapshot), old=old)
    if staging is not None and staging.overlay:
        txn.clear_overlay()
        txn.on_undo(STAGING, staging_value(staging.base, folded or fold_staging(txn, staging)))
        txn.expect_overlay(staging.overlay)
    for (space, key), row in (overlay or {}).items():
        txn.change(space, key, row, old=NIL)


def _items_of(late: Callable[[], Mapping[str, Rows]]) -> Iterator[tuple[str, Rows]]:
    yield from late().items()


def settle_trees(txn: Transaction, before: Roots, after: dict[str, bytes]) -> None:
    """Settle, in the trees `after`, the conflicts whose fields are not as in those `before`."""
    if CONFLICTS in before:
        from voyager.repo.conflicts import settled_between
        from voyager.repo.dataset import Dataset

        rows = settled_between(Dataset(txn, before), Dataset(txn, after))
        after[CONFLICTS] = edit_map(txn, before[CONFLICTS], rows)


def stage_sorted(
    txn: Transaction,
    staging: Staging,
    rows: Mapping[str, Rows],
    late: Callable[[], Mapping[str, Rows]] = dict,
) -> dict[str, bytes]:
    """Stage streams of rows, sorted by key, as a staged root; the roots of what is staged then.

    `rows` are taken space by space in bounded memory; `late` is called for more when they are.
    """
    return stage_roots(txn, staging, write_sorted(txn, staging, rows, late))


def write_sorted(
    txn: Transaction,
    staging: Staging,
    rows: Mapping[str, Rows],
    late: Callable[[], Mapping[str, Rows]] = dict,
) -> dict[str, bytes]:
    """The roots that `stage_sorted` would stage."""
    roots = fold_roots(txn, staging.roots, staging.overlay)
    before = dict(roots)
    for space, changes in itertools.chain(rows.items(), _items_of(late)):
        roots[space] = edit_map(txn, roots.get(space), changes)
    settle_trees(txn, before, roots)
    return roots


def stage_roots(txn: Transaction, staging: Staging, roots: Roots) -> dict[str, bytes]:
    """Let these be the roots of what is staged; as a snapshot holds them."""
    snapshot = write_snapshot(txn, roots)
    if snapshot != staging.snapshot or staging.overlay:
        replace_staging(txn, staging, base=staging.base, snapshot=snapshot)
    return read_snapshot(txn, snapshot)
