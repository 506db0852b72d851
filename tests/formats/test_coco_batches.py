"""COCO annotations measured and written many at a time: as one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voyager.formats.coco.regions import measure
from voyager.formats.coco.rows import _boxes, _rounded
from voyager.formats.collecting import collect, memory_version, write_version
from voyager.formats.registry import format_named
from voyager.schema import Polygon, Region, Sample
from voyager.schema.ids import mint_region_id, mint_region_ids
from voyager.schema.measures import bounds

COCO = format_named("coco")
SQUARE = [4.0, 4.0, 8.0, 4.0, 8.0, 8.0, 4.0, 8.0]

numbers = st.floats(-1e4, 1e4).map(lambda x: round(x, 3) + 0.0)
rings = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6).map(
    lambda points: tuple(number for point in points for number in point)
)


def regions_of(folder: Path, *polygons: list[list[float]], **fields: Any) -> tuple[Region, ...]:
    """The regions of a file of one image with these polygons."""
    path = folder / "labels.json"
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "segmentation": polygon, **fields}
        for n, polygon in enumerate(polygons)
    ]
    path.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
                "annotations": annotations,
                "categories": [{"id": 1, "name": "cat"}],
            }
        )
    )
    (item,) = collect(COCO, path).items
    return item.sample.regions


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.lists(rings, max_size=3), max_size=5))
def test_bounds_of_many_are_those_of_each(shapes: list[list[tuple[float, ...]]]) -> None:
    found, areas = measure(shapes)
    for shape, box, area in zip(shapes, found.tolist(), areas.tolist(), strict=True):
        expected = bounds(Polygon(tuple((ring,) for ring in shape))) or (0.0,) * 4
        assert tuple(box) == expected
        assert area >= 0.0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=5))
def test_lengths_lead_to_the_same_corners(corners: list[tuple[float, ...]]) -> None:
    import numpy as np

    stated = np.array(corners)
    boxes = _boxes(stated)
    assert (boxes[:, :2] == stated[:, :2]).all()
    assert np.allclose(boxes[:, :2] + boxes[:, 2:], stated[:, 2:], rtol=0, atol=1e-11)


def test_computed_numbers_are_short() -> None:
    import numpy as np

    assert _rounded(np.array([0.1 + 0.2, 1 / 3, 12345678901.123456])).tolist() == [
        0.3,
        0.333333,
        12345678901.123456,
    ]


def test_an_empty_ring_changes_nothing_of_its_neighbours(tmp_path: Path) -> None:
    fields = {"bbox": [4.0, 4.0, 4.0, 4.0], "area": 16.0}
    plain, odd, last = regions_of(tmp_path, [SQUARE], [[]], [SQUARE], **fields)
    assert not plain.extra
    assert not last.extra
    assert odd.extra == {"source_bbox": fields["bbox"], "source_area": 16.0}


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_zero_has_no_sign(tmp_path: Path, zero: float) -> None:
    (region,) = regions_of(tmp_path, [[zero, 0.0, 8.0, 0.0, 8.0, 8.0]])
    shape = region.geometry
    assert isinstance(shape, Polygon)
    assert "-" not in str(shape.parts)
    assert mint_region_ids("a", [region]) == [mint_region_id("a", region, set())]


def test_a_kept_field_called_id_does_not_stand_twice(tmp_path: Path) -> None:
    (region,) = regions_of(tmp_path, [SQUARE])
    (item,) = collect(COCO, tmp_path / "labels.json").items
    sample: Sample = item.sample.replace(
        uid=b"u" * 16, regions=(region.replace(extra={"id": "x", "note": 1}),)
    )
    version = memory_version({"a.jpg": sample}, collect(COCO, tmp_path / "labels.json").vocabulary)
    writing = write_version(COCO, version, tmp_path / "out")
    text = (tmp_path / "out" / writing.label_files[0]).read_text()
    (row,) = json.loads(text)["annotations"]
    assert (row["id"], row["note"]) == (0, 1)
    assert text.count('"note"') == 1
    assert writing.report.count("lost", "a field 'id' of a region") == 1
