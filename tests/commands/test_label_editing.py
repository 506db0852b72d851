"""What the stories of labeling and splitting do not tell: odd names, choices, masks, undo."""

from __future__ import annotations

import io
import json
import shutil
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from sealed_world import World

import voyager
from voyager import Mask
from voyager.repo.repository import Repository as OpenRepository
from voyager.repo.snapshot import SAMPLES
from voyager.samples import photo_paths
from voyager.schema.rle import array_of

PHOTOS = photo_paths()


@pytest.fixture
def photos(world: World) -> World:
    """Three photos, one in a folder of an odd name, with tasks and classes."""
    run(world, "init", "-q")
    for number, key in enumerate(("a.jpg", "b#1.jpg", "x=y/c.jpg")):
        (world.cwd / key).parent.mkdir(exist_ok=True)
        shutil.copyfile(PHOTOS[number], world.cwd / key)
    run(world, "add", "-q", ".")
    run(world, "task", "add", "-q", "x")
    run(world, "task", "add", "-q", "category")
    run(world, "task", "add", "-q", "color", "--many")
    run(world, "taxonomy", "mkdir", "-q", "-p", "category/hat/straw", "x/y", "color/red")
    run(world, "commit", "-q", "-m", "first")
    return world


def run(world: World, *arguments: str) -> str:
    result = world.vgr(*arguments)
    assert result.code == 0, result.text
    return result.out


def refused(world: World, *arguments: str) -> str:
    result = world.vgr(*arguments)
    assert result.code != 0, result.text
    return result.err


def document(world: World, *arguments: str) -> Any:
    return json.loads(run(world, *arguments, "--json"))


def lines(world: World, *arguments: str) -> list[Any]:
    return [json.loads(line) for line in run(world, *arguments, "--json").splitlines()]


def said(world: World, key: str) -> list[str]:
    """What is said of a staged sample, as the JSON has it."""
    [sample] = lines(world, "show", f":{key}")
    return [f"{label['task']}={label['value']}" for label in sample["labels"]]


def opened(world: World) -> OpenRepository:
    return voyager.open(world.cwd)


# -- what is meant --------------------------------------------------------------------------------


def test_keys_that_look_like_something_else(photos: World) -> None:
    run(photos, "label", "b#1.jpg", "category=hat")
    assert said(photos, "b#1.jpg") == ["category=hat"]
    run(photos, "region", "add", "b#1.jpg", "--box", "1,2,3,4")
    run(photos, "label", "b#1.jpg#1", "category=straw")
    [region] = lines(photos, "region", "ls", "b#1.jpg")
    assert region["labels"][0]["value"] == "hat/straw"
    assert "nothing is chosen" in refused(photos, "label", "x=y/c.jpg", "category=hat")
    run(photos, "label", "x=y/c.jpg", "--", "category=hat")
    assert said(photos, "x=y/c.jpg") == ["category=hat"]
    run(photos, "label", "./x=y/c.jpg", "category=straw")
    assert said(photos, "x=y/c.jpg") == ["category=hat/straw"]


def test_an_existing_key_wins_over_an_assignment(photos: World) -> None:
    (photos.cwd / "size=big.jpg").write_bytes(PHOTOS[3].read_bytes())
    run(photos, "add", "-q", ".")
    run(photos, "label", "size=big.jpg", "a.jpg", "category=hat")
    assert said(photos, "size=big.jpg") == said(photos, "a.jpg") == ["category=hat"]


def test_from_inside_a_folder(photos: World) -> None:
    photos.cwd = photos.cwd / "x=y"
    run(photos, "label", "c.jpg", "category=hat")
    run(photos, "label", "../a.jpg", "category=hat")
    assert "outside the working tree" in refused(photos, "label", "../../a.jpg", "category=hat")
    photos.cwd = photos.cwd.parent
    assert said(photos, "a.jpg") == said(photos, "x=y/c.jpg") == ["category=hat"]


def test_expressions_and_words(photos: World) -> None:
    run(photos, "region", "add", "a.jpg", "--box", "0,0,10,10", "category=hat")
    run(photos, "region", "add", "a.jpg", "--box", "0,0,100,100", "category=hat")
    run(photos, "region", "add", "b#1.jpg", "--box", "0,0,100,100", "category=straw")
    where = ("--where", "area > 500")
    done = document(photos, "label", "--regions", *where, "color=red")
    assert (done["regions"], done["keys"]) == (2, ["a.jpg", "b#1.jpg"])
    assert document(photos, "label", "a.jpg#*", *where, "color=")["regions"] == 1
    assert document(photos, "label", "a.jpg", "--regions", *where, "color=")["regions"] == 0
    assert document(photos, "label", "--regions", "b#1.jpg", "color=")["regions"] == 1
    assert len(lines(photos, "region", "ls", "--where", "category = 'hat'")) == 2
    assert document(photos, "negatives", "--where", "width > 0", "x=y")["samples"] == 3
    assert document(photos, "coverage", "--where", "key = 'a.jpg'", "x=partial")["samples"] == 1
    assert "no column 'sise'" in refused(photos, "label", "--where", "sise > 1", "x=y")


