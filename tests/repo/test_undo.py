"""Operations taken back: refs, staged rows and files."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from photo_repos import KEYS, PHOTOS, files_of, is_clean, place, said, save, say, take

from voyager.errors import NotFoundError, StateError
from voyager.repo import branches
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.rows import move, remove, restore
from voyager.repo.status import status
from voyager.repo.switch import reset, switch, switch_to_new
from voyager.repo.undo import iter_log, undo
from voyager.store.refs import Head


def test_add(photos_repo: Repository) -> None:
    place(photos_repo, "new.jpg", 5)
    take(photos_repo)
    operation, _ = undo(photos_repo)
    assert operation.kind == "add"
    assert status(photos_repo).untracked == ["new.jpg"]


def test_commit_leaves_everything_staged(photos_repo: Repository) -> None:
    first = photos_repo.resolve("HEAD")
    place(photos_repo, "new.jpg", 5)
    say(photos_repo, KEYS[0], "straw")
    save(photos_repo, "second")
    undo(photos_repo)
    assert photos_repo.resolve("main") == first
    assert [change.key for change in status(photos_repo).staged] == [KEYS[0], "new.jpg"]
    assert said(photos_repo, KEYS[0]) == ["straw"]


def test_the_very_first_commit(empty_repo: Repository) -> None:
    place(empty_repo, "a.jpg", 0)
    save(empty_repo, "first")
    undo(empty_repo)
    assert empty_repo.head == Head("main", None)
    assert [change.kind for change in status(empty_repo).staged] == ["added"]
    commit(empty_repo, "first, again")
    assert is_clean(empty_repo)


def test_one_after_the_other_to_the_beginning(photos_repo: Repository) -> None:
    place(photos_repo, "new.jpg", 5)
    save(photos_repo, "second")
    kinds = [undo(photos_repo)[0].kind for _ in range(4)]
    assert kinds == ["commit", "add", "commit", "add"]
    assert photos_repo.head.commit is None
    assert len(photos_repo.staged()) == 0
    assert len(files_of(photos_repo)) == 6
    with pytest.raises(NotFoundError, match="nothing to undo"):
        undo(photos_repo)


def test_an_undo_can_be_undone(photos_repo: Repository) -> None:
    place(photos_repo, "new.jpg", 5)
    second = save(photos_repo, "second")
    undo(photos_repo)
    undo(photos_repo, photos_repo.store.last_seq())
    assert photos_repo.resolve("HEAD") == second
    assert is_clean(photos_repo)
    assert undo(photos_repo)[0].kind == "commit"  # and it is the last one again


STEPS: dict[str, Callable[[Repository], object]] = {
    "rm": lambda repo: remove(repo, ["hat"]),
    "rm-cached": lambda repo: remove(repo, ["hat"], cached=True),
    "mv": lambda repo: move(repo, ["hat"], "caps"),
    "restore": lambda repo: restore(repo, ["hat"], source="HEAD~1"),
    "reset-soft": lambda repo: reset(repo, repo.resolve("HEAD~1"), "soft"),
    "reset-mixed": lambda repo: reset(repo, repo.resolve("HEAD~1")),
    "reset-hard": lambda repo: reset(repo, repo.resolve("HEAD~1"), "hard"),
    "switch": lambda repo: switch(repo, Head(None, repo.resolve("HEAD~1"))),
    "switch-new": lambda repo: switch_to_new(repo, "topic", "HEAD~1"),
    "branch": lambda repo: branches.create(repo, "topic", repo.resolve("HEAD~1")),
    "branch-delete": lambda repo: branches.delete(repo, ["side"], force=True),
    "branch-rename": lambda repo: branches.rename(repo, "main", "trunk"),
    "amend": lambda repo: commit(repo, "another message", amend=True),
}


@pytest.mark.parametrize("step", STEPS)
def test_everything_is_as_before(photos_repo: Repository, step: str) -> None:
    place(photos_repo, KEYS[0], 5)
    place(photos_repo, "hat/new.jpg", 6)
    save(photos_repo, "second")
    branches.create(photos_repo, "side", photos_repo.resolve("HEAD"))
    before = _everything(photos_repo)
    STEPS[step](photos_repo)
    assert _everything(photos_repo) != before
    undo(photos_repo)
    assert _everything(photos_repo) == before
    if not step.startswith("reset-mixed"):
        assert is_clean(photos_repo)


def _everything(repo: Repository) -> object:
    """HEAD, refs, staged rows and files."""
    staged = list(repo.staged().tracked())
    files = {key: (repo.tree() / key).read_bytes() for key in files_of(repo)}
    return repo.head, repo.store.values("refs/"), staged, repo.staging.base, files


def test_files_come_back_with_removed_rows(photos_repo: Repository) -> None:
    remove(photos_repo, [KEYS[0]])
    undo(photos_repo)
    assert (photos_repo.tree() / KEYS[0]).read_bytes() == PHOTOS[0].read_bytes()
    assert is_clean(photos_repo)


def test_an_edited_file_is_not_overwritten(photos_repo: Repository) -> None:
    first = photos_repo.resolve("HEAD")
    place(photos_repo, KEYS[0], 5)
    save(photos_repo, "second")
    reset(photos_repo, first, "hard")
    place(photos_repo, KEYS[0], 6)
    with pytest.raises(StateError, match=r"undo would overwrite changes in 'hat/1\.jpg'"):
        undo(photos_repo)
    assert (photos_repo.tree() / KEYS[0]).read_bytes() == PHOTOS[6].read_bytes()
    assert photos_repo.resolve("HEAD") == first


def test_an_older_operation_that_nothing_built_on(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    number = photos_repo.store.last_seq()
    say(photos_repo, KEYS[1], "felt")
    undo(photos_repo, number)
    assert (said(photos_repo, KEYS[0]), said(photos_repo, KEYS[1])) == ([], ["felt"])


def test_an_older_operation_that_others_built_on(photos_repo: Repository) -> None:
    number = photos_repo.store.last_seq()
    place(photos_repo, "new.jpg", 5)
    save(photos_repo, "second")
    with pytest.raises(StateError, match="later operations changed"):
        undo(photos_repo, number)
    say(photos_repo, KEYS[0], "straw")
    number = photos_repo.store.last_seq()
    say(photos_repo, KEYS[0], "felt hat")
    with pytest.raises(StateError, match="changed again since"):
        undo(photos_repo, number)


def test_the_branch_that_is_checked_out_stays(photos_repo: Repository) -> None:
    branches.create(photos_repo, "topic", photos_repo.resolve("HEAD"))
    number = photos_repo.store.last_seq()
    switch(photos_repo, branches.find_branch(photos_repo, "topic"))
    with pytest.raises(StateError, match="checked out"):
        undo(photos_repo, number)
    assert photos_repo.head.commit is not None


def test_what_cannot_be_undone(photos_repo: Repository) -> None:
    with pytest.raises(StateError, match="cannot be undone"):
        undo(photos_repo, 1)
    with pytest.raises(NotFoundError, match="no operation 999"):
        undo(photos_repo, 999)


def test_the_log_says_what_was_undone(photos_repo: Repository) -> None:
    undo(photos_repo)
    log = [(operation.kind, undone_by) for operation, undone_by in iter_log(photos_repo)]
    assert log == [("undo", None), ("commit", 4), ("add", None), ("init", None)]


def test_a_deleted_file_is_no_obstacle(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 5)
    save(photos_repo, "second")
    switch(photos_repo, Head(None, photos_repo.resolve("HEAD~1")))
    os.unlink(photos_repo.tree() / KEYS[0])
    undo(photos_repo)
    assert is_clean(photos_repo)
