"""The error tree, grouped by what the reader does next.

Every error has a stable `kind` for scripts, an `exit` code, a message that names the thing, and an
optional `hint` that is a command to type. Library code raises these and never prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class VoyagerError(Exception):
    """Base of everything that Voyager raises on purpose.

    `path` and `line` place the fault in a file where there is one.
    """

    kind: ClassVar[str] = "error"
    exit: ClassVar[int] = 70

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: str | Path | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = None if path is None else str(path)
        self.line = line

    def as_dict(self) -> dict[str, object]:
        """The shape that `--json` prints under `error`."""
        return {
            "kind": self.kind,
            "message": self.message,
            "path": self.path,
            "line": self.line,
            "hint": self.hint,
            "exit": self.exit,
        }


class UsageError(VoyagerError):
    """A bad argument, a malformed revision or URL."""

    kind = "usage"
    exit = 2


class NotFoundError(VoyagerError):
    """No such repository, revision, key, remote or format."""

    kind = "not-found"
    exit = 3


class ExistsError(VoyagerError):
    """The thing to be made is there already."""

    kind = "exists"
    exit = 4


class StateError(VoyagerError):
    """The repository is not in a state for this: dirty working tree, merge in progress, …"""

    kind = "state"
    exit = 5


class ConflictError(VoyagerError):
    """Two sides changed the same thing."""

    kind = "conflict"
    exit = 1


class RefMoved(ConflictError):
    """A compare-and-swap of a ref (or of staging) lost to another writer; trying again may win."""

    kind = "ref-moved"


class InvalidDataError(VoyagerError):
    """Data that does not follow its own rules; nothing of it was taken."""

    kind = "invalid-data"
    exit = 6


class CorruptError(VoyagerError):
    """Stored bytes differ from their id or checksum."""

    kind = "corrupt"
    exit = 7


class RemoteError(VoyagerError):
    """Network, credentials, a remote that refuses; `retry` says whether trying again may help."""

    kind = "remote"
    exit = 8

    def __init__(
        self,
        message: str,
        *,
        retry: bool = False,
        hint: str | None = None,
        path: str | Path | None = None,
    ) -> None:
        super().__init__(message, hint=hint, path=path)
        self.retry = retry


class MissingExtraError(VoyagerError):
    """An optional part of Voyager is not installed."""

    kind = "missing-extra"
    exit = 9


EXIT_SKIPPED = 10
"""Exit code of a command that did everything possible and names what it had to skip."""

EXIT_BUG = 70
EXIT_INTERRUPTED = 130
