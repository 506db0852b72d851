"""The sample set is whole, and a copy of it is byte for byte the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from voyager.samples import BOXES, CLOTHING, copy_photos, photo_paths


def test_the_set_is_whole() -> None:
    photos = [path.relative_to(CLOTHING) for path in photo_paths()]
    classes = (CLOTHING / "classes.txt").read_text().split()
    assert len(photos) == 100
    assert {path.parts[:2] for path in photos} == {
        (split, name) for split in ("train", "test") for name in classes
    }
    with open(CLOTHING / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [path.as_posix() for path in photos]
    assert {row["label"].lower() for row in rows} == set(classes)


def test_it_stays_small_and_says_where_it_comes_from() -> None:
    assert sum(path.stat().st_size for path in photo_paths()) < 3_000_000
    assert "CC0" in (CLOTHING / "LICENSE").read_text()
    assert "clothing-dataset-small" in (CLOTHING / "SOURCE.md").read_text()


def test_a_copy_is_the_same(tmp_path: Path) -> None:
    made = copy_photos(tmp_path / "new" / "folder")
    assert len(made) == 100 + 5
    for path in made:
        source = CLOTHING / path.relative_to(tmp_path / "new" / "folder")
        assert path.read_bytes() == source.read_bytes()


def test_the_boxes_are_of_the_test_photographs_and_lie_in_them() -> None:
    told = json.loads(BOXES.read_text())
    images = {image["id"]: image for image in told["images"]}
    names = {category["id"]: category["name"] for category in told["categories"]}
    photos = [path.relative_to(CLOTHING).as_posix() for path in photo_paths()]
    assert [image["file_name"] for image in images.values()] == [
        name for name in photos if name.startswith("test/")
    ]
    assert len(told["annotations"]) == 33
    for annotation in told["annotations"]:
        image = images[annotation["image_id"]]
        x, y, width, height = annotation["bbox"]
        assert 0 <= x < x + width <= image["width"]
        assert 0 <= y < y + height <= image["height"]
        assert image["file_name"].split("/")[1] == names[annotation["category_id"]]
    assert {annotation["image_id"] for annotation in told["annotations"]} == set(images)
