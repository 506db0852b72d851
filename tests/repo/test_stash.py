"""Changes put aside and brought back."""

from __future__ import annotations

import os

import pytest
from photo_repos import KEYS, PHOTOS, files_of, is_clean, place, said, save, say, take

from voyager.errors import ConflictError, InvalidDataError, NotFoundError, StateError
from voyager.repo import stash
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.rows import move
from voyager.repo.status import status
from voyager.repo.undo import undo


def make_changes(repo: Repository) -> None:
    """Staged labels, a staged new photo, an edited one and one that is gone."""
    say(repo, KEYS[1], "felt")
    place(repo, "new.jpg", 5)
    take(repo)
    place(repo, KEYS[0], 6)
    os.unlink(repo.tree() / KEYS[2])


def test_push_and_pop(photos_repo: Repository) -> None:
    make_changes(photos_repo)
    done = stash.push(photos_repo, "half done")
    told = {kind: count for kind, count in done.counts.items() if count}
    assert told == {"added": 1, "removed": 1, "modified": 1, "labels": 1}
    assert is_clean(photos_repo)
    assert files_of(photos_repo) == ["README.md", *KEYS]
    assert [one.message for one in stash.stashes(photos_repo)] == ["half done"]
    assert stash.apply(photos_repo, stash.find_stash(photos_repo), drop=True) == done.counts
    assert said(photos_repo, KEYS[1]) == ["felt"]
    assert (photos_repo.tree() / KEYS[0]).read_bytes() == PHOTOS[6].read_bytes()
    assert not (photos_repo.tree() / KEYS[2]).exists()
    assert (photos_repo.tree() / "new.jpg").exists()
    assert stash.stashes(photos_repo) == []
    assert status(photos_repo).modified == []


def test_untracked_files_only_when_asked(photos_repo: Repository) -> None:
    place(photos_repo, "mine.jpg", 5)
    with pytest.raises(StateError, match="nothing to stash"):
        stash.push(photos_repo)
    assert status(photos_repo).untracked == ["mine.jpg"]
    stash.push(photos_repo, untracked=True)
    assert not (photos_repo.tree() / "mine.jpg").exists()
    stash.apply(photos_repo, stash.find_stash(photos_repo), drop=False)
    assert (photos_repo.tree() / "mine.jpg").exists()
    assert len(stash.stashes(photos_repo)) == 1


def test_the_newest_is_number_0(photos_repo: Repository) -> None:
    for number in range(3):
        place(photos_repo, KEYS[0], 5 + number)
        stash.push(photos_repo, f"stash {number}")
    assert [one.message for one in stash.stashes(photos_repo)] == ["stash 2", "stash 1", "stash 0"]
    assert stash.find_stash(photos_repo, "stash@{1}").message == "stash 1"
    assert stash.find_stash(photos_repo, "2").message == "stash 0"
    for text in ("3", "x", "stash@{9}", "-1"):
        with pytest.raises(NotFoundError):
            stash.find_stash(photos_repo, text)
    assert photos_repo.resolve("stash@{2}") == stash.find_stash(photos_repo, "2").commit
    assert photos_repo.resolve("stash") == stash.find_stash(photos_repo, "0").commit


def test_a_message_is_made_up_as_by_git(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 5)
    stash.push(photos_repo)
    assert stash.find_stash(photos_repo).message == "WIP on main: first"


