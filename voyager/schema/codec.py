"""Rows, files and geometries to and from canonical bytes (spec 9).

The usual row is one C call each way. A row with something of a newer spec, or with something
wrong, fails there and takes the slow path, which keeps the one and names the other.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import inspect
from msgspec.msgpack import Decoder, Encoder

from voyager import wire
from voyager.errors import CorruptError, InvalidDataError
from voyager.schema import unknown
from voyager.schema.geometry import Geometry
from voyager.schema.sample import FileRow, Label, Sample
from voyager.schema.values import Unknown, settle_all

_T = TypeVar("_T")

_FAILED = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)
"""What msgspec raises for a value that it cannot encode or bytes that it cannot decode."""

_STEP = re.compile(r"\.[^.\[]+|\[[^\]]*\]")


def encode_sample(sample: Sample) -> bytes:
    """The canonical row of a sample; InvalidDataError for NaN and for what cannot be stored.

    Plain fields are trusted to have their declared types: see `check_sample`.
    """
    return encode_as(sample, _SAMPLE)


def decode_sample(data: bytes) -> Sample:
    """The sample of a row; CorruptError for bytes that are no sample row."""
    try:
        return _decode_fast(data)
    except _FAILED:
        return _decode_slowly(data, _SAMPLE)


def check_sample(sample: Sample) -> Sample:
    """The sample as it will be read again; InvalidDataError names a field of a wrong type."""
    return check_as(sample, _SAMPLE)


def is_canonical_sample(data: bytes) -> bool:
    """Whether `data` is the one row of its sample (checked on fetch, import and fsck)."""
    return is_canonical_as(data, _SAMPLE)


def encode_file(row: FileRow) -> bytes:
    """The canonical row of a file that is no image."""
    return encode_as(row, _FILE)


def decode_file(data: bytes) -> FileRow:
    """The file of a row; CorruptError for bytes that are no file row."""
    return decode_as(data, _FILE)


def is_canonical_file(data: bytes) -> bool:
    """Whether `data` is the one row of its file."""
    return is_canonical_as(data, _FILE)


def encode_geometry(geometry: Geometry) -> bytes:
    """The canonical bytes of a geometry, as they stand in a row and go into a region id."""
    return encode_as(geometry, _GEOMETRY)


def decode_geometry(data: bytes) -> Geometry:
    """The geometry of its bytes; CorruptError for bytes that are none."""
    return decode_as(data, _GEOMETRY)


def decode_labels(data: bytes) -> tuple[Label, ...]:
    """The labels of a sample or region from their bytes in the row."""
    return decode_as(data, _LABELS)


def _open(value: Any) -> Any:
    if isinstance(value, Unknown):
        return value.value
    raise TypeError(f"a {type(value).__name__} is no plain value")


def _close(_kind: type, value: Any) -> Unknown:
    return Unknown(value)


class RowKind(Generic[_T]):
    """What is encoded: its declared type, its decoders, and the words for it in errors."""

    def __init__(self, kind: Any, words: str) -> None:
        self._kind = kind
        self.words = words
        self.fast: Decoder[_T] = Decoder(kind)

    @cached_property
    def keeping(self) -> Decoder[_T]:
        return Decoder(self._kind, dec_hook=_close)

    @cached_property
    def declared(self) -> inspect.Type:
        return inspect.type_info(self._kind)


_SAMPLE: RowKind[Sample] = RowKind(Sample, "a sample row")
_FILE: RowKind[FileRow] = RowKind(FileRow, "a file row")
_GEOMETRY: RowKind[Geometry] = RowKind(Geometry, "a geometry")

_LABELS: RowKind[tuple[Label, ...]] = RowKind(tuple[Label, ...], "labels")

_encode_fast = wire.encoder.encode
_decode_fast = _SAMPLE.fast.decode
_opening_encoder = Encoder(order="deterministic", enc_hook=_open)


def bytes_of(value: Any) -> bytes:
    """Bytes that tell any two values of the schema apart and put them in order; none of a row.

    `==` takes 1, 1.0 and true for one.
    """
    return _opening_encoder.encode(value)


def encode_as(value: Any, kind: RowKind[Any]) -> bytes:
    """The canonical bytes of a value; InvalidDataError for NaN and for what cannot be stored."""
    try:
        data = _encode_fast(value)
        if wire.may_hold_odd_float(data):
            wire.refuse_odd_floats(data)
    except (*_FAILED, InvalidDataError):
        return _encode_slowly(value, kind)
    return data


def _encode_slowly(value: Any, kind: RowKind[Any]) -> bytes:
    try:
        row = wire.decode(_opening_encoder.encode(value))
    except (*_FAILED, CorruptError) as error:
        raise InvalidDataError(f"not storable: {error}") from None
    return wire.encode(_without_signed_zero(unknown.put_back(row, kind.declared)))


def _without_signed_zero(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_signed_zero(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_signed_zero(item) for item in value]
    return value + 0.0 if isinstance(value, float) else value


def check_as(value: _T, kind: RowKind[_T]) -> _T:
    """The value as it will be read again; InvalidDataError names a field of a wrong type."""
    data = encode_as(value, kind)
    if not wire.is_canonical(data):
        raise InvalidDataError(f"nested deeper than {wire.MAX_DEPTH}")
    return _decode_checked(data, kind)


def decode_as(data: bytes, kind: RowKind[_T]) -> _T:
    """The value of its bytes; CorruptError for bytes that are none."""
    try:
        return kind.fast.decode(data)
    except _FAILED:
        return _decode_slowly(data, kind)


def _decode_slowly(data: bytes, kind: RowKind[_T]) -> _T:
    try:
        return _decode_checked(data, kind)
    except InvalidDataError as error:
        raise CorruptError(f"not {kind.words}: {error.message}") from None


def _decode_checked(data: bytes, kind: RowKind[_T]) -> _T:
    """Decode, keep what a newer spec wrote, and settle; InvalidDataError names the field."""
    try:
        row = unknown.set_aside(wire.decode(data), kind.declared)
        value = kind.keeping.decode(wire.encoder.encode(row))
    except (*_FAILED, CorruptError) as error:
        raise InvalidDataError(_readable(str(error), kind.declared)) from None
    settle_all(value)
    return value


def is_canonical_as(data: bytes, kind: RowKind[Any]) -> bool:
    """Whether `data` is the one encoding of its value."""
    try:
        value = decode_as(data, kind)
        settle_all(value)
        wire.decode(data)  # refuses what is nested too deep
        return encode_as(value, kind) == data
    except (InvalidDataError, CorruptError):
        return False


def _readable(message: str, declared: inspect.Type) -> str:
    """msgspec's message (`Expected … - at `$.r[0].p``) led by the path in the schema's names."""
    reason, _, place = message.rpartition(" - at ")
    found = re.search(r"\$([^`]*)", place)
    if not found:
        return message
    path = ""
    for step in _STEP.findall(found[1]):
        word, declared = _follow(step, unknown.struct_in(declared))
        path += word
    return f"{path.lstrip('.')}: {reason[0].lower()}{reason[1:]}"


def _follow(step: str, declared: inspect.Type) -> tuple[str, inspect.Type]:
    """One step of a decoder's path in the schema's names, and the type that it leads to."""
    if isinstance(declared, inspect.StructType) and not declared.array_like:
        for field in declared.fields:
            if field.encode_name == step[1:]:
                return f".{field.name}", field.type
    if isinstance(declared, inspect.VarTupleType):
        return step, declared.item_type
    if isinstance(declared, inspect.DictType):
        return step, declared.value_type
    return step, inspect.AnyType()
