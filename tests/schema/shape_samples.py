"""Real masks and polygons, and shapes as they come in images, for hypothesis."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image as Picture

from voyager.schema import (
    Box,
    Cuboid,
    Ellipse,
    Keypoints,
    Mask,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
    rle,
)

DATA = Path(__file__).parents[1] / "data"
HEIGHT, WIDTH = 24, 32
"""The image that drawn shapes are in, more or less."""


@cache
def nuclei() -> list[np.ndarray[Any, Any]]:
    """22 masks of nuclei in two images, as bool arrays."""
    paths = sorted((DATA / "nuclei").glob("*/masks/*.png"))
    return [np.array(Picture.open(path)) > 0 for path in paths]


@cache
def annotations() -> list[dict[str, Any]]:
    """40 annotations of COCO files: height, width, area, bbox, segmentation."""
    return [
        row
        for name in ("nuts", "taco")
        for row in json.loads((DATA / "polygons" / f"{name}.json").read_text("utf-8"))
    ]


def polygon_of(annotation: dict[str, Any]) -> Polygon:
    """The polygon of a COCO annotation: one ring a part."""
    return Polygon([[ring] for ring in annotation["segmentation"]])


xs = st.floats(-8, WIDTH + 8).map(lambda x: round(x, 3))
ys = st.floats(-8, HEIGHT + 8).map(lambda y: round(y, 3))
lengths = st.floats(0.5, WIDTH).map(lambda length: round(length, 3))
angles = st.floats(-7, 7).map(lambda angle: round(angle, 4))
points = st.tuples(xs, ys)


def flat(least: int, most: int) -> st.SearchStrategy[list[float]]:
    """Points one after the other."""
    return st.lists(points, min_size=least, max_size=most).map(
        lambda drawn: [number for point in drawn for number in point]
    )


boxes = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), xs, ys, lengths, lengths)
rotated_boxes = st.builds(RotatedBox, xs, ys, lengths, lengths, angles)
ellipses = st.builds(Ellipse, xs, ys, lengths, lengths, angles)
rings = flat(3, 7)
polygons = st.lists(st.lists(rings, min_size=1, max_size=2), min_size=1, max_size=2).map(Polygon)
polylines = flat(2, 6).map(Polyline)
point_sets = flat(1, 4).map(Points)
cuboids = flat(8, 8).map(Cuboid)
keypoints = st.lists(st.tuples(xs, ys, st.sampled_from([0, 1, 2])), min_size=1, max_size=5).map(
    lambda drawn: Keypoints(
        [n for x, y, seen in drawn for n in ((x, y) if seen else (0.0, 0.0))],
        [seen for _, _, seen in drawn],
    )
)
arrays = st.builds(
    lambda height, width, seed, share: np.random.default_rng(seed).random((height, width)) < share,
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
)
masks = st.builds(
    lambda seed, share: rle.mask_of_array(
        np.random.default_rng(seed).random((HEIGHT, WIDTH)) < share
    ),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.02, 0.5, 1.0]),
)
area_shapes = boxes | rotated_boxes | ellipses | polygons | cuboids | masks
shapes = area_shapes | polylines | point_sets | keypoints


def blobbed(mask: Mask) -> tuple[Mask, Any]:
    """The same mask with its counts in a blob, and the function that loads them."""
    from voyager import wire

    blob, counts = bytes(range(32)), mask.counts
    assert isinstance(counts, bytes)
    return Mask(mask.height, mask.width, wire.blob_ref(blob)), {blob: counts}.__getitem__
