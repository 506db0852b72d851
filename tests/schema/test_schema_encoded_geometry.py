"""Geometries measured as bytes, a stretch at a time, measure as the values do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from schema_strategies import geometries

from voyager.schema import Box, Geometry, Mask, Polygon, UnknownGeometry, encode_geometry
from voyager.schema.encoded_geometry import measure_all, part_count, shape_name
from voyager.schema.measures import area, bounds
from voyager.schema.rle import mask_of_runs
from voyager.schema.values import BadValueError
from voyager.wire import blob_ref

POLYGONS = Path(__file__).parents[1] / "data" / "polygons"


def rows_of(shapes: list[Geometry]) -> list[Raw]:
    return [Raw(encode_geometry(shape)) for shape in shapes]


def measured(shape: Geometry) -> list[float]:
    try:
        size = area(shape)
        box = bounds(shape) or [math.nan] * 4
    except BadValueError:
        return [math.nan] * 5
    return [*box, math.nan if size is None else size]


@given(st.lists(geometries, max_size=8))
@settings(max_examples=100, deadline=None)
def test_as_the_values_measure(shapes: list[Geometry]) -> None:
    wanted = [measured(shape) for shape in shapes if _is_modest(shape)]
    found = measure_all(rows_of([shape for shape in shapes if _is_modest(shape)]))
    np.testing.assert_allclose(found, np.array(wanted).reshape(-1, 5), rtol=1e-9)


def _is_modest(shape: Geometry) -> bool:
    """Whether its area is no matter of rounding or overflow; and its counts are here."""
    if isinstance(shape, Mask) and shape.blob_id is not None:
        return False
    try:
        box = bounds(shape)
    except BadValueError:
        return True
    return box is None or all(number == 0 or 1e-3 < abs(number) < 1e6 for number in box)


@given(geometries)
def test_names_and_parts(shape: Geometry) -> None:
    (row,) = rows_of([shape])
    is_known = not isinstance(shape, UnknownGeometry)
    assert shape_name(row) == shape_name(shape) == (shape.name if is_known else None)
    parts = len(shape.parts) if isinstance(shape, Polygon) else None
    assert part_count(row) == part_count(shape) == parts


@pytest.mark.parametrize("name", ["nuts", "taco"])
def test_real_polygons(name: str) -> None:
    annotations = json.loads((POLYGONS / f"{name}.json").read_text())
    shapes = [
        Polygon([[ring] for ring in annotation["segmentation"]]) for annotation in annotations
    ]
    found = measure_all(rows_of(shapes))
    np.testing.assert_allclose(found, [measured(shape) for shape in shapes], rtol=1e-12)


def test_none_and_far_off_and_huge_ones() -> None:
    far = Polygon([[[1e9, 1e9, 1e9 + 2, 1e9, 1e9 + 2, 1e9 + 3, 1e9, 1e9 + 3]]])
    huge = Box(-1e308, -1e308, 1e308, 1e308)
    found = measure_all([None, *rows_of([far, huge])])
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [1e9, 1e9, 1e9 + 2, 1e9 + 3, 6.0]
    assert found[2, :4].tolist() == [-1e308, -1e308, 1e308, 1e308]
    assert np.isnan(found[2, 4])


def test_masks_in_blobs_are_fetched() -> None:
    here = mask_of_runs([5, 2, 9], 4, 4)
    away = Mask(4, 4, blob_ref(bytes(32)))
    assert np.isnan(measure_all(rows_of([away]))).all()
    found = measure_all(rows_of([away, here]), {bytes(32): bytes(here.counts)}.__getitem__)
    assert found.tolist() == [[1, 1, 2, 3, 2]] * 2
