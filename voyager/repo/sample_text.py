"""A sample as a text of JSON that somebody edits, and back: what is wrong is named by its line."""

from __future__ import annotations

from collections.abc import Callable

from voyager.errors import InvalidDataError
from voyager.schema import Sample, encode_sample, sample_from_json, sample_to_json
from voyager.schema.json_places import line_of, parse_json, write_json
from voyager.schema.validate import violations
from voyager.schema.vocabulary import Vocabulary
from voyager.wire import BLOB_EXT, iter_references

_FIXED = {
    "key": "vgr mv renames a sample",
    "uid": "a sample keeps its uid",
    "image": "vgr add takes another image",
    "held": "the guard alone holds samples back",
}
"""Fields that cannot be edited, and what to do instead."""


def sample_text(key: str, sample: Sample, vocabulary: Vocabulary) -> str:
    """The JSON of a sample, laid out to be edited."""
    return write_json(sample_to_json(key, sample, vocabulary.resolve)) + "\n"


def read_sample_text(
    text: str,
    key: str,
    before: Sample,
    vocabulary: Vocabulary,
    *,
    knows_blob: Callable[[bytes], bool],
    path: str | None = None,
) -> Sample:
    """The sample of an edited text; InvalidDataError with the line of the first fault.

    Faults are also fields that cannot be edited, blobs that nobody stored, and whatever disagrees
    with the vocabulary and did not before.
    """
    try:
        after = _read(text, key, before, vocabulary)
        _refuse_unknown_blobs(before, after, knows_blob)
        _refuse_violations(key, before, after, vocabulary)
    except InvalidDataError as error:
        line = error.line or line_of(text, error.message)
        raise InvalidDataError(error.message, hint=error.hint, path=path, line=line) from None
    return after


def _read(text: str, key: str, before: Sample, vocabulary: Vocabulary) -> Sample:
    value = parse_json(text)
    written = sample_to_json(key, before, vocabulary.resolve)
    if not isinstance(value, dict):
        raise InvalidDataError("expected an object: the JSON of one sample")
    for name, hint in _FIXED.items():
        if value.get(name) != written.get(name):
            raise InvalidDataError(f"{name}: cannot be changed here", hint=hint)
    _, sample = sample_from_json(value, vocabulary.find)
    seen: dict[bytes, int] = {}
    for place, region in enumerate(sample.regions):
        first = seen.setdefault(region.id, place)
        if first != place:
            message = f"regions[{place}].id: regions[{first}] has the same id"
            raise InvalidDataError(message, hint="a new region needs no id")
    return sample


def _refuse_unknown_blobs(
    before: Sample, after: Sample, knows_blob: Callable[[bytes], bool]
) -> None:
    old = set(iter_references(encode_sample(before)))
    for kind, blob in iter_references(encode_sample(after)):
        if (kind, blob) not in old and not (kind == BLOB_EXT and knows_blob(blob)):
            raise InvalidDataError(f"blob {blob.hex()} is not in the store")


def _refuse_violations(key: str, before: Sample, after: Sample, vocabulary: Vocabulary) -> None:
    known = {found.message for found in violations(key, before, vocabulary)}
    for found in violations(key, after, vocabulary):
        if found.message not in known:
            raise InvalidDataError(f"{found.path}: {found.message}", hint=found.hint)
