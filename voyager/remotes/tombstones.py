"""Purges of a remote reach here: what has a tombstone there gets one, and loses its bytes."""

from __future__ import annotations

from typing import Any

from voyager.errors import InvalidDataError, UsageError
from voyager.remotes.root import Root
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.store.apply import TOMBSTONES
from voyager.wire import ID_BYTES


def apply_tombstones(repo: Repository, root: Root) -> int:
    """Purge here what was purged at a remote; how many blobs that were.

    Raises InvalidDataError for tombstones that are none.
    """
    known = repo.store.values(TOMBSTONES)
    groups: dict[tuple[str, str], list[bytes]] = {}
    for name, value in root.tombstones.items():
        if TOMBSTONES + name not in known:
            blob, reason, who = _checked(name, value)
            groups.setdefault((reason, who), []).append(blob)
    for (reason, who), blobs in groups.items():
        try:
            purge_blobs(repo, blobs, reason, who=who)
        except UsageError as error:
            raise InvalidDataError(f"the remote purges what is no blob: {error.message}") from None
    return sum(map(len, groups.values()))


def purged_at(root: Root) -> set[bytes]:
    """The blobs that a remote purged; InvalidDataError for tombstones that are of none."""
    return {_blob(name) for name in root.tombstones}


def blob_of(name: str) -> bytes | None:
    """The blob that a tombstone is of, None where its name can be that of none."""
    try:
        blob = bytes.fromhex(name)
    except ValueError:
        return None
    return blob if len(blob) == ID_BYTES and blob.hex() == name else None


def _blob(name: str) -> bytes:
    blob = blob_of(name)
    if blob is None:
        raise InvalidDataError(f"the remote has a tombstone of an impossible name: {name!r}")
    return blob


def _checked(name: str, value: dict[str, Any]) -> tuple[bytes, str, str]:
    """(blob, reason, who) of a tombstone."""
    blob, reason, who = _blob(name), value.get("reason"), value.get("who")
    if not isinstance(reason, str) or not isinstance(who, str):
        raise InvalidDataError(f"the tombstone {name[:12]} of the remote says no reason")
    return blob, reason, who
