"""Canonical msgpack: one encoding a value, odd numbers refused, hostile bytes named."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voyager.errors import CorruptError, InvalidDataError
from voyager.wire import (
    BLOB_EXT,
    OBJECT_EXT,
    blob_ref,
    decode,
    encode,
    is_canonical,
    iter_references,
    object_ref,
)

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != 0)
    | st.text()
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_encoding_is_canonical_and_round_trips(value: object) -> None:
    data = encode(value)
    assert decode(data) == value
    assert is_canonical(data)
    assert encode(decode(data)) == data


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.0])
def test_odd_floats_are_refused(number: float) -> None:
    with pytest.raises(InvalidDataError):
        encode({"deep": [number]})


def test_bytes_that_look_like_an_odd_float_are_fine() -> None:
    assert decode(encode([b"\xcb\x7f\xf8\0\0\0\0\0\0"])) == [b"\xcb\x7f\xf8\0\0\0\0\0\0"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xcd\x00\x05",  # 5 in two bytes
        b"\xca\x3f\x80\x00\x00",  # float32
        b"\x82\xa1b\x01\xa1a\x02",  # keys out of order
        b"\x82\xa1a\x01\xa1a\x02",  # a key twice
        b"\x81\x01\x02",  # a key that is no string
        b"\xd9\x01a",  # a short string with a long header
        b"\xc0\xc0",  # two values
    ],
)
def test_other_encodings_are_not_canonical(data: bytes) -> None:
    assert not is_canonical(data)


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_corrupt(data: bytes) -> None:
    try:
        decode(data)
    except CorruptError:
        assert not is_canonical(data)


def test_nesting_is_bounded() -> None:
    deep: object = 1
    for _ in range(40):
        deep = [deep]
    with pytest.raises(CorruptError, match="deeper"):
        decode(encode(deep))
    with pytest.raises(CorruptError):
        decode(b"\x91" * 5000 + b"\x01")


def test_references_are_found_by_type_alone() -> None:
    blob, node = bytes(range(32)), bytes(range(32, 64))
    value = {"a": [{"b": blob_ref(blob)}, blob], "z": object_ref(node)}
    assert list(iter_references(encode(value))) == [(BLOB_EXT, blob), (OBJECT_EXT, node)]
