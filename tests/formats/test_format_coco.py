"""COCO: what it says comes in whole, and goes out as it came."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_round_trips import findings, fuzz, regions_of, words_of
from label_repos import Coco, photo

from voyager.errors import InvalidDataError
from voyager.formats.base import Source
from voyager.formats.collecting import Collected, collect, memory_version, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.reading import ReadOptions
from voyager.formats.registry import detect, format_named
from voyager.formats.torture import Limits
from voyager.formats.writing import WriteOptions
from voyager.schema import Box, Keypoints, Mask, Polygon
from voyager.schema.rle import array_of, mask_of_array

COCO = format_named("coco")
DATA = Path(__file__).parent.parent / "data"
FIXTURES = DATA / "formats" / "datumaro" / "coco"


class TestCocoSuite(FormatSuite):
    form = COCO
    limits = Limits(lists=True)


def read(
    source: Coco | dict[str, Any] | Path, folder: Path | None = None, **options: Any
) -> Collected:
    """Read a file; values are written to a folder first."""
    if isinstance(source, Path):
        path = source
    else:
        assert folder is not None
        path = folder / "labels.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(source if isinstance(source, dict) else source.as_json()))
    return collect(COCO, path, ReadOptions(**options))


def written(read: Collected, folder: Path, **options: Any) -> dict[str, Any]:
    """Write what was read, as one version, and give the value of the file."""
    samples = {
        item.name: item.sample.replace(uid=bytes(15) + bytes([n]))
        for n, item in enumerate(read.items)
    }
    count = 0
    for key, sample in samples.items():
        regions = []
        for region in sample.regions:
            count += 1
            regions.append(region.replace(id=count.to_bytes(16, "big")))
        samples[key] = sample.replace(regions=tuple(regions))
    version = memory_version(samples, read.vocabulary, read.objects)
    write_version(COCO, version, folder, WriteOptions(**options))
    (path,) = folder.rglob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def by_id(rows: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {row["id"]: row for row in rows}


def again(value: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Read a file and write it again."""
    return written(read(value, folder / "in"), folder / "out")


# -- ids and classes ------------------------------------------------------------------------------


def test_annotation_id_0_and_category_ids_with_gaps(tmp_path: Path) -> None:
    made = Coco("ant", "bee", "cat")
    for row, number in zip(made.categories, (0, 90, 7), strict=True):
        row["id"] = number
    made.categories[1]["supercategory"] = "insect"
    image = made.image("a.png", id=0)
    made.images[0]["id"] = image = 0
    for n, category in enumerate((0, 90, 7)):
        made.box(image, 1 + n, 2, 3, 4, category=category, id=n)
    found = read(made, tmp_path)
    assert [words_of(found, r) for r in regions_of(found)] == [["ant"], ["bee"], ["cat"]]
    assert [r.origin.id for r in regions_of(found) if r.origin] == [0, 1, 2]
    taxonomy = found.vocabulary.taxonomy_of("category")
    assert taxonomy is not None
    assert [taxonomy.class_name(node) for node in taxonomy] == ["ant", "bee", "cat"]
    back = written(found, tmp_path / "out")
    assert back["categories"] == made.categories
    assert by_id(back["annotations"]) == by_id(made.annotations)
    assert back["images"] == made.images


def test_ids_that_come_twice_or_are_words(tmp_path: Path) -> None:
    made = Coco("cat")
    for name in ("a.png", "b.png"):
        made.box(made.image(name), 1, 2, 3, 4, id=7)
    back = again(made.as_json(), tmp_path)
    assert sorted(row["id"] for row in back["annotations"]) == [7, 8]
    made.images[0]["id"] = made.annotations[0]["image_id"] = "first"
    made.annotations[0]["id"] = "a1"
    back = again(made.as_json(), tmp_path / "words")
    assert {row["id"] for row in back["images"]} == {"first", 2}
    assert {row["image_id"] for row in back["annotations"]} == {"first", 2}


