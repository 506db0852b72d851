"""What a newcomer met in a first session with labels: files in the way, odd places, near misses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sealed_world import World

from voyager.samples import photo_paths

PHOTOS = photo_paths()


def run(world: World, *arguments: str) -> str:
    result = world.vgr(*arguments)
    assert result.code == 0, result.text
    return result.out


def refused(world: World, *arguments: str) -> str:
    result = world.vgr(*arguments)
    assert result.code != 0, result.text
    return result.err


def coco(path: Path, *names: str) -> Path:
    """A COCO file with a box of a cat on each of some images."""
    images = [
        {"id": n, "file_name": name, "width": 640, "height": 480} for n, name in enumerate(names)
    ]
    boxes: list[dict[str, Any]] = [
        {"id": n, "image_id": n, "category_id": 0, "bbox": [10, 20, 30, 40]}
        for n in range(len(names))
    ]
    whole = {"images": images, "annotations": boxes, "categories": [{"id": 0, "name": "cat"}]}
    path.write_text(json.dumps(whole))
    return path


@pytest.fixture
def photos(world: World) -> World:
    """Three photos in a folder, a box of a cat on each, committed."""
    run(world, "init", "-q")
    (world.cwd / "pics").mkdir()
    for number in range(3):
        shutil.copyfile(PHOTOS[number], world.cwd / f"pics/{number}.jpg")
    coco(world.root / "cats.json", *(f"pics/{n}.jpg" for n in range(3)))
    run(world, "import", "-q", str(world.root / "cats.json"), "--images", ".")
    run(world, "commit", "-q", "-m", "cats")
    return world


# -- export ---------------------------------------------------------------------------------------


def test_one_file_is_written_into_the_working_tree(photos: World) -> None:
    run(photos, "export", "labels.jsonl", "--format", "jsonl")
    assert "3 unchanged" in run(photos, "import", "labels.jsonl")
    assert sorted(path.name for path in photos.cwd.iterdir() if path.name != ".vgr") == [
        "labels.jsonl",
        "labels.jsonl.vgr-export.json",
        "pics",
    ]


def test_an_export_beside_an_edited_image_leaves_it_alone(photos: World) -> None:
    edited = PHOTOS[5].read_bytes()
    (photos.cwd / "pics/0.jpg").write_bytes(edited)
    error = refused(photos, "export", "labels.jsonl", "--format", "jsonl")
    assert "'pics/0.jpg' exists already, and is another" in error
    assert not (photos.cwd / "labels.jsonl").exists()
    assert (photos.cwd / "pics/0.jpg").read_bytes() == edited
    run(photos, "export", "labels.jsonl", "--format", "jsonl", "--images", "none")
    assert (photos.cwd / "pics/0.jpg").read_bytes() == edited


def test_an_export_into_the_folder_where_one_stands(photos: World) -> None:
    (photos.cwd / "out").mkdir()
    photos.cwd = photos.cwd / "out"
    photos.monkeypatch.chdir(photos.cwd)
    run(photos, "export", ".", "--format", "coco")
    assert {path.name for path in photos.cwd.iterdir()} == {
        "annotations",
        "images",
        "vgr-export.json",
    }
