"""Going from version to version: what comes along, what is refused, and after a kill."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from photo_repos import KEYS, PHOTOS, files_of, is_clean, place, said, save, say, take

from voyager.errors import ExistsError, InvalidDataError, NotFoundError, StateError
from voyager.repo.branches import create, find_branch, previous_head
from voyager.repo.commit import commit
from voyager.repo.repository import RUNNING, Repository
from voyager.repo.rows import move, remove
from voyager.repo.status import status
from voyager.repo.switch import abort_switch, continue_switch, switch, switch_to_new
from voyager.store import files
from voyager.store.refs import Head


def go(repo: Repository, name: str, *, force: bool = False) -> None:
    switch(repo, find_branch(repo, name), force=force)


@pytest.fixture
def two(photos_repo: Repository) -> Repository:
    """On `main` four photos; `other` has hat/1.jpg replaced, shoes gone and bags/5.jpg new."""
    repo = photos_repo
    switch_to_new(repo, "other")
    place(repo, KEYS[0], 7)
    shutil.rmtree(repo.tree() / "shoes")
    place(repo, "bags/5.jpg", 4)
    save(repo, "other version")
    go(repo, "main")
    return repo


OTHER = ["README.md", "bags/5.jpg", "hat/1.jpg", "hat/2.jpg"]
MAIN = ["README.md", *KEYS]


def test_there_and_back(two: Repository) -> None:
    assert (two.head.branch, files_of(two)) == ("main", MAIN)
    go(two, "other")
    assert (two.head.branch, files_of(two)) == ("other", OTHER)
    assert (two.tree() / KEYS[0]).read_bytes() == PHOTOS[7].read_bytes()
    assert is_clean(two)
    assert not (two.tree() / "shoes").exists()
    go(two, "main")
    assert files_of(two) == MAIN
    assert is_clean(two)


def test_only_what_differs_is_written(two: Repository) -> None:
    before = (two.tree() / KEYS[1]).stat()
    done = switch(two, find_branch(two, "other"))
    assert (done.written, done.removed) == (2, 2)
    assert (two.tree() / KEYS[1]).stat().st_ctime_ns == before.st_ctime_ns


def test_executables_stay_so(photos_repo: Repository) -> None:
    tool = photos_repo.tree() / "tool.sh"
    tool.write_text("#!/bin/sh\n")
    save(photos_repo, "plain")
    tool.chmod(0o755)
    assert status(photos_repo).modified == ["tool.sh"]
    save(photos_repo, "executable")
    switch(photos_repo, Head(None, photos_repo.resolve("HEAD~1")))
    assert not os.access(tool, os.X_OK)
    go(photos_repo, "main")
    assert os.access(tool, os.X_OK)
    assert is_clean(photos_repo)


# -- staged rows ----------------------------------------------------------------------------------


def test_staged_rows_come_along(two: Repository) -> None:
    say(two, KEYS[1], "felt")
    place(two, "new.jpg", 8)
    take(two)
    go(two, "other")
    assert said(two, KEYS[1]) == ["felt"]
    assert [change.key for change in status(two).staged] == [KEYS[1], "new.jpg"]
    assert (two.tree() / "new.jpg").exists()
    go(two, "main")
    assert [change.key for change in status(two).staged] == [KEYS[1], "new.jpg"]


def test_staged_rows_that_would_be_lost_are_named(two: Repository) -> None:
    say(two, KEYS[0], "straw")  # `other` has another photo there
    with pytest.raises(StateError, match=r"staged changes to 'hat/1\.jpg'"):
        go(two, "other")
    assert two.head.branch == "main"
    go(two, "other", force=True)
    assert said(two, KEYS[0]) == []
    assert is_clean(two)


def test_staged_rows_that_do_not_fit_are_named(two: Repository) -> None:
    place(two, "bags", 8)
    take(two)
    with pytest.raises(StateError, match="do not fit there: 'bags' would be a key and a folder"):
        go(two, "other")
    assert two.head.branch == "main"


def test_a_staged_removal_comes_along(two: Repository) -> None:
    remove(two, [KEYS[1]])
    go(two, "other")
    assert KEYS[1] not in two.staged()
    assert [change.kind for change in status(two).staged] == ["removed"]


def test_a_row_as_the_other_side_has_it_is_no_loss(two: Repository) -> None:
    place(two, "bags/5.jpg", 4)
    take(two)
    go(two, "other")
    assert is_clean(two)


# -- files of the user ----------------------------------------------------------------------------


def test_edited_files_are_kept_or_named(two: Repository) -> None:
    place(two, KEYS[1], 8)  # the same on both sides
    go(two, "other")
    assert (two.tree() / KEYS[1]).read_bytes() == PHOTOS[8].read_bytes()
    assert status(two).modified == [KEYS[1]]
    place(two, KEYS[0], 9)
    with pytest.raises(StateError, match=r"overwrite changes in 'hat/1\.jpg'"):
        go(two, "main")
    assert (two.tree() / KEYS[0]).read_bytes() == PHOTOS[9].read_bytes()
    assert two.store.value(RUNNING) is None
    go(two, "main", force=True)
    assert is_clean(two)


def test_an_edited_file_that_would_go_is_named(two: Repository) -> None:
    place(two, KEYS[2], 9)
    with pytest.raises(StateError, match=r"shoes/3\.jpg"):
        go(two, "other")


def test_a_file_that_already_is_as_wanted_is_in_nobodys_way(two: Repository) -> None:
    place(two, KEYS[0], 7)
    place(two, "bags/5.jpg", 4)
    go(two, "other")
    assert is_clean(two)


def test_untracked_files_in_the_way_are_named(two: Repository) -> None:
    place(two, "bags/5.jpg", 9)
    with pytest.raises(StateError, match=r"untracked 'bags/5\.jpg'"):
        go(two, "other")
    assert (two.tree() / "bags/5.jpg").read_bytes() == PHOTOS[9].read_bytes()
    go(two, "other", force=True)
    assert is_clean(two)


def test_an_untracked_file_where_a_folder_must_be(two: Repository) -> None:
    (two.tree() / "bags").write_text("precious")
    with pytest.raises(StateError, match="a folder where 'bags' is"):
        go(two, "other")
    assert (two.tree() / "bags").read_text() == "precious"


def test_a_link_where_a_folder_must_be(two: Repository, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", two.tree() / "bags")
    with pytest.raises(StateError, match="'bags'"):
        go(two, "other")
    assert (two.tree() / "bags").is_symlink()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_where_a_file_must_be(two: Repository, force: bool) -> None:
    place(two, "bags/5.jpg/mine.jpg", 9)
    with pytest.raises(StateError, match=r"bags/5\.jpg/mine\.jpg"):
        go(two, "other", force=force)
    assert two.store.value(RUNNING) is None
    shutil.rmtree(two.tree() / "bags/5.jpg")
    (two.tree() / "bags/5.jpg/deep/er").mkdir(parents=True)  # nothing in it: no loss
    go(two, "other", force=force)
    assert is_clean(two)


def test_a_link_where_a_tracked_file_was(two: Repository, tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_bytes(PHOTOS[9].read_bytes())
    os.unlink(two.tree() / KEYS[0])
    os.symlink(tmp_path / "mine.jpg", two.tree() / KEYS[0])
    with pytest.raises(StateError, match=r"hat/1\.jpg"):
        go(two, "other")
    assert (two.tree() / KEYS[0]).is_symlink()


def test_files_become_folders_and_back(empty_repo: Repository) -> None:
    place(empty_repo, "a", 0)
    place(empty_repo, "b/c/1.jpg", 1)
    save(empty_repo, "one")
    switch_to_new(empty_repo, "turned")
    move(empty_repo, ["a"], "aside")
    move(empty_repo, ["b/c/1.jpg"], "c")
    place(empty_repo, "a/x/2.jpg", 2)
    place(empty_repo, "b", 3)
    save(empty_repo, "two")
    for name, expected in (
        ("main", ["a", "b/c/1.jpg"]),
        ("turned", ["a/x/2.jpg", "aside", "b", "c"]),
    ):
        go(empty_repo, name)
        assert files_of(empty_repo) == expected
        assert is_clean(empty_repo)


# -- branches -------------------------------------------------------------------------------------


def test_new_branches(photos_repo: Repository) -> None:
    first = photos_repo.resolve("HEAD")
    place(photos_repo, "new.jpg", 5)
    second = save(photos_repo, "second")
    switch_to_new(photos_repo, "topic", "HEAD~1")
    assert photos_repo.head == Head("topic", first)
    assert photos_repo.resolve("main") == second
    with pytest.raises(ExistsError, match="'main'"):
        switch_to_new(photos_repo, "main")
    switch_to_new(photos_repo, "topic", "main", overwrite=True)
    assert photos_repo.head == Head("topic", second)
    assert (photos_repo.tree() / "new.jpg").exists()
    assert is_clean(photos_repo)


def test_a_branch_without_commits(empty_repo: Repository) -> None:
    place(empty_repo, "a.jpg", 0)
    take(empty_repo)
    switch_to_new(empty_repo, "early")
    assert empty_repo.head == Head("early", None)
    assert "a.jpg" in empty_repo.staged()
    commit(empty_repo, "first")
    assert empty_repo.head.branch == "early"
    with pytest.raises(NotFoundError, match="no branch 'main'"):
        find_branch(empty_repo, "main")


def test_a_detached_head_commits_beside_every_branch(photos_repo: Repository) -> None:
    first = photos_repo.resolve("HEAD")
    switch(photos_repo, Head(None, first))
    assert photos_repo.head.detached
    place(photos_repo, "new.jpg", 5)
    made = save(photos_repo, "beside")
    assert photos_repo.head == Head(None, made)
    assert photos_repo.resolve("main") == first
    go(photos_repo, "main")
    assert not (photos_repo.tree() / "new.jpg").exists()


def test_where_head_was_before(photos_repo: Repository) -> None:
    with pytest.raises(NotFoundError, match="previous"):
        previous_head(photos_repo)
    switch_to_new(photos_repo, "topic")
    assert previous_head(photos_repo).branch == "main"
    place(photos_repo, "new.jpg", 5)
    made = save(photos_repo, "more")
    go(photos_repo, "main")
    assert previous_head(photos_repo) == Head("topic", made)
    switch(photos_repo, Head(None, made))
    place(photos_repo, "new2.jpg", 6)
    save(photos_repo, "on no branch")
    assert previous_head(photos_repo).branch == "main"


def test_without_a_working_tree_only_head_moves(tmp_path: Path, two: Repository) -> None:
    with Repository.init(tmp_path / "no-tree", worktree=False) as repo:
        with repo.edit("first") as edit:
            edit.add_image("a.jpg", PHOTOS[0].read_bytes())
        create(repo, "other", repo.resolve("HEAD"))
        assert switch(repo, find_branch(repo, "other")).written == 0
        assert repo.head.branch == "other"
        with pytest.raises(StateError, match="without a working tree"):
            repo.tree()


# -- file systems ---------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("A.jpg", "a.jpg"), ("\u00e9.jpg", "e\u0301.jpg")])
def test_keys_that_a_file_system_folds_are_refused(
    photos_repo: Repository, names: tuple[str, str]
) -> None:
    for number, name in enumerate(names):
        place(photos_repo, name, number + 5)
    save(photos_repo, "folding")
    switch(photos_repo, Head(None, photos_repo.resolve("HEAD~1")))
    photos_repo.config.set("core.ignorecase", "true", "repository", files.write_atomic)
    with pytest.raises(InvalidDataError, match="differ only in case"):
        go(photos_repo, "main")
    with pytest.raises(InvalidDataError, match="differ only in case"):
        go(photos_repo, "main", force=True)
    assert photos_repo.store.value(RUNNING) is None
    assert photos_repo.head.detached
    photos_repo.config.set("core.ignorecase", "false", "repository", files.write_atomic)
    go(photos_repo, "main")
    assert is_clean(photos_repo)


# -- interruptions --------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a process that ends here."""