def test_ids_as_floats(tmp_path: Path) -> None:
    made = Coco("cat")
    made.box(made.image("a.png"), 1, 2, 3, 4, category=1.0, image_id=1.0, id=5.0)  # type: ignore[arg-type]
    (region,) = regions_of(read(made, tmp_path))
    assert region.origin is not None
    assert region.origin.id == 5


def test_a_class_that_nothing_has(tmp_path: Path) -> None:
    made = Coco("cat", "never")
    made.box(made.image("a.png"), 1, 2, 3, 4)
    assert [row["name"] for row in again(made.as_json(), tmp_path)["categories"]] == [
        "cat",
        "never",
    ]


# -- shapes ---------------------------------------------------------------------------------------


def test_stated_boxes_and_areas_stay_where_they_differ(tmp_path: Path) -> None:
    made = Coco("cat")
    image = made.image("a.png")
    ring = [1.0, 1, 11, 1, 11, 11, 1, 11]
    made.polygon(image, ring, bbox=[1, 1, 10, 10], area=100)
    made.polygon(image, ring, bbox=[0, 1, 10, 10], area=100)
    made.polygon(image, ring, bbox=[1, 1, 10, 10], area=78.5)
    made.polygon(image, ring)
    made.box(image, 1, 2, 3, 4, area=3.5)
    found = read(made, tmp_path)
    assert [dict(r.extra) for r in regions_of(found)] == [
        {},
        {"source_bbox": [0, 1, 10, 10]},
        {"source_area": 78.5},
        {},
        {"source_area": 3.5},
    ]
    back = by_id(written(found, tmp_path / "out")["annotations"])
    for number, row in by_id(made.annotations).items():
        assert {name: back[number][name] for name in row} == row
    assert (back[4]["bbox"], back[4]["area"]) == ([1, 1, 10, 10], 100)


def test_polygons_of_several_parts_value_for_value(tmp_path: Path) -> None:
    made = Coco("litter")
    image = made.image("a.png", 4000, 4000)
    for row in json.loads((DATA / "polygons" / "taco.json").read_text()):
        stated = {name: row[name] for name in ("id", "bbox", "area")}
        made.polygon(image, *row["segmentation"], iscrowd=0, **stated)
    back = by_id(again(made.as_json(), tmp_path)["annotations"])
    assert [len(row["segmentation"]) > 1 for row in made.annotations].count(True) == 8
    for row in made.annotations:
        found = back[row["id"]]
        assert found["area"] == pytest.approx(row.pop("area"))  # computed, to six digits
        assert {name: found[name] for name in row} == row


def rle_row(made: Coco, image: int, pixels: Any, *, compressed: bool, **fields: Any) -> None:
    mask = mask_of_array(pixels)
    assert isinstance(mask.counts, bytes)
    from voyager.schema.rle import runs_of

    counts: Any = mask.counts.decode() if compressed else runs_of(mask)
    made.annotations.append(
        {
            "id": len(made.annotations) + 1,
            "image_id": image,
            "category_id": 1,
            "segmentation": {"counts": counts, "size": list(pixels.shape)},
        }
        | fields
    )


def test_masks_compressed_and_not_and_crowds(tmp_path: Path) -> None:
    made = Coco("cat")
    image = made.image("a.png")
    pixels = np.zeros((48, 64), bool)
    pixels[3:9, 4:20] = True
    pixels[30:33, 50:60] = True
    area = int(pixels.sum())
    bbox = [4, 3, 56, 30]
    rle_row(made, image, pixels, compressed=False, iscrowd=1, area=area, bbox=bbox)
    rle_row(made, image, pixels, compressed=True, iscrowd=0, area=area, bbox=bbox)
    rle_row(made, image, pixels, compressed=True, iscrowd=0, area=area + 1, bbox=bbox)
    made.polygon(image, [1, 1, 9, 1, 9, 9], iscrowd=1)
    found = read(made, tmp_path)
    crowd, plain, stated, ring = regions_of(found)
    for region in (crowd, plain):
        assert isinstance(region.geometry, Mask)
        assert (array_of(region.geometry) == pixels).all()
        assert region.extra == {}
    assert (crowd.flags, plain.flags, ring.flags) == (("crowd",), (), ("crowd",))
    assert stated.extra == {"source_area": area + 1}
    back = by_id(written(found, tmp_path / "out")["annotations"])
    for row in made.annotations:
        assert {name: back[row["id"]][name] for name in row} == row


