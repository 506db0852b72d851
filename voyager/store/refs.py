"""Names for commits: branches, tags, remote-tracking refs, HEAD. Kept as values of the store."""

from __future__ import annotations

import re
from dataclasses import dataclass

from voyager.errors import CorruptError, UsageError
from voyager.store.objectstore import Store
from voyager.store.transaction import Transaction
from voyager.wire import Ext, object_ref

HEAD = "HEAD"
FETCH_HEAD = "FETCH_HEAD"
"""What was fetched last from a URL that has no name."""
HEADS = "refs/heads/"
TAGS = "refs/tags/"
REMOTES = "refs/remotes/"
STASH = "refs/stash/"
RUNS = "refs/runs/"
PREDICTIONS = "refs/predictions/"

_FORBIDDEN = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|//|^/|/$|\.$|\.lock(/|$)|(^|/)\.|^@$|^-"
)


@dataclass(frozen=True, slots=True)
class Head:
    """Where HEAD points: at a branch (maybe unborn) or straight at a commit."""

    branch: str | None
    commit: bytes | None

    @property
    def detached(self) -> bool:
        return self.branch is None


def check_name(name: str) -> str:
    """The name of a branch or tag, by git's rules for ref names; UsageError else."""
    if not name or _FORBIDDEN.search(name) or len(name.encode()) > 255 or name == HEAD:
        raise UsageError(f"'{name}' is not a valid name for a branch or tag")
    return name


def read_ref(store: Store, name: str) -> bytes | None:
    """The id a ref holds, or None."""
    value = store.value(name)
    return None if value is None else _id_of(name, value)


def iter_refs(store: Store, prefix: str = "refs/") -> dict[str, bytes]:
    """Full name → id of all refs below a prefix, sorted by name."""
    return {name: _id_of(name, value) for name, value in store.values(prefix).items()}


def read_head(store: Store) -> Head:
    """HEAD, resolved one step."""
    value = store.value(HEAD)
    if isinstance(value, str):
        return Head(value.removeprefix(HEADS), read_ref(store, value))
    if isinstance(value, Ext):
        return Head(None, bytes(value.data))
    raise CorruptError("HEAD is neither a branch nor a commit", hint="vgr fsck")


def move_ref(txn: Transaction, name: str, new: bytes | None, *, old: bytes | None) -> None:
    """Move a ref when the transaction commits, if it still holds `old` then."""
    txn.move(
        name,
        None if new is None else object_ref(new),
        old=None if old is None else object_ref(old),
    )


def move_head(txn: Transaction, new: Head, *, old: Head | None) -> None:
    """Point HEAD at a branch or commit."""
    txn.move(HEAD, _head_value(new), old=None if old is None else _head_value(old))


def _head_value(head: Head) -> str | Ext:
    if head.branch is not None:
        return HEADS + head.branch
    if head.commit is None:
        raise UsageError("HEAD needs a branch or a commit")
    return object_ref(head.commit)


def _id_of(name: str, value: object) -> bytes:
    if not isinstance(value, Ext):
        raise CorruptError(f"{name} holds no id", hint="vgr fsck")
    return bytes(value.data)