def test_without_a_working_tree(world: World) -> None:
    run(world, "init", "-q", "--no-worktree")
    with opened(world) as repo, repo.edit(message="one") as edit:
        edit.add_image("in/1.jpg", PHOTOS[0].read_bytes())
        edit.vocabulary.category("category", "hat")
    run(world, "label", "in", "category=hat")
    run(world, "split", "in/*.jpg", "--set", "train")
    assert said(world, "in/1.jpg") == ["category=hat"]


# -- masks ----------------------------------------------------------------------------------------


def png(array: np.ndarray[Any, Any], mode: str | None = None) -> bytes:
    out = io.BytesIO()
    picture = Picture.fromarray(array.astype(np.uint16) if mode == "I;16" else array)
    (picture if mode in (None, "I;16") else picture.convert(mode)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def shape(photos: World) -> np.ndarray[Any, Any]:
    """A disc of the size of a.jpg."""
    [sample] = lines(photos, "show", ":a.jpg")
    height, width = sample["image"]["height"], sample["image"]["width"]
    y, x = np.indices((height, width))
    return ((y - 200) ** 2 + (x - 150) ** 2 < 90**2).astype(np.uint8) * 255  # type: ignore[no-any-return]


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA", "LA", "I;16"])
def test_a_mask_of_any_mode(photos: World, shape: np.ndarray[Any, Any], mode: str) -> None:
    (photos.cwd.parent / "mask.png").write_bytes(png(shape, mode))
    run(photos, "region", "add", "a.jpg", "--mask", "../mask.png", "category=hat")
    with opened(photos) as repo:
        mask = repo.staged()["a.jpg"].regions[0].geometry
    assert isinstance(mask, Mask)
    assert (array_of(mask) == (shape > 0)).all()


def test_a_large_mask_survives_commit_gc_and_undo(photos: World) -> None:
    [sample] = lines(photos, "show", ":a.jpg")
    size = sample["image"]["height"], sample["image"]["width"]
    noise = np.random.default_rng(1).integers(0, 2, size).astype(np.uint8) * 255
    (photos.cwd.parent / "mask.png").write_bytes(png(noise))
    run(photos, "region", "add", "a.jpg", "--mask", "../mask.png")
    [region] = lines(photos, "region", "ls", "a.jpg")
    assert len(region["geometries"]["mask"]["blob"]) == 64
    run(photos, "commit", "-q", "-m", "mask")
    run(photos, "gc", "-q")
    with opened(photos) as repo:
        mask = repo.at("HEAD")["a.jpg"].regions[0].geometry
        assert isinstance(mask, Mask)
        assert (array_of(mask, repo.store.get_blob) == (noise > 0)).all()
    run(photos, "region", "move", "a.jpg#1", "--by", "3,0")
    assert lines(photos, "region", "ls", "a.jpg") != [region]
    run(photos, "undo")
    assert lines(photos, "region", "ls", "a.jpg") == [region]
    assert not run(photos, "fsck", "-q")


def test_masks_that_do_not_fit(photos: World, shape: np.ndarray[Any, Any]) -> None:
    target = photos.cwd.parent / "mask.png"
    target.write_bytes(png(shape[:-1]))
    assert "pixels, the image 400×" in refused(
        photos, "region", "add", "a.jpg", "--mask", str(target)
    )
    target.write_bytes(png(shape)[:200])
    assert "a mask cannot be read" in refused(
        photos, "region", "add", "a.jpg", "--mask", str(target)
    )
    target.write_bytes(PHOTOS[0].read_bytes())
    assert "is a JPEG" in refused(photos, "region", "add", "a.jpg", "--mask", str(target))


# -- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "text", "shown"),
    [
        ("--box", "1, 2, 3.5 4", {"type": "box", "xyxy": [1, 2, 3.5, 4]}),
        ("--points", "1,2,3,4", {"type": "points", "points": [1, 2, 3, 4]}),
        ("--polyline", "1,2,3,4", {"type": "polyline", "points": [1, 2, 3, 4]}),
        (
            "--ellipse",
            "9,9,5,4,0",
            {"type": "ellipse", "cx": 9, "cy": 9, "rx": 5, "ry": 4, "angle": 0},
        ),
        (
            "--keypoints",
            "1,2,2,0,0,0",
            {"type": "keypoints", "points": [1, 2, 0, 0], "visibility": [2, 0]},
        ),
        ("--geometry", '{"type":"points","points":[5,6]}', {"type": "points", "points": [5, 6]}),
    ],
)
def test_shapes(photos: World, option: str, text: str, shown: dict[str, Any]) -> None:
    number = document(photos, "region", "add", "a.jpg", option, text, "--role", "r")["number"]
    [region] = lines(photos, "region", "ls", "a.jpg")
    assert (number, region["number"], region["geometries"]) == (1, 1, {"r": shown})


