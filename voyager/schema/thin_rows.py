"""Rows of which regions stay bytes: two versions of a row are compared before much is decoded.

Encodings are canonical, so that regions of equal bytes are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, field, structs
from msgspec.msgpack import Decoder

from voyager.schema.codec import decode_sample
from voyager.schema.sample import Region, Sample
from voyager.schema.values import Id16

_FAILED = (msgspec.MsgspecError, ValueError, TypeError)

Placed = tuple[int, Region]
"""A region and its place in the sample."""


class Sides(NamedTuple):
    """Two versions of a sample, and the regions that are in one of them only, or not alike.

    The regions of the samples themselves may be undecoded; all other fields are as in `Sample`.
    """

    before: Any
    after: Any
    old_regions: list[Placed]
    new_regions: list[Placed]


def open_sides(before: bytes | Sample, after: bytes | Sample) -> Sides:
    """Two rows, or samples, side by side."""
    if type(before) is bytes and type(after) is bytes:
        try:
            return _open_thin(before, after)
        except _FAILED:
            pass  # a newer spec wrote one of them, or it is broken
    a, b = _whole(before), _whole(after)
    return Sides(a, b, _unlike(a.regions, b.regions), _unlike(b.regions, a.regions))


def thin_sample(row: bytes) -> Any:
    """A sample whose regions are undecoded, or all of it in a row of a newer spec."""
    try:
        return _decoders()[0].decode(row)
    except _FAILED:
        return decode_sample(row)


def uid_of(row: bytes) -> bytes:
    """The uid of a sample row."""
    try:
        found: bytes = _uid_decoder().decode(row).u
    except _FAILED:
        return decode_sample(row).uid
    return found


def _whole(side: bytes | Sample) -> Sample:
    return side if isinstance(side, Sample) else decode_sample(side)


def _open_thin(before: bytes, after: bytes) -> Sides:
    thin, region = _decoders()
    a, b = thin.decode(before), thin.decode(after)
    decode = region.decode
    if len(a.regions) == len(b.regions):  # most edits change regions where they stand
        pairs = enumerate(zip(a.regions, b.regions, strict=True))
        unlike = [at for at, (one, other) in pairs if one != other]
    else:
        unlike = None
    old, new = _at(a.regions, unlike), _at(b.regions, unlike)
    if len(old) > 1 or len(new) > 1:  # and some only their order
        known, kept = {data for _, data in old}, {data for _, data in new}
        old = [placed for placed in old if placed[1] not in kept]
        new = [placed for placed in new if placed[1] not in known]
    return Sides(
        a,
        b,
        [(place, decode(data)) for place, data in old],
        [(place, decode(data)) for place, data in new],
    )


def _at(regions: Sequence[Raw], places: Sequence[int] | None) -> list[tuple[int, bytes]]:
    """Place and bytes of some regions, or of all."""
    if places is None:
        return list(enumerate(map(bytes, regions)))
    return [(place, bytes(regions[place])) for place in places]


def _unlike(regions: Sequence[Region], others: Sequence[Region]) -> list[Placed]:
    by_id: dict[bytes, list[Region]] = {}
    for other in others:
        by_id.setdefault(other.id, []).append(other)
    return [
        (place, region)
        for place, region in enumerate(regions)
        if region not in by_id.get(region.id, ())
    ]


@lru_cache(maxsize=1)
def _decoders() -> tuple[Decoder[Any], Decoder[Region]]:
    fields: list[tuple[str, Any, Any]] = []
    for known in structs.fields(Sample):
        if known.name == "unknown":
            continue  # such a row takes the slow path, which keeps what it does not know
        kind = tuple[Raw, ...] if known.name == "regions" else known.type
        default = {} if known.required else {"default": known.default}
        fields.append((known.name, kind, field(name=known.encode_name, **default)))
    fields.append(("unknown", None, field(default=None, name="~")))
    thin = msgspec.defstruct(
        "ThinSample", fields, forbid_unknown_fields=True, frozen=True, gc=False, kw_only=True
    )
    return Decoder(thin), Decoder(Region)


@lru_cache(maxsize=1)
def _uid_decoder() -> Decoder[Any]:
    return Decoder(msgspec.defstruct("RowUid", [("u", Id16)], gc=False))