def test_a_stash_goes_onto_another_commit(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    stash.push(photos_repo)
    place(photos_repo, "more.jpg", 5)
    save(photos_repo, "more")
    stash.apply(photos_repo, stash.find_stash(photos_repo), drop=True)
    assert said(photos_repo, KEYS[0]) == ["straw"]
    assert "more.jpg" in photos_repo.staged()


def test_what_changed_on_both_sides_is_named(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    stash.push(photos_repo)
    say(photos_repo, KEYS[0], "felt hat")
    with pytest.raises(ConflictError, match=r"'hat/1\.jpg' changed here and in the stash"):
        stash.apply(photos_repo, stash.find_stash(photos_repo), drop=True)
    assert said(photos_repo, KEYS[0]) == ["felt hat"]
    assert len(stash.stashes(photos_repo)) == 1


def test_an_edited_file_in_the_way_is_named(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 5)
    stash.push(photos_repo)
    place(photos_repo, KEYS[0], 6)
    with pytest.raises(StateError, match=r"hat/1\.jpg"):
        stash.apply(photos_repo, stash.find_stash(photos_repo), drop=True)
    assert (photos_repo.tree() / KEYS[0]).read_bytes() == PHOTOS[6].read_bytes()
    assert len(stash.stashes(photos_repo)) == 1


def test_no_key_becomes_a_folder_of_keys(photos_repo: Repository) -> None:
    place(photos_repo, "box", 5)
    stash.push(photos_repo, untracked=True)
    place(photos_repo, "box/1.jpg", 6)
    save(photos_repo, "a folder")
    with pytest.raises(InvalidDataError, match="'box'"):
        stash.apply(photos_repo, stash.find_stash(photos_repo), drop=True)
    assert is_clean(photos_repo)


def test_a_stash_that_cannot_go_back_is_not_made(photos_repo: Repository) -> None:
    os.unlink(photos_repo.tree() / "README.md")
    place(photos_repo, "README.md/mine.jpg", 5)
    with pytest.raises(StateError, match=r"README\.md/mine\.jpg"):
        stash.push(photos_repo)
    assert stash.stashes(photos_repo) == []
    assert (photos_repo.tree() / "README.md/mine.jpg").exists()


def test_drop_and_undo(photos_repo: Repository) -> None:
    for number in range(2):
        place(photos_repo, KEYS[0], 5 + number)
        stash.push(photos_repo, f"stash {number}")
    stash.drop(photos_repo, stash.stashes(photos_repo))
    assert stash.stashes(photos_repo) == []
    undo(photos_repo)
    assert len(stash.stashes(photos_repo)) == 2


def test_undo_of_a_push_brings_everything_back(photos_repo: Repository) -> None:
    make_changes(photos_repo)
    stash.push(photos_repo)
    undo(photos_repo)
    assert stash.stashes(photos_repo) == []
    assert said(photos_repo, KEYS[1]) == ["felt"]
    assert (photos_repo.tree() / KEYS[0]).read_bytes() == PHOTOS[6].read_bytes()
    assert not (photos_repo.tree() / KEYS[2]).exists()


def test_a_rename_comes_back_as_one(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    commit(photos_repo, "labeled")
    move(photos_repo, [KEYS[0]], "caps/1.jpg")
    stash.push(photos_repo)
    assert said(photos_repo, KEYS[0]) == ["straw"]
    stash.apply(photos_repo, stash.find_stash(photos_repo), drop=True)
    assert said(photos_repo, "caps/1.jpg") == ["straw"]
    assert [change.kind for change in status(photos_repo).staged] == ["renamed"]


def test_without_a_commit_there_is_nothing_to_go_back_to(empty_repo: Repository) -> None:
    place(empty_repo, "a.jpg", 0)
    take(empty_repo)
    with pytest.raises(StateError, match="no commit to go back to"):
        stash.push(empty_repo)
    with pytest.raises(NotFoundError, match="no stash"):
        stash.find_stash(empty_repo)


def test_a_file_that_cannot_be_read_stays(
    photos_repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(photos_repo, KEYS[0], 5)
    place(photos_repo, KEYS[1], 6)
    real = os.open

    def refuse(path: str, *rest: object, **options: object) -> int:
        if str(path).endswith(KEYS[0]):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("voyager.repo.add.os.open", refuse)
    stash.push(photos_repo)
    assert (photos_repo.tree() / KEYS[0]).read_bytes() == PHOTOS[5].read_bytes()
    assert (photos_repo.tree() / KEYS[1]).read_bytes() == PHOTOS[1].read_bytes()


def test_nothing_to_stash_leaves_what_is_staged(photos_repo: Repository) -> None:
    readme = photos_repo.tree() / "README.md"
    committed = readme.read_bytes()
    readme.write_text("staged")
    take(photos_repo, "README.md")
    readme.write_bytes(committed)
    with pytest.raises(StateError, match="nothing to stash"):
        stash.push(photos_repo)
    assert photos_repo.staged().file_bytes("README.md") == b"staged"
    assert readme.read_bytes() == committed
