"""What commands say of merges and replays, beyond the stories."""

from __future__ import annotations

import json

import pytest
from sealed_world import World

HAT = "$SAMPLES/clothing/train/hat/00d94e21-5891-492e-be0e-792e7338c077.jpg"


def run(world: World, *lines: str) -> str:
    told = [world.run(line) for line in lines]
    assert [result.code for result in told] == [0] * len(told), told[-1].text
    return told[-1].out


@pytest.fixture
def two_colors(world: World) -> World:
    """One hat that is red on main and blue on ben."""
    run(
        world,
        "vgr init -q",
        f"cp {HAT} 1.jpg",
        "vgr add -q .",
        "vgr task add -q color",
        "vgr taxonomy mkdir -q color/red color/blue color/green",
        "vgr commit -q -m base",
        "vgr switch -q -c ben",
        "vgr label -q 1.jpg color=blue",
        "VGR_AUTHOR_NAME=Ben vgr commit -q -m blue",
        "vgr switch -q main",
        "vgr label -q 1.jpg color=red",
        "vgr commit -q -m red",
    )
    return world


def test_show_says_that_a_version_has_conflicts(two_colors: World) -> None:
    assert two_colors.run("vgr merge ben").code == 1
    run(two_colors, "vgr commit -q --allow-conflicts -m undecided", "vgr branch -q other")
    assert "in conflict: 1 field (vgr conflicts --at HEAD)" in run(two_colors, "vgr show")
    assert "1 field (vgr conflicts --at other)" in run(two_colors, "vgr show -s other")
    assert run(two_colors, "vgr conflicts --at other") != "no conflicts\n"
    assert json.loads(run(two_colors, "vgr show --json"))["conflicts"] == 1
    assert "in conflict" not in run(two_colors, "vgr show HEAD~1")
    assert json.loads(run(two_colors, "vgr show HEAD~1 --json"))["conflicts"] == 0


def test_commits_of_others_are_not_said_to_be_there(two_colors: World) -> None:
    run(
        two_colors,
        "vgr switch -q ben",
        "vgr label -q 1.jpg color=green",
        "VGR_AUTHOR_NAME=Cleo vgr commit -q -m green",
        "vgr switch -q main",
        "vgr reset -q --hard HEAD~1",
    )
    said = run(two_colors, "vgr cherry-pick main..ben --by ben")
    assert "blue\n" in said
    assert "nothing to do: none of it is wanted: " in said
    assert "already there" not in said
    said = run(two_colors, "vgr cherry-pick main..ben~1 ben~1 --by ben")
    assert "nothing to do: already there: " in said


def test_status_tells_of_a_bisection(two_colors: World) -> None:
    assert json.loads(run(two_colors, "vgr status --json"))["bisecting"] is False
    run(two_colors, "vgr bisect start HEAD HEAD~1")
    assert '"vgr bisect reset" to end it' in run(two_colors, "vgr status")
    assert json.loads(run(two_colors, "vgr status --json"))["bisecting"] is True
    run(two_colors, "vgr bisect reset")
    assert "isecting" not in run(two_colors, "vgr status")


def test_status_lists_what_is_in_conflict(two_colors: World) -> None:
    assert two_colors.run("vgr merge ben").code == 1
    paths = json.loads(run(two_colors, "vgr status --paths --json"))["paths"]
    assert paths["conflicts"] == [{"key": "1.jpg", "path": "labels/color/human"}]


@pytest.fixture
def undecided(two_colors: World) -> World:
    """A commit with a conflict."""
    assert two_colors.run("vgr merge ben").code == 1
    run(two_colors, "vgr commit -q --allow-conflicts -m undecided")
    return two_colors


@pytest.mark.parametrize("how", ["--theirs", "--base"])
@pytest.mark.parametrize("what", ["1.jpg", "."])
def test_restoring_what_is_staged_brings_its_conflicts_back(
    undecided: World, how: str, what: str
) -> None:
    before = run(undecided, "vgr conflicts --json")
    run(undecided, f"vgr resolve 1.jpg {how}")
    assert run(undecided, "vgr conflicts") == "no conflicts\n"
    assert "1.jpg" in run(undecided, f"vgr restore --staged {what}")
    assert run(undecided, "vgr conflicts --json") == before
    assert run(undecided, f"vgr restore --staged {what}") == "restored 0 keys\n"
    run(undecided, f"vgr restore --source HEAD~1 {what}")
    assert run(undecided, "vgr conflicts") == "no conflicts\n"
    run(undecided, f"vgr checkout HEAD -- {what}")
    assert run(undecided, "vgr conflicts --json") == before


def test_show_says_how_to_see_the_rest(world: World) -> None:
    run(world, "vgr init -q", "vgr commit -q --allow-empty -m base")
    for number in range(70):
        world.path(f"{number}.txt").write_text(f"{number}")
    run(world, "vgr add -q .", "vgr commit -q -m many")
    assert "… and 10 more lines (vgr diff HEAD~1 HEAD)" in run(world, "vgr show")
    assert run(world, "vgr diff HEAD~1 HEAD").count("\nadded ") == 70


def test_what_waits_is_committed_as_the_hint_says(two_colors: World) -> None:
    said = run(two_colors, "vgr merge -X ours --no-commit ben")
    assert said.endswith("hint: vgr merge --continue, or vgr merge --abort to give it up\n")
    run(two_colors, "vgr merge --continue")
    assert run(two_colors, "vgr log -n 1 --oneline").endswith("Merge branch 'ben'\n")
    run(two_colors, "vgr reset -q --hard HEAD~1")
    assert run(two_colors, "vgr merge -X theirs --squash ben").endswith("hint: vgr commit\n")
