"""Kinds of stored things and how their ids are made (spec 1)."""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from blake3 import blake3


class Kind(IntEnum):
    """What an entry of a pack or journal is; part of its id, except for blobs."""

    BLOB = 0
    NODE = 1
    SNAPSHOT = 2
    COMMIT = 3
    TAG = 4
    ROW = 5
    OPERATION = 6
    DICTIONARY = 7
    CONFLICT = 8
    RUN = 9
    REPORT = 10
    PREDICTIONS = 11

    @property
    def label(self) -> str:
        return self.name.lower()


def _kind_key(kind: Kind) -> bytes:
    return f"voyager 1 {kind.label}".encode().ljust(32, b"\0")


_HASHERS: dict[Kind, partial[blake3]] = {
    kind: partial(blake3, key=_kind_key(kind)) for kind in Kind if kind is not Kind.BLOB
}


def blob_id(data: bytes | memoryview) -> bytes:
    """Plain BLAKE3-256 of the bytes: what `b3sum` prints."""
    return blake3(data).digest()


def object_id(kind: Kind, data: bytes) -> bytes:
    """BLAKE3-256 of canonical bytes, keyed by kind, so that a file can never pose as a node."""
    return _HASHERS[kind](data).digest()


def id_of(kind: Kind, data: bytes) -> bytes:
    """The id of any stored thing."""
    return blob_id(data) if kind is Kind.BLOB else object_id(kind, data)
