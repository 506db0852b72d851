"""Rows and the cells that stand for them: a long row lies outside its leaf (spec 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from operator import lt

from voyager.errors import InvalidDataError
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader, ObjectWriter
from voyager.store.prolly.node import CHUNK_BYTES, MAX_KEY_BYTES, REF_BYTES, REF_HEAD

MAX_ROW_BYTES = 16 * 1024 * 1024

NO_ROW = frozenset(bytes([head]) for head in b"\xc7\xc8\xc9\xd4\xd5\xd6\xd7\xd8") | {b""}
"""First bytes that no row has: an ext would be taken for a reference, and no bytes are no value."""


def check_keys(last: bytes, keys: Sequence[bytes]) -> None:
    """Raise InvalidDataError, naming the key, unless keys rise from `last` and fit in a map."""
    if all(map(lt, [last, *keys], keys)) and max(map(len, keys), default=0) <= MAX_KEY_BYTES:
        return
    for before, key in zip([last, *keys], keys, strict=False):
        if not 0 < len(key) <= MAX_KEY_BYTES:
            raise InvalidDataError(
                f"a key has 1 to {MAX_KEY_BYTES} bytes, {key[:40]!r} has {len(key)}"
            )
        if key <= before:
            raise InvalidDataError(f"keys must rise, {key!r} follows {before!r}")


def place(objects: ObjectWriter, key: bytes, row: bytes) -> bytes:
    """The cell of a row, after storing the row outside where it is long.

    Raises InvalidDataError, naming the key, for what is no row.
    """
    if row[:1] in NO_ROW:
        raise InvalidDataError(f"the row of {key!r} is empty or a bare reference")
    if len(row) <= CHUNK_BYTES:
        return row
    if len(row) > MAX_ROW_BYTES:
        raise InvalidDataError(f"the row of {key!r} has {len(row)} bytes, over {MAX_ROW_BYTES}")
    return REF_HEAD + objects.put(Kind.ROW, row)


def resolve(objects: ObjectReader, cell: bytes) -> bytes:
    """The row that a leaf's cell holds or refers to."""
    row = bytes(cell)
    if len(row) == REF_BYTES and row.startswith(REF_HEAD):
        return objects.get(row[len(REF_HEAD) :], Kind.ROW)
    return row


def resolve_all(objects: ObjectReader, cells: Sequence[bytes]) -> list[bytes]:
    """The rows of several cells."""
    if REF_BYTES in map(len, cells):
        return [resolve(objects, cell) for cell in cells]
    return list(map(bytes, cells))
