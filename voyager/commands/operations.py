"""Operations as `op log`, `undo` and `reflog` print them, as text and as JSON."""

from __future__ import annotations

from voyager.commands.commits import iso_time
from voyager.repo.keys import shown
from voyager.store.operation import Operation


def described(operation: Operation) -> str:
    """The kind of an operation and its message, on one line."""
    message = operation.message.split("\n", 1)[0]
    return f"{operation.kind}: {shown(message)}" if message else operation.kind


def operation_as_json(operation: Operation, undone_by: int | None) -> dict[str, object]:
    """{"operation", "time", "author", "kind", "message", "undoes", "undone_by"}."""
    return {
        "operation": operation.seq,
        "time": iso_time(operation.time, operation.zone),
        "author": operation.author,
        "kind": operation.kind,
        "message": operation.message,
        "undoes": operation.undoes or None,
        "undone_by": undone_by,
    }
