"""What stands between HEAD, staging and the files."""

from __future__ import annotations

import os
import shutil

from photo_repos import KEYS, place, save, say, take

from voyager.repo.repository import Repository
from voyager.repo.rows import move
from voyager.repo.status import status, untracked_tops


def test_every_kind_of_change(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[1], "felt")
    place(photos_repo, "added.jpg", 5)
    take(photos_repo)
    move(photos_repo, [KEYS[3]], "shoes/moved.jpg")
    place(photos_repo, KEYS[0], 6)
    place(photos_repo, "added.jpg", 7)
    os.unlink(photos_repo.tree() / KEYS[2])
    place(photos_repo, "untracked.jpg", 8)
    found = status(photos_repo)
    assert [(change.kind, change.key, change.parts) for change in found.staged] == [
        ("added", "added.jpg", ()),
        ("modified", KEYS[1], ("labels", "regions")),
        ("renamed", "shoes/moved.jpg", ()),
    ]
    assert found.modified == ["added.jpg", KEYS[0]]
    assert found.deleted == [KEYS[2]]
    assert found.untracked == ["untracked.jpg"]
    assert not found.clean


def test_folders_without_tracked_keys_are_one_line(photos_repo: Repository) -> None:
    for key in ("hat/x/y/1.jpg", "hat/x/2.jpg", "hat/3.jpg", "new/a/1.jpg", "new/2.jpg", "4.jpg"):
        place(photos_repo, key, 5)
    untracked = status(photos_repo).untracked
    assert untracked_tops(photos_repo, untracked) == ["4.jpg", "hat/3.jpg", "hat/x/", "new/"]


def test_ignored_files_are_not_told(photos_repo: Repository) -> None:
    (photos_repo.tree() / ".vgrignore").write_text("*.tmp\nscratch/\n")
    save(photos_repo, "ignore")
    place(photos_repo, "x.tmp", 5)
    place(photos_repo, "scratch/1.jpg", 6)
    assert status(photos_repo).untracked == []


def test_a_folder_that_vanished(photos_repo: Repository) -> None:
    shutil.rmtree(photos_repo.tree() / "hat")
    assert status(photos_repo).deleted == KEYS[:2]


def test_a_file_became_a_folder(photos_repo: Repository) -> None:
    os.unlink(photos_repo.tree() / KEYS[0])
    place(photos_repo, f"{KEYS[0]}/1.jpg", 5)
    found = status(photos_repo)
    assert (found.deleted, found.untracked) == ([KEYS[0]], [f"{KEYS[0]}/1.jpg"])


def test_an_empty_repository(empty_repo: Repository) -> None:
    found = status(empty_repo)
    assert found.clean
    assert found.head.commit is None