def test_keypoints_and_skeleton(tmp_path: Path) -> None:
    value = json.loads(
        (FIXTURES / "coco_person_keypoints/annotations/person_keypoints_train.json").read_text()
    )
    found = read(value, tmp_path)
    assert any(
        isinstance(shape, Keypoints) for r in regions_of(found) for shape in r.geometries.values()
    )
    made = Coco("person")
    made.categories[0] |= {"keypoints": ["nose", "eye"], "skeleton": [[1, 2]], "supercategory": "x"}  # type: ignore[dict-item]
    image = made.image("a.png")
    points = [5, 6.5, 2, 0, 0, 0]
    made.box(image, 1, 2, 30, 40, keypoints=points, num_keypoints=1)
    made.polygon(
        image, [1, 1, 9, 1, 9, 9], keypoints=points, num_keypoints=1, bbox=[1, 1, 8, 8], area=32
    )
    found = read(made, tmp_path / "made")
    one, two = regions_of(found)
    assert (one.primary_role, two.primary_role) == ("box", "polygon")
    assert one.geometries["keypoints"] == Keypoints((5, 6.5, 0, 0), (2, 0))
    skeleton = found.vocabulary.tasks["category"].skeleton
    assert skeleton is not None
    assert (skeleton.names, skeleton.edges) == (("nose", "eye"), ((0, 1),))
    back = written(found, tmp_path / "out")
    assert back["categories"] == made.categories
    for row in made.annotations:
        got = by_id(back["annotations"])[row["id"]]
        assert {name: got[name] for name in row} == row


def test_captions_and_labels_of_images(tmp_path: Path) -> None:
    made = Coco("cat", "dog")
    one, two = made.image("a.png"), made.image("b.png")
    for number, text in enumerate(("A cat.", "A “cat”\nand a dog"), 1):
        made.annotations.append({"id": number, "image_id": one, "caption": text})
    made.annotations.append({"id": 3, "image_id": two, "category_id": 2})
    found = read(made, tmp_path)
    assert [label.value for label in found.items[0].sample.labels] == [
        "A cat.",
        "A “cat”\nand a dog",
    ]
    assert found.vocabulary.tasks["caption"].kind == "text"
    (label,) = found.items[1].sample.labels
    assert found.vocabulary.word(label) == "dog"
    back = written(found, tmp_path / "out")["annotations"]
    assert [row.get("caption") for row in back] == ["A cat.", "A “cat”\nand a dog", None]
    assert back[2]["category_id"] == 2
    assert "bbox" not in back[2]


def test_panoptic(tmp_path: Path) -> None:
    folder = FIXTURES / "coco_panoptic"
    found = read(folder)
    value = json.loads((folder / "annotations/panoptic_train.json").read_text())
    segments = [s for row in value["annotations"] for s in row["segments_info"]]
    train = [item for item in found.items if item.sample.split == "train"]
    regions = [region for item in train for region in item.sample.regions]
    assert [r.origin.id for r in regions if r.origin] == [s["id"] for s in segments]
    for region, segment in zip(regions, segments, strict=True):
        assert isinstance(region.geometry, Mask)
        assert ("crowd" in region.flags) == bool(segment["iscrowd"])
        assert (
            region.extra.get("source_area", int(array_of(region.geometry).sum())) == segment["area"]
        )


