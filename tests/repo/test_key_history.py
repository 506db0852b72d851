"""Which commits changed a key, a folder or a glob."""

from __future__ import annotations

import pytest
from photo_repos import KEYS, place, save, say
from test_revisions import merge

from voyager.repo.branches import find_branch
from voyager.repo.commit import commit
from voyager.repo.key_history import iter_key_history
from voyager.repo.ranges import read_range
from voyager.repo.repository import Repository
from voyager.repo.rows import move, remove
from voyager.repo.switch import switch, switch_to_new
from voyager.store.history import read_commit


def touching(repo: Repository, *keys: str, words: tuple[str, ...] = ()) -> list[str]:
    span = read_range(repo.store, words)
    return [commit.message for _, commit in iter_key_history(repo.store, span, keys)]


def step(repo: Repository, message: str) -> bytes:
    return commit(repo, message).commit


@pytest.fixture
def history(photos_repo: Repository) -> Repository:
    """hat/1.jpg labeled, moved to caps/one.jpg, relabeled; hat/2.jpg replaced; a shoe gone."""
    repo = photos_repo
    say(repo, KEYS[0], "straw")
    step(repo, "label")
    move(repo, [KEYS[0]], "caps/one.jpg")
    step(repo, "move")
    place(repo, KEYS[1], 9)
    save(repo, "replace")
    say(repo, "caps/one.jpg", "felt after all")
    step(repo, "relabel")
    remove(repo, [KEYS[3]])
    step(repo, "remove")
    return repo


def test_a_sample_is_followed_through_its_rename(history: Repository) -> None:
    assert touching(history, "caps/one.jpg") == ["relabel", "move", "label", "first"]


def test_an_old_name_ends_where_it_went(history: Repository) -> None:
    assert touching(history, KEYS[0]) == ["move", "label", "first"]


def test_what_is_gone_has_a_history(history: Repository) -> None:
    assert touching(history, KEYS[3]) == ["remove", "first"]
    assert touching(history, KEYS[2]) == ["first"]


def test_folders_and_globs(history: Repository) -> None:
    assert touching(history, "hat") == ["replace", "move", "label", "first"]
    assert touching(history, "caps") == ["relabel", "move"]
    assert touching(history, "**/2.jpg") == ["replace", "first"]
    assert touching(history, "") == ["remove", "relabel", "replace", "move", "label", "first"]


def test_several_keys_and_ranges(history: Repository) -> None:
    assert touching(history, "caps/one.jpg", KEYS[3], words=("HEAD~3..",)) == ["remove", "relabel"]
    assert touching(history, "README.md", words=("HEAD~1",)) == ["first"]
    assert touching(history, "nothing") == []


def test_a_file_is_followed_by_its_content(photos_repo: Repository) -> None:
    move(photos_repo, ["README.md"], "docs/README.md")
    step(photos_repo, "move")
    assert touching(photos_repo, "docs/README.md") == ["move", "first"]


def test_a_key_that_another_sample_took(photos_repo: Repository) -> None:
    """hat/1.jpg becomes hat/9.jpg, and hat/2.jpg takes its place: each is followed by uid."""
    with photos_repo.edit(message="rotate") as edit:
        one, two = edit[KEYS[0]], edit[KEYS[1]]
        del edit[KEYS[1]]
        edit["hat/9.jpg"], edit[KEYS[0]] = one, two.replace(split="val")
    with photos_repo.edit(message="label the first") as edit:
        edit["hat/9.jpg"] = edit["hat/9.jpg"].replace(split="val")
    assert touching(photos_repo, "hat/9.jpg") == ["label the first", "rotate", "first"]
    assert touching(photos_repo, KEYS[0]) == ["rotate", "first"]


def test_both_sides_of_a_merge(photos_repo: Repository) -> None:
    repo = photos_repo
    base = repo.resolve("HEAD")
    switch_to_new(repo, "side")
    move(repo, [KEYS[0]], "hat/one.jpg")
    on_side = step(repo, "moved on the side")
    switch(repo, find_branch(repo, "main"))
    say(repo, KEYS[0], "straw")
    on_main = step(repo, "labeled on main")
    merge(repo, on_side, on_main, message="joined")
    assert read_commit(repo.store, repo.resolve("joined")).parent_ids == [on_side, on_main]
    # The merge has the side's row and name: it differs from main alone, so it changed nothing.
    assert touching(repo, "hat/one.jpg", words=("joined",)) == [
        "labeled on main",
        "moved on the side",
        "first",
    ]
    assert touching(repo, KEYS[0], words=("main",)) == ["labeled on main", "first"]
    assert base == repo.resolve("main~1")