@pytest.fixture
def kill_at() -> Iterator[list[str]]:
    """Names of steps; the process ends at the first step of the last name in the list."""
    steps: list[str] = []
    created = ""

    def watch(name: str, where: object, half: object) -> None:
        nonlocal created
        if name == "create":
            created = str(where)
        path = created if name == "write" else str(where)
        if steps and name == steps[-1] and path and ".vgr" not in path:
            if half is not None:
                half()  # type: ignore[operator]
            steps.clear()
            raise Killed
        created = "" if name != "create" else created

    files.watch = watch
    yield steps
    files.watch = None


def interrupt(repo: Repository, kill_at: list[str], step: str) -> None:
    kill_at.append(step)
    with pytest.raises(Killed):
        go(repo, "other")
    assert not kill_at


@pytest.mark.parametrize("step", ["remove", "create", "write"])
def test_an_interrupted_switch_is_finished(two: Repository, kill_at: list[str], step: str) -> None:
    place(two, "mine.jpg", 9)
    interrupt(two, kill_at, step)
    assert status(two).operation == "switch"
    for refused in (lambda: take(two), lambda: commit(two, "x"), lambda: go(two, "main")):
        with pytest.raises(StateError, match="interrupted switch"):
            refused()
    continue_switch(two)
    assert (two.head.branch, files_of(two)) == ("other", sorted([*OTHER, "mine.jpg"]))
    os.unlink(two.tree() / "mine.jpg")
    assert is_clean(two)