def test_panoptic_pngs_that_are_missing_or_damaged(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "coco_panoptic", tmp_path / "in")
    (png,) = (tmp_path / "in/annotations/panoptic_train").glob("*.png")
    png.write_bytes(png.read_bytes()[:60])
    with pytest.raises(InvalidDataError, match="PNG"):
        read(tmp_path / "in")
    png.unlink()
    with pytest.raises(InvalidDataError, match="there is no"):
        read(tmp_path / "in")


def test_a_hundred_masks_on_one_image(tmp_path: Path) -> None:
    made = Coco("cell")
    image = made.image("a.png", 1000, 1000)
    for number in range(100):
        pixels = np.zeros((1000, 1000), bool)
        y, x = divmod(number, 10)
        pixels[y * 100 : y * 100 + 90, x * 100 : x * 100 + 90 : 3] = True
        rle_row(made, image, pixels, compressed=True)
    found = read(made, tmp_path)
    back = by_id(written(found, tmp_path / "out")["annotations"])
    for row in made.annotations:
        assert back[row["id"]]["segmentation"] == row["segmentation"]


def test_boxes_of_no_area_are_kept_and_reported(tmp_path: Path) -> None:
    made = Coco("cat")
    image = made.image("a.png")
    made.box(image, 5, 5, 0, 3)
    made.box(image, 9, 9, -4, -2, area=8)
    found = read(made, tmp_path)
    assert [r.geometry for r in regions_of(found)] == [Box(5, 5, 5, 8), Box(9, 9, 5, 7)]
    assert findings(found.report, "extra") == {"a box has no area and was kept": 2}
    assert [r["bbox"] for r in written(found, tmp_path / "out")["annotations"]] == [
        [5, 5, 0, 3],
        [9, 9, -4, -2],
    ]


def test_nan_and_infinity(tmp_path: Path) -> None:
    made = Coco("cat")
    image = made.image("a.png")
    made.box(image, math.nan, 2, 3, 4)
    made.polygon(image, [1, 1, math.inf, 1, 9, 9], bbox=[1, 1, 8, 8])
    made.box(image, 1, 2, 3, 4, area=math.inf, score=math.nan)
    found = read(made, tmp_path)
    one, two, three = regions_of(found)
    assert (one.geometries, one.extra["source_bbox"]) == ({}, "[nan, 2, 3, 4]")
    assert two.geometries == {"box": Box(1, 1, 9, 9)}
    assert two.extra["source_segmentation"] == "[[1, 1, inf, 1, 9, 9]]"
    assert three.geometry == Box(1, 2, 4, 6)
    lost = findings(found.report, "lost")
    assert sum(lost.values()) == 4, lost
    second = read(written(found, tmp_path / "out"), tmp_path / "again")
    for before, after in zip((one, two, three), regions_of(second), strict=True):
        assert before.geometries == after.geometries
        for name, value in before.extra.items():
            if isinstance(value, str):
                assert after.extra[name] == value


def test_odd_polygons(tmp_path: Path) -> None:
    made = Coco("cat")
    image = made.image("a.png")
    made.annotations += [
        {"id": 1, "image_id": image, "category_id": 1, "segmentation": [], "bbox": [1, 2, 3, 4]},
        {
            "id": 2,
            "image_id": image,
            "category_id": 1,
            "segmentation": [[1, 1, 5, 5]],
            "bbox": [1, 1, 4, 4],
        },
    ]
    one, two = regions_of(read(made, tmp_path))
    assert one.geometry == Box(1, 2, 4, 6)
    assert two.geometry == Polygon((((1, 1, 5, 5),),))
    for ring in ([1, 1, 5], ["a", 1, 2, 3]):
        made.annotations[1]["segmentation"] = [ring]
        with pytest.raises(InvalidDataError, match="annotation 2"):
            read(made, tmp_path)


# -- what else a file has -------------------------------------------------------------------------


