"""Strategies decide what replays cannot, and go on deciding after a stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from replays import KEYS, change, colors, make, on_branch, set_author, settle, with_color

from voyager.errors import UsageError
from voyager.merge.edits import Edits
from voyager.merge.pick import cherry_pick, revert
from voyager.merge.rebase import rebase
from voyager.merge.resume import proceed
from voyager.repo.branches import find_branch
from voyager.repo.repository import Repository
from voyager.repo.switch import switch

A, B, C, _ = KEYS


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """`other` says blue of A, then of B, then of C; `main` says green of all."""
    set_author(monkeypatch, "Ann")
    with make(tmp_path / "work") as repo:
        with on_branch(repo, "other"):
            for key in (A, B, C):
                change(repo, key, with_color("blue"), f"blue {key}")
        for key in (A, B, C):
            change(repo, key, with_color("green"), f"green {key}")
        yield repo


@pytest.mark.parametrize(("how", "color"), [("ours", "green"), ("theirs", "blue")])
def test_a_pick(repo: Repository, how: str, color: str) -> None:
    done = cherry_pick(repo, "main..other", strategies=[how])
    assert done.left == 0
    assert colors(repo, A, B, C) == [color] * 3
    assert done.result == ("replayed" if how == "theirs" else "up-to-date")
    assert [step.merged.resolved for step in done.steps] == [{"labels": 1}] * 3


@pytest.mark.parametrize(("how", "color"), [("ours", "pink"), ("theirs", "red")])
def test_a_revert(repo: Repository, how: str, color: str) -> None:
    change(repo, A, with_color("pink"))
    revert(repo, "HEAD~3", strategies=[how])
    assert colors(repo, A) == [color]


@pytest.mark.parametrize(("how", "color"), [("ours", "green"), ("theirs", "blue")])
def test_a_rebase(repo: Repository, how: str, color: str) -> None:
    switch(repo, find_branch(repo, "other"))
    rebase(repo, "main", strategies=[how])
    assert repo.head.branch == "other"
    assert colors(repo, A, B, C) == [color] * 3


def test_the_newest(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    set_author(monkeypatch, "Bob", "2026-02-02T00:00:00Z", repo=repo)
    with on_branch(repo, "other"):
        change(repo, A, with_color("black"))
    assert cherry_pick(repo, "other", strategies=["newest"]).result == "replayed"
    assert colors(repo, A) == ["black"]


def test_they_are_kept_while_it_waits(repo: Repository) -> None:
    done = cherry_pick(repo, "main..other", strategies=[f"{A}=theirs", f"{C}=theirs"])
    assert (done.result, done.left) == ("conflicts", 1)
    settle(repo, B, with_color("pink"))
    assert proceed(repo, "cherry-pick").result == "replayed"
    assert colors(repo, A, B, C) == ["blue", "pink", "blue"]


def test_one_that_is_none(repo: Repository) -> None:
    head = repo.head
    for command, begin in (
        ("vgr cherry-pick", lambda: cherry_pick(repo, "other", strategies=["thiers"])),
        ("vgr revert", lambda: revert(repo, "HEAD", strategies=["thiers"])),
        ("vgr rebase", lambda: rebase(repo, "other", strategies=["thiers"])),
        ("vgr import FILE", lambda: Edits(["thiers"])),
    ):
        with pytest.raises(UsageError, match="'thiers' is no strategy") as caught:
            begin()
        assert caught.value.hint == f"{command} -X theirs"
        assert repo.head == head
