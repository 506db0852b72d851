"""Conflicts as data: what a merge could not decide, as lists of terms (spec 9.12).

A term is the canonical encoding of a field's value, nil for a field that is absent. A conflict says
what the sides *add* to what the bases *remove*; equal terms of both cancel, and one value left to
add is no conflict any more. So merges of conflicted versions need no special case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from blake3 import blake3
from msgspec import Raw, Struct

from voyager import wire
from voyager.errors import CorruptError

ABSENT = wire.encode(None)
"""The term of a field that is not there."""

_MAX_KEY_BYTES = 1024


class Terms(NamedTuple):
    """What sides add and bases remove: encoded values, each list sorted, none in both."""

    adds: tuple[bytes, ...]
    removes: tuple[bytes, ...] = ()

    @property
    def settled(self) -> bytes | None:
        """The one value that is left, None for a conflict."""
        first = self.adds[0] if self.adds else ABSENT
        return first if all(add == first for add in self.adds) else None

    @property
    def held(self) -> bytes:
        """What the field holds while the conflict stands: the base."""
        return self.removes[0] if self.removes else ABSENT


Conflicts = Mapping[str, Terms]
"""Field path → terms: the conflicts of one sample, file, taxonomy node or task."""


def combine(base: Terms, sides: Sequence[Terms]) -> Terms:
    """What several sides make of a base: every side's terms, less the base for all but one."""
    counts: dict[bytes, int] = {}  # not a Counter, which takes three times as long
    for side in sides:
        _count(counts, side.adds, 1)
        _count(counts, side.removes, -1)
    _count(counts, base.adds, 1 - len(sides))
    _count(counts, base.removes, len(sides) - 1)
    found = sorted(counts.items())
    return Terms(
        tuple(value for value, count in found for _ in range(count)),
        tuple(value for value, count in found for _ in range(-count)),
    )


def _count(counts: dict[bytes, int], terms: Iterable[bytes], by: int) -> None:
    for term in terms:
        counts[term] = counts.get(term, 0) + by


class _Row(Struct, frozen=True):
    adds: list[Raw] = msgspec.field(name="a")
    removes: list[Raw] = msgspec.field(name="r")


class _Rows(Struct, frozen=True, omit_defaults=True):
    key: bytes | None = msgspec.field(default=None, name="k")
    paths: dict[str, _Row] = msgspec.field(name="p", default_factory=dict)


_decoder = msgspec.msgpack.Decoder(_Rows)


def encode_conflicts(conflicts: Conflicts, key: bytes = b"") -> bytes:
    """The row of the conflicts of one thing; of one with a long key, with that key."""
    paths = {
        path: _Row([Raw(add) for add in terms.adds], [Raw(remove) for remove in terms.removes])
        for path, terms in conflicts.items()
    }
    return wire.encode(_Rows(key if _is_long(key) else None, paths))


def decode_conflicts(row: bytes) -> dict[str, Terms]:
    """The conflicts of such a row; CorruptError for bytes that are none."""
    return {
        path: Terms(tuple(map(bytes, found.adds)), tuple(map(bytes, found.removes)))
        for path, found in _read(row).paths.items()
    }


def _read(row: bytes) -> _Rows:
    try:
        return _decoder.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"not a row of conflicts: {error}") from None


def is_canonical_conflicts(at: bytes, row: bytes) -> bool:
    """Whether `row` is the one encoding of real conflicts, for the key `at` where it stands."""
    try:
        found = decode_conflicts(row)
        space, key = parse_conflict_key(at, row)
    except (CorruptError, UnicodeDecodeError):
        return False
    if not found or not all(map(_is_conflict, found.values())) or at != conflict_key(space, key):
        return False
    return wire.is_canonical(row) and encode_conflicts(found, key) == row


def _is_conflict(terms: Terms) -> bool:
    adds, removes = terms
    in_order = list(adds) == sorted(adds) and list(removes) == sorted(removes)
    return in_order and terms.settled is None and not set(adds) & set(removes)


def conflict_key(space: str, key: bytes) -> bytes:
    """Where the conflicts of a row stand: its space, NUL, its key, or the key's hash if long."""
    head = space.encode() + b"\0"
    if _is_long(key):
        return head + b"\0" + blake3(key).digest()
    return head + key


def _is_long(key: bytes) -> bool:
    return len(key) > _MAX_KEY_BYTES - 16


def parse_conflict_key(key: bytes, row: bytes) -> tuple[str, bytes]:
    """(space, key) of the row whose conflicts these are."""
    space, _, own = key.partition(b"\0")
    if own.startswith(b"\0"):
        own = _read(row).key or b""
    return space.decode(), own


def join_field(parts: Iterable[str]) -> str:
    """A field path of its parts; a slash or backslash inside a part is escaped."""
    return "/".join(part.replace("\\", "\\\\").replace("/", "\\/") for part in parts)


def split_field(path: str) -> list[str]:
    """The parts of a field path."""
    parts, part, escaped = [], "", False
    for char in path:
        if escaped or char not in "\\/":
            part, escaped = part + char, False
        elif char == "\\":
            escaped = True
        else:
            parts.append(part)
            part = ""
    return [*parts, part]
