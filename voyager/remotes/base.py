"""What a remote needs of a place that keeps bytes by name: a bucket below a prefix, a folder.

Names are `/`-separated and made by this package. Everything but `root` is written once and never
changed, so that it can be fetched in any order, in parts, by many, and kept for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from voyager.errors import ConflictError, RemoteError

MOST_BYTES = 16 << 20
"""Of an object that is read as a whole: the root, a segment, a note. Nobody writes longer ones."""


class Tagged(NamedTuple):
    """Bytes, and the tag (etag, version) that a later conditional write names them by."""

    data: bytes
    tag: str


class Listed(NamedTuple):
    """A name that is kept, its bytes, and when it was written (seconds since 1970, by the
    server's clock)."""

    name: str
    size: int
    modified: float


class PreconditionFailed(ConflictError):
    """A conditional write found something else than it was told to expect; nothing was written."""

    kind = "precondition"


class Unreachable(RemoteError):
    """No connection came about, so that nothing was asked of anybody."""


class Unconditional(RemoteError):
    """The place has no conditional writes at all; nothing was written."""


class Storage(Protocol):
    """Bytes by name; a name is folders and a last part, joined by `/`.

    Every method may raise RemoteError (which says whether trying again may help). Reads of what is
    not there raise NotFoundError. Safe to use from several threads at once.
    """

    url: str
    """Where it is, without credentials."""
    read_only: bool

    def get(self, name: str) -> bytes:
        """All bytes of a small object; CorruptError where it has more than MOST_BYTES, of which no
        more than that are read."""
        ...

    def get_tagged(self, name: str) -> Tagged:
        """The same with its tag, read at once."""
        ...

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; RemoteError where fewer come."""
        ...

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        """Write an object of a known size into a new file, in bounded memory.

        Where another length comes the file is removed, with a RemoteError.
        """
        ...

    def put(self, name: str, data: bytes | Path) -> None:
        """Write an object (from bytes or a file) whose name says what is in it."""
        ...

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        """Write if the object still has that tag (None: does not exist); the new tag.

        Raises PreconditionFailed otherwise. A RemoteError may come after the write happened.
        """
        ...

    def size(self, name: str) -> int | None:
        """The length of an object, None where there is none."""
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """What is kept below a folder (`packs/`, or all for an empty prefix), in no order; what was
        written just now may be missing."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
