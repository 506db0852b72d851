"""Imports into a real repository: matching, pairing, what survives, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from label_repos import (
    DATA,
    Coco,
    change,
    changed_region,
    everything,
    kinds,
    photo,
    save,
    take,
    words,
)

from voyager.errors import InvalidDataError, NotFoundError, StateError, UsageError
from voyager.repo.add import add
from voyager.repo.predictions import iter_predictions, prediction_sets
from voyager.repo.repository import Repository
from voyager.repo.undo import undo
from voyager.schema import Box, Label, Polygon, Region
from voyager.store.ids import blob_id

BCCD = DATA / "bccd"


@pytest.fixture
def coco() -> Coco:
    """Two images with two boxes each; classes cat and dog."""
    made = Coco("cat", "dog")
    for name in ("a.png", "b.png"):
        image = made.image(name)
        made.box(image, 2, 3, 20, 10, category=1)
        made.box(image, 30, 20, 12, 14, category=2)
    return made


@pytest.fixture
def source(tmp_path: Path, coco: Coco) -> Path:
    """The file of `coco`, its images beside it, outside of the repository."""
    for image in coco.images:
        photo(tmp_path / "source", image["file_name"])
    return coco.write(tmp_path / "source" / "labels.json")


def boxes(repo: Repository, key: str) -> list[tuple[float, ...]]:
    found = [region.geometry for region in repo.staged()[key].regions]
    return [(b.x0, b.y0, b.x1, b.y1) for b in found if isinstance(b, Box)]


# -- once and twice -------------------------------------------------------------------------------


def test_labels_and_images_from_outside(repo: Repository, source: Path) -> None:
    done = take(repo, source)
    assert (done.samples, done.regions, done.labels) == (2, 4, 4)
    assert (done.added, done.pending, done.staged) == (2, 0, True)
    assert (repo.tree() / "a.png").read_bytes() == (source.parent / "a.png").read_bytes()
    assert boxes(repo, "a.png") == [(2, 3, 22, 13), (30, 20, 42, 34)]
    assert words(repo, "b.png") == ["cat", "dog"]
    assert not (repo.tree() / "labels.json").exists()


@pytest.mark.parametrize("committed", [False, True])
def test_the_same_import_twice_changes_nothing(
    repo: Repository, source: Path, committed: bool
) -> None:
    take(repo, source)
    if committed:
        save(repo)
    before = everything(repo)
    again = take(repo, source)
    assert everything(repo) == before
    assert (again.unchanged, again.added, again.updated, again.staged) == (2, 0, 0, False)
    assert dict(repo.staged().roots)


def test_two_people_who_import_one_file_have_equal_rows(
    repo: Repository, source: Path, tmp_path: Path
) -> None:
    take(repo, source)
    with Repository.init(tmp_path / "other") as other:
        take(other, source)
        assert everything(other) == everything(repo)


def test_bccd_twice(repo: Repository) -> None:
    done = take(repo, BCCD, "voc", to="blood")
    assert (done.samples, done.regions) == (364, 4888)
    before = everything(repo)
    assert not take(repo, BCCD, "voc", to="blood").staged
    assert everything(repo) == before
    assert sum(s.image.state == "pending" for s in repo.staged().values()) == done.pending


# -- a newer file ---------------------------------------------------------------------------------


def test_a_newer_file_moves_relabels_removes_and_adds(
    repo: Repository, source: Path, coco: Coco
) -> None:
    take(repo, source)
    save(repo)
    before = repo.staged()["a.png"].regions
    coco.annotations[0]["bbox"] = [4, 3, 20, 10]  # moved
    coco.annotations[1]["category_id"] = 1  # relabelled
    del coco.annotations[3]
    coco.box(2, 50, 5, 6, 7, category=1, id=99)
    coco.write(source)
    done = take(repo, source)
    assert (done.updated, done.unchanged) == (2, 0)
    assert (done.regions_changed, done.regions_removed, done.regions_added) == (2, 1, 1)
    assert boxes(repo, "a.png") == [(4, 3, 24, 13), (30, 20, 42, 34)]
    assert words(repo, "a.png") == ["cat", "cat"]
    assert [region.id for region in repo.staged()["a.png"].regions] == [r.id for r in before]
    assert boxes(repo, "b.png") == [(2, 3, 22, 13), (50, 5, 56, 12)]
    assert not done.renames
    assert done.trust == (2, 2)


def test_a_newer_file_under_another_name_is_told(
    repo: Repository, source: Path, coco: Coco
) -> None:
    assert take(repo, source).same_as is None
    save(repo)
    coco.annotations[0]["bbox"] = [4, 3, 20, 10]
    newer = coco.write(source.with_name("newer.json"))
    done = take(repo, newer, dry_run=True)
    assert done.same_as == source.name
    assert done.as_json()["same_as"] == source.name
    done = take(repo, newer, name=source.name)
    assert (done.same_as, done.regions_added, done.regions_changed) == (None, 0, 1)
    save(repo)
    del coco.annotations[1:]
    coco.annotations[0]["bbox"] = [1, 1, 5, 5]
    assert take(repo, coco.write(source.with_name("others.json"))).same_as is None
    assert take(repo, newer).same_as == source.name


def test_edits_of_people_survive_a_newer_file(repo: Repository, source: Path, coco: Coco) -> None:
    take(repo, source)
    node = repo.staged()["a.png"].regions[0].labels[0].node
    mine = Region(
        id=bytes(15) + b"m",
        geometries={"box": Box(1, 1, 5, 5)},
        labels=(Label(task="category", node=node, source="human"),),
    )
    regions = repo.staged()["a.png"].regions
    moved = regions[1].replace(geometries={"box": Box(31, 21, 43, 35)}, flags=("occluded",))
    change(repo, "a.png", regions=(regions[0], moved, mine), split="val")
    change(repo, "b.png", regions=repo.staged()["b.png"].regions[:1])
    save(repo)
    before = everything(repo)
    assert not take(repo, source).staged
    assert everything(repo) == before
    coco.annotations[0]["bbox"] = [4, 3, 20, 10]
    coco.write(source)
    for _ in range(2):
        take(repo, source)
        sample = repo.staged()["a.png"]
        assert boxes(repo, "a.png") == [(4, 3, 24, 13), (31, 21, 43, 35), (1, 1, 5, 5)]
        assert sample.regions[1:] == (moved, mine)
        assert sample.split == "val"
        assert len(repo.staged()["b.png"].regions) == 1
    assert not take(repo, source).staged


def test_what_both_changed_is_refused_and_nothing_is_staged(
    repo: Repository, source: Path, coco: Coco
) -> None:
    take(repo, source)
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 15)})
    save(repo)
    before = everything(repo)
    coco.annotations[0]["bbox"] = [4, 3, 20, 10]
    coco.annotations[2]["bbox"] = [4, 3, 20, 10]
    coco.write(source)
    with pytest.raises(StateError, match=r"a\.png regions/\w+/geometries/box"):
        take(repo, source)
    assert everything(repo) == before
    changed_region(repo, "a.png", 0, geometries={"box": Box(4, 3, 24, 13)})  # the same change
    assert take(repo, source).staged
    assert boxes(repo, "b.png")[0] == (4, 3, 24, 13)


def test_a_region_both_removed_and_changed(repo: Repository, source: Path, coco: Coco) -> None:
    take(repo, source)
    kept = repo.staged()["a.png"].regions[1:]
    change(repo, "a.png", regions=kept)
    coco.annotations[0]["category_id"] = 2
    coco.annotations[2]["category_id"] = 1
    coco.write(source)
    with pytest.raises(StateError, match=r"a\.png regions/"):
        take(repo, source)
    assert repo.staged()["a.png"].regions == kept


def test_an_import_on_another_branch_is_no_base(
    repo: Repository, source: Path, tmp_path: Path
) -> None:
    from voyager.repo.switch import switch
    from voyager.store.refs import Head

    for name in ("a.png", "b.png"):
        shutil.copy(source.parent / name, repo.tree() / name)
    add(repo, ["."], cwd=repo.tree())
    first = save(repo, "images")
    take(repo, source)
    save(repo)
    switch(repo, Head("other", first), create=True)
    assert not repo.staged()["a.png"].regions
    assert take(repo, source).regions_added == 4
    assert words(repo, "a.png") == ["cat", "dog"]


# -- classes and ids ------------------------------------------------------------------------------


def many(count: int, classes: tuple[str, ...] = ("cat", "dog")) -> Coco:
    """One image with `count` boxes of the first class and one of the second."""
    made = Coco(*classes)
    image = made.image("a.png")
    for number in range(count):
        made.box(image, number, 1, 3 + number, 5, category=1)
    made.box(image, 40, 40, 5, 5, category=2)
    return made


def imported(repo: Repository, folder: Path, coco: Coco, **options: Any) -> Any:
    photo(folder, "a.png")
    return take(repo, coco.write(folder / "labels.json"), **options)


def test_a_renamed_class_is_no_relabel(repo: Repository, tmp_path: Path) -> None:
    imported(repo, tmp_path, many(20))
    save(repo)
    rows = repo.staged().row("samples", b"a.png")
    renamed = many(20, ("tabby", "dog"))
    would = imported(repo, tmp_path, renamed, dry_run=True)
    (change_,) = would.renames
    assert (change_.kind, change_.old, change_.new, change_.regions) == (
        "renamed",
        "cat",
        "tabby",
        20,
    )
    assert would.as_json()["classes"][0]["from"] == "cat"
    assert words(repo, "a.png")[0] == "cat"
    done = imported(repo, tmp_path, renamed)
    assert (done.updated, done.unchanged, done.regions_changed) == (0, 1, 0)
    assert repo.staged().row("samples", b"a.png") == rows
    assert words(repo, "a.png")[:2] == ["tabby", "tabby"]
    assert not imported(repo, tmp_path, renamed).staged


def test_classes_that_closed_up_after_a_deletion(repo: Repository, tmp_path: Path) -> None:
    before = many(3, ("ant", "bee"))
    before.categories.append({"id": 3, "name": "cat"})
    before.box(1, 50, 2, 8, 8, category=3)
    imported(repo, tmp_path, before)
    after = many(3, ("ant", "cat"))  # bee is gone: its number is cat's now
    del after.annotations[-1]
    after.box(1, 50, 2, 8, 8, category=2)
    done = imported(repo, tmp_path, after)
    assert (done.renames, done.regions_removed, done.regions_changed) == ([], 1, 0)
    assert sorted(words(repo, "a.png")) == ["ant", "ant", "ant", "cat"]


def test_a_class_merged_into_another(repo: Repository, tmp_path: Path) -> None:
    imported(repo, tmp_path, many(20))
    merged = many(20)
    for row in merged.annotations:
        row["category_id"] = 2
    del merged.categories[0]
    done = imported(repo, tmp_path, merged)
    assert [(c.kind, c.old, c.new) for c in done.renames] == [("merged", "cat", "dog")]
    assert set(words(repo, "a.png")) == {"dog"}


def test_a_few_relabels_are_no_rename(repo: Repository, tmp_path: Path) -> None:
    imported(repo, tmp_path, many(20))
    relabelled = many(20, ("cat", "dog"))
    relabelled.categories.append({"id": 3, "name": "lion"})
    for row in relabelled.annotations[:18]:
        row["category_id"] = 3
    for row in relabelled.annotations[18:20]:
        row["category_id"] = 2
    done = imported(repo, tmp_path, relabelled)  # 18 of 20 are not enough
    assert done.renames == []
    assert done.regions_changed == 20


def test_ids_that_lie_are_not_trusted(repo: Repository, tmp_path: Path) -> None:
    imported(repo, tmp_path, many(10))
    ids = [region.id for region in repo.staged()["a.png"].regions]
    lying = many(10)
    for row in lying.annotations:
        row["id"] = row["id"] % 11 + 1
    lying.annotations[10]["bbox"] = [41, 40, 5, 5]
    done = imported(repo, tmp_path, lying)
    assert done.trust == (0, 10)
    assert done.as_json()["source_ids"] == {"agree": 0, "of": 10}
    assert [region.id for region in repo.staged()["a.png"].regions] == ids


def test_ids_that_are_right_pair_what_moved_far(repo: Repository, tmp_path: Path) -> None:
    imported(repo, tmp_path, many(10))
    ids = [region.id for region in repo.staged()["a.png"].regions]
    moved = many(10)
    moved.annotations[10] |= {"bbox": [10, 30, 3, 3], "category_id": 1}
    done = imported(repo, tmp_path, moved)
    assert done.trust == (10, 10)
    assert (done.regions_changed, done.regions_added, done.regions_removed) == (1, 0, 0)
    assert [region.id for region in repo.staged()["a.png"].regions] == ids


def test_an_image_turned_by_half(repo: Repository, tmp_path: Path) -> None:
    before = Coco("cat")
    image = before.image("a.png")
    rings = [[1.0, 2, 20, 3, 10, 15], [30.0, 20, 50, 22, 40, 40], [5.0, 30, 12, 31, 8, 44]]
    for ring in rings:
        before.polygon(image, ring)
    imported(repo, tmp_path, before)
    ids = [region.id for region in repo.staged()["a.png"].regions]
    for row, ring in zip(before.annotations, rings, strict=True):
        row["segmentation"] = [[(64, 48)[n % 2] - v for n, v in enumerate(ring)]]
        row["id"] += 7
    done = imported(repo, tmp_path, before)
    assert done.turned == ["a.png"]
    assert (done.regions_changed, done.regions_added, done.regions_removed) == (3, 0, 0)
    assert [region.id for region in repo.staged()["a.png"].regions] == ids


# -- where images are -----------------------------------------------------------------------------


def test_labels_before_images(repo: Repository, tmp_path: Path, coco: Coco) -> None:
    coco.images[0]["coco_url"] = "https://example.org/a.png"
    done = take(repo, coco.write(tmp_path / "labels.json"))
    assert done.pending == 2
    image = repo.staged()["a.png"].image
    assert (image.state, image.width, image.uri) == ("pending", 64, "https://example.org/a.png")
    assert kinds(done.report)["an image is not here: its labels wait for it"] == 2
    save(repo)
    uid = repo.staged()["a.png"].uid
    photo(repo.tree(), "a.png")
    added = add(repo, ["a.png"], cwd=repo.tree())
    assert (added.modified, added.added) == (1, 0)
    sample = repo.staged()["a.png"]
    assert (sample.image.state, sample.uid, len(sample.regions)) == ("stored", uid, 2)
    assert not take(repo, tmp_path / "labels.json").staged


def test_an_image_attached_by_a_second_import(repo: Repository, source: Path) -> None:
    (source.parent / "a.png").rename(source.parent / "later.png")
    assert take(repo, source).pending == 1
    regions = repo.staged()["a.png"].regions
    (source.parent / "later.png").rename(source.parent / "a.png")
    done = take(repo, source)
    sample = repo.staged()["a.png"]
    assert (done.updated, sample.image.state) == (1, "stored")
    assert [r.id for r in sample.regions] == [r.id for r in regions]
    assert (repo.tree() / "a.png").exists()


def test_an_image_attached_by_its_hash_under_another_name(repo: Repository, tmp_path: Path) -> None:
    data = photo(tmp_path, "x.png").read_bytes()
    line = {
        "key": "waiting/a.png",
        "image": {"hash": f"blake3:{blob_id(data).hex()}", "width": 64, "height": 48},
        "regions": [{"geometries": {"box": {"type": "box", "xyxy": [1, 2, 3, 4]}}}],
    }
    (tmp_path / "labels.jsonl").write_text(json.dumps(line) + "\n")
    assert take(repo, tmp_path / "labels.jsonl", "jsonl").pending == 1
    save(repo)
    shutil.copy(tmp_path / "x.png", repo.tree() / "mine.png")
    add(repo, ["mine.png"], cwd=repo.tree())
    assert list(repo.staged()) == ["mine.png"]
    sample = repo.staged()["mine.png"]
    assert (sample.image.state, len(sample.regions)) == ("stored", 1)


def test_images_inside_the_tree_keep_their_keys(repo: Repository, coco: Coco) -> None:
    photo(repo.tree(), "photos/a.png")
    photo(repo.tree(), "photos/b.png")
    add(repo, ["photos/a.png"], cwd=repo.tree())
    done = take(repo, coco.write(repo.tree() / "labels.json"), images=repo.tree() / "photos")
    assert list(repo.staged()) == ["photos/a.png", "photos/b.png"]
    assert (done.updated, done.added) == (1, 1)
    assert not (repo.tree() / "a.png").exists()


def test_images_from_outside_go_to_a_folder(repo: Repository, source: Path) -> None:
    take(repo, source, to="new/blood", split="test")
    assert list(repo.staged()) == ["new/blood/a.png", "new/blood/b.png"]
    assert (repo.tree() / "new/blood/a.png").is_file()
    assert {sample.split for sample in repo.staged().values()} == {"test"}
    assert not take(repo, source, to="new/blood", split="test").staged


def test_the_same_bytes_under_another_key(repo: Repository, source: Path) -> None:
    shutil.copy(source.parent / "a.png", repo.tree() / "mine.png")
    add(repo, ["."], cwd=repo.tree())
    done = take(repo, source)
    assert done.matched_elsewhere == [("a.png", "mine.png")]
    assert list(repo.staged()) == ["b.png", "mine.png"]
    assert words(repo, "mine.png") == ["cat", "dog"]
    assert not take(repo, source).staged


def test_another_image_at_the_key(repo: Repository, source: Path) -> None:
    photo(repo.tree(), "a.png").write_bytes((source.parent / "b.png").read_bytes())
    add(repo, ["."], cwd=repo.tree())
    before = repo.staged()["a.png"].image
    done = take(repo, source)
    assert kinds(done.report, "lost") == {"the repository has another image at this key": 1}
    assert repo.staged()["a.png"].image == before


@pytest.mark.parametrize(
    "name", ["../a.png", "/etc/passwd", "x/../../a.png", "C:\\a.png", "a\x00.png"]
)
def test_paths_that_lead_outside_are_refused(
    repo: Repository, tmp_path: Path, coco: Coco, name: str
) -> None:
    coco.images[1]["file_name"] = name
    with pytest.raises(InvalidDataError, match="names no image inside"):
        take(repo, coco.write(tmp_path / "x" / "labels.json"))
    assert not list(repo.staged())


def test_names_that_cannot_be_keys_are_reported(
    repo: Repository, tmp_path: Path, coco: Coco
) -> None:
    coco.images[0]["file_name"] = ".vgr/a.png"
    done = take(repo, coco.write(tmp_path / "labels.json"))
    assert list(repo.staged()) == ["b.png"]
    assert sum(kinds(done.report, "lost").values()) == 1


def test_a_key_that_would_be_a_folder(repo: Repository, tmp_path: Path, coco: Coco) -> None:
    coco.images[0]["file_name"] = "b.png/a.png"
    with pytest.raises(InvalidDataError, match="a key and a folder"):
        take(repo, coco.write(tmp_path / "labels.json"))
    assert not list(repo.staged())


def test_two_files_about_one_image_are_joined(repo: Repository, tmp_path: Path) -> None:
    first, second = Coco("cat"), Coco("dog")
    first.box(first.image("a.png"), 1, 2, 3, 4)
    second.box(second.image("a.png"), 5, 6, 7, 8)
    photo(tmp_path / "in", "a.png")
    first.write(tmp_path / "in" / "instances_1.json")
    second.write(tmp_path / "in" / "instances_2.json")
    done = take(repo, tmp_path / "in")
    assert (done.samples, done.regions) == (1, 2)
    assert words(repo, "a.png") == ["cat", "dog"]
    assert not take(repo, tmp_path / "in").staged


def test_a_repository_without_a_working_tree(tmp_path: Path, source: Path, _author: None) -> None:
    with Repository.init(tmp_path / "bare", worktree=False) as bare:
        take(bare, source)
        assert bare.staged()["a.png"].image.state == "stored"
        assert not take(bare, source).staged


# -- frames ---------------------------------------------------------------------------------------

EXIF = DATA / "image_edge" / "exif_orientation"


def turned_photo(tmp_path: Path, name: str, width: int, height: int) -> Path:
    shutil.copy(EXIF / name, tmp_path / name)
    made = Coco("tree")
    made.box(made.image(name, width, height), 10, 20, 30, 40)
    return made.write(tmp_path / "labels.json")


def test_labels_of_the_upright_photo_are_turned_to_its_pixels(
    repo: Repository, tmp_path: Path
) -> None:
    stored = take(repo, turned_photo(tmp_path, "Landscape_6.jpg", 0, 0), frame="upright")
    assert stored.staged
    image = repo.staged()["Landscape_6.jpg"].image
    assert image.orientation == 6
    assert image.height is not None
    # Turned by 90° clockwise when shown: x of the pixels is y of the view.
    assert boxes(repo, "Landscape_6.jpg") == [(20, image.height - 40, 60, image.height - 10)]


def test_auto_goes_by_the_stated_size(repo: Repository, tmp_path: Path) -> None:
    from PIL import Image as Picture

    with Picture.open(EXIF / "Landscape_6.jpg") as picture:
        width, height = picture.size
    done = take(repo, turned_photo(tmp_path, "Landscape_6.jpg", height, width))
    assert "labels of the upright photo were turned to its pixels" in kinds(done.report, "repaired")
    upright = boxes(repo, "Landscape_6.jpg")
    assert upright == [(20, height - 40, 60, height - 10)]
    assert not take(repo, tmp_path / "labels.json").staged
    with Repository.init(tmp_path / "second") as second:
        done = take(second, turned_photo(tmp_path, "Landscape_6.jpg", width, height))
        assert boxes(second, "Landscape_6.jpg") == [(10, 20, 40, 60)]
        assert not kinds(done.report, "guessed")
    with Repository.init(tmp_path / "third") as third:
        done = take(third, turned_photo(tmp_path, "Landscape_6.jpg", height, width), frame="stored")
        assert boxes(third, "Landscape_6.jpg") == [(10, 20, 40, 60)]


def test_a_frame_that_nothing_tells_is_guessed_and_said(repo: Repository, tmp_path: Path) -> None:
    path = turned_photo(tmp_path, "Landscape_6.jpg", 0, 0)
    with pytest.raises(InvalidDataError, match="guessed"):
        take(repo, path, strict=True)
    done = take(repo, path)
    (kind,) = kinds(done.report, "guessed")
    assert "--frame upright" in kind
    assert boxes(repo, "Landscape_6.jpg") == [(10, 20, 40, 60)]


# -- options and errors ---------------------------------------------------------------------------


def test_task_and_source(repo: Repository, source: Path) -> None:
    take(repo, source, task="animal", source="human:ann")
    sample = repo.staged()["a.png"]
    assert {label.source for region in sample.regions for label in region.labels} == {"human:ann"}
    assert set(repo.staged().vocabulary.tasks) == {"animal"}
    assert take(repo, source, task="animal", source="human:bob", name="bob").updated == 2
    labels = repo.staged()["a.png"].regions[0].labels
    assert [label.source for label in labels] == ["human:ann", "human:bob"]
    assert len(repo.staged()["a.png"].regions) == 2


def test_a_dry_run_changes_nothing(repo: Repository, source: Path) -> None:
    before = repo.staging
    done = take(repo, source, dry_run=True)
    assert (done.added, done.staged) == (2, False)
    assert repo.staging == before
    assert not (repo.tree() / "a.png").exists()
    assert take(repo, source).staged


def test_an_import_can_be_undone(repo: Repository, source: Path, coco: Coco) -> None:
    before = everything(repo)
    take(repo, source)
    undo(repo)
    assert everything(repo) == before
    assert take(repo, source).added == 2
    first = everything(repo)
    coco.annotations[0]["bbox"] = [4, 3, 20, 10]
    coco.write(source)
    take(repo, source)
    undo(repo)
    assert everything(repo) == first
    assert take(repo, source).regions_changed == 1


def test_strict_refuses_what_is_lost(repo: Repository, tmp_path: Path, coco: Coco) -> None:
    coco.annotations[0]["bbox"] = [float("nan"), 1, 2, 3]
    path = coco.write(tmp_path / "labels.json")
    with pytest.raises(InvalidDataError, match="lost"):
        take(repo, path, strict=True)
    assert not list(repo.staged())
    assert kinds(take(repo, path).report, "lost")


def test_an_error_in_the_last_item_leaves_nothing(
    repo: Repository, source: Path, coco: Coco
) -> None:
    packs = sorted((repo.folder / "packs").rglob("*"))
    values = list(repo.store.values(""))
    coco.image("c.png")
    coco.box(3, 1, 2, 3, 4, category=77)
    coco.write(source)
    with pytest.raises(InvalidDataError, match="77 is no category") as caught:
        take(repo, source)
    assert caught.value.path
    assert list(repo.store.values("")) == values
    assert sorted((repo.folder / "packs").rglob("*")) == packs
    assert not list(repo.staged())
    assert not (repo.tree() / "a.png").exists()


def test_missing_things(repo: Repository, source: Path) -> None:
    with pytest.raises(NotFoundError):
        take(repo, source.parent / "none.json")
    with pytest.raises(UsageError, match="no setting"):
        take(repo, source, settings={"nonsense": "1"})


def test_the_report_as_json(repo: Repository, source: Path) -> None:
    value = take(repo, source).as_json()
    assert json.loads(json.dumps(value)) == value
    assert value["samples"] == 2
    assert value["changed_regions"] == {"added": 0, "changed": 0, "removed": 0, "divided": 0}


def test_a_divided_region(repo: Repository, tmp_path: Path) -> None:
    before = Coco("cell")
    before.box(before.image("a.png"), 4, 4, 40, 20)
    imported(repo, tmp_path, before)
    after = Coco("cell")
    image = after.image("a.png")
    after.box(image, 4, 4, 22, 20, id=5)
    after.box(image, 26, 4, 18, 20, id=6)
    done = imported(repo, tmp_path, after)
    assert (done.divided, done.regions_removed, done.regions_added) == (1, 1, 2)


def test_polygons_keep_every_digit(repo: Repository, tmp_path: Path) -> None:
    made = Coco("cat")
    ring = [0.1, 1 / 3, 12.000000000000002, 7.77, 3.3333333333333335, 40.1]
    made.polygon(made.image("a.png"), ring)
    imported(repo, tmp_path, made)
    shape = repo.staged()["a.png"].regions[0].geometry
    assert isinstance(shape, Polygon)
    assert list(shape.parts[0][0]) == ring


# -- predictions ----------------------------------------------------------------------------------


def test_results_go_into_a_prediction_set(
    repo: Repository, source: Path, coco: Coco, tmp_path: Path
) -> None:
    coco.categories[1]["id"] = 90
    for row in coco.annotations[1::2]:
        row["category_id"] = 90
    coco.write(source)
    take(repo, source)
    save(repo)
    before = everything(repo)
    results = [
        {"image_id": 1, "category_id": 90, "bbox": [1, 2, 3, 4], "score": 0.25},
        {"image_id": 2, "category_id": 1, "bbox": [5, 6, 7, 8], "score": 0.5},
        {"image_id": 2, "category_id": 1, "bbox": [9, 6, 7, 8], "score": 0.75},
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    done = take(repo, path, predictions="detector")
    assert (done.samples, done.regions) == (2, 3)
    assert everything(repo) == before
    (found,) = prediction_sets(repo)
    assert (found.name, found.samples) == ("detector", 2)
    said = {sample.uid: sample for sample in iter_predictions(repo, "detector")}
    regions = said[repo.staged()["b.png"].uid].regions
    assert [region.score for region in regions] == [0.5, 0.75]
    assert {label.source for region in regions for label in region.labels} == {"model:detector"}
    path.write_text(json.dumps([results[0] | {"image_id": 7}]))
    with pytest.raises(InvalidDataError, match="image_id 7"):
        take(repo, path, predictions="detector")
    assert {sample.uid for sample in iter_predictions(repo, "detector")} == said.keys()


def test_predictions_of_an_image_that_is_not_here(
    repo: Repository, source: Path, coco: Coco, tmp_path: Path
) -> None:
    take(repo, source)
    coco.image("never.png")
    coco.box(3, 1, 2, 3, 4, score=0.5)
    done = take(repo, coco.write(tmp_path / "in" / "r.json"), predictions="m")
    assert kinds(done.report, "lost") == {"a prediction for an image that is not here": 1}
    assert list(repo.staged()) == ["a.png", "b.png"]