def test_an_angle_in_degrees(photos: World) -> None:
    run(photos, "region", "add", "a.jpg", "--rotated-box", "50,50,20,10,90deg")
    [region] = lines(photos, "region", "ls", "a.jpg")
    assert region["geometries"]["rotated-box"]["angle"] == pytest.approx(np.pi / 2)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--box", "1,2,3,nan", "--box is numbers with commas between them"),
        ("--box", "1,2,3,4,5", "--box has 4 numbers, not 5"),
        ("--ellipse", "1,2,3,4", "--ellipse has 5 numbers, not 4"),
        ("--keypoints", "1,2", "--keypoints has 3 numbers for each point"),
        ("--geometry", "{", "--geometry is no JSON"),
        ("--geometry", '{"type": "box", "xyxy": [1, 2, 3]}', "--geometry: JSON.xyxy:"),
        ("--geometry", '{"type": "polygon", "parts": [[[1, 2, 3]]]}', "x and y of each point"),
    ],
)
def test_shapes_that_are_none(photos: World, option: str, text: str, message: str) -> None:
    assert message in refused(photos, "region", "add", "a.jpg", option, text)
    assert lines(photos, "region", "ls", "a.jpg") == []


# -- all or nothing, and back ---------------------------------------------------------------------


def test_an_error_in_the_middle_stages_nothing(photos: World) -> None:
    run(photos, "label", "x=y/c.jpg", "--", "category=hat")
    for words in (
        ["label", ".", "color=red", "category+=straw"],
        ["label", ".", "color=blue", "category=nothing", "--create", "--source", "nobody"],
        ["negatives", ".", "x=y", "category=hat"],
        ["region", "add", "a.jpg", "--box", "1,2,3,4", "category=hat", "x=nothing"],
    ):
        before = run(photos, "op", "log", "-n", "1")
        refused(photos, *words)
        assert run(photos, "op", "log", "-n", "1") == before
    assert said(photos, "a.jpg") == []


STEPS: list[tuple[str, ...]] = [
    ("label", "a.jpg", "category=hat", "color=blue", "--create"),
    ("label", "a.jpg#1", "--verify"),
    ("region", "add", "a.jpg", "--points", "1,2"),
    ("region", "move", "a.jpg#1", "--by", "1,1"),
    ("region", "rm", "a.jpg#1"),
    ("link", "a.jpg#1", "a.jpg#2", "--as", "near"),
    ("negatives", "a.jpg", "x=y"),
    ("coverage", "a.jpg", "category=exhaustive", "x:y=partial"),
    ("split", "a.jpg", "--set", "val"),
    ("split", "--ratios", "1/1"),
    ("edit", "a.jpg", "--from", "../edited.json"),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: " ".join(step[:2]))
def test_undo_and_dry_run(photos: World, step: tuple[str, ...]) -> None:
    for box in ("1,2,30,40", "5,6,70,80"):
        run(photos, "region", "add", "a.jpg", "--box", box, "category=straw")
    [sample] = lines(photos, "show", ":a.jpg")
    sample["meta"] = {"price": 3}
    (photos.cwd.parent / "edited.json").write_text(json.dumps(sample))

    def rows() -> list[tuple[bytes, bytes]]:
        with opened(photos) as repo:
            version = repo.staged()
            spaces = (SAMPLES, "tasks", "taxonomies")
            return [row for space in spaces for row in version.rows(space)]

    before = rows()
    run(photos, *step, "-n")
    assert rows() == before
    run(photos, *step)
    after = rows()
    assert after != before
    run(photos, "undo")
    assert rows() == before
    [last] = document(photos, "op", "log", "-n", "1")
    run(photos, "undo", str(last["operation"]))
    assert rows() == after
    run(photos, "commit", "-q", "-m", "done")
    assert not run(photos, "fsck", "-q")


# -- edit -----------------------------------------------------------------------------------------


def test_edit_from_standard_input(photos: World, monkeypatch: pytest.MonkeyPatch) -> None:
    [sample] = lines(photos, "show", ":a.jpg")
    sample["labels"] = [{"task": "category", "value": "straw"}]
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(sample)))
    assert document(photos, "edit", "a.jpg", "--from", "-")["labels"] == 1
    assert said(photos, "a.jpg") == ["category=hat/straw"]
    sample["labels"][0]["value"] = "nothing"
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(sample, indent=1)))
    error = refused(photos, "edit", "a.jpg", "--from", "-")
    assert "labels[0].value: task 'category' has no class 'nothing'" in error
    [kept] = (photos.cwd / ".vgr").glob("EDIT_*.json")
    assert f"{kept.name}:" in error
    assert json.loads(kept.read_text()) == sample