@pytest.mark.parametrize("step", ["remove", "create", "write"])
def test_an_interrupted_switch_is_taken_back(
    two: Repository, kill_at: list[str], step: str
) -> None:
    interrupt(two, kill_at, step)
    abort_switch(two)
    assert (two.head.branch, files_of(two)) == ("main", MAIN)
    assert is_clean(two)
    with pytest.raises(StateError, match="no checkout is interrupted"):
        abort_switch(two)


def test_a_file_edited_since_the_interruption_is_named(two: Repository, kill_at: list[str]) -> None:
    interrupt(two, kill_at, "create")
    place(two, KEYS[0], 9)
    for end in (continue_switch, abort_switch):
        with pytest.raises(StateError, match=r"'hat/1\.jpg' changed since"):
            end(two)
    assert (two.tree() / KEYS[0]).read_bytes() == PHOTOS[9].read_bytes()
    os.unlink(two.tree() / KEYS[0])
    continue_switch(two)
    assert is_clean(two)


def test_staged_rows_survive_an_interruption(two: Repository, kill_at: list[str]) -> None:
    say(two, KEYS[1], "felt")
    interrupt(two, kill_at, "create")
    abort_switch(two)
    assert said(two, KEYS[1]) == ["felt"]
    go(two, "other")
    assert said(two, KEYS[1]) == ["felt"]


def test_a_folder_that_cannot_be_written(two: Repository) -> None:
    def refuse(name: str, where: object, half: object) -> None:
        if name == "create" and str(where).endswith("bags/5.jpg"):
            raise PermissionError(13, "Permission denied", str(where))

    files.watch = refuse
    try:
        with pytest.raises(StateError, match=r"stopped half-way.*bags/5\.jpg") as caught:
            go(two, "other")
    finally:
        files.watch = None
    assert "--continue" in str(caught.value.hint)
    continue_switch(two)
    assert is_clean(two)
