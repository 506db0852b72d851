"""The branch pointed at another commit; staging and files follow or stay."""

from __future__ import annotations

import os

import pytest
from photo_repos import KEYS, PHOTOS, files_of, is_clean, place, said, save, say, take

from voyager.errors import NotFoundError, StateError
from voyager.repo.commit import commit
from voyager.repo.repository import RUNNING, Repository
from voyager.repo.rows import restore
from voyager.repo.status import status
from voyager.repo.switch import reset, switch
from voyager.store.refs import Head


@pytest.fixture
def second(photos_repo: Repository) -> Repository:
    """Two commits; the second has hat/1.jpg replaced, new.jpg added and a label on hat/2.jpg."""
    place(photos_repo, KEYS[0], 5)
    place(photos_repo, "new.jpg", 6)
    say(photos_repo, KEYS[1], "felt")
    save(photos_repo, "second")
    return photos_repo


def test_soft_keeps_all_staged(second: Repository) -> None:
    first = second.resolve("HEAD~1")
    reset(second, first, "soft")
    assert second.head == Head("main", first)
    assert [change.key for change in status(second).staged] == [KEYS[0], KEYS[1], "new.jpg"]
    assert said(second, KEYS[1]) == ["felt"]
    commit(second, "the same again")
    assert is_clean(second)


def test_mixed_keeps_the_files(second: Repository) -> None:
    reset(second, second.resolve("HEAD~1"))
    found = status(second)
    assert (found.staged, found.modified, found.untracked) == ([], [KEYS[0]], ["new.jpg"])
    assert said(second, KEYS[1]) == []
    assert (second.tree() / KEYS[0]).read_bytes() == PHOTOS[5].read_bytes()


def test_hard_keeps_neither(second: Repository) -> None:
    place(second, KEYS[2], 7)
    os.unlink(second.tree() / KEYS[3])
    place(second, "staged.jpg", 8)
    take(second, "staged.jpg")
    place(second, "untracked.jpg", 9)
    reset(second, second.resolve("HEAD~1"), "hard")
    assert files_of(second) == ["README.md", *KEYS, "untracked.jpg"]
    os.unlink(second.tree() / "untracked.jpg")
    assert is_clean(second)
    assert second.store.value(RUNNING) is None


def test_hard_onto_head_gives_up_edits(second: Repository) -> None:
    head = second.resolve("HEAD")
    place(second, KEYS[2], 7)
    say(second, KEYS[3], "suede")
    done = reset(second, head, "hard")
    assert (done.written, said(second, KEYS[3])) == (1, [])
    assert is_clean(second)


def test_a_detached_head(second: Repository) -> None:
    switch(second, Head(None, second.resolve("HEAD")))
    tip = second.resolve("main")
    reset(second, second.resolve("HEAD~1"), "hard")
    assert second.head == Head(None, second.resolve("main~1"))
    assert second.resolve("main") == tip
    assert is_clean(second)


def test_a_branch_without_commits(empty_repo: Repository) -> None:
    place(empty_repo, "a.jpg", 0)
    take(empty_repo)
    reset(empty_repo, None)
    assert status(empty_repo).untracked == ["a.jpg"]
    assert empty_repo.head == Head("main", None)
    take(empty_repo)
    reset(empty_repo, None, "hard")
    assert files_of(empty_repo) == []


def test_hard_overwrites_no_folder(second: Repository) -> None:
    os.unlink(second.tree() / KEYS[0])
    place(second, f"{KEYS[0]}/mine.jpg", 7)
    with pytest.raises(StateError, match=r"hat/1\.jpg/mine\.jpg"):
        reset(second, second.resolve("HEAD"), "hard")
    assert second.store.value(RUNNING) is None


def test_keys_are_unstaged_as_git_does(second: Repository) -> None:
    place(second, KEYS[2], 7)
    place(second, "more.jpg", 8)
    take(second)
    assert restore(second, [KEYS[2]], staged=True, worktree=False) == [KEYS[2]]
    found = status(second)
    assert ([change.key for change in found.staged], found.modified) == (["more.jpg"], [KEYS[2]])
    changed = restore(second, ["."], source="HEAD~1", staged=True, worktree=False)
    assert changed == [KEYS[0], KEYS[1], "more.jpg", "new.jpg"]
    assert (second.tree() / "new.jpg").exists()
    with pytest.raises(NotFoundError):
        restore(second, ["nosuch"], staged=True, worktree=False)