def test_unknown_fields_and_tables_come_back(tmp_path: Path) -> None:
    made = Coco("cat")
    image = made.image(
        "a.png", license=3, date_captured="2017", coco_url="http://x.org/a.png", deep={"a": [1]}
    )
    made.box(
        image,
        1,
        2,
        3,
        4,
        attributes={"occluded": True, "n": 3, "deep": {"x": 1}},
        mine=[1, {"y": 2}],
    )
    made.tables = {
        "info": {"year": 2017},
        "licenses": [{"id": 3, "name": "MIT"}],
        "scene_annotations": [{"image_id": image, "background_ids": [1, 2]}],
        "scene_categories": [{"id": 1, "name": "clean"}],
        "version": 4,
    }
    found = read(made, tmp_path)
    (item,) = found.items
    assert item.sample.image.uri == "http://x.org/a.png"
    assert item.sample.extra["scene_annotations"] == [{"background_ids": [1, 2]}]
    (region,) = regions_of(found)
    assert dict(region.attrs) == {"occluded": True, "n": 3}
    said = findings(found.report, "extra")
    assert "a field 'mine' was kept as it is" in said
    assert "a field 'attributes' was kept as it is" in said
    assert "a table 'scene_annotations' was kept as it is" in said
    back = written(found, tmp_path / "out")
    for name in ("info", "licenses", "scene_categories", "version"):
        assert back[name] == made.tables[name], name
    assert back["images"] == [made.images[0] | {"scene_annotations": [{"background_ids": [1, 2]}]}]
    assert back["annotations"] == made.annotations


def test_tables_in_any_order_and_a_bom(tmp_path: Path) -> None:
    made = Coco("cat")
    for name in ("a.png", "b.png"):
        made.box(made.image(name), 1, 2, 3, 4)
    value = made.as_json()
    wanted = [item.sample for item in read(value, tmp_path).items]
    path = tmp_path / "labels.json"
    for names in (["categories", "annotations", "images"], ["annotations", "images", "categories"]):
        path.write_text(json.dumps({name: value[name] for name in names}), encoding="utf-8-sig")
        assert [item.sample for item in collect(COCO, path).items] == wanted


def test_images_without_annotations(tmp_path: Path) -> None:
    made = Coco("cat")
    made.image("a.png")
    made.box(made.image("b.png"), 1, 2, 3, 4)
    found = {item.name: item.sample for item in read(made, tmp_path).items}
    assert sorted(found) == ["a.png", "b.png"]
    assert found["a.png"].coverage == {}  # not labelled is not empty
    sure = read(made, tmp_path, assume_exhaustive=True)
    assert {s.coverage["category"] for s in (i.sample for i in sure.items)} == {"exhaustive"}


def test_splits_by_file_names() -> None:
    found = read(FIXTURES / "coco_instances")
    assert Counter(item.sample.split for item in found.items) == {"train": 1, "val": 1}


def test_names_that_collide(tmp_path: Path) -> None:
    made = Coco("cat")
    names = ("a.jpg", "a.png", "x/a.png", "y/a.png", "ünï#1.png")
    for name in names:
        made.box(made.image(name), 1, 2, 3, 4)
        photo(tmp_path, name)
    found = read(made, tmp_path)
    assert sorted(item.name for item in found.items) == sorted(names)
    assert all(item.file == tmp_path / item.name for item in found.items)


def test_results_use_the_ids_of_another_file(tmp_path: Path) -> None:
    made = Coco("cat", "dog")
    made.categories[1]["id"] = 90
    image = made.image("a.png")
    given = made.write(tmp_path / "given.json")
    (tmp_path / "results.json").write_text(
        json.dumps([{"image_id": image, "category_id": 90, "bbox": [1, 2, 3, 4], "score": 0.25}])
    )
    found = read(tmp_path / "results.json", settings={"annotations": str(given)})
    (region,) = regions_of(found)
    assert (region.geometry, region.score) == (Box(1, 2, 4, 6), 0.25)
    assert words_of(found, region) == ["dog"]
    with pytest.raises(InvalidDataError, match="names images by the ids") as caught:
        read(tmp_path / "results.json")
    assert "annotations=FILE" in (caught.value.hint or "")


