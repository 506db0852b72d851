"""Taking back operations: every move and staged row of one is put back, as a new operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voyager.errors import NotFoundError, StateError
from voyager.repo.dataset import Dataset
from voyager.repo.import_reports import drop_reports
from voyager.repo.keys import shown
from voyager.repo.namespace import check_rows
from voyager.repo.repository import RUNNING, Progress, Repository, no_progress
from voyager.repo.snapshot import Roots, read_snapshot
from voyager.repo.staged_edit import LABEL_EDITS
from voyager.repo.staging import (
    STAGING,
    RowChange,
    fold_staging,
    overlay_of,
    replace_staging,
    stage,
    staging_value,
)
from voyager.repo.vocabulary import row_name
from voyager.repo.worktree import Updated, plan_safely, update
from voyager.store.operation import GONE, NIL, Change, Move, Operation
from voyager.store.refs import HEAD
from voyager.store.transaction import Transaction
from voyager.wire import decode, encode

_NOT_UNDOABLE = {
    "init",
    "purge",
    "unpurge",
    "push",
    "clone",
    "get",
    "gc",
    "begin",
    "abort",
    "export",
}
_OTHERS_FIRST = "vgr op log, then undo the later ones first"
_FILES_STAY = {
    "add",
    "commit",
    "fetch",
    "rm-cached",
    "reset-soft",
    "reset-mixed",
    "restore-staged",
    "stage",
    *LABEL_EDITS,
}


def undo(
    repo: Repository, number: int | None = None, *, progress: Progress = no_progress
) -> tuple[Operation, Updated]:
    """Take back an operation, by default the last that is not undone; what it was.

    Raises StateError when later operations changed the same, or when it cannot be undone.
    """
    repo.refuse_if_running()
    operation = _last(repo) if number is None else repo.store.operation(number)
    if operation.kind in _NOT_UNDOABLE or operation.checkpoint:
        raise StateError(
            f"operation {operation.seq} ({operation.kind}) cannot be undone", hint="vgr op log"
        )
    before = repo.staged()
    with repo.transaction("undo", f"{operation.seq}: {operation.kind}") as txn:
        txn.undoes = operation.seq
        after = _reverse(repo, txn, operation)
        plan = None
        stay = _files_stay(repo, operation)
        if repo.root is not None and not stay:
            plan = plan_safely(repo, before, after, "undo")
        txn.commit()
    done = Updated()
    if plan is not None and plan.keys():
        done = update(repo, plan, repo.staged(), before_token=before.token, progress=progress)
    if repo.follower is not None:
        if stay:
            repo.follower.stay()
        else:
            done.skipped += repo.follower.follow()
    return operation, done


def iter_log(repo: Repository) -> Iterator[tuple[Operation, int | None]]:
    """Every operation, newest first, with the number of the undo that took it back."""
    undone: dict[int, int] = {}
    for operation in repo.store.operations():
        by = undone.get(operation.seq)
        if operation.undoes and by is None:
            undone[operation.undoes] = operation.seq
        yield operation, by


def _last(repo: Repository) -> Operation:
    """The newest operation that is no undo and not undone."""
    for operation, undone_by in iter_log(repo):
        steps = not operation.undoes and undone_by is None
        if steps and operation.kind not in _NOT_UNDOABLE:
            return operation
    raise NotFoundError("nothing to undo", hint="vgr op log")


def _files_stay(repo: Repository, operation: Operation) -> bool:
    """Whether the operation left the working tree alone; an undo is as what it undid."""
    while operation.undoes:
        operation = repo.store.operation(operation.undoes)
    return operation.kind in _FILES_STAY


def _reverse(repo: Repository, txn: Transaction, operation: Operation) -> Dataset:
    """Take back moves and rows; the staged version as it will be."""
    staging = repo.staging
    _refuse_split_head(repo, operation)
    restore = {name: bytes(value) for name, value in operation.restore}
    after = repo.staged_view(staging)
    for move in operation.moves:
        target = restore.get(move.name, bytes(move.old))
        if move.name == STAGING:
            after = _reverse_staging(repo, txn, operation, move, target)
        elif move.name != RUNNING:
            current = repo.store.value_bytes(move.name) or NIL
            if current not in (bytes(move.new), target):
                raise _built_upon(operation)
            txn.move(move.name, decode(target), old=decode(current))
    if operation.overlay:
        changes = _reversed_rows(repo, operation, after)
        before, after = (
            after,
            Dataset(txn, staging.roots, {**staging.overlay, **overlay_of(changes)}),
        )
        check_rows(before, after, changes)
        stage(txn, staging, changes)
    return after


def _built_upon(operation: Operation) -> StateError:
    return StateError(
        f"later operations changed what operation {operation.seq} did", hint=_OTHERS_FIRST
    )


def _reverse_staging(
    repo: Repository, txn: Transaction, operation: Operation, move: Move, target: bytes
) -> Dataset:
    """Put back a staging area; rows that were staged on top since stay there."""
    staging = repo.staging
    current = repo.store.value_bytes(STAGING) or NIL
    value = decode(target)
    root = bytes(value["root"].data)
    if current in (bytes(move.new), target):
        txn.move(STAGING, value, old=decode(current))
        if not staging.overlay:
            base = value.get("base")
            drop_reports(txn, repo, None if base is None else bytes(base.data), root)
        return Dataset(txn, read_snapshot(txn, root), staging.overlay)
    if encode(staging_value(staging.base, fold_staging(txn, staging))) != bytes(move.new):
        raise _built_upon(operation)
    base = value.get("base")
    replace_staging(txn, staging, base=None if base is None else bytes(base.data), snapshot=root)
    return Dataset(txn, read_snapshot(txn, root))


def _reversed_rows(repo: Repository, operation: Operation, now: Dataset) -> list[RowChange]:
    """The rows as they were before the operation.

    An overlay entry that was absent stands for the row of the staged root of that time.
    """
    then = Dataset(repo.store, _roots_at(repo, operation))
    changes: list[RowChange] = []
    for change in operation.overlay:
        space, key = change.space, change.key
        old, new = (_row_behind(then, change, bytes(side)) for side in (change.old, change.new))
        current = now.row(space, key)
        if current not in (old, new):
            raise StateError(
                f"'{shown(row_name(space, key))}' was changed again since",
                hint=_OTHERS_FIRST,
            )
        if current != old:
            changes.append((space, key, old))
    return changes


def _row_behind(then: Dataset, change: Change, entry: bytes) -> bytes | None:
    if entry == NIL:
        return then.row(change.space, change.key)
    return None if entry == GONE else entry


def _roots_at(repo: Repository, operation: Operation) -> Roots:
    """The staged roots that an operation's overlay lay on: what the next move of them found."""
    value = repo.store.value(STAGING)
    for number in repo.store.moves_of(STAGING):
        if number > operation.seq:
            moves = {move.name: move for move in repo.store.operation(number).moves}
            value = decode(bytes(moves[STAGING].old))
            break
    return read_snapshot(repo.store, bytes(value["root"].data))


def _refuse_split_head(repo: Repository, operation: Operation) -> None:
    """StateError when HEAD would name another commit than the staging area stands on."""
    after = {move.name: decode(bytes(move.old)) for move in operation.moves}
    after.update((name, decode(bytes(value))) for name, value in operation.restore)

    def value(name: str) -> Any:
        return after[name] if name in after else repo.store.value(name)

    head = value(HEAD)
    commit = value(head) if isinstance(head, str) else head
    if commit != value(STAGING).get("base"):
        raise StateError(
            f"operation {operation.seq} moved the branch that is checked out now",
            hint="vgr switch to another branch first",
        )
