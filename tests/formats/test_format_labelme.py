"""LabelMe: every shape type, groups, flags, masks, embedded images, paths, files without shapes."""

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from voyager.errors import InvalidDataError
from voyager.formats.base import Source
from voyager.formats.collecting import collect, memory_version, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.labelme import FORMAT
from voyager.formats.projection import convert
from voyager.formats.reading import ReadOptions
from voyager.formats.torture import Limits, image_bytes
from voyager.schema import (
    Box,
    Ellipse,
    Image,
    Points,
    Polygon,
    Polyline,
    Region,
    RotatedBox,
    Sample,
    rle,
)
from voyager.schema.vocabulary import Draft, Vocabulary

DATA = Path(__file__).parent.parent / "data" / "formats"


class TestLabelMe(FormatSuite):
    form = FORMAT
    limits = Limits(inverted=False, lists=True)  # the corners of a rectangle have no order

    def expected(self, key: str, sample: Sample) -> Sample:
        return sample.replace(regions=tuple(_circles_only(r, sample) for r in sample.regions))


def _circles_only(region: Region, sample: Sample) -> Region:
    shape = region.geometries.get("ellipse")
    if not isinstance(shape, Ellipse) or shape.rx == shape.ry:
        return region
    polygon = convert(shape, "polygon", sample)
    return region.replace(geometries={"polygon": polygon}, primary=None)


def write_file(folder: Path, *shapes: dict[str, Any], name: str = "a.json", **fields: Any) -> Path:
    value = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": "a.png"}
    value |= {"imageData": None, "imageHeight": 48, "imageWidth": 64, **fields}
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def shape(kind: str | None, points: list[list[float]], **fields: Any) -> dict[str, Any]:
    found = {"label": "cat", "points": points, "group_id": None, "flags": {}, **fields}
    return found if kind is None else {**found, "shape_type": kind}


def regions_of(folder: Path, *shapes: dict[str, Any], **fields: Any) -> tuple[Region, ...]:
    (item,) = collect(FORMAT, write_file(folder, *shapes, **fields)).items
    return item.sample.regions


def test_every_shape_type(tmp_path: Path) -> None:
    shapes = [
        shape("rectangle", [[9, 8], [1, 2]]),
        shape("polygon", [[0, 0], [4, 0], [4, 4.5]]),
        shape(None, [[0, 0], [4, 0], [4, 4]]),
        shape("circle", [[10, 10], [13, 14]]),
        shape("line", [[0, 0], [4, 4]]),
        shape("linestrip", [[0, 0], [4, 4], [5, 0]]),
        shape("point", [[1, 2]]),
        shape("points", [[1, 2], [3, 4]]),
        shape("rectangle", [[1, 2], [9, 2], [9, 8], [1, 8]]),
    ]
    assert [region.geometry for region in regions_of(tmp_path, *shapes)] == [
        Box(1, 2, 9, 8),
        Polygon((((0, 0, 4, 0, 4, 4.5),),)),
        Polygon((((0, 0, 4, 0, 4, 4),),)),
        Ellipse(10, 10, 5, 5, 0),
        Polyline((0, 0, 4, 4)),
        Polyline((0, 0, 4, 4, 5, 0)),
        Points((1, 2)),
        Points((1, 2, 3, 4)),
        Box(1, 2, 9, 8),
    ]


def test_a_rotated_box_of_a_successor(tmp_path: Path) -> None:
    corners = [[1.0, 1.0], [1.0, 5.0], [-1.0, 5.0], [-1.0, 1.0]]
    (region,) = regions_of(tmp_path, shape("rotation", corners, direction=1.57))
    assert region.geometry == RotatedBox(0, 3, 4, 2, math.pi / 2)
    assert region.extra == {"direction": 1.57}


def png(pixels: Any) -> str:
    file = io.BytesIO()
    Picture.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("on", [1, 255])