# -- what is refused ------------------------------------------------------------------------------


def broken(**fields: Any) -> dict[str, Any]:
    made = Coco("cat")
    made.box(made.image("a.png"), 1, 2, 3, 4)
    value = made.as_json()
    for name, new in fields.items():
        table, _, field = name.partition("_")
        value[table][0][field] = new
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (broken(annotations_image_id=9), "image_id 9 is no image of the file"),
        (broken(annotations_image_id=None), r"annotations\[0\].image_id"),
        (broken(annotations_category_id=9), "9 is no category of the file"),
        (broken(annotations_bbox=[1, 2, 3]), "annotation 1: bbox: expected 4 numbers"),
        (broken(annotations_bbox="x"), r"annotation 1.bbox: expected"),
        (broken(annotations_bbox=[1, 2, 3, "x"]), r"annotation 1.bbox\[\.*3*\]*"),
        (broken(annotations_segmentation={"counts": [1], "size": [4, 4]}), "annotation 1"),
        (broken(annotations_segmentation={"counts": "~~", "size": [4, 4]}), "annotation 1"),
        (broken(annotations_segmentation={"counts": "0", "size": [-4, 4]}), "annotation 1"),
        (broken(annotations_keypoints=[1, 2]), "keypoints: expected x, y"),
        (broken(annotations_keypoints=[1, 2, 9]), "no visibility"),
        (broken(images_file_name=7), "image 1.file_name: expected text"),
        (broken(images_file_name="../x.png"), "names no image inside"),
        (broken(images_id=True), r"images\[0\].id"),
        (broken(categories_name=""), r"categories\[0\].name"),
        (broken(categories_id=None), r"categories\[0\].id"),
        ({"images": [3], "annotations": []}, "images"),
        ({"images": [{"id": 1}, {"id": 1}], "annotations": []}, "comes twice"),
        ({"images": [], "annotations": [{"image_id": 1}, 3]}, "annotations"),
        ({"images": [], "annotations": "x"}, "annotations: expected a list"),
    ],
)  # fmt: skip
def test_malformed_files_are_refused_by_place(
    tmp_path: Path, value: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidDataError, match=words) as caught:
        read(value, tmp_path)
    assert caught.value.path is not None
    assert str(caught.value.path).endswith("labels.json")


@pytest.mark.parametrize(
    "name", ["coco_instances", "coco_person_keypoints", "coco_captions", "coco_panoptic"]
)
def test_damaged_fixtures(tmp_path: Path, name: str) -> None:
    kind = {"coco_captions": "captions", "coco_panoptic": "panoptic"}.get(name, name[5:])
    fuzz(COCO, FIXTURES / name, tmp_path / "in", [f"annotations/{kind}_train.json"], 60)


def test_detection(tmp_path: Path) -> None:
    form, found = detect(FIXTURES / "coco_instances")
    assert (form.name, "images, annotations" in found.why) == ("coco", True)
    assert detect(FIXTURES / "coco_captions" / "annotations" / "captions_train.json")[0] is COCO
    (tmp_path / "x.json").write_text('[{"a": 1}]')
    assert COCO.detect(Source(tmp_path / "x.json")) is None


@pytest.mark.parametrize("order", list(permutations(["images", "annotations", "categories"])))
def test_detection_of_large_files(tmp_path: Path, order: tuple[str, ...]) -> None:
    """Whatever comes first and last: what tells them may lie where nobody looks."""
    rows = {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in range(5000)],
        "annotations": [{"id": n, "image_id": n, "category_id": 1} for n in range(5000)],
        "categories": [{"id": n, "name": f"class {n}"} for n in range(90)],
    }
    (tmp_path / "x.json").write_text(json.dumps({name: rows[name] for name in order}))
    assert detect(tmp_path / "x.json")[0] is COCO
