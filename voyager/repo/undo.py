"""Taking back operations: every move and staged row of one is put back, as a new operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voyager.errors import NotFoundError, StateError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import RUNNING, Progress, Repository, no_progress
from voyager.repo.snapshot import read_snapshot
from voyager.repo.staging import STAGING
from voyager.repo.worktree import Updated, plan_safely, update
from voyager.store.operation import NIL, Operation
from voyager.store.refs import HEAD
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
            plan = plan_safely(repo, before, after, "undo")
        txn.commit()
    if plan is None or not plan.keys():
        return operation, Updated()
    done = update(repo, plan, repo.staged(), before_token=before.token, progress=progress)
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
    _refuse_split_head(repo, operation)
    overlay = repo.store.overlay()
    for change in operation.overlay:
        at = (change.space, change.key)
        if overlay.get(at, NIL) != bytes(change.new):
            raise StateError(
                f"'{change.key.decode(errors='replace')}' was staged or committed since",
                hint="vgr op log, then undo the later ones first",
            )
        txn.change(change.space, change.key, bytes(change.old), old=bytes(change.new))


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
