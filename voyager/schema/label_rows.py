"""Rows of which only labels are decoded: all else stays the bytes that it is in the row.

For bulk edits of labels. A view has the fields of a `Sample` or `Region` that such edits ask for,
so that `label_edit` works on it as on the whole.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType, field, structs
from msgspec.msgpack import Decoder

from voyager import wire
from voyager.schema.codec import decode_sample, encode_sample
from voyager.schema.sample import Label, Region, Sample
from voyager.schema.values import Id16


def _view(struct: type[Any], **decoded: Any) -> type[Any]:
    """A struct with the fields of another, in the same order; all but some are raw bytes."""
    fields: list[tuple[str, Any, Any]] = []
    for known in structs.fields(struct):
        kind = decoded.get(known.name)
        if known.name == "unknown":
            continue
        if kind is None:
            fields.append(
                (known.name, Raw | UnsetType, field(default=UNSET, name=known.encode_name))
            )
        elif known.default is msgspec.NODEFAULT:
            fields.append((known.name, kind, field(name=known.encode_name)))
        else:
            default = field(default=known.default, name=known.encode_name)
            fields.append((known.name, kind, default))
    return msgspec.defstruct(
        f"{struct.__name__}View",
        fields,
        frozen=True,
        forbid_unknown_fields=True,
        gc=False,
        kw_only=True,
        omit_defaults=True,
    )


_RegionView = _view(Region, id=Id16, labels=tuple[Label, ...])
_decode_image = Decoder(_view(Sample, labels=tuple[Label, ...])).decode
_decode_regions = Decoder(
    _view(Sample, labels=tuple[Label, ...], regions=tuple[_RegionView, ...])  # type: ignore[valid-type]
).decode


def view_labels(row: bytes, *, regions: bool) -> Any:
    """A sample of which labels, and with `regions` those of regions, can be read and replaced.

    The row of a newer spec is decoded as a whole.
    """
    try:
        return _decode_regions(row) if regions else _decode_image(row)
    except msgspec.MsgspecError:
        return decode_sample(row)


def encode_view(view: Any) -> bytes:
    """The row of what `view_labels` gave, edited."""
    return encode_sample(view) if isinstance(view, Sample) else wire.encoder.encode(view)
