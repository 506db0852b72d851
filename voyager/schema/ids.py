"""Ids of samples, regions and taxonomy nodes: 16 bytes that two people mint alike (spec 9.2).

An id is the start of a keyed BLAKE3 over a canonical msgpack list. One key per purpose and the
list's own framing leave no two inputs with the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from functools import lru_cache, partial

from blake3 import blake3

from voyager import wire
from voyager.schema.codec import encode_geometry
from voyager.schema.geometry import UnknownGeometry
from voyager.schema.sample import Image, Region

ID_BYTES = 16


def _hasher(purpose: str) -> partial[blake3]:
    return partial(blake3, key=f"voyager 1 {purpose}".encode().ljust(32, b"\0"))


_sample_hash = _hasher("sample uid")
_region_hash = _hasher("region id")
_node_hash = _hasher("node id")


def image_anchor(image: Image, key: str) -> bytes | str:
    """What stands for an image in ids: its blob id, else declared hash, else URL, else the key."""
    return image.blob_id or image.hash or image.uri or key


def sample_uid(anchor: bytes | str, key: str, n: int = 0) -> bytes:
    """The uid of the sample first seen at `key`; n counts up while the uid is taken by another.

    `anchor` is the 32-byte blob id, or the text of `image_anchor` for an image not here yet.
    """
    return _sample_hash(wire.encoder.encode((anchor, key, n))).digest(ID_BYTES)


def region_id(
    anchor: bytes | str, geometry: bytes, category: bytes | str | None, ordinal: int = 0
) -> bytes:
    """The id of an imported region.

    `geometry` is the canonical encoding of the primary geometry, empty where there is none;
    `category` the node id or name of its class at first sight; `ordinal` counts exact equals.
    """
    data = wire.encoder.encode((anchor, geometry, category, ordinal))
    return _region_hash(data).digest(ID_BYTES)


def mint_region_id(anchor: bytes | str, region: Region, taken: Container[bytes]) -> bytes:
    """The id of a region seen for the first time: that of the first ordinal not `taken`."""
    geometry = b"" if region.geometry is None else encode_geometry(region.geometry)
    category = _first_category(region)
    ordinal = 0
    while (found := region_id(anchor, geometry, category, ordinal)) in taken:
        ordinal += 1
    return found


def mint_region_ids(anchor: bytes | str, regions: Sequence[Region]) -> list[bytes]:
    """The ids of the new regions of one image, in their order; as `mint_region_id`, all at once."""
    encode, hasher = wire.encoder.encode, _region_hash
    head = b"\x94" + encode(anchor)
    tails: dict[bytes | None, bytes] = {}
    found: list[bytes] = []
    taken: set[bytes] = set()
    for region in regions:
        shapes = region.geometries
        shape = shapes[region.primary] if region.primary else next(iter(shapes.values()), None)
        if shape is None:
            geometry = b""
        elif type(shape) is UnknownGeometry:
            geometry = encode_geometry(shape)
        else:
            geometry = encode(shape)
        category = None
        for label in region.labels:
            category = label.node
            if category is not None:
                break
        tail = tails.get(category)
        if tail is None:
            tail = tails[category] = encode(category) + b"\0"
        own = hasher(b"".join((head, _bin_head(len(geometry)), geometry, tail))).digest(ID_BYTES)
        ordinal = 0
        while own in taken:
            ordinal += 1
            own = region_id(anchor, geometry, category, ordinal)
        taken.add(own)
        found.append(own)
    return found


@lru_cache(maxsize=4096)
def _bin_head(size: int) -> bytes:
    """What msgpack puts before so many bytes."""
    return wire.encoder.encode(bytes(size))[:-size] if size else b"\xc4\0"


def _first_category(region: Region) -> bytes | str | None:
    for label in region.labels:
        if label.node is not None:
            return label.node
    return None


def random_region_id() -> bytes:
    """The id of a region drawn by hand."""
    return os.urandom(ID_BYTES)


def node_id(taxonomy: str, path: str, n: int = 0) -> bytes:
    """The id of the taxonomy node minted as number `n` at `path`."""
    return _node_hash(wire.encoder.encode((taxonomy, path, n))).digest(ID_BYTES)