def test_a_mask_is_a_picture_of_its_box(tmp_path: Path, on: int) -> None:
    pixels = np.array([[on, 0, on], [0, on, on]])
    (region,) = regions_of(tmp_path, shape("mask", [[5, 7], [7, 8]], mask=png(pixels)))
    expected = np.zeros((48, 64), bool)
    expected[7:9, 5:8] = pixels != 0
    assert np.array_equal(rle.array_of(region.geometry), expected)


def test_polygons_of_one_group_and_class_are_one_region(tmp_path: Path) -> None:
    ring, other = [[0, 0], [4, 0], [4, 4]], [[9, 9], [12, 9], [12, 12]]
    shapes = [
        shape("polygon", ring, group_id=3),
        shape("polygon", other, group_id=3),
        shape("polygon", ring, group_id=3, label="dog"),
        shape("rectangle", [[0, 0], [1, 1]], group_id=3),
        shape("polygon", ring),
        shape("polygon", ring),
    ]
    regions = regions_of(tmp_path, *shapes)
    assert len(regions) == 5
    assert regions[0].geometry == Polygon((((0, 0, 4, 0, 4, 4),), ((9, 9, 12, 9, 12, 12),)))
    assert [region.extra for region in regions] == [{"group_id": 3}] * 3 + [{}, {}]


def test_flags_descriptions_and_attributes(tmp_path: Path) -> None:
    one = shape(
        "point",
        [[1, 2]],
        flags={"occluded": True, "truncated": False, "wet": True, "dry": False},
        description="left one",
        attributes={"n": 3},
        difficult=True,
        score=0.5,
        other=[1],
    )
    path = write_file(tmp_path, one, flags={"night": True, "rain": False}, shot="x")
    found = collect(FORMAT, path)
    (item,) = found.items
    (region,) = item.sample.regions
    assert region.flags == ("difficult", "occluded")
    assert region.attrs == {"wet": True, "dry": False, "description": "left one", "n": 3}
    assert (region.score, region.extra) == (0.5, {"other": [1]})
    assert item.sample.meta == {"night": True, "rain": False}
    assert item.sample.extra == {"shot": "x"}
    labels = collect(FORMAT, path, ReadOptions(settings={"flags": "labels"}))
    (item,) = labels.items
    assert [labels.vocabulary.word(label) for label in item.sample.labels] == ["night"]
    assert item.sample.meta == {}


def test_classes_in_the_order_of_labels_txt(tmp_path: Path) -> None:
    write_file(tmp_path, shape("point", [[1, 2]]))
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ndog\ncat\n")
    taxonomy = collect(FORMAT, tmp_path).vocabulary.taxonomies["category"]
    assert [taxonomy.nodes[node].name for node in taxonomy] == ["dog", "cat"]


# -- images --------------------------------------------------------------------------------------


