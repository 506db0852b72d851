"""Conflicts of a version go where `repo.edit` moves their samples, and only there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from replays import labeled

from voyager.merge import merge
from voyager.repo.branches import create, find_branch
from voyager.repo.commit import commit
from voyager.repo.conflicts import iter_conflicted
from voyager.repo.edit import Edit
from voyager.repo.repository import Repository
from voyager.repo.switch import switch
from voyager.schema import Image, Sample, sample_uid


@pytest.fixture
def undecided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Samples a, b and c; the color of `a` and the note of `b` are in conflict."""
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    repo = Repository.init(tmp_path, worktree=False)
    with repo.edit("base") as edit:
        for key in "abc":
            edit[key] = Sample(uid=sample_uid("undecided", key), image=Image())
    create(repo, "other", repo.resolve("HEAD"))
    for branch, word in (("main", "one"), ("other", "two")):
        switch(repo, find_branch(repo, branch))
        with repo.edit(word) as edit:
            edit["a"] = labeled("color", word)(edit["a"])
            edit["b"] = labeled("note", word)(edit["b"])
    assert merge(repo, "main").conflicts == 2
    commit(repo, "", allow_conflicts=True)
    return repo


def rename(edit: Edit) -> None:
    sample = edit["a"]
    del edit["a"]
    edit["z"] = sample


def swap(edit: Edit) -> None:
    edit["a"], edit["b"] = edit["b"], edit["a"]


def chain(edit: Edit) -> None:
    edit["z"], edit["b"] = edit["b"], edit["a"]
    del edit["a"]


def another_at_its_key(edit: Edit) -> None:
    edit["a"] = Sample(uid=sample_uid("undecided", "new"), image=Image())


def decided_on_the_way(edit: Edit) -> None:
    edit["z"] = labeled("color", "three")(edit["a"])
    del edit["a"]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (rename, {"b": "note", "z": "color"}),
        (swap, {"a": "note", "b": "color"}),
        (chain, {"b": "color", "z": "note"}),
        (another_at_its_key, {"b": "note"}),
        (decided_on_the_way, {"b": "note"}),
    ],
)
def test_conflicts_go_with_their_samples(
    undecided: Repository, change: Callable[[Edit], None], left: dict[str, str]
) -> None:
    with undecided.edit("change") as edit:
        change(edit)
    found = {key.decode(): list(terms) for _, key, terms in iter_conflicted(undecided.staged())}
    assert found == {key: [f"labels/{task}/human"] for key, task in left.items()}
