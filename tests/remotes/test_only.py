"""Clones with `--only`: which images they want is kept, and new ones come with each pull."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from published import save
from sealed_world import World

from voyager.errors import NotFoundError, StateError, UsageError
from voyager.remotes.config import Remote
from voyager.remotes.push import push
from voyager.remotes.registry import open_storage
from voyager.repo.repository import Repository


@pytest.fixture
def there(world: World) -> Iterator[Repository]:
    with Repository.init(world.cwd / "there") as repo:
        save(repo, "first", {"hat/0.jpg": 0, "hat/1.jpg": 1, "shoes/0.jpg": 0, "shoes/1.jpg": 3})
        send(repo, world)
        yield repo


def send(repo: Repository, world: World) -> None:
    url = str(world.cwd / "shared")
    push(repo, open_storage(url), ["main"], remote=Remote("", url))


def photos(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))


def test_new_images_of_that_kind_come_with_a_pull(world: World, there: Repository) -> None:
    assert world.vgr("clone", "-q", "--only", "hat", "shared", "mine").code == 0
    mine = world.cwd / "mine"
    assert photos(mine) == ["hat/0.jpg", "hat/1.jpg"]
    save(there, "more", {"hat/7.jpg": 7, "shoes/8.jpg": 8})
    send(there, world)
    shown = world.vgr("-C", "mine", "pull")
    assert "1 image came" in shown.out
    assert photos(mine) == ["hat/0.jpg", "hat/1.jpg", "hat/7.jpg"]
    assert "working tree clean" in world.vgr("-C", "mine", "status").out
    (mine / "hat/0.jpg").unlink()
    found = json.loads(world.vgr("-C", "mine", "pull", "--json").out)
    assert found["only"]["blobs"] == 0
    assert photos(mine) == ["hat/1.jpg", "hat/7.jpg"]


def test_new_images_come_with_a_rebase_too(world: World, there: Repository) -> None:
    world.vgr("clone", "-q", "--only", "hat/**", "shared", "mine")
    world.vgr("-C", "mine", "commit", "-q", "--allow-empty", "-m", "mine")
    save(there, "more", {"hat/7.jpg": 7})
    send(there, world)
    assert "1 image came" in world.vgr("-C", "mine", "pull", "--rebase").out
    assert "hat/7.jpg" in photos(world.cwd / "mine")


def test_what_is_wanted_can_be_changed(world: World, there: Repository) -> None:
    world.vgr("clone", "-q", "--lazy", "shared", "mine")
    assert world.vgr("-C", "mine", "get").code == UsageError.exit
    assert world.vgr("-C", "mine", "remote", "only", "origin").out == (
        "of origin no images come at once\n"
    )
    shown = world.vgr("-C", "mine", "remote", "only", "origin", "shoes", "key = 'hat/1.jpg'")
    assert shown.out == "of origin come 'shoes', 'key = 'hat/1.jpg''\n"
    assert photos(world.cwd / "mine") == []
    assert world.vgr("-C", "mine", "get", "--dry-run").out.startswith("3 images would come (")
    assert photos(world.cwd / "mine") == []
    world.vgr("-C", "mine", "get", "-q")
    assert photos(world.cwd / "mine") == ["hat/1.jpg", "shoes/0.jpg", "shoes/1.jpg"]
    listed = json.loads(world.vgr("-C", "mine", "remote", "ls", "-v", "--json").out)
    assert listed[0]["only"] == ["shoes", "key = 'hat/1.jpg'"]
    world.vgr("-C", "mine", "remote", "only", "origin", "-d", "shoes")
    assert (
        "(lazy, but for 'key = 'hat/1.jpg'')" in world.vgr("-C", "mine", "remote", "ls", "-v").out
    )


def test_what_cannot_be_wanted(world: World, there: Repository) -> None:
    shown = world.vgr("clone", "--only", "gloves/**", "shared", "mine")
    assert shown.code == 0
    assert "warning: --only 'gloves/**' names nothing yet" in shown.err
    assert world.vgr("-C", "mine", "remote", "only", "origin", "no sql").code == UsageError.exit
    assert world.vgr("-C", "mine", "remote", "only", "origin", "-d", "x").code == NotFoundError.exit
    assert world.vgr("-C", "there", "remote", "add", "origin", "../shared").code == 0
    assert world.vgr("-C", "there", "remote", "only", "origin", "x").code == StateError.exit


def test_a_clone_of_what_is_no_expression_can_be_tried_again(
    world: World, there: Repository
) -> None:
    shown = world.vgr("clone", "--only", "colour = 3", "shared", "mine")
    assert shown.code == UsageError.exit
    assert world.vgr("clone", "-q", "--only", "key = 'hat/1.jpg'", "shared", "mine").code == 0
    assert photos(world.cwd / "mine") == ["hat/1.jpg"]


# -- URLs, dry runs, limits -----------------------------------------------------------------------


def test_a_pull_of_a_url(world: World, there: Repository) -> None:
    world.vgr("clone", "-q", "shared", "mine")
    save(there, "more", {"hat/7.jpg": 7})
    send(there, world)
    world.vgr("-C", "mine", "remote", "rm", "origin")
    shown = world.vgr("-C", "mine", "pull", "../shared")
    assert "from /world/work/shared\n  branch 'main' is FETCH_HEAD now\n" in shown.out
    assert "fast-forward to" in shown.out
    assert "hat/7.jpg" in photos(world.cwd / "mine")
    world.vgr("-C", "mine", "commit", "-q", "--allow-empty", "-m", "mine")
    save(there, "still more", {"hat/8.jpg": 8})
    send(there, world)
    refused = world.vgr("-C", "mine", "pull", "--ff-only", "../shared", "main")
    assert refused.code == StateError.exit
    assert "and 'FETCH_HEAD' (" in refused.err
    assert world.vgr("-C", "mine", "pull", "../shared", "main").code == 0
    log = world.vgr("-C", "mine", "log", "--oneline").out
    assert "Merge branch 'main' of /world/work/shared" in log
    assert world.vgr("-C", "mine", "fetch", "--prune", "../shared").code == UsageError.exit


def test_dry_runs_bring_nothing(world: World, there: Repository) -> None:
    shown = world.vgr("clone", "--dry-run", "shared", "mine")
    assert shown.out.startswith("would clone into mine: ")
    assert not (world.cwd / "mine").exists()
    lazily = json.loads(world.vgr("clone", "-n", "--lazy", "--json", "shared", "mine").out)
    assert (
        lazily["bytes"]
        < json.loads(world.vgr("clone", "-n", "--json", "shared", "mine").out)["bytes"]
    )
    world.vgr("clone", "-q", "shared", "mine")
    save(there, "more", {"hat/7.jpg": 7})
    send(there, world)
    shown = world.vgr("-C", "mine", "pull", "--dry-run")
    assert "would come, at most" in shown.out
    assert photos(world.cwd / "mine") == ["hat/0.jpg", "hat/1.jpg", "shoes/0.jpg", "shoes/1.jpg"]
    assert world.vgr("-C", "mine", "log", "--oneline").out.count("\n") == 1


@pytest.mark.parametrize("command", ["push", "fetch", "pull", "clone", "get"])
def test_a_rate_that_is_none(world: World, there: Repository, command: str) -> None:
    world.vgr("clone", "-q", "--lazy", "shared", "mine")
    words = ["shared", "x"] if command == "clone" else ["hat"] if command == "get" else []
    shown = world.vgr("-C", "mine", command, *words, "--limit-rate", "fast")
    assert shown.code == UsageError.exit
    assert "hint: --limit-rate 2M" in shown.err
    words = ["../shared", "x"] if command == "clone" else words
    assert world.vgr("-C", "mine", command, *words, "--limit-rate", "90M").code == 0
