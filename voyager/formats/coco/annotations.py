"""COCO annotations as values: decoded many at once, the odd ones one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from voyager.errors import InvalidDataError

Ring: TypeAlias = tuple[float, ...]


class Rle(Struct):
    """A mask as run lengths: compressed text, or a list of them."""

    counts: str | list[int]
    size: tuple[int, int]


class Segment(Struct):
    """One segment of a panoptic annotation."""

    id: int
    category_id: int | str
    area: float | None = None
    bbox: tuple[float, ...] | None = None
    iscrowd: int | bool = 0


class Annotation(Struct, forbid_unknown_fields=True, gc=False):
    """An annotation of any kind of COCO file; `extra` is what it has beyond these fields."""

    image_id: int | str
    id: int | str | None = None
    category_id: int | str | None = None
    segmentation: tuple[Ring, ...] | Rle | None = None
    area: float | None = None
    bbox: tuple[float, ...] | None = None
    iscrowd: int | bool = 0
    ignore: int | bool = 0
    keypoints: tuple[float, ...] | None = None
    num_keypoints: int | None = None
    caption: str | None = None
    score: float | None = None
    attributes: dict[str, Any] | None = None
    segments_info: list[Segment] | None = None
    file_name: str | None = None
    extra: dict[str, Any] | None = None


_WORDS = {"0": 0, "1": 1, "false": 0, "true": 1, "False": 0, "True": 1}
"""What some tools write for a flag."""

_FIELDS = frozenset(Annotation.__struct_fields__) - {"extra"}
_decoder = msgspec.json.Decoder(list[Annotation])


def decode_annotations(elements: Sequence[bytes], path: str) -> list[Annotation]:
    """Annotations of their JSON; InvalidDataError names the annotation and the field."""
    try:
        return _decoder.decode(b"[" + b",".join(elements) + b"]")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return [_decode_one(element, path) for element in elements]


def _decode_one(element: bytes, path: str) -> Annotation:
    try:
        fields = json.loads(element)
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"an annotation is no JSON: {error}", path=path) from None
    if not isinstance(fields, dict):
        raise InvalidDataError("an annotation is no object", path=path)
    known = {name: value for name, value in fields.items() if name in _FIELDS}
    extra = {name: value for name, value in fields.items() if name not in _FIELDS}
    _set_aside_odd(known, extra)
    name = f"annotation {fields.get('id', '?')}"
    try:
        annotation = msgspec.convert(known, Annotation, strict=True)
    except (msgspec.MsgspecError, ValueError) as error:
        reason, _, where = str(error).partition(" - at `$.")
        field = where.rstrip("`")
        raise InvalidDataError(
            f"{name}{'.' + field if field else ''}: {reason[0].lower()}{reason[1:]}", path=path
        ) from None
    annotation.extra = extra or None
    return annotation


def _set_aside_odd(known: dict[str, Any], extra: dict[str, Any]) -> None:
    """Move what is not finite, and what is empty in other ways than None, out of the fields."""
    for name in ("bbox", "segmentation", "keypoints", "area", "score"):
        value = known.get(name)
        if value is not None and not _finite(value):
            extra[f"source_{name}"] = repr(value)
            known[name] = None
    for name in ("segmentation", "bbox", "keypoints"):
        if known.get(name) in ([], {}, ""):
            known[name] = None
    for name in ("iscrowd", "ignore"):
        if known.get(name) is None and name in known:
            del known[name]
        elif known.get(name) in _WORDS:
            known[name] = _WORDS[known[name]]
    for name in ("image_id", "category_id", "id"):
        value = known.get(name)
        if isinstance(value, float) and value.is_integer():
            known[name] = int(value)


def _finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
