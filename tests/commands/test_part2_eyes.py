"""What a newcomer met in a first session with labels: files in the way, odd places, near misses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sealed_world import World

from voyager.images import probe
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


def lines(world: World, *arguments: str) -> list[Any]:
    return [json.loads(line) for line in run(world, *arguments, "--json").splitlines()]


def size_of(path: Path) -> tuple[int, int]:
    info = probe(path.read_bytes(), path.name)
    assert info is not None
    return info.width, info.height


def coco(path: Path, *names: str) -> Path:
    """A COCO file with a box of a cat on each of the first photos, under these names."""
    sizes = [size_of(PHOTOS[n]) for n in range(len(names))]
    images = [
        {"id": n, "file_name": name, "width": sizes[n][0], "height": sizes[n][1]}
        for n, name in enumerate(names)
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
    assert "nothing changed" in run(photos, "import", "labels.jsonl")
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


# -- labels before their images -------------------------------------------------------------------


def test_labels_that_waited_move_to_the_images_that_are_found(world: World) -> None:
    run(world, "init", "-q")
    source = coco(world.root / "cats.json", "0.jpg", "1.jpg", "gone.jpg")
    told = run(world, "import", str(source))
    assert "3 × an image is not here" in told
    assert "waiting for 3 images: vgr add at the key, or vgr import with --images DIR" in told
    run(world, "label", "0.jpg#1", "--verify")
    run(world, "commit", "-q", "-m", "labels")
    (world.cwd / "pics").mkdir()
    for number in range(2):
        shutil.copyfile(PHOTOS[number], world.cwd / f"pics/{number}.jpg")

    before = {line["uid"] for line in lines(world, "ls")}
    preview = run(world, "import", str(source), "--images", "pics", "--dry-run")
    told = run(world, "import", str(source), "--images", "pics")
    assert preview == told.replace("staged", "would stage")
    assert "labels that waited have their image now: 2 samples" in told
    samples = lines(world, "ls")
    assert [sample["key"] for sample in samples] == ["gone.jpg", "pics/0.jpg", "pics/1.jpg"]
    assert {sample["uid"] for sample in samples} == before
    assert [len(sample["regions"]) for sample in samples] == [1, 1, 1]
    assert samples[1]["regions"][0]["state"] == "verified"
    assert "renamed:    0.jpg -> pics/0.jpg" in run(world, "status")
    assert "nothing changed" in run(world, "import", str(source), "--images", "pics")
    run(world, "undo")
    assert [sample["key"] for sample in lines(world, "ls")] == ["0.jpg", "1.jpg", "gone.jpg"]


def test_a_new_file_says_more_when_the_images_come(world: World) -> None:
    run(world, "init", "-q")
    source = coco(world.root / "cats.json", "0.jpg", "1.jpg")
    run(world, "import", "-q", str(source))
    (world.cwd / "pics").mkdir()
    shutil.copyfile(PHOTOS[0], world.cwd / "pics/0.jpg")
    whole = json.loads(source.read_text())
    whole["annotations"][0]["bbox"] = [100, 20, 30, 40]
    source.write_text(json.dumps(whole))
    run(world, "import", str(source), "--images", "pics")
    [waiting, found] = lines(world, "ls")
    assert (waiting["key"], found["key"]) == ("1.jpg", "pics/0.jpg")
    [region] = found["regions"]
    assert region["geometries"]["box"]["xyxy"] == [100, 20, 130, 60]


# -- hints ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("negatives pics/0.jpg category=dog", "hint: vgr taxonomy mkdir 'category/dog'\n"),
        ("coverage pics/0.jpg category:cta=partial", "did you mean 'cat'?"),
        ("label pics/0.jpg#1 category=dog", "'category/dog', or --create"),
        ("link add pics/0.jpg#1 pics/0.jpg#1 --as same", "both ends of the link are one region"),
        ("link rm pics/0.jpg#1 pics/1.jpg#1", "--rm takes a link away"),
        ("ls --where area>100", "key in (select key from regions where area …)"),
        ("ls --where split=train", "a text is in quotes: 'train'"),
        ("label pics/0.jpg #1 category=cat", "hint: KEY#1, without a space"),
        ("show nope.jpg", "no key matches 'nope.jpg'"),
        ("show nope", "unknown revision 'nope'"),
    ],
)
def test_what_is_meant_instead(photos: World, arguments: str, message: str) -> None:
    assert message in refused(photos, *arguments.split())


def test_a_contradiction_is_told_once(photos: World) -> None:
    run(photos, "label", "pics/0.jpg#1", "category=cat", "--source", "human:ann")
    error = refused(photos, "negatives", "pics/0.jpg", "category=cat")
    assert error.count("pics/0.jpg#1 is 'cat'") == 1


def test_a_name_in_meta(photos: World) -> None:
    [sample] = lines(photos, "show", ":pics/0.jpg")
    (photos.root / "0.json").write_text(json.dumps({**sample, "meta": {"sender": 3}}))
    run(photos, "edit", "-q", "pics/0.jpg", "--from", str(photos.root / "0.json"))
    assert "did you mean meta.sender?" in refused(photos, "ls", "--where", "sender = 3")


def test_fields_that_a_geometry_has_not(photos: World) -> None:
    [sample] = lines(photos, "show", ":pics/0.jpg")
    text = json.dumps(sample)
    for wrong, message in [
        ('"xyx":', "regions[0].geometries.box.xyx: there is no such field"),
        ('"xyxy": 3, "_":', "regions[0].geometries.box._: there is no such field"),
    ]:
        (photos.root / "0.json").write_text(text.replace('"xyxy":', wrong))
        error = refused(photos, "edit", "pics/0.jpg", "--from", str(photos.root / "0.json"))
        assert message in error


def test_removed_regions_are_called_removed(photos: World) -> None:
    assert "would remove 1 label of 1 region" in run(photos, "region", "rm", "pics/0.jpg#1", "-n")
    assert "removed 1 label of 1 region in 1 sample" in run(photos, "region", "rm", "pics/0.jpg#1")


# -- import ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["coco", "voc", "yolo", "folders", "masks"])
def test_a_source_of_another_format_is_refused(photos: World, form: str) -> None:
    (photos.root / "other").mkdir()
    (photos.root / "other/notes.json").write_text('{"notes": 1}')
    error = refused(photos, "import", "../other", "--format", form)
    assert "../other: there is nothing of" in error


def test_images_without_labels_are_for_add(photos: World) -> None:
    error = refused(photos, "import", "pics")
    assert "'pics' is in no format that vgr knows" in error
    assert "vgr add 'pics' takes images without labels" in error


def test_a_result_for_no_image_of_the_file(photos: World) -> None:
    results = [{"image_id": 7, "category_id": 0, "bbox": [1, 2, 3, 4], "score": 0.5}]
    (photos.root / "results.json").write_text(json.dumps(results))
    named = ("--set", f"annotations={photos.root / 'cats.json'}")
    error = refused(photos, "import", "../results.json", "--predictions", "m", *named)
    assert "a result: image_id 7 is no image of the file" in error


def test_negatives_are_shown(photos: World) -> None:
    run(photos, "taxonomy", "mkdir", "-q", "category/dog")
    assert run(photos, "negatives", "pics/0.jpg") == "pics/0.jpg: none\n"
    run(photos, "negatives", "-q", "pics/0.jpg", "category=dog")
    assert run(photos, "negatives", "pics/0.jpg") == "pics/0.jpg: category=dog\n"
    [line] = lines(photos, "negatives", "pics/0.jpg")
    assert line == {"key": "pics/0.jpg", "negatives": {"category": ["dog"]}}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("import ../nowhere@main", 3, "'../nowhere@main' names no file or folder"),
        ("import ../other", 2, "vgr import '../other@HEAD' takes its samples"),
        ("import ../other@HEAD --format coco --strict", 2, "--format, --strict: only of label"),
        ("edit pics/0.jpg --from nothing.json", 3, "'nothing.json' names no file"),
    ],
)
def test_places_that_are_something_else(
    photos: World, arguments: str, code: int, message: str
) -> None:
    run(photos, "init", "-q", "../other")
    result = photos.vgr(*arguments.split())
    assert (result.code, message in result.err) == (code, True), result.text


def test_a_region_of_no_sample_in_a_folder(photos: World) -> None:
    photos.monkeypatch.chdir(photos.cwd / "pics")
    assert "'#*' is of no sample" in refused(photos, "region", "rm", "#*")
    assert len(lines(photos, "region", "ls", ".")) == 3
