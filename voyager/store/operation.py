"""Operations: the journaled steps of a repository, as compare-and-swap moves (spec 6.2)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from voyager.errors import CorruptError
from voyager.wire import encoder

NIL = b"\xc0"
"""Encoded None: an absent value, or a key that is not in the overlay."""
GONE = b"\xc2"
"""Encoded False: an overlay entry that says the row was removed."""


class Move(Struct, frozen=True, array_like=True):
    """A named value goes from `old` to `new`, both encoded; NIL is absence."""

    name: str
    old: Raw
    new: Raw


class Change(Struct, frozen=True, array_like=True):
    """An overlay entry of a space (`samples`, `files`) goes from `old` to `new`, both encoded."""

    space: str
    key: bytes
    old: Raw
    new: Raw


class Operation(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One journaled step; `length` and `digest` cover the group's bytes before it.

    `clear` empties the overlay before `overlay` applies. `restore` names the values that undo puts
    back where they differ from `old`. `checkpoint` means that the moves say every value there is.
    Fields stand in the byte order of their names, which makes the encoding canonical.
    """

    added: list[bytes] = []  # packs that this operation brought in
    author: str = ""
    checkpoint: bool = False
    clear: bool = False
    digest: bytes
    dropped: list[bytes] = []  # packs that gc replaced
    kind: str
    length: int
    message: str = ""
    moves: list[Move] = []
    nonce: bytes
    overlay: list[Change] = []
    restore: list[tuple[str, Raw]] = []
    seq: int
    time: int  # milliseconds since 1970, UTC
    undoes: int = 0
    zone: int = 0  # minutes east of UTC

    def encode(self) -> bytes:
        return encoder.encode(self)


_decoder = msgspec.msgpack.Decoder(Operation)


def decode_operation(data: bytes) -> Operation:
    """Parse an operation; CorruptError for bytes that are none."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"an operation does not decode: {error}") from error


def raw(value: Any) -> Raw:
    """A value encoded for a move."""
    return Raw(encoder.encode(value))
