"""Canonical msgpack and typed references: the one encoding that store and schema share.

Two equal values have one encoding: map keys are strings in raw byte order, integers are shortest,
floats are float64, -0.0 is 0.0, and NaN and infinity are refused (spec 1). Every id inside an
object is an ext value, so that a walk over references needs no schema (spec 1.3).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from voyager.errors import CorruptError, InvalidDataError

__all__ = [
    "BLOB_EXT",
    "MAX_DEPTH",
    "OBJECT_EXT",
    "Ext",
    "blob_ref",
    "decode",
    "encode",
    "encoder",
    "is_canonical",
    "iter_references",
    "object_ref",
    "refuse_odd_floats",
]

BLOB_EXT = 1
OBJECT_EXT = 2
ID_BYTES = 32
MAX_DEPTH = 32
"""Deepest nesting of maps and arrays that a reader accepts."""

encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder()
_CONTAINERS = (dict, list)

# A float64 is 0xcb and eight bytes. This finds every NaN, infinity and -0.0, and now and then the
# same bytes inside a string or id; the slow look settles those.
_ODD_FLOAT = re.compile(rb"\xcb(?:[\x7f\xff][\xf0-\xff]|\x80\0{7})", re.DOTALL)


may_hold_odd_float = _ODD_FLOAT.search
"""A cheap first look for `refuse_odd_floats`: None when encoded bytes hold nothing odd."""


def blob_ref(blob_id: bytes) -> Ext:
    """The reference value of a blob id (32 bytes)."""
    return Ext(BLOB_EXT, blob_id)


def object_ref(object_id: bytes) -> Ext:
    """The reference value of an object id (32 bytes)."""
    return Ext(OBJECT_EXT, object_id)


def encode(value: Any) -> bytes:
    """Encode plain values or msgspec structs (fields declared in byte order) canonically.

    Raises InvalidDataError for NaN, infinity, -0.0 and for what msgpack cannot hold.
    """
    try:
        data = encoder.encode(value)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidDataError(f"not storable: {error}") from error
    refuse_odd_floats(data)
    return data


def refuse_odd_floats(data: bytes) -> None:
    """Raise InvalidDataError when encoded `data` holds NaN, an infinity or -0.0."""
    if may_hold_odd_float(data) and _has_odd_float(_decoder.decode(data)):
        raise InvalidDataError("numbers must be finite, and zero has no sign")


def _has_odd_float(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0)
    if isinstance(value, dict):
        return any(_has_odd_float(item) for item in value.values())
    return isinstance(value, list) and any(_has_odd_float(item) for item in value)


def decode(data: bytes) -> Any:
    """Decode to plain values: dict, list, str, bytes, int, float, bool, None, Ext.

    Raises CorruptError for bytes that are not one msgpack value or nest deeper than MAX_DEPTH.
    """
    try:
        value = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"not msgpack: {error}") from error
    if _depth_exceeds(value, MAX_DEPTH):
        raise CorruptError(f"nested deeper than {MAX_DEPTH}")
    return value


def _depth_exceeds(value: Any, limit: int) -> bool:
    # Only containers are looked into: fsck asks this of every row there is.
    if type(value) is dict:
        items: Any = value.values()
    elif type(value) is list:
        items = value
    else:
        return False
    if not limit:
        return True
    for item in items:
        if type(item) in _CONTAINERS and _depth_exceeds(item, limit - 1):
            return True
    return False


def is_canonical(data: bytes) -> bool:
    """Whether `data` is the one encoding of its value (checked on fetch, import and fsck)."""
    try:
        value = decode(data)
        return _keys_are_text(value) and encode(value) == data
    except (CorruptError, InvalidDataError):
        return False


def _keys_are_text(value: Any) -> bool:
    items = value
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return False
        items = value.values()
    elif type(value) is not list:
        return True
    for item in items:
        if type(item) in _CONTAINERS and not _keys_are_text(item):
            return False
    return True


def iter_references(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (ext code, id) of every reference inside canonical `data`, in order."""
    found: list[tuple[int, bytes]] = []

    def note(code: int, body: memoryview) -> None:
        if code in (BLOB_EXT, OBJECT_EXT) and len(body) == ID_BYTES:
            found.append((code, bytes(body)))

    try:
        msgspec.msgpack.decode(data, ext_hook=note)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"not msgpack: {error}") from error
    return iter(found)
