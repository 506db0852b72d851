"""Blame of what merges made one: each label is of who said it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from voyager.merge import merge, proceed
from voyager.merge.resolve import resolve
from voyager.merge.resolving import Choice
from voyager.repo.branches import find_branch
from voyager.repo.repository import Repository
from voyager.repo.switch import switch, switch_to_new
from voyager.schema import Box, Image, Label, Region, Sample

KEY = "1.jpg"
LOWER, UPPER = b"a" * 16, b"b" * 16


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    with Repository.init(tmp_path / "work", worktree=False) as repo:
        with repo.edit("base") as edit:
            edit[KEY] = Sample(uid=b"1" * 16, image=Image(uri="1.jpg", width=400, height=300))
        yield repo


def draw(repo: Repository, message: str, own: bytes, height: float, **said: str) -> None:
    """Commit a region more."""
    labels = tuple(Label(task=task, value=value) for task, value in said.items())
    region = Region(id=own, geometries={"box": Box(10, 10, 110, 10 + height)}, labels=labels)
    with repo.edit(message) as edit:
        edit[KEY] = edit[KEY].replace(regions=(*edit[KEY].regions, region))


def say(repo: Repository, message: str, own: bytes, task: str, value: str) -> None:
    """Commit another label of a region."""
    with repo.edit(message) as edit:
        regions = tuple(
            region.replace(labels=(*region.labels, Label(task=task, value=value)))
            if region.id == own
            else region
            for region in edit[KEY].regions
        )
        edit[KEY] = edit[KEY].replace(regions=regions)


def said_in(repo: Repository) -> dict[str, str]:
    """Path within the one region → the message of the commit that is to blame."""
    found = repo.blame(KEY)
    regions = {one.path.split("/")[1] for one in found if one.path.startswith("regions/")}
    assert len(regions) == 1
    return {
        one.path.split("/", 2)[-1]: one.commit.message
        for one in found
        if one.path.startswith("regions/") and one.commit is not None
    }


@pytest.mark.parametrize("ids", [(LOWER, UPPER), (UPPER, LOWER)])
@pytest.mark.parametrize("height", [100, 60])
def test_labels_of_regions_that_became_one(
    repo: Repository, ids: tuple[bytes, bytes], height: float
) -> None:
    ours, theirs = ids
    switch_to_new(repo, "ben", "main")
    draw(repo, "a far one", b"c" * 16, 5)
    draw(repo, "ben drew", theirs, height, what="hat")
    say(repo, "ben said", theirs, "color", "red")
    with repo.edit("no far one") as edit:
        near = (region for region in edit[KEY].regions if region.id == theirs)
        edit[KEY] = edit[KEY].replace(regions=tuple(near))
    switch(repo, find_branch(repo, "main"))
    draw(repo, "ann drew", ours, 100, what="hat")
    say(repo, "ann said", ours, "size", "large")
    if merge(repo, "ben", message="merged").conflicts:
        resolve(repo, Choice("same"))
        proceed(repo)
    said = said_in(repo)
    assert said["labels/what/human"] in ("ann drew", "ben drew")
    assert said["labels/size/human"] == "ann said"
    assert said["labels/color/human"] == "ben said"
    say(repo, "later", LOWER, "style", "wide")
    assert said_in(repo) == {**said, "labels/style/human": "later"}


def test_what_a_merge_says_itself_is_its_own(repo: Repository) -> None:
    switch_to_new(repo, "ben", "main")
    draw(repo, "ben drew", UPPER, 100, what="hat")
    switch(repo, find_branch(repo, "main"))
    draw(repo, "ann drew", LOWER, 100, what="cap")
    assert merge(repo, "ben", message="merged").conflicts == 1
    resolve(repo, Choice("value", value=Label(task="what", value="helmet")))
    proceed(repo)
    assert said_in(repo)["labels/what/human"] == "merged"
