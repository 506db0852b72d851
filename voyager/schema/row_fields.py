"""Fields of encoded rows by path, of every space: how conflicts are read and resolved."""

from __future__ import annotations

from typing import Final

from voyager.schema.codec import decode_sample, encode_sample
from voyager.schema.conflict import ABSENT
from voyager.schema.fields import SAMPLE, decode_field, encode_field, read_field, write_field

ROW: Final = "row"
"""The path of a row as a whole, in spaces whose rows have no fields of their own (policies)."""


def read_term(space: str, row: bytes | None, path: str) -> bytes:
    """The value of a field of a row as a term, ABSENT where it or the row is not there."""
    if row is None:
        return ABSENT
    if space == "samples":
        if path == SAMPLE:
            return row
        return encode_field(path, read_field(decode_sample(row), path))
    if space in ("tasks", "taxonomies"):
        from voyager.schema.vocabulary_fields import read_term as read_word

        return read_word(space, row, path)
    return row


def write_term(space: str, row: bytes | None, path: str, term: bytes) -> bytes | None:
    """A row with a field set to the value of a term; None where no row is left."""
    if space == "samples":
        if path == SAMPLE:
            return None if term == ABSENT else term
        if row is None:
            return None
        sample = decode_sample(row)
        return encode_sample(write_field(sample, path, decode_field(path, term)))
    if space in ("tasks", "taxonomies"):
        from voyager.schema.vocabulary_fields import write_term as write_word

        return write_word(space, row, path, term)
    return None if term == ABSENT else term
