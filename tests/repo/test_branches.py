"""Branches made, renamed, deleted and found."""

from __future__ import annotations

import pytest
from photo_repos import place, save

from voyager.errors import ExistsError, NotFoundError, StateError, UsageError
from voyager.repo import branches
from voyager.repo.repository import Repository
from voyager.repo.switch import switch, switch_to_new
from voyager.store.refs import Head


@pytest.fixture
def two(photos_repo: Repository) -> Repository:
    """`main`, and `topic` one commit ahead; on `main`."""
    switch_to_new(photos_repo, "topic")
    place(photos_repo, "new.jpg", 5)
    save(photos_repo, "ahead")
    switch(photos_repo, branches.find_branch(photos_repo, "main"))
    return photos_repo


def names(repo: Repository) -> list[str]:
    return [branch.name for branch in branches.branches(repo)]


def test_list(two: Repository) -> None:
    found = branches.branches(two)
    assert [(branch.name, branch.current) for branch in found] == [("main", True), ("topic", False)]
    assert branches.containing(two, found, two.resolve("topic")) == [found[1]]
    assert branches.containing(two, found, two.resolve("main")) == found


def test_make(two: Repository) -> None:
    made = branches.create(two, "team/ann", two.resolve("topic"))
    assert two.resolve("team/ann") == made.commit
    with pytest.raises(ExistsError, match="'topic' exists"):
        branches.create(two, "topic", two.resolve("main"))
    branches.create(two, "topic", two.resolve("main"), force=True)
    assert two.resolve("topic") == two.resolve("main")
    with pytest.raises(StateError, match="checked out"):
        branches.create(two, "main", two.resolve("team/ann"), force=True)
    for bad in ("", "a b", "a..b", "-x", "HEAD", "a~1", "x.lock", "a//b"):
        with pytest.raises(UsageError, match="not a valid name"):
            branches.create(two, bad, two.resolve("main"))


def test_delete(two: Repository) -> None:
    branches.create(two, "merged", two.resolve("HEAD"))
    with pytest.raises(StateError, match="'topic' has commits that HEAD has not") as caught:
        branches.delete(two, ["merged", "topic"])
    assert caught.value.hint == "vgr branch -D topic"
    assert names(two) == ["main", "merged", "topic"]
    with pytest.raises(StateError, match="'main' is checked out"):
        branches.delete(two, ["main"], force=True)
    with pytest.raises(NotFoundError, match="'topik'") as missing:
        branches.delete(two, ["topik"])
    assert "topic" in str(missing.value.hint)
    assert len(branches.delete(two, ["merged", "topic", "merged"], force=True)) == 2
    assert names(two) == ["main"]


def test_rename(two: Repository) -> None:
    tip = two.resolve("main")
    branches.rename(two, "main", "trunk")
    assert two.head == Head("trunk", tip)
    assert names(two) == ["topic", "trunk"]
    with pytest.raises(ExistsError, match="'topic' exists"):
        branches.rename(two, "trunk", "topic")
    branches.rename(two, "trunk", "topic", force=True)
    assert (names(two), two.head) == (["topic"], Head("topic", tip))
    with pytest.raises(NotFoundError):
        branches.rename(two, "nosuch", "x")


def test_rename_of_a_branch_without_commits(empty_repo: Repository) -> None:
    branches.rename(empty_repo, "main", "trunk")
    assert empty_repo.head == Head("trunk", None)
