"""Keys removed, renamed and restored: rows, files, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from photo_repos import KEYS, PHOTOS, files_of, is_clean, place, said, save, say, take

from voyager.errors import (
    ExistsError,
    InvalidDataError,
    NotFoundError,
    StateError,
    UsageError,
)
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.rows import move, remove, restore
from voyager.repo.status import status
from voyager.repo.switch import reset
from voyager.store import files

# -- rm -------------------------------------------------------------------------------------------


def test_remove_takes_row_and_file(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    commit(photos_repo, "labeled")
    done = remove(photos_repo, [KEYS[0], "shoes"])
    assert (done.keys, done.labels) == ([KEYS[0], KEYS[2], KEYS[3]], 2)
    assert files_of(photos_repo) == ["README.md", KEYS[1]]
    commit(photos_repo, "fewer")
    assert list(photos_repo.at("HEAD")) == [KEYS[1]]
    assert is_clean(photos_repo)


def test_remove_cached_keeps_the_file(photos_repo: Repository) -> None:
    remove(photos_repo, [KEYS[0]], cached=True)
    assert status(photos_repo).untracked == [KEYS[0]]


def test_remove_by_pattern(photos_repo: Repository) -> None:
    assert remove(photos_repo, ["*/[13].jpg"], dry_run=True).keys == [KEYS[0], KEYS[2]]
    assert len(files_of(photos_repo)) == 5
    assert remove(photos_repo, ["**/[13].jpg"]).keys == [KEYS[0], KEYS[2]]


def test_remove_refuses_what_is_committed_nowhere(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 5)
    with pytest.raises(StateError, match=f"changes in '{KEYS[0]}'"):
        remove(photos_repo, ["hat"])
    take(photos_repo)
    with pytest.raises(StateError, match=f"staged changes to '{KEYS[0]}'"):
        remove(photos_repo, ["hat"])
    assert remove(photos_repo, ["hat"], force=True).keys == KEYS[:2]
    with pytest.raises(NotFoundError, match="hat"):
        remove(photos_repo, ["hat"])


def test_remove_of_a_vanished_file(photos_repo: Repository) -> None:
    os.unlink(photos_repo.tree() / KEYS[0])
    assert remove(photos_repo, [KEYS[0]]).keys == [KEYS[0]]


# -- mv -------------------------------------------------------------------------------------------


def test_move_keeps_all_that_is_said(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    uid = photos_repo.staged()[KEYS[0]].uid
    assert move(photos_repo, [KEYS[0]], "caps/one.jpg") == [(KEYS[0], "caps/one.jpg")]
    assert said(photos_repo, "caps/one.jpg") == ["straw"]
    assert photos_repo.staged()["caps/one.jpg"].uid == uid
    commit(photos_repo, "moved")
    assert is_clean(photos_repo)


@pytest.mark.parametrize(
    ("sources", "target", "new"),
    [
        (["hat"], "caps", ["caps/1.jpg", "caps/2.jpg"]),
        (["hat"], "shoes", ["shoes/hat/1.jpg", "shoes/hat/2.jpg"]),
        (["hat/1.jpg", "README.md"], "shoes", ["shoes/1.jpg", "shoes/README.md"]),
        (["hat/1.jpg"], "", ["1.jpg"]),
        (["hat/1.jpg"], "new/", ["new/1.jpg"]),
        (["hat/1.jpg"], "empty", ["empty/1.jpg"]),
        (["hat/*.jpg"], "", ["1.jpg", "2.jpg"]),
        (["*t"], "caps/", ["caps/hat/1.jpg", "caps/hat/2.jpg"]),
    ],
)
def test_where_things_move(
    photos_repo: Repository, sources: list[str], target: str, new: list[str]
) -> None:
    (photos_repo.tree() / "empty").mkdir()
    assert [key for _, key in move(photos_repo, sources, target)] == new
    commit(photos_repo, "moved")
    assert is_clean(photos_repo)
    assert set(new) <= set(files_of(photos_repo))


def test_move_refuses(photos_repo: Repository) -> None:
    with pytest.raises(NotFoundError, match="nosuch"):
        move(photos_repo, ["nosuch"], "x")
    with pytest.raises(ExistsError, match=KEYS[1]):
        move(photos_repo, [KEYS[0]], KEYS[1])
    with pytest.raises(UsageError, match="into itself"):
        move(photos_repo, ["hat"], "hat/inner")
    with pytest.raises(UsageError, match="cannot be a key"):
        move(photos_repo, [KEYS[0]], "../x.jpg")
    with pytest.raises(ExistsError, match="a key, not a folder"):
        move(photos_repo, [KEYS[0]], f"{KEYS[1]}/inner.jpg")
    (photos_repo.tree() / "untracked.jpg").write_bytes(b"")
    with pytest.raises(ExistsError, match="not a folder"):
        move(photos_repo, [KEYS[0]], "untracked.jpg/x.jpg")
    with pytest.raises(ExistsError, match="untracked"):
        move(photos_repo, [KEYS[0]], "untracked.jpg")
    assert is_clean_but_for(photos_repo, ["untracked.jpg"])


def test_two_of_one_name_do_not_move_into_one_folder(empty_repo: Repository) -> None:
    for number, key in enumerate(("a/x.jpg", "b/x.jpg")):
        place(empty_repo, key, number)
    save(empty_repo, "two")
    with pytest.raises(ExistsError, match=r"c/x\.jpg"):
        move(empty_repo, ["a/x.jpg", "b/x.jpg"], "c/")
    assert is_clean(empty_repo)


def test_a_folder_and_something_in_it_do_not_both_move(photos_repo: Repository) -> None:
    with pytest.raises(UsageError, match="'hat' and something in it"):
        move(photos_repo, ["hat", KEYS[0]], "caps")
    assert is_clean(photos_repo)


def test_move_into_a_vgr_folder_is_refused(photos_repo: Repository) -> None:
    for target in (".vgr/x.jpg", "sub/.vgr/x.jpg"):
        with pytest.raises(UsageError, match="cannot be a key"):
            move(photos_repo, [KEYS[0]], target)


def test_move_of_a_vanished_file_moves_the_row(photos_repo: Repository) -> None:
    os.unlink(photos_repo.tree() / KEYS[0])
    move(photos_repo, ["hat"], "caps")
    assert status(photos_repo).deleted == ["caps/1.jpg"]
    assert files_of(photos_repo) == ["README.md", "caps/2.jpg", *KEYS[2:]]


def test_move_of_an_edited_file_moves_the_edit(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 5)
    move(photos_repo, [KEYS[0]], "moved.jpg")
    assert (photos_repo.tree() / "moved.jpg").read_bytes() == PHOTOS[5].read_bytes()
    assert status(photos_repo).modified == ["moved.jpg"]


def is_clean_but_for(repo: Repository, untracked: list[str]) -> bool:
    found = status(repo)
    return found.clean and found.untracked == untracked


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("hat/?.jpg", KEYS[:2]),
        ("hat/[!1].jpg", [KEYS[1]]),
        ("h*", KEYS[:2]),
        ("**/3.*", [KEYS[2]]),
        ("shoes/**", KEYS[2:]),
        ("[.*]/1.jpg", []),
        ("ha?/..", []),
        ("hat?1.jpg", []),
        ("hat/[", []),
        ("caf\udce9", None),
    ],
)
def test_what_a_pattern_names(
    photos_repo: Repository, pattern: str, named: list[str] | None
) -> None:
    if named:
        assert remove(photos_repo, [pattern], dry_run=True).keys == named
        return
    with pytest.raises(UsageError if named is None else NotFoundError):
        remove(photos_repo, [pattern], dry_run=True)


# -- restore --------------------------------------------------------------------------------------


def test_restore_brings_files_back(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 5)
    place(photos_repo, KEYS[2], 6)
    os.unlink(photos_repo.tree() / KEYS[1])
    assert restore(photos_repo, ["hat"]) == KEYS[:2]
    assert status(photos_repo).modified == [KEYS[2]]
    assert restore(photos_repo, [""]) == [KEYS[2]]
    assert is_clean(photos_repo)
    with pytest.raises(NotFoundError, match="nosuch"):
        restore(photos_repo, ["nosuch"])


def test_restore_leaves_other_edits_alone(empty_repo: Repository) -> None:
    for number, key in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        place(empty_repo, key, number)
    save(empty_repo, "three")
    place(empty_repo, "d.jpg", 3)
    take(empty_repo, "d.jpg")
    for key in ("a.jpg", "c.jpg"):
        place(empty_repo, key, 9)
    # As many keys as there are rows afterwards, but one of them is the new one that goes.
    restore(empty_repo, ["a.jpg", "b.jpg", "d.jpg"], source="HEAD")
    assert (empty_repo.tree() / "a.jpg").read_bytes() == PHOTOS[0].read_bytes()
    assert (empty_repo.tree() / "c.jpg").read_bytes() == PHOTOS[9].read_bytes()
    assert not (empty_repo.tree() / "d.jpg").exists()


def test_restore_staged_keeps_the_files(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[1], "felt")
    place(photos_repo, KEYS[0], 5)
    place(photos_repo, "new.jpg", 6)
    take(photos_repo)
    changed = restore(photos_repo, [""], staged=True, worktree=False)
    assert changed == [KEYS[0], KEYS[1], "new.jpg"]
    found = status(photos_repo)
    assert (found.staged, found.modified, found.untracked) == ([], [KEYS[0]], ["new.jpg"])
    assert said(photos_repo, KEYS[1]) == []


def test_restore_from_a_revision(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 5)
    save(photos_repo, "second")
    assert restore(photos_repo, ["hat"], source="HEAD~1") == [KEYS[0]]
    assert (photos_repo.tree() / KEYS[0]).read_bytes() == PHOTOS[0].read_bytes()
    assert [change.key for change in status(photos_repo).staged] == [KEYS[0]]
    assert status(photos_repo).modified == []


def test_restore_from_the_same_version_still_writes_the_file(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 5)
    assert restore(photos_repo, [KEYS[0]], source="HEAD") == [KEYS[0]]
    assert is_clean(photos_repo)


def test_restore_additively_removes_nothing(photos_repo: Repository) -> None:
    place(photos_repo, "hat/new.jpg", 5)
    save(photos_repo, "second")
    assert restore(photos_repo, ["hat"], source="HEAD~1", additive=True) == []
    with pytest.raises(NotFoundError, match=r"hat/new\.jpg"):
        restore(photos_repo, ["hat/new.jpg"], source="HEAD~1", additive=True)
    assert restore(photos_repo, ["hat"], source="HEAD~1") == ["hat/new.jpg"]
    assert not (photos_repo.tree() / "hat/new.jpg").exists()


def test_restore_of_labels_only(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    commit(photos_repo, "labeled")
    say(photos_repo, KEYS[0], "felt hat")
    place(photos_repo, KEYS[0], 5)
    place(photos_repo, "hat/new.jpg", 6)
    take(photos_repo)
    assert restore(photos_repo, ["hat"], labels=True) == [KEYS[0]]
    assert said(photos_repo, KEYS[0]) == ["straw"]
    staged = photos_repo.staged()
    assert staged.image_bytes(KEYS[0]) == PHOTOS[5].read_bytes()
    assert "hat/new.jpg" in staged
    restore(photos_repo, [KEYS[0]], labels=True, source="HEAD~1")
    assert said(photos_repo, KEYS[0]) == []


def test_restore_makes_no_key_a_folder_of_keys(empty_repo: Repository) -> None:
    place(empty_repo, "a", 0)
    save(empty_repo, "a file")
    move(empty_repo, ["a"], "b")
    place(empty_repo, "a/1.jpg", 1)
    save(empty_repo, "a folder")
    with pytest.raises(InvalidDataError, match="a key and a folder"):
        restore(empty_repo, ["a"], source="HEAD~1", additive=True)
    assert restore(empty_repo, ["a"], source="HEAD~1") == ["a", "a/1.jpg"]
    assert (empty_repo.tree() / "a").is_file()


def test_restore_overwrites_no_folder(photos_repo: Repository) -> None:
    os.unlink(photos_repo.tree() / KEYS[0])
    (photos_repo.tree() / KEYS[0]).mkdir()
    assert restore(photos_repo, [KEYS[0]]) == [KEYS[0]]  # an empty one holds nothing
    os.unlink(photos_repo.tree() / KEYS[0])
    place(photos_repo, f"{KEYS[0]}/kept.jpg", 5)
    with pytest.raises(StateError, match=r"hat/1\.jpg/kept\.jpg"):
        restore(photos_repo, [KEYS[0]])


def test_restore_makes_the_staging_area_of_a_branch_without_commits_empty(
    empty_repo: Repository,
) -> None:
    place(empty_repo, "a.jpg", 0)
    take(empty_repo)
    assert restore(empty_repo, [""], staged=True, worktree=False) == ["a.jpg"]
    assert status(empty_repo).untracked == ["a.jpg"]


# -- links and failures ---------------------------------------------------------------------------


@pytest.fixture
def linked(photos_repo: Repository, tmp_path: Path) -> Path:
    """Where the folder `hat` went, to which a link leads now."""
    out = tmp_path / "out"
    os.rename(photos_repo.tree() / "hat", out)
    os.symlink(out, photos_repo.tree() / "hat")
    (out / os.path.basename(KEYS[0])).write_text("precious")
    return out


def test_nothing_is_moved_or_removed_behind_a_link(photos_repo: Repository, linked: Path) -> None:
    with pytest.raises(StateError, match=KEYS[0]):
        move(photos_repo, [KEYS[0]], "moved.jpg")
    with pytest.raises(StateError, match=KEYS[0]):
        remove(photos_repo, [KEYS[0]])
    remove(photos_repo, [KEYS[0]], force=True)
    assert (linked / os.path.basename(KEYS[0])).read_text() == "precious"


@pytest.mark.parametrize("how", ["restore", "reset"])
def test_a_link_gives_way_to_the_folder(photos_repo: Repository, linked: Path, how: str) -> None:
    assert status(photos_repo).hidden == KEYS[:2]
    assert not status(photos_repo).clean
    if how == "restore":
        assert restore(photos_repo, ["hat"]) == KEYS[:2]
    else:
        reset(photos_repo, photos_repo.head.commit, "hard")
    assert is_clean(photos_repo)
    assert not (photos_repo.tree() / "hat").is_symlink()
    assert (linked / os.path.basename(KEYS[0])).read_text() == "precious"


def test_what_cannot_be_deleted_or_moved_is_not_staged(
    photos_repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*paths: object) -> None:
        if str(paths[0]).endswith(KEYS[1]):
            raise PermissionError(13, "Permission denied")
        really(*paths)

    for name in ("remove", "rename"):
        with monkeypatch.context() as patch:
            really = getattr(files, name)
            patch.setattr(files, name, fails)
            with pytest.raises(PermissionError):
                if name == "remove":
                    remove(photos_repo, ["hat"])
                else:
                    move(photos_repo, ["hat"], "caps")
        assert is_clean(photos_repo)


def test_names_that_fold_are_not_staged(
    photos_repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = photos_repo.head.commit
    assert first is not None
    move(photos_repo, ["README.md"], "Readme.md")
    commit(photos_repo, "renamed")
    monkeypatch.setattr("voyager.repo.worktree.file_system_folds", lambda repo: True)
    with pytest.raises(InvalidDataError, match="Readme"):
        restore(photos_repo, ["README.md"], source=first.hex())
    assert is_clean(photos_repo)
