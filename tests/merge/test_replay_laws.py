"""Laws of replay over random branches: it makes what a merge makes, and it can be taken back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from replays import boxed, labeled, state

from voyager.merge import merge
from voyager.merge.pick import cherry_pick, revert
from voyager.merge.rebase import rebase
from voyager.merge.replay import Replayed
from voyager.merge.resume import abort, skip
from voyager.repo.branches import create, find_branch
from voyager.repo.dataset import Dataset
from voyager.repo.edit import Edit
from voyager.repo.merging import running_merge
from voyager.repo.repository import Repository
from voyager.repo.switch import switch
from voyager.repo.undo import undo
from voyager.schema import Image, Sample, encode_sample, sample_uid

SAMPLES = ["a", "b", "c", "d"]
Step = tuple[str, str, int]
"""What to do to a sample, which, and with what number."""

MINE = ["color", "box 1", "split", "add x", "drop d"]
THEIRS = ["note", "box 2", "meta", "add y", "rename a"]
"""Kinds of changes that never clash with each other's."""

laws = examples(15, deep=400)


def steps(kinds: Sequence[str]) -> st.SearchStrategy[list[list[Step]]]:
    """Commits of a branch, each of some changes."""
    step = st.tuples(st.sampled_from(kinds), st.sampled_from(SAMPLES[:3]), st.integers(0, 2))
    return st.lists(st.lists(step, min_size=1, max_size=3), min_size=1, max_size=4)


def apply(edit: Edit, kind: str, key: str, number: int) -> None:
    """Do one change; samples are found by uid, wherever they are now."""
    word, _, what = kind.partition(" ")
    if word == "add":
        edit[f"{what}{number}"] = Sample(uid=sample_uid("law", what + str(number)), image=Image())
    elif word == "drop":
        if what in edit:
            del edit[what]
    elif word == "rename":
        old = place_of(edit, what)
        if old != f"{what}-{number}":
            edit[f"{what}-{number}"] = edit[old]
            del edit[old]
    else:
        at = place_of(edit, key)
        edit[at] = changed(edit[at], word, what, number)


def place_of(edit: Edit, key: str) -> str:
    return next(one for one in (key, *(f"{key}-{number}" for number in range(3))) if one in edit)


def changed(sample: Sample, word: str, what: str, number: int) -> Sample:
    if word == "box":
        return boxed(int(what), 100 * int(what) + number)(sample)
    if word == "split":
        return sample.replace(split=["train", "val", "extra"][number])
    if word == "meta":
        return sample.replace(meta={"m": number})
    return labeled(word, str(number))(sample)


@contextmanager
def two_branches(
    mine: Sequence[Sequence[Step]], theirs: Sequence[Sequence[Step]]
) -> Iterator[Repository]:
    """`main` and `other`, which is checked out, from one version."""
    with tempfile.TemporaryDirectory() as folder, Repository.init(folder) as repo:
        repo.config.set("user.name", "Ann", "repository", write)
        repo.config.set("user.email", "ann@example.org", "repository", write)
        with repo.edit("base") as edit:
            for key in SAMPLES:
                edit[key] = Sample(uid=sample_uid("law", key), image=Image())
        create(repo, "other", repo.resolve("main"))
        for name, commits in (("main", mine), ("other", theirs)):
            switch(repo, find_branch(repo, name))
            for number, changes in enumerate(commits):
                with repo.edit(f"{name} {number}") as edit:
                    for step in changes:
                        apply(edit, *step)
        yield repo


def write(path: Any, data: bytes) -> None:
    path.write_bytes(data)


def content(version: Dataset) -> dict[str, bytes]:
    """The samples of a version; in which order labels and regions were added is no matter."""
    found = {}
    for key, sample in version.items():
        labels = sorted(sample.labels, key=lambda label: label.task)
        regions = sorted(sample.regions, key=lambda region: region.id)
        found[key] = encode_sample(sample.replace(labels=labels, regions=regions))
    return found


def outcomes(repo: Repository) -> Mapping[str, Mapping[str, bytes]]:
    """What each way of bringing the branches together makes."""
    found = {}
    for way in ("merge", "rebase", "pick"):
        create(repo, way, repo.resolve("main" if way == "pick" else "other"))
        switch(repo, find_branch(repo, way))
        if way == "merge":
            merge(repo, "main")
        elif way == "rebase":
            rebase(repo, "main")
        else:
            cherry_pick(repo, "main..other")
        found[way] = content(repo.staged())
        assert running_merge(repo.store) is None
    return found


def hold(mine: list[list[Step]], theirs: list[list[Step]]) -> None:
    with two_branches(mine, theirs) as repo:
        found = outcomes(repo)
        assert found["merge"] == found["rebase"] == found["pick"]
        revert(repo, "main..HEAD")
        assert content(repo.staged()) == content(repo.at("main"))


@laws
@given(steps(MINE), steps(THEIRS))
def test_every_way_makes_the_same(mine: list[list[Step]], theirs: list[list[Step]]) -> None:
    hold(mine, theirs)


@laws
@given(steps(MINE), steps(MINE), st.booleans(), st.data())
def test_what_clashes_ends_or_is_taken_back(
    mine: list[list[Step]], theirs: list[list[Step]], rebases: bool, data: st.DataObject
) -> None:
    with two_branches(mine, theirs) as repo:
        if not rebases:
            switch(repo, find_branch(repo, "main"))
        before, seq = state(repo), repo.store.last_seq()
        done: Replayed = rebase(repo, "main") if rebases else cherry_pick(repo, "main..other")
        while done.result == "conflicts":
            if data.draw(st.integers(0, 3)) == 0:
                abort(repo, done.kind)
                assert state(repo) == before
                return
            done = skip(repo, done.kind)
        assert running_merge(repo.store) is None
        assert repo.head.branch == ("other" if rebases else "main")
        while repo.store.last_seq() > seq and state(repo) != before:
            undo(repo)
        assert state(repo) == before
