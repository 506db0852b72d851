"""MEANING: samples, regions, geometries, labels as pure values. Knows nothing of disks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voyager.schema.codec import (
    check_sample,
    decode_file,
    decode_geometry,
    decode_sample,
    encode_file,
    encode_geometry,
    encode_sample,
    is_canonical_file,
    is_canonical_sample,
)
from voyager.schema.geometry import (
    GEOMETRIES,
    GEOMETRY_NAMES,
    MASK_INLINE_LIMIT,
    Box,
    Cuboid,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
    UnknownGeometry,
)
from voyager.schema.ids import (
    image_anchor,
    mint_region_id,
    node_id,
    random_region_id,
    region_id,
    sample_uid,
)
from voyager.schema.sample import (
    ACCEPTED,
    FLAGS,
    HUMAN,
    SOURCE_KINDS,
    Asset,
    Coverage,
    FileRow,
    FrameState,
    Group,
    Held,
    Image,
    ImageState,
    Label,
    Link,
    MetaValue,
    Origin,
    Region,
    Sample,
    State,
    coverage_key,
    parse_coverage_key,
    parse_source,
)
from voyager.schema.values import BadValueError, Unknown

if TYPE_CHECKING:
    from voyager.schema.jsonform import sample_from_json, sample_to_json


def __getattr__(name: str) -> Any:
    # The JSON form is loaded by those who show or read it, not by every command.
    if name in ("sample_from_json", "sample_to_json"):
        from voyager.schema import jsonform

        return getattr(jsonform, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ACCEPTED",
    "FLAGS",
    "GEOMETRIES",
    "GEOMETRY_NAMES",
    "HUMAN",
    "MASK_INLINE_LIMIT",
    "SOURCE_KINDS",
    "Asset",
    "BadValueError",
    "Box",
    "Coverage",
    "Cuboid",
    "Ellipse",
    "FileRow",
    "FrameState",
    "Geometry",
    "Group",
    "Held",
    "Image",
    "ImageState",
    "Keypoints",
    "Label",
    "Link",
    "Mask",
    "MetaValue",
    "Origin",
    "Points",
    "Polygon",
    "Polyline",
    "Region",
    "RotatedBox",
    "Sample",
    "State",
    "Unknown",
    "UnknownGeometry",
    "check_sample",
    "coverage_key",
    "decode_file",
    "decode_geometry",
    "decode_sample",
    "encode_file",
    "encode_geometry",
    "encode_sample",
    "image_anchor",
    "is_canonical_file",
    "is_canonical_sample",
    "mint_region_id",
    "node_id",
    "parse_coverage_key",
    "parse_source",
    "random_region_id",
    "region_id",
    "sample_from_json",
    "sample_to_json",
    "sample_uid",
]
