"""Rows of newly added images, thousands a batch: only blob, size and uid differ between them."""

from __future__ import annotations

from typing import NamedTuple

from voyager import wire
from voyager.schema.codec import encode_sample
from voyager.schema.sample import Image, Sample

_BLOB = b"\xf1" * 32
_UID = b"\xf2" * 16
_SIZE = 0x7FFFFFF3
_ENCODED_SIZE = wire.encoder.encode(_SIZE)


class Look(NamedTuple):
    """What many images have in common; sides are None where their header does not tell them."""

    type: str | None
    width: int | None
    height: int | None
    orientation: int
    split: str | None


class _Mould(NamedTuple):
    """An encoded row cut at its blob, its size and its uid."""

    head: bytes
    middle: bytes
    before_uid: bytes
    tail: bytes


class ImageRows:
    """Encodes rows as `encode_sample` does, by filling in a row of the same look."""

    def __init__(self) -> None:
        self._moulds: dict[Look, _Mould] = {}

    def encode(self, look: Look, blob: bytes, size: int, uid: bytes) -> bytes:
        """The row of an unlabeled image: blob id, size in bytes, sample uid."""
        mould = self._moulds.get(look)
        if mould is None:
            mould = self._moulds[look] = _mould(look)
        size_bytes = wire.encoder.encode(size)
        return b"".join(
            (mould.head, blob, mould.middle, size_bytes, mould.before_uid, uid, mould.tail)
        )


def _mould(look: Look) -> _Mould:
    image = Image(
        blob=wire.blob_ref(_BLOB),
        bytes=_SIZE,
        height=look.height,
        orientation=look.orientation,
        type=look.type,
        width=look.width,
    )
    row = encode_sample(Sample(uid=_UID, image=image, split=look.split))
    head, _, rest = row.partition(_BLOB)
    middle, _, rest = rest.partition(_ENCODED_SIZE)
    before_uid, _, tail = rest.partition(_UID)
    return _Mould(head, middle, before_uid, tail)
