"""Taking back operations: every move and staged row of one is put back, as a new operation."""

from __future__ import annotations

from voyager.errors import NotFoundError, StateError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import RUNNING, Progress, Repository, no_progress
from voyager.repo.snapshot import read_snapshot
from voyager.repo.staging import STAGING
from voyager.repo.worktree import Updated, plan_switch, refuse_if_dirty, update
from voyager.store.operation import NIL, Operation
from voyager.store.transaction import Transaction
from voyager.wire import decode

_NOT_UNDOABLE = {"init", "purge", "unpurge", "push", "gc", "begin", "abort"}
_FILES_STAY = {"add", "commit", "rm-cached", "reset-soft", "reset-mixed", "restore-staged", "stage"}


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
        _reverse(repo, txn, operation)
        plan = None
        if repo.root is not None and not _files_stay(repo, operation):
            after = _staged_after(repo, txn, operation)
            plan = plan_switch(before, after)
            refuse_if_dirty(repo, before, plan, "undo")
        txn.commit()
    if plan is None or not plan.keys():
        return operation, Updated()
    done = update(repo, plan, repo.staged(), before_token=before.token, progress=progress)
    return operation, done


def _last(repo: Repository) -> Operation:
    """The newest operation that is no undo and not undone."""
    undone: set[int] = set()
    for operation in repo.store.operations():
        if operation.undoes and operation.seq not in undone:
            undone.add(operation.undoes)
        elif operation.seq not in undone and operation.kind not in _NOT_UNDOABLE:
            return operation
    raise NotFoundError("nothing to undo", hint="vgr op log")


def _files_stay(repo: Repository, operation: Operation) -> bool:
    """Whether the operation left the working tree alone; an undo is as what it undid."""
    while operation.undoes:
        operation = repo.store.operation(operation.undoes)
    return operation.kind in _FILES_STAY


def _reverse(repo: Repository, txn: Transaction, operation: Operation) -> None:
    restore = {name: bytes(value) for name, value in operation.restore}
    for move in operation.moves:
        if move.name == RUNNING:
            continue
        current = repo.store.value_bytes(move.name) or NIL
        target = restore.get(move.name, bytes(move.old))
        if current != bytes(move.new) and current != target:
            raise StateError(
                f"later operations changed what operation {operation.seq} did",
                hint="vgr op log, then undo the later ones first",
            )
        txn.move(move.name, decode(target), old=decode(current))
    overlay = repo.store.overlay()
    for change in operation.overlay:
        at = (change.space, change.key)
        if overlay.get(at, NIL) != bytes(change.new):
            raise StateError(
                f"'{change.key.decode(errors='replace')}' was staged or committed since",
                hint="vgr op log, then undo the later ones first",
            )
        txn.change(change.space, change.key, bytes(change.old), old=bytes(change.new))


def _staged_after(repo: Repository, txn: Transaction, operation: Operation) -> Dataset:
    """The staged version as it will be."""
    staging = repo.staging
    snapshot = staging.snapshot
    restore = {name: bytes(value) for name, value in operation.restore}
    for move in operation.moves:
        if move.name == STAGING:
            value = decode(restore.get(STAGING, bytes(move.old)))
            snapshot = bytes(value["root"].data)
    overlay = dict(staging.overlay)
    for change in operation.overlay:
        overlay.pop((change.space, change.key), None)
        if bytes(change.old) != NIL:
            overlay[change.space, change.key] = bytes(change.old)
    return Dataset(txn, read_snapshot(txn, snapshot), overlay)