def test_images_beside_in_other_folders_and_without_a_file(tmp_path: Path) -> None:
    for name in ("x/a.png", "photos/b.png", "alone.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(image_bytes(name))
    write_file(tmp_path, shape("point", [[1, 2]]), name="x/a.json")
    write_file(tmp_path, name="ann/b.json", imagePath="..\\photos\\b.png")
    items = collect(FORMAT, tmp_path).items
    assert [(item.name, item.sample.coverage) for item in items] == [
        ("photos/b.png", {"category": "exhaustive"}),
        ("x/a.png", {}),
        ("alone.png", {}),
    ]
    assert all(item.file is not None for item in items)


def test_a_wrong_path_where_the_stem_is_right(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(image_bytes("a.jpg"))
    found = collect(FORMAT, write_file(tmp_path, imagePath="renamed.png"))
    assert found.items[0].name == "a.jpg"
    kind = "imagePath names no image; the one of the same name was taken"
    assert found.report.count("repaired", kind) == 1


def test_an_image_inside_the_file(tmp_path: Path) -> None:
    data = image_bytes("inside.png")
    path = write_file(tmp_path, imageData=base64.b64encode(data).decode())
    (item,) = collect(FORMAT, path).items
    assert (item.name, item.data, item.file) == ("a.png", data, None)
    (tmp_path / "a.png").write_bytes(image_bytes("beside.png"))
    (item,) = collect(FORMAT, path).items
    assert (item.data, item.file) == (None, tmp_path / "a.png")


@pytest.mark.parametrize("name", ["../../a.png", "/etc/a.png", "C:\\x\\a.png"])
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = write_file(tmp_path / "ann", imagePath=name)
    with pytest.raises(InvalidDataError, match="names no image inside the dataset") as refused:
        collect(FORMAT, path)
    assert refused.value.path == "a.json"


def test_a_path_out_of_the_folder_is_looked_for_in_the_given_images(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(image_bytes("a.png"))
    path = write_file(tmp_path / "ann", imagePath="../photos/a.png")
    (item,) = collect(FORMAT, path, ReadOptions(images=tmp_path / "photos")).items
    assert (item.name, item.file) == ("a.png", tmp_path / "photos" / "a.png")


# -- malformed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (shape("cube", []), "shapes[0].shape_type: 'cube' is none of polygon, rectangle"),
        (shape("rectangle", [[1, 2]]), "shapes[0].points: expected 2, got 1"),
        (shape("polygon", [[1, "x"]]), "shapes[0].points: expected x and y of each"),
        (shape("mask", [[1, 2], [3, 4]], mask="?"), "shapes[0].mask: not base64"),
        (shape("mask", [[1, 2], [3, 4]], mask="AAAA"), "shapes[0].mask: no image"),
        (shape("point", [[1, 2]], label=3), "shapes[0].label: expected text"),
        (3, "shapes[0]: expected an object"),
    ],
)
def test_malformed_shapes_are_refused_with_their_place(
    tmp_path: Path, bad: Any, words: str
) -> None:
    with pytest.raises(InvalidDataError) as refused:
        collect(FORMAT, write_file(tmp_path, bad))
    assert words in refused.value.message
    assert refused.value.path == "a.json"


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    (region,) = regions_of(tmp_path, shape("point", [[math.inf, 2]]))
    assert (region.geometries, region.extra) == ({}, {"source_geometry": "[[inf, 2]]"})


# -- detection and writing -----------------------------------------------------------------------


def test_other_json_and_the_older_xml_are_not_claimed(tmp_path: Path) -> None:
    assert FORMAT.detect(Source(DATA / "datumaro" / "labelme")) is None
    assert FORMAT.detect(Source(DATA / "label_studio")) is None
    (tmp_path / "a.json").write_text('{"shapes": []}')
    assert FORMAT.detect(Source(tmp_path)) is None


def test_one_file_beside_each_image(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    draft.define("category")
    group = {"group_id": 4}

    def region(number: int, **fields: Any) -> Region:
        ring = (0, 0, 4, 0, 4, float(number))
        return Region(
            id=bytes([number]) * 16, geometries={"polygon": Polygon(((ring,),))}, **fields
        )

    sample = Sample(
        uid=bytes(16),
        image=Image(width=8, height=9),
        regions=(region(1, extra=group), region(2, extra=group)),
    )
    other = sample.replace(regions=(), split="val")
    known = other.replace(coverage={"category": "exhaustive"})
    samples = {"x/a.png": sample, "x/a.jpg": other, "x/b.png": known}
    writing = write_version(FORMAT, memory_version(samples, draft), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "x").iterdir()) == [
        "a.json",
        "a.png.json",
        "b.json",
    ]
    found = {item.name: item.sample for item in collect(FORMAT, tmp_path / "out").items}
    assert found.keys() == samples.keys()
    assert len(found["x/a.png"].regions) == 2
    assert writing.report.count("lost", "a group of several polygons of one class") == 1
    assert (found["x/a.jpg"].coverage, found["x/a.jpg"].split) == ({}, "val")
    assert found["x/b.png"].coverage == {"category": "exhaustive"}
