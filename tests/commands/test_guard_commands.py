"""`vgr guard` and the guard at import: exit codes, JSON, the page, records, offers."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from PIL import Image
from sealed_world import World

from voyager.repo.guard_decisions import decisions_of
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.store.history import read_commit

PHOTOS = photo_paths()
COPY = "train/copy.jpg"


@pytest.fixture
def guarded(world: World) -> World:
    """A photo in test with a label, two in train, committed; the world stands in it."""
    world.run("mkdir data")
    world.run("cd data")
    world.run("vgr init -q")
    for key, number in (("test/1.jpg", 0), ("train/1.jpg", 1), ("train/2.jpg", 2)):
        place(world, key, number)
    world.run("vgr add -q . --split-from folder")
    world.run("vgr task add category")
    world.run("vgr label -q test/1.jpg category=hat --create")
    assert world.run("vgr commit -q -m first").code == 0
    return world


def place(world: World, key: str, number: int) -> None:
    path = world.path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PHOTOS[number], path)


def near_copy(world: World, key: str, number: int) -> None:
    world.path(key).parent.mkdir(parents=True, exist_ok=True)
    with Image.open(PHOTOS[number]) as photo:
        photo.save(world.path(key), "JPEG", quality=30)


def told(world: World, line: str, code: int = 0) -> Any:
    result = world.run(f"{line} --json")
    assert result.code == code, result.text
    return json.loads(result.out)


def test_a_near_copy_leaks_until_it_is_looked_at(guarded: World) -> None:
    near_copy(guarded, COPY, 0)
    guarded.run("vgr add -q train --split train")
    (pair,) = told(guarded, "vgr guard check", 1)
    assert (pair["a"], pair["b"], pair["kind"]) == (COPY, "test/1.jpg", "near")
    assert (pair["a_split"], pair["b_split"], pair["state"]) == ("train", "test", "leak")
    assert 0 <= pair["distance"] <= 40
    assert told(guarded, "vgr guard check --detectors bytes,pixels") == []
    assert guarded.run("vgr guard check --threshold 0").code == 0
    assert told(guarded, "vgr guard check HEAD") == []


def test_the_page_shows_both_pictures(guarded: World) -> None:
    near_copy(guarded, COPY, 0)
    guarded.run("vgr add -q train --split train")
    assert guarded.run("vgr guard check --html leaks.html").code == 1
    page = guarded.path("leaks.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "train: train/copy.jpg" in page
    assert "test: test/1.jpg" in page
    assert "http" not in page.replace("http-equiv", "")


def test_an_image_that_is_no_picture_is_unchecked(guarded: World) -> None:
    data = PHOTOS[5].read_bytes()
    guarded.path("train/torn.jpg").write_bytes(data[:700])
    guarded.run("vgr add -q train --split train")
    result = guarded.run("vgr guard check")
    assert result.code == 0
    assert "unchecked" in result.err
    assert "train/torn.jpg" in result.out


def test_json_of_the_policy(guarded: World) -> None:
    policy = told(guarded, "vgr guard set --action near=warn --threshold 12 --protect val")
    assert policy == {
        "action": None,
        "actions": {"near": "warn"},
        "detectors": ["bytes", "pixels", "near"],
        "threshold": 12.0,
        "protect": ["val"],
        "off": False,
    }
    shown = told(guarded, "vgr guard show")
    assert shown == {"policy": policy, "protected": 0, "held": []}
    assert told(guarded, "vgr status")["protected"] == 0
    assert told(guarded, "vgr guard set --reset")["protect"] == ["test"]
    assert told(guarded, "vgr status")["staged"]["vocabulary"] == 0


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("vgr guard set --detectors bytes,pixel", "did you mean 'pixels'?"),
        ("vgr guard set --action hold --action drop", "--action near=warn is of one detector"),
        ("vgr guard set --action nera=warn", "did you mean 'near'?"),
        ("vgr guard check --detectors neer", "did you mean 'near'?"),
        ("vgr guard set --threshold 300", "vgr guard show says which holds"),
        ("vgr guard check --threshold 300", "vgr guard show says which holds"),
    ],
)
def test_bad_arguments_are_named(guarded: World, line: str, hint: str) -> None:
    error = told(guarded, line, 2)["error"]
    assert error["kind"] == "usage"
    assert error["hint"] == hint


def test_protecting_a_split_that_nothing_is_in_says_so(guarded: World) -> None:
    result = guarded.run("vgr guard set --protect tets")
    assert "protected:  tets (0 images)" in result.out
    assert "there is nothing to guard" in result.out
    assert "protected:  test (1 image)" in guarded.run("vgr guard set --protect test").out


def staged_copy(world: World) -> None:
    place(world, COPY, 0)
    assert told(world, "vgr add train --split train")["held"] == [COPY]


def test_a_released_pair_is_not_held_again(guarded: World) -> None:
    staged_copy(guarded)
    (one,) = told(guarded, f"vgr guard release {COPY}")["released"]
    assert (one["key"], one["protected"], one["kind"]) == (COPY, "test/1.jpg", "bytes")
    assert told(guarded, "vgr commit -m copy")["held"] == []
    assert told(guarded, "vgr status")["held"] == 0
    (pair,) = told(guarded, "vgr guard check")
    assert pair["state"] == "released"
    guarded.run(f"vgr split -q {COPY} --set val")
    assert told(guarded, "vgr commit -m moved")["held"] == []
    place(guarded, "test/2.jpg", 0)
    guarded.run("vgr add -q test --split test")
    assert [one["protected"] for one in told(guarded, "vgr guard show")["held"]] == ["test/2.jpg"]


def test_undo_takes_a_release_back(guarded: World) -> None:
    staged_copy(guarded)
    guarded.run(f"vgr guard release {COPY}")
    guarded.run("vgr undo -q")
    assert told(guarded, "vgr status")["held"] == 1
    (pair,) = told(guarded, "vgr guard check")
    assert pair["state"] == "held"


def test_a_dropped_copy_offers_its_labels(guarded: World) -> None:
    staged_copy(guarded)
    guarded.run("vgr task add note --kind text")
    guarded.run(f"vgr label -q {COPY} category=cap note=red --create")
    done = told(guarded, f"vgr guard drop {COPY} --take-labels")
    assert done["dropped"] == [COPY]
    (offer,) = done["offers"]
    assert [(label["task"], label["value"]) for label in offer["labels"]] == [("note", "red")]
    assert offer["contradicting"] == [{"task": "category", "offered": "cap", "kept": "hat"}]
    assert not guarded.path(COPY).exists()
    labels = told(guarded, "vgr show :test/1.jpg")["labels"]
    assert sorted(label["value"] for label in labels) == ["hat", "red"]


def import_copies(world: World, options: str = "") -> Any:
    near_copy(world, "../more/near.jpg", 0)
    place(world, "../more/same.jpg", 0)
    with world.path("../more/same.jpg").open("ab") as file:
        file.write(b"a comment")
    world.path("../more/labels.csv").write_text("filename,class\nnear.jpg,hat\nsame.jpg,cap\n")
    line = "vgr import ../more/labels.csv --format table --images ../more --to more --split train"
    return told(world, f"{line} {options}")


def test_an_import_says_and_records_what_the_guard_did(guarded: World) -> None:
    done = import_copies(guarded)
    guard = done["guard"]
    assert [one["key"] for one in guard["dropped"]] == ["more/same.jpg"]
    assert [one["key"] for one in guard["held"]] == ["more/near.jpg"]
    assert done["added"] == 1
    assert guarded.path("more/near.jpg").exists()
    assert not guarded.path("more/same.jpg").exists()
    guarded.run("vgr commit -q -m imported")
    with Repository.open(guarded.cwd) as repo:
        commit = repo.head.commit
        assert commit is not None
        decisions = decisions_of(repo.store, read_commit(repo.store, commit))
        assert [(one.key, one.kind, one.action) for one in decisions] == [
            ("more/near.jpg", "near", "hold"),
            ("more/same.jpg", "pixels", "drop"),
        ]


def test_a_dry_run_tells_what_the_guard_would_do(guarded: World) -> None:
    guard = import_copies(guarded, "--dry-run")["guard"]
    assert [len(guard[name]) for name in ("dropped", "held")] == [1, 1]
    assert told(guarded, "vgr status")["held"] == 0


def test_a_stash_keeps_the_record(guarded: World) -> None:
    import_copies(guarded)
    assert guarded.run("vgr stash -q").code == 0
    assert guarded.run("vgr stash pop -q").code == 0
    guarded.run("vgr commit -q -m imported")
    with Repository.open(guarded.cwd) as repo:
        commit = repo.head.commit
        assert commit is not None
        assert len(decisions_of(repo.store, read_commit(repo.store, commit))) == 2


def test_samples_of_another_repository_are_looked_at(guarded: World) -> None:
    guarded.run("mkdir ../other")
    guarded.run("cd ../other")
    guarded.run("vgr init -q")
    place(guarded, "a.jpg", 0)
    place(guarded, "b.jpg", 7)
    guarded.run("vgr add -q . --split train")
    guarded.run("vgr commit -q -m other")
    guarded.run("cd ../data")
    done = told(guarded, "vgr import ../other@HEAD")
    assert [one["key"] for one in done["guard"]["dropped"]] == ["a.jpg"]
    assert done["added"] == 1
    assert told(guarded, "vgr status")["staged"]["added"] == 1


def copy_on_a_branch(world: World) -> None:
    """A copy of the test photo, other bytes, in a commit of a branch ahead of main."""
    world.run("vgr switch -q -c ben")
    place(world, COPY, 0)
    world.path(COPY).write_bytes(world.path(COPY).read_bytes() + b"other")
    world.run("vgr add -q train --split train")
    world.run("vgr commit -q -m copy")
    world.run("vgr switch -q main")


def test_nothing_goes_past_the_guard_by_a_fast_forward(guarded: World) -> None:
    copy_on_a_branch(guarded)
    error = told(guarded, "vgr merge --ff-only ben", 5)["error"]
    assert COPY in error["message"]
    assert error["hint"] == "vgr merge ben"
    done = told(guarded, "vgr merge ben")
    assert done["result"] == "merged"
    assert [one["key"] for one in done["guard"]["dropped"]] == [COPY]
    assert told(guarded, "vgr guard check") == []
    assert [one["key"] for one in json.loads(guarded.run("vgr show --json").out)["guard"]] == [COPY]


def test_what_the_guard_only_warns_of_goes_by_a_fast_forward(guarded: World) -> None:
    guarded.run("vgr guard set -q --action warn")
    guarded.run("vgr commit -q -m 'just warn'")
    copy_on_a_branch(guarded)
    done = told(guarded, "vgr merge ben")
    assert done["result"] == "fast-forward"
    assert [one["key"] for one in done["guard"]["warned"]] == [COPY]


def test_a_guard_that_refuses_stops_a_fast_forward(guarded: World) -> None:
    guarded.run("vgr guard set -q --action error")
    guarded.run("vgr commit -q -m refuse")
    copy_on_a_branch(guarded)
    assert COPY in told(guarded, "vgr merge ben", 5)["error"]["message"]
    assert not guarded.path(COPY).exists()


def test_a_pick_of_what_the_guard_drops_says_so(guarded: World) -> None:
    copy_on_a_branch(guarded)
    result = guarded.run("vgr cherry-pick ben")
    assert result.code == 0
    assert "nothing to do: the guard lets none of it in: " in result.out
    assert "guard: dropped: 1 sample" in result.out
