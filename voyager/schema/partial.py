"""Samples read in part: a decoder that makes only the fields somebody asks for.

A pass over a million rows that needs the splits alone should not build their polygons. What comes
out has the attributes that were asked for, named as in the schema, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import reduce
from operator import or_
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
from msgspec import Raw
from msgspec.structs import fields

from voyager.schema.codec import decode_sample
from voyager.schema.sample import Sample

_Tree = dict[str, Any]
"""Field → the tree of what is needed of it; an empty one is all of it."""


def partial_decoder(
    wanted: Collection[str], *, raw: Collection[str] = ()
) -> Callable[[bytes], Any]:
    """The decoder of sample rows that makes these fields, dotted as in `regions.labels`.

    Fields in `raw` stay undecoded bytes (`msgspec.Raw`), except where they are absent, and in a row
    that only the whole decoder can read.
    """
    tree = _tree([*wanted, *raw])
    decode = msgspec.msgpack.Decoder(_narrow(Sample, tree, "", frozenset(raw))).decode

    def decode_partly(row: bytes) -> Any:
        try:
            return decode(row)
        except (msgspec.MsgspecError, ValueError, TypeError):
            return decode_sample(row)  # a newer spec wrote it, or it is broken

    return decode_partly


def _tree(paths: Iterable[str]) -> _Tree:
    inner: dict[str, set[str]] = {}
    for path in paths:
        name, _, rest = path.partition(".")
        inner.setdefault(name, set()).add(rest)
    return {name: {} if "" in rests else _tree(rests) for name, rests in inner.items()}


def _narrow(kind: Any, tree: _Tree, path: str, raw: Collection[str]) -> Any:
    """A declared type with the structs in it cut down to the tree."""
    if path in raw:
        return Raw
    if not tree:
        return kind
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _narrow_struct(kind, tree, path, raw)
    origin = get_origin(kind)
    parts = [part if part is ... else _narrow(part, tree, path, raw) for part in get_args(kind)]
    if origin in (Union, UnionType):
        return reduce(or_, parts)
    return kind if origin is None else origin[tuple(parts)]


def _narrow_struct(
    struct: type[msgspec.Struct], tree: _Tree, path: str, raw: Collection[str]
) -> type[msgspec.Struct]:
    chosen: list[Any] = []
    for info in fields(struct):
        if info.name in tree:
            place = f"{path}.{info.name}".lstrip(".")
            kind = _narrow(info.type, tree[info.name], place, raw)
            default = {} if info.required else {"default": info.default}
            chosen.append((info.name, kind, msgspec.field(name=info.encode_name, **default)))
    return msgspec.defstruct(f"Partial{struct.__name__}", chosen, gc=False, kw_only=True)
