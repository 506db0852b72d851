"""What `add` takes, leaves, pairs and refuses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from photo_repos import KEYS, PHOTOS, files_of, is_clean, place, said, save, say, take

from voyager.errors import (
    ExistsError,
    InvalidDataError,
    NotFoundError,
    StateError,
    UsageError,
)
from voyager.repo.add import Options, add
from voyager.repo.commit import commit
from voyager.repo.label_files import label_format
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES, TASKS
from voyager.repo.staging import stage
from voyager.repo.status import status
from voyager.schema import Box, Image, Region, Sample, encode_sample
from voyager.schema.task import Task
from voyager.schema.vocabulary_rows import encode_task
from voyager.store import files

IMAGE_EDGE = Path(__file__).parents[1] / "data" / "image_edge"
COCO = '{"images": [{"id": 1}], "annotations": [{"id": 1, "image_id": 1}]}'


def test_images_become_samples_and_the_rest_files(photos_repo: Repository) -> None:
    dataset = photos_repo.at("HEAD")
    assert list(dataset) == KEYS
    assert dataset.files == ["README.md"]
    sample = dataset["hat/1.jpg"]
    assert sample.image.type == "jpeg"
    assert sample.image.bytes == PHOTOS[0].stat().st_size
    assert (sample.image.width, sample.image.height) != (None, None)
    assert dataset.image_bytes("hat/1.jpg") == PHOTOS[0].read_bytes()
    assert len({dataset[key].uid for key in KEYS}) == len(KEYS)
    assert is_clean(photos_repo)


def test_every_odd_image_is_taken_and_comes_back(empty_repo: Repository) -> None:
    shutil.copytree(IMAGE_EDGE, empty_repo.tree(), dirs_exist_ok=True)
    done = take(empty_repo)
    everything = files_of(empty_repo)
    assert done.added == len(everything)
    assert not done.skipped
    assert {key for key, _ in done.noted} >= {
        f"image-rs/bad/bmp/Bad_{name}.bmp" for name in ("width", "shortfile", "reallybig")
    }
    commit(empty_repo, "odd ones")
    for key in everything:
        os.unlink(empty_repo.tree() / key)
    from voyager.repo.rows import restore

    assert len(restore(empty_repo, [""])) == len(everything)
    assert files_of(empty_repo) == everything
    assert is_clean(empty_repo)
    for key in everything:
        assert (empty_repo.tree() / key).read_bytes() == (IMAGE_EDGE / key).read_bytes()


def test_nothing_new_makes_no_operation(photos_repo: Repository) -> None:
    before = photos_repo.store.last_seq()
    assert take(photos_repo).changes == 0
    assert photos_repo.store.last_seq() == before


def test_a_touched_file_is_no_change(photos_repo: Repository) -> None:
    os.utime(photos_repo.tree() / KEYS[0], (1, 1))
    assert take(photos_repo).changes == 0
    assert is_clean(photos_repo)


def test_an_edited_image_keeps_what_is_said_of_it(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    uid = photos_repo.staged()[KEYS[0]].uid
    number = next(
        n for n, photo in enumerate(PHOTOS) if _size(photo) != _size(PHOTOS[0]) and n >= 4
    )
    place(photos_repo, KEYS[0], number)
    done = take(photos_repo)
    sample = photos_repo.staged()[KEYS[0]]
    assert (done.modified, done.added) == (1, 0)
    assert said(photos_repo, KEYS[0]) == ["straw"]
    assert sample.uid == uid
    assert len(sample.regions) == 1
    assert photos_repo.staged().image_bytes(KEYS[0]) == PHOTOS[number].read_bytes()
    assert done.noted[0][0] == KEYS[0]
    assert "its regions (1) stay as they were" in done.noted[0][1]


def _size(photo: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(photo) as image:
        return image.size


# -- renames --------------------------------------------------------------------------------------


def test_a_moved_file_takes_its_labels_along(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    uid = photos_repo.staged()[KEYS[0]].uid
    _move(photos_repo, KEYS[0], "caps/one.jpg")
    done = take(photos_repo)
    assert done.renamed == [(KEYS[0], "caps/one.jpg")]
    assert (done.added, done.removed, done.left) == (0, 0, 0)
    assert KEYS[0] not in photos_repo.staged()
    assert said(photos_repo, "caps/one.jpg") == ["straw"]
    assert photos_repo.staged()["caps/one.jpg"].uid == uid
    commit(photos_repo, "moved")
    assert is_clean(photos_repo)


def test_the_stat_cache_forgets_the_old_name_of_a_rename(photos_repo: Repository) -> None:
    status(photos_repo)
    _move(photos_repo, KEYS[0], "hat/new.jpg")
    take(photos_repo)
    assert status(photos_repo).deleted == []


def test_a_file_moves_into_a_folder_of_its_own_name(empty_repo: Repository) -> None:
    place(empty_repo, "photo", 0)
    save(empty_repo, "one file")
    _move(empty_repo, "photo", "aside")
    _move(empty_repo, "aside", "photo/1.jpg")
    assert take(empty_repo).renamed == [("photo", "photo/1.jpg")]
    commit(empty_repo, "moved")
    assert is_clean(empty_repo)


def test_equal_images_are_paired_by_name(empty_repo: Repository) -> None:
    for key in ("a/x.jpg", "a/y.jpg"):
        place(empty_repo, key, 0)
    save(empty_repo, "twins")
    say(empty_repo, "a/y.jpg", "second")
    for name in ("x", "y"):
        _move(empty_repo, f"a/{name}.jpg", f"b/{name}.jpg")
    done = take(empty_repo)
    assert done.renamed == [("a/x.jpg", "b/x.jpg"), ("a/y.jpg", "b/y.jpg")]
    assert said(empty_repo, "b/y.jpg") == ["second"]


def test_a_copy_is_a_sample_of_its_own(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    place(photos_repo, "hat/copy.jpg", 0)
    done = take(photos_repo)
    assert (done.added, done.renamed) == (1, [])
    staged = photos_repo.staged()
    assert staged["hat/copy.jpg"].uid != staged[KEYS[0]].uid
    assert staged["hat/copy.jpg"].labels == ()


def _move(repo: Repository, old: str, new: str) -> None:
    target = repo.tree() / new
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(repo.tree() / old, target)


# -- deletions ------------------------------------------------------------------------------------


def test_deletions_are_only_staged_when_asked(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    os.unlink(photos_repo.tree() / KEYS[0])
    done = take(photos_repo)
    assert (done.removed, done.left, done.changes) == (0, 1, 0)
    done = take(photos_repo, all=True)
    assert (done.removed, done.removed_labels, done.left) == (1, 2, 0)
    assert KEYS[0] not in photos_repo.staged()


def test_update_takes_no_untracked_file(photos_repo: Repository) -> None:
    place(photos_repo, "new.jpg", 5)
    place(photos_repo, KEYS[1], 6)
    os.unlink(photos_repo.tree() / KEYS[0])
    done = take(photos_repo, all=True, tracked_only=True)
    assert (done.added, done.modified, done.removed) == (0, 1, 1)


def test_a_folder_limits_what_is_taken(photos_repo: Repository) -> None:
    place(photos_repo, "hat/new.jpg", 5)
    place(photos_repo, "shoes/new.jpg", 6)
    os.unlink(photos_repo.tree() / KEYS[3])
    assert take(photos_repo, "hat", all=True).added == 1
    assert "shoes/new.jpg" not in photos_repo.staged()
    assert KEYS[3] in photos_repo.staged()


def test_a_pattern_in_quotes_is_expanded(photos_repo: Repository) -> None:
    place(photos_repo, "hat/new.jpg", 5)
    place(photos_repo, "new.jpg", 6)
    assert take(photos_repo, "h*/*.jpg").added == 1


def test_paths_are_seen_from_the_current_folder(photos_repo: Repository) -> None:
    place(photos_repo, "hat/new.jpg", 5)
    done = add(photos_repo, ["new.jpg", "../README.md"], cwd=photos_repo.tree() / "hat")
    assert done.added == 1


# -- what is left out -----------------------------------------------------------------------------


def test_label_files_are_left_to_import(photos_repo: Repository) -> None:
    path = photos_repo.tree() / "labels.json"
    path.write_text(COCO)
    (photos_repo.tree() / "notes.json").write_text('{"by": "Ann"}')
    done = take(photos_repo)
    assert done.label_files == [("labels.json", "COCO")]
    assert photos_repo.staged().files == ["README.md", "notes.json"]
    assert take(photos_repo, options=Options(as_file=True)).added == 1
    path.write_text(COCO + "\n")
    done = take(photos_repo)  # it is a file now, by choice
    assert (done.modified, done.label_files) == (1, [])


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        (
            "a.json",
            '[{"annotations": [{"result": [{"from_name": "a", "to_name": "b"}]}]}]',
            "Label Studio",
        ),
        ("a.jsonl", '{"vgr":"jsonl","version":1}\n', "JSON lines"),
        ("a.xml", '<annotations><track id="0"></track></annotations>', "CVAT"),
        (
            "a.json",
            '{"images": [], "about": "' + "." * 200_000 + '", "x": {"image_id": 1}}',
            "COCO",
        ),
        ("a.jsonl", '{"a": 1}\n', None),
        ("a.json", '{"images": ["a.png"]}', None),
    ],
)
def test_what_is_a_label_file(tmp_path: Path, name: str, text: str, form: str | None) -> None:
    (tmp_path / name).write_text(text)
    assert label_format(tmp_path / name) == form


def test_strict_stages_nothing(photos_repo: Repository) -> None:
    place(photos_repo, "fine.jpg", 5)
    strict = Options(strict=True)
    for name, content in (("zero.jpg", b""), ("cut.jpg", PHOTOS[6].read_bytes()[:999])):
        path = photos_repo.tree() / name
        path.write_bytes(content)
        with pytest.raises(InvalidDataError, match=name):
            take(photos_repo, options=strict)
        path.unlink()
    (photos_repo.tree() / "labels.json").write_text(COCO)
    with pytest.raises(InvalidDataError, match=r"labels\.json"):
        take(photos_repo, options=strict)
    assert not photos_repo.staging.overlay
    (photos_repo.tree() / "labels.json").unlink()
    assert take(photos_repo, options=strict).added == 1


def test_damaged_images_are_kept_and_noted(photos_repo: Repository) -> None:
    (photos_repo.tree() / "zero.jpg").write_bytes(b"")
    (photos_repo.tree() / "cut.jpg").write_bytes(PHOTOS[6].read_bytes()[:999])
    done = take(photos_repo)
    assert done.noted == [("cut.jpg", "truncated"), ("zero.jpg", "zero bytes")]
    assert "zero.jpg" in photos_repo.staged()
    commit(photos_repo, "damaged")
    assert is_clean(photos_repo)


def test_what_cannot_be_versioned_is_named(photos_repo: Repository, tmp_path: Path) -> None:
    root = photos_repo.tree()
    (tmp_path / "outside.jpg").write_bytes(PHOTOS[0].read_bytes())
    os.symlink(tmp_path / "outside.jpg", root / "out.jpg")
    os.symlink("hat", root / "folder")
    os.symlink("nowhere", root / "dangling")
    os.symlink("hat/1.jpg", root / "inside.jpg")
    os.mkfifo(root / "pipe")
    (Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.jpg"))).write_bytes(b"")
    Repository.init(root / "nested").close()
    done = take(photos_repo)
    assert dict(done.skipped) == {
        "caf\\xe9.jpg": "its name is not UTF-8",
        "dangling": "a link to nothing",
        "folder": "a link to a directory",
        "nested": "a repository of its own",
        "out.jpg": "a link out of the working tree",
        "pipe": "neither file nor directory",
    }
    assert done.added == 1  # inside.jpg, with the bytes behind the link


def test_an_unreadable_file_is_named(
    photos_repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(photos_repo, "a.jpg", 5)
    place(photos_repo, "b.jpg", 6)
    real = os.open

    def refuse(path: str, *rest: object, **options: object) -> int:
        if str(path).endswith("a.jpg"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("voyager.repo.add.os.open", refuse)
    done = take(photos_repo)
    assert done.skipped == [("a.jpg", "Permission denied")]
    assert done.added == 1


def test_a_key_is_no_longer_than_1024_bytes(photos_repo: Repository) -> None:
    folder = photos_repo.tree()
    for _ in range(6):
        folder /= "f" * 200
    folder.mkdir(parents=True)
    (folder / "deep.txt").write_text("deep")
    done = take(photos_repo)
    assert [reason for _, reason in done.skipped] == ["longer than 1024 bytes"]


@pytest.mark.parametrize(
    "key",
    ["a b/c d.jpg", "x#1=y.jpg", "new\nline\ttab.jpg", '"quoted".jpg', "*.jpg", "ключ/é.jpg"],
)
def test_keys_of_any_letters_come_back(photos_repo: Repository, key: str) -> None:
    path = place(photos_repo, key, 5)
    take(photos_repo, key)
    commit(photos_repo, "odd name")
    assert photos_repo.at("HEAD").image_bytes(key) == PHOTOS[5].read_bytes()
    path.unlink()
    from voyager.repo.rows import restore

    assert restore(photos_repo, [key]) == [key]
    assert is_clean(photos_repo)


def test_names_that_differ_in_case_are_noted(photos_repo: Repository) -> None:
    place(photos_repo, "new/A.jpg", 5)
    place(photos_repo, "new/a.jpg", 6)
    done = take(photos_repo)
    assert done.noted == [("new/a.jpg", "differs from 'new/A.jpg' only in case or normal form")]
    assert done.added == 2


# -- what is refused ------------------------------------------------------------------------------


def test_paths_that_name_nothing_or_lie_outside(photos_repo: Repository) -> None:
    with pytest.raises(NotFoundError, match="nosuch"):
        take(photos_repo, "nosuch")
    for outside in ("..", "../x.jpg", "/etc/hostname"):
        with pytest.raises(UsageError, match="outside the working tree"):
            take(photos_repo, outside)
    with pytest.raises(NotFoundError):
        take(photos_repo, "hat/*.png")


def test_a_key_is_no_folder_of_keys(photos_repo: Repository) -> None:
    root = photos_repo.tree()
    os.unlink(root / "README.md")
    place(photos_repo, "README.md/1.jpg", 5)
    with pytest.raises(StateError, match=r"README\.md.*folder of keys"):
        take(photos_repo)
    assert take(photos_repo, all=True).added == 1
    commit(photos_repo, "a folder now")
    shutil.rmtree(root / "README.md")
    place(photos_repo, "README.md", 6)
    with pytest.raises(StateError, match=r"README\.md.*folder of keys"):
        take(photos_repo)
    assert take(photos_repo, all=True).added == 1
    assert next(iter(photos_repo.staged())) == "README.md"


def test_an_unfinished_checkout_stops_it(photos_repo: Repository) -> None:
    with photos_repo.transaction("begin") as txn:
        txn.move("RUNNING", {"kind": "switch"}, old=None)
        txn.commit()
    with pytest.raises(StateError, match="interrupted switch"):
        take(photos_repo)


# -- options --------------------------------------------------------------------------------------


def test_splits(empty_repo: Repository) -> None:
    for number, key in enumerate(["train/a.jpg", "Valid/b.jpg", "c/test/d.jpg", "e/f.jpg"]):
        place(empty_repo, key, number)
    take(empty_repo, options=Options(split_from_folder=True))
    staged = empty_repo.staged()
    assert {key: staged[key].split for key in staged} == {
        "train/a.jpg": "train",
        "Valid/b.jpg": "val",
        "c/test/d.jpg": "test",
        "e/f.jpg": None,
    }
    place(empty_repo, "g.jpg", 5)
    take(empty_repo, options=Options(split="holdout"))
    assert empty_repo.staged()["g.jpg"].split == "holdout"
    assert empty_repo.staged()["e/f.jpg"].split is None


def test_classes_from_folders(empty_repo: Repository) -> None:
    keys = ["train/hat/1.jpg", "hat/test/2.jpg", "a/b/3.jpg", "val/4.jpg", "5.jpg"]
    for number, key in enumerate(keys):
        place(empty_repo, key, number)
    done = take(empty_repo, options=Options(split_from_folder=True, class_task="wear"))
    assert (done.added, done.labeled) == (5, 3)
    words = "lies in no folder that names a class"
    assert done.noted == [("5.jpg", words), ("val/4.jpg", words)]
    staged = empty_repo.staged()
    task = staged.vocabulary.tasks["wear"]
    assert (task.kind, task.asks("image")) == ("category", True)
    found = {}
    for key in keys:
        sample = staged[key]
        assert {label.source for label in sample.labels} <= {"human"}
        found[key] = sample.split, [staged.vocabulary.word(label) for label in sample.labels]
    assert found == {
        "train/hat/1.jpg": ("train", ["hat"]),
        "hat/test/2.jpg": ("test", ["hat"]),
        "a/b/3.jpg": (None, ["b"]),
        "val/4.jpg": ("val", []),
        "5.jpg": (None, []),
    }
    assert take(empty_repo, options=Options(class_task="wear")).labeled == 0


def test_classes_from_folders_of_a_task_that_has_none(empty_repo: Repository) -> None:
    staging = empty_repo.staging
    with empty_repo.transaction("stage", "task") as txn:
        stage(txn, staging, [(TASKS, b"note", encode_task(Task(kind="text")))])
        txn.commit()
    place(empty_repo, "hat/1.jpg", 0)
    with pytest.raises(UsageError, match="'note' is a text task"):
        take(empty_repo, options=Options(class_task="note"))
    assert len(empty_repo.staged()) == 0


def wait_for(repo: Repository, *keys: str, **image: Any) -> None:
    """Stage samples with a region that wait for their images."""
    regions = (Region(id=b"r" * 16, geometries={"box": Box(1, 2, 3, 4)}),)
    staging = repo.staging
    with repo.transaction("stage", "labels first") as txn:
        rows = [
            Sample(uid=key.encode().ljust(16), image=Image(**image), regions=regions)
            for key in keys
        ]
        pairs = zip(keys, rows, strict=True)
        stage(txn, staging, [(SAMPLES, key.encode(), encode_sample(row)) for key, row in pairs])
        txn.commit()


def test_an_image_below_a_folder_is_the_one_that_labels_wait_for(empty_repo: Repository) -> None:
    wait_for(empty_repo, "1.jpg", "b/2.jpg", "2.jpg", "3.jpg")
    for number, key in enumerate(["x/1.jpg", "x/b/2.jpg", "x/3.jpg", "y/3.jpg"]):
        place(empty_repo, key, number)
    done = take(empty_repo, options=Options(split="train"))
    assert done.renamed == [("1.jpg", "x/1.jpg"), ("b/2.jpg", "x/b/2.jpg")]
    assert done.added == 2  # 3.jpg may be either
    staged = empty_repo.staged()
    assert set(staged) == {"x/1.jpg", "x/b/2.jpg", "2.jpg", "3.jpg", "x/3.jpg", "y/3.jpg"}
    sample = staged["x/1.jpg"]
    assert (sample.uid, sample.split) == (b"1.jpg".ljust(16), "train")
    assert sample.image.state == "stored"
    assert len(sample.regions) == 1


def test_labels_of_another_size_wait_on(empty_repo: Repository) -> None:
    wait_for(empty_repo, "1.jpg", width=10, height=20)
    place(empty_repo, "x/1.jpg", 0)
    assert take(empty_repo).renamed == []
    assert empty_repo.staged()["1.jpg"].image.state == "pending"


def test_a_dry_run_stages_and_stores_nothing(photos_repo: Repository) -> None:
    place(photos_repo, "new.jpg", 5)
    packs = set((photos_repo.folder / "packs").iterdir())
    before = photos_repo.store.last_seq()
    assert take(photos_repo, dry_run=True).added == 1
    assert photos_repo.store.last_seq() == before
    assert set((photos_repo.folder / "packs").iterdir()) == packs


# -- from outside ---------------------------------------------------------------------------------


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    folder = tmp_path / "camera"
    (folder / "day").mkdir(parents=True)
    shutil.copyfile(PHOTOS[5], folder / "a.jpg")
    shutil.copyfile(PHOTOS[6], folder / "day" / "b.jpg")
    (folder / ".DS_Store").write_text("junk")
    return folder


def test_files_from_outside_are_copied_in(photos_repo: Repository, camera: Path) -> None:
    done = take(photos_repo, str(camera), to="new/march")
    assert done.added == 2
    assert next(iter(photos_repo.staged().items("new/")))[0] == "new/march/a.jpg"
    assert (photos_repo.tree() / "new/march/day/b.jpg").read_bytes() == PHOTOS[6].read_bytes()
    commit(photos_repo, "march")
    assert is_clean(photos_repo)


def test_from_outside_nothing_is_overwritten(photos_repo: Repository, camera: Path) -> None:
    place(photos_repo, "new/a.jpg", 0)
    with pytest.raises(ExistsError, match=r"new/a\.jpg"):
        take(photos_repo, str(camera), to="new")
    assert not photos_repo.staging.overlay
    assert not (photos_repo.tree() / "new/day").exists()
    place(photos_repo, "new/a.jpg", 5)  # the same bytes are no loss
    assert take(photos_repo, str(camera), to="new").added == 2


def test_to_refuses_what_is_inside_and_what_is_twice(photos_repo: Repository, camera: Path) -> None:
    with pytest.raises(UsageError, match="inside the working tree"):
        take(photos_repo, "hat", to="new")
    with pytest.raises(UsageError, match=r"would both be .new/b\.jpg."):
        shutil.copyfile(PHOTOS[7], camera / "b.jpg")
        take(photos_repo, str(camera / "b.jpg"), str(camera / "day"), to="new")
    with pytest.raises(UsageError, match="cannot be a key"):
        take(photos_repo, str(camera), to="../new")
    with pytest.raises(NotFoundError):
        take(photos_repo, str(camera / "nosuch"), to="new")


def test_from_outside_a_key_is_no_folder_of_keys(photos_repo: Repository, camera: Path) -> None:
    with pytest.raises(StateError, match=r"README\.md"):
        take(photos_repo, str(camera), to="README.md")
    (camera / "hat").write_text("a file where a folder is")
    with pytest.raises((StateError, ExistsError), match="hat"):
        take(photos_repo, str(camera / "hat"), to=".")


def test_without_a_working_tree_files_are_only_stored(tmp_path: Path, camera: Path) -> None:
    with Repository.init(tmp_path / "bare", bare=True) as repo:
        assert add(repo, [str(camera)], to="x", cwd=tmp_path).added == 2
        commit(repo, "from the camera")
        assert list(repo.at("HEAD")) == ["x/a.jpg", "x/day/b.jpg"]
        assert repo.at("HEAD").image_bytes("x/a.jpg") == PHOTOS[5].read_bytes()
        (camera / "x").write_text("file")
        with pytest.raises(StateError, match="folder of keys"):
            add(repo, [str(camera / "x")], cwd=tmp_path)


def test_a_killed_add_leaves_the_repository_as_it_was(photos_repo: Repository) -> None:
    place(photos_repo, "new.jpg", 5)

    def stop(name: str, where: object, half: object) -> None:
        if name == "fsync":
            raise OSError(28, "No space left on device", str(where))

    files.watch = stop
    try:
        with pytest.raises(OSError, match="No space"):
            take(photos_repo)
    finally:
        files.watch = None
    assert not photos_repo.staging.overlay
    assert take(photos_repo).added == 1


def test_a_named_file_that_is_ignored_is_refused_or_forced(photos_repo: Repository) -> None:
    (photos_repo.tree() / ".vgrignore").write_text("*.log\n")
    (photos_repo.tree() / "x.log").write_text("a log")
    with pytest.raises(StateError, match=r"'x\.log' is ignored"):
        take(photos_repo, "x.log")
    assert take(photos_repo, "x.log", force=True).added == 1
    assert "x.log" in photos_repo.staged().files