def test_edit_begins_anew_when_the_text_is_deleted(photos: World) -> None:
    (photos.cwd.parent / "wrong").write_text("[]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDITOR", "cp ../wrong")
        assert "expected an object" in refused(photos, "edit", "a.jpg")
        [kept] = (photos.cwd / ".vgr").glob("EDIT_*.json")
        kept.unlink()
        patch.setenv("EDITOR", "true")
        assert run(photos, "edit", "a.jpg") == "nothing changed\n"
    assert not list((photos.cwd / ".vgr").glob("EDIT_*.json"))


# -- links, splits --------------------------------------------------------------------------------


def test_links_in_json(photos: World) -> None:
    for key in ("a.jpg", "b#1.jpg"):
        run(photos, "region", "add", key, "--box", "1,2,3,4")
    run(photos, "link", "a.jpg#1", "b#1.jpg#1", "--as", "same")
    [there] = lines(photos, "link", "ls", "a.jpg")
    [back] = lines(photos, "link", "ls", "b#1.jpg#1")
    assert (there["direction"], back["direction"]) == ("to", "from")
    assert (there["other_key"], back["other_key"]) == ("b#1.jpg", "a.jpg")
    run(photos, "mv", "-q", "b#1.jpg", "z.jpg")
    assert run(photos, "link", "ls", "a.jpg") == "a.jpg#1 same -> z.jpg#1\n"
    assert lines(photos, "link", "ls", ".") != []
    assert "cannot be the kind" in refused(photos, "link", "a.jpg#1", "z.jpg#1", "--as", "a\nb")
    assert "not 3" in refused(photos, "link", "a.jpg#1", "a.jpg#1", "z.jpg#1", "--as", "x")


def test_a_group_put_apart_is_warned_of(photos: World) -> None:
    with opened(photos) as repo, repo.edit(message="groups") as edit:
        for key in ("a.jpg", "b#1.jpg"):
            edit[key] = edit[key].replace(group=voyager.Group(id="video"))
    result = photos.vgr("split", "a.jpg", "--set", "train")
    assert "warning" not in result.err
    result = photos.vgr("split", "b#1.jpg", "--set", "test")
    assert result.err == "warning: 1 group is in two splits: a.jpg, b#1.jpg\n"


def test_many_classes_are_cut(photos: World) -> None:
    with opened(photos) as repo, repo.edit(message="many") as edit:
        for number in range(30):
            edit.vocabulary.category("color", f"c{number}")
        edit.label([("a.jpg", None, "color", [f"c{number}" for number in range(30)])])
    text = run(photos, "split", "--ratios", "1/1", "--stratify", "color", "-n")
    assert "… and 10 more classes (--json has them all)" in text
    found = document(photos, "split", "--ratios", "1/1", "--stratify", "color", "-n")
    assert len(found["classes"]) == 30


def test_a_shape_that_crosses_itself_is_taken_and_named(photos: World) -> None:
    key = run(photos, "ls").split("\n")[0]
    tangled = ["--polygon", "10,10,60,60,60,10,10,50"]
    result = photos.vgr("region", "add", key, *tangled)
    assert result.code == 0
    assert "warning: the outer ring crosses itself near" in result.err
    assert "the outer ring crosses itself near" in run(photos, "show", key)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a.jpg x=y --unlike a.jpg", "--unlike chooses what a search finds"),
        ("a.jpg x=y -k 3", "-k chooses what a search finds"),
        ("a.jpg x=y --model default", "--model chooses what a search finds"),
        ("--from-predictions p --from-search hat", "--from-search does not go with"),
        ("--from-predictions p --like a.jpg", "--like does not go with --from-predictions"),
        ("--from-predictions p -k 3", "-k does not go with --from-predictions"),
        ("--from-predictions p --regions", "--regions does not go with --from-predictions"),
        ("--from-predictions p --source human", "--source does not go with"),
        ("--from-predictions p --verify", "a state does not go with --from-predictions"),
        ("--from-predictions p --create", "--create does not go with --from-predictions"),
        ("a.jpg x=y --task x", "--task is of a state alone"),
        ("a.jpg --verify --score 0", "--score is of what is said"),
        ("a.jpg --verify --create", "--create is of what is said"),
    ],
)
def test_options_that_would_do_nothing_are_refused(photos: World, line: str, told: str) -> None:
    result = photos.vgr("label", *line.split())
    assert (result.code, told in result.err) == (2, True), result.text
    assert document(photos, "status")["staged"]["labels"] == 0
