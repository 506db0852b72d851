"""`repo.edit`: what it commits, what it leaves alone, and who loses a race."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from photo_repos import KEYS, PHOTOS, files_of, is_clean, place, save, say, take

import voyager
from voyager import Box, Image, Label, Region, Repository, Sample
from voyager.errors import (
    InvalidDataError,
    NotFoundError,
    RefMoved,
    StateError,
    UsageError,
    VoyagerError,
)
from voyager.repo.status import status
from voyager.repo.switch import switch, switch_to_new
from voyager.repo.undo import undo
from voyager.store.history import read_commit
from voyager.store.refs import Head

UID = bytes(range(16))
PENDING = Sample(uid=UID, image=Image(uri="https://example.org/1.jpg", width=4, height=3))


def messages(repo: Repository) -> list[str]:
    found, commit = [], repo.head.commit
    while commit is not None:
        read = read_commit(repo.store, commit)
        found.append(read.message)
        commit = next(iter(read.parent_ids), None)
    return found


def test_it_commits_and_the_working_tree_follows(photos_repo: Repository) -> None:
    data = PHOTOS[9].read_bytes()
    with photos_repo.edit(message="three things\n\nat once", author="Bo <bo@example.org>") as edit:
        edit[KEYS[0]] = edit[KEYS[0]].replace(split="test")
        edit.add_image("bags/9.jpg", data, split="val")
        edit.add_file("classes.txt", b"bag\n")
        del edit[KEYS[3]]
        assert KEYS[3] not in edit
        assert edit["bags/9.jpg"].split == "val"
    assert edit.commit == photos_repo.head.commit
    commit = read_commit(photos_repo.store, edit.commit)
    assert (commit.message, commit.author) == ("three things\n\nat once", "Bo <bo@example.org>")
    now = photos_repo.at("HEAD")
    assert now[KEYS[0]].split == "test"
    assert now["bags/9.jpg"].image.width == 409
    assert now.image_bytes("bags/9.jpg") == data
    assert now.file_bytes("classes.txt") == b"bag\n"
    assert KEYS[3] not in now
    assert files_of(photos_repo) == ["README.md", "bags/9.jpg", "classes.txt", *KEYS[:3]]
    assert is_clean(photos_repo)


def test_an_exception_leaves_nothing(photos_repo: Repository) -> None:
    before = photos_repo.head.commit
    packs = sorted(path.name for path in (photos_repo.folder / "packs").iterdir())
    with pytest.raises(ZeroDivisionError), photos_repo.edit(message="never") as edit:
        edit.add_image("new.jpg", PHOTOS[9].read_bytes())
        raise ZeroDivisionError
    assert photos_repo.head.commit == before
    assert edit.commit is None
    assert sorted(path.name for path in (photos_repo.folder / "packs").iterdir()) == packs
    assert is_clean(photos_repo)


def test_no_change_is_no_commit(photos_repo: Repository) -> None:
    before = photos_repo.head.commit
    with photos_repo.edit(message="nothing") as edit:
        edit[KEYS[0]] = edit[KEYS[0]]
        edit["new"] = PENDING
        del edit["new"]
    assert (edit.commit, photos_repo.head.commit) == (None, before)


def test_no_change_on_an_unborn_branch(empty_repo: Repository) -> None:
    with empty_repo.edit(message="nothing") as edit:
        edit["new"] = PENDING
        del edit["new"]
    assert empty_repo.head.commit is None


def test_the_first_commit(empty_repo: Repository) -> None:
    with empty_repo.edit(message="first") as edit:
        edit.add_image("1.jpg", PHOTOS[0].read_bytes())
    assert messages(empty_repo) == ["first"]
    assert files_of(empty_repo) == ["1.jpg"]
    assert is_clean(empty_repo)


def test_a_detached_head(photos_repo: Repository) -> None:
    main = photos_repo.head.commit
    switch(photos_repo, Head(None, main))
    with photos_repo.edit(message="aside") as edit:
        edit["later"] = PENDING
    assert photos_repo.head == Head(None, edit.commit)
    assert photos_repo.resolve("main") == main


@pytest.mark.parametrize("kind", ["bare", "no worktree"])
def test_without_a_working_tree(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "r"
    with voyager.init(path, bare=kind == "bare", worktree=False) as repo:
        with repo.edit(message="first") as edit:
            edit.add_image("1.jpg", PHOTOS[0].read_bytes())
        assert repo.at("HEAD").image_bytes("1.jpg") == PHOTOS[0].read_bytes()
        assert {entry.name for entry in path.iterdir()} <= {*(".vgr",), *_inside(path)}
        assert not (path / "1.jpg").exists()


def _inside(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir() if entry.name not in {"1.jpg"}}


def test_labels_and_regions_come_back_as_they_went(photos_repo: Repository) -> None:
    region = Region(
        id=UID,
        geometries={"box": Box(1, 2, 30.5, 40)},
        labels=(Label(task="class", value="straw"),),
        flags=("crowd",),
    )
    with photos_repo.edit(message="label") as edit:
        wanted = edit[KEYS[0]].replace(regions=(region,), meta={"price": 12, "tags": ["a", "b"]})
        edit[KEYS[0]] = wanted
    with voyager.open(photos_repo.tree() / "hat") as again:
        assert again.at("HEAD")[KEYS[0]] == wanted


# -- many ----------------------------------------------------------------------------------------


def many(count: int) -> list[tuple[str, Sample]]:
    return [(f"{n % 7}/{n:06}.jpg", PENDING.replace(uid=n.to_bytes(16))) for n in range(count)]


@pytest.mark.parametrize("order", ["sorted", "as they come", "backwards"])
def test_update_in_any_order(empty_repo: Repository, order: str) -> None:
    samples = many(500)
    if order == "sorted":
        samples.sort()
    if order == "backwards":
        samples.sort(reverse=True)
    with empty_repo.edit(message="many") as edit:
        assert edit.update(iter(samples)) == 500
        assert edit["3/000003.jpg"].uid == (3).to_bytes(16)
    version = empty_repo.at("HEAD")
    assert list(version.items()) == sorted(samples)
    assert version.roots == _roots_of_one_by_one(empty_repo, samples)


def _roots_of_one_by_one(repo: Repository, samples: list[tuple[str, Sample]]) -> dict[str, bytes]:
    """The tree does not depend on how it was made."""
    with voyager.init(repo.tree().parent / "other", worktree=False) as other:
        with other.edit(message="one by one") as edit:
            for key, sample in samples:
                edit[key] = sample
        return other.at("HEAD").roots


def test_update_on_top_of_what_is_there(photos_repo: Repository) -> None:
    edited = [(key, sample.replace(split="val")) for key, sample in photos_repo.at("HEAD").items()]
    with photos_repo.edit(message="first half") as edit:
        edit.update([*edited, *many(20), *edited[::-1]])
        del edit["0/000000.jpg"]
    version = photos_repo.at("HEAD")
    assert len(version) == 4 + 19
    assert {version[key].split for key in KEYS} == {"val"}
    assert len(files_of(photos_repo)) == 5


def test_the_last_one_of_equal_keys_wins(empty_repo: Repository) -> None:
    with empty_repo.edit(message="twice") as edit:
        edit.update([("a", PENDING), ("b", PENDING), ("a", PENDING.replace(split="val"))])
    assert empty_repo.at("HEAD")["a"].split == "val"


def test_adding_images_does_not_slow_down(empty_repo: Repository) -> None:
    import time

    data = PHOTOS[0].read_bytes()
    with empty_repo.edit(message="two thousand") as edit:
        start = time.process_time()
        for n in range(2000):
            edit.add_image(f"{n}.jpg", data)
        assert time.process_time() - start < 2
        raise_if_missing = edit["1999.jpg"]
        assert raise_if_missing.image.type == "jpeg"


# -- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("a", {"uid": UID}, InvalidDataError),
        ("a", PENDING.replace(split=5), InvalidDataError),
        ("a", PENDING.replace(uid=b"short"), InvalidDataError),
        ("a", PENDING.replace(labels=(Label(task=7, value="x"),)), InvalidDataError),
        ("a", PENDING.replace(meta={"x": object()}), InvalidDataError),
        ("", PENDING, UsageError),
        ("../a", PENDING, UsageError),
        ("a//b", PENDING, UsageError),
        (".vgr/a", PENDING, UsageError),
        ("x" * 1025, PENDING, UsageError),
    ],
)
def test_wrong_types_and_keys(
    photos_repo: Repository, key: str, value: Any, error: type[VoyagerError]
) -> None:
    with photos_repo.edit(message="wrong") as edit, pytest.raises(error):
        edit[key] = value
    assert edit.commit is None


def test_an_image_that_is_not_stored(photos_repo: Repository) -> None:
    from voyager.wire import blob_ref

    sample = PENDING.replace(image=Image(blob=blob_ref(bytes(32)), bytes=1))
    with photos_repo.edit(message="wrong") as edit:
        with pytest.raises(NotFoundError, match="not in the store"):
            edit["a"] = sample
        with pytest.raises(NotFoundError, match="not in the store"):
            edit.update([("a", sample)])
        with pytest.raises(UsageError, match="holds no image"):
            edit.add_image("a.bin", b"no image")
        with pytest.raises(NotFoundError):
            del edit["nothing"]
        with pytest.raises(NotFoundError):
            edit["nothing"]


def test_labels_of_a_purged_image(photos_repo: Repository) -> None:
    from voyager.repo.purge import purge_blobs

    blob = photos_repo.at("HEAD")[KEYS[0]].image.blob_id
    assert blob is not None
    purge_blobs(photos_repo, [blob], "asked to")
    with photos_repo.edit(message="its labels stay") as edit:
        edit[KEYS[0]] = edit[KEYS[0]].replace(split="test")
        edit["copy"] = edit[KEYS[0]].replace(uid=UID)
    assert photos_repo.at("HEAD")[KEYS[0]].split == "test"
    assert is_clean(photos_repo)


def test_a_key_that_is_a_folder(photos_repo: Repository) -> None:
    with pytest.raises(InvalidDataError, match="hat"), photos_repo.edit(message="wrong") as edit:
        edit["hat"] = PENDING
    with pytest.raises(InvalidDataError), photos_repo.edit(message="wrong") as edit:
        edit[f"{KEYS[0]}/below"] = PENDING
    with pytest.raises(InvalidDataError), photos_repo.edit(message="wrong") as edit:
        edit.add_file(KEYS[0], b"text")
    assert messages(photos_repo) == ["first"]
    assert is_clean(photos_repo)


def test_a_message_is_wanted(photos_repo: Repository) -> None:
    with pytest.raises(UsageError, match="message is empty"):
        photos_repo.edit(message=" ")


def test_edited_files_are_not_overwritten(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 8)
    with (
        pytest.raises(StateError, match="would overwrite changes"),
        photos_repo.edit(message="replace it too") as edit,
    ):
        edit.add_image(KEYS[0], PHOTOS[9].read_bytes())
    assert messages(photos_repo) == ["first"]
    assert (photos_repo.tree() / KEYS[0]).read_bytes() == PHOTOS[8].read_bytes()


def test_staged_rows_stay_staged(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[1], "felt")
    place(photos_repo, "new.jpg", 8)
    take(photos_repo, "new.jpg")
    with photos_repo.edit(message="another") as edit:
        edit[KEYS[0]] = edit[KEYS[0]].replace(split="test")
    staged = {change.key: change.kind for change in status(photos_repo).staged}
    assert staged == {KEYS[1]: "modified", "new.jpg": "added"}
    assert photos_repo.at("HEAD")[KEYS[0]].split == "test"
    assert photos_repo.at("HEAD")[KEYS[1]].labels == ()


def test_a_row_staged_otherwise(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[1], "felt")
    with pytest.raises(StateError, match=KEYS[1]), photos_repo.edit(message="it too") as edit:
        edit[KEYS[1]] = edit[KEYS[1]].replace(split="test")
    assert messages(photos_repo) == ["first"]


def test_undo_takes_it_back(photos_repo: Repository) -> None:
    with photos_repo.edit(message="another") as edit:
        edit.add_image(KEYS[0], PHOTOS[9].read_bytes())
        del edit[KEYS[1]]
    undo(photos_repo)
    assert messages(photos_repo) == ["first"]
    assert files_of(photos_repo) == ["README.md", *KEYS]
    assert (photos_repo.tree() / KEYS[0]).read_bytes() == PHOTOS[0].read_bytes()


# -- two at once ---------------------------------------------------------------------------------


def test_the_second_of_two_loses(photos_repo: Repository) -> None:
    with pytest.raises(RefMoved), photos_repo.edit(message="second") as second:
        with photos_repo.edit(message="first of two") as first:
            first["a"] = PENDING
        second["b"] = PENDING
    assert messages(photos_repo) == ["first of two", "first"]


def test_a_switch_in_between(photos_repo: Repository) -> None:
    with pytest.raises(RefMoved), photos_repo.edit(message="lost") as edit:
        edit["a"] = PENDING
        switch_to_new(photos_repo, "other")
        save_something(photos_repo)
    assert messages(photos_repo)[0] == "something"


def save_something(repo: Repository) -> None:
    (repo.tree() / "something.txt").write_text("x")
    save(repo, "something")


_OTHER = """
import sys, voyager
with voyager.open(sys.argv[1]) as repo:
    with repo.edit(message="from another process") as edit:
        edit[sys.argv[2]] = edit[sys.argv[2]].replace(split="other")
"""


def test_a_second_process(photos_repo: Repository) -> None:
    command = [sys.executable, "-c", _OTHER, str(photos_repo.tree()), KEYS[0]]
    with pytest.raises(RefMoved), photos_repo.edit(message="lost") as edit:
        edit["a"] = PENDING
        subprocess.run(command, check=True)
    assert messages(photos_repo) == ["from another process", "first"]
    assert photos_repo.at("HEAD")[KEYS[0]].split == "other"
    with photos_repo.edit(message="and now") as edit:
        edit["a"] = PENDING
    assert messages(photos_repo)[0] == "and now"
