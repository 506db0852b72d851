"""What TAB offers inside and outside a repository."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from sealed_world import SAMPLES, World

from voyager.repo.add import add
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.tags import create_tag
from voyager.repo.tasks import add_task
from voyager.repo.taxonomies import make_classes

HAT = next((SAMPLES / "clothing" / "train" / "hat").iterdir())


@pytest.fixture
def repository(world: World) -> Iterator[World]:
    """A world with a repository of three images, one commit and a tag in it."""
    for name in ("a/1.jpg", "a/b c/2.jpg", "top.jpg"):
        world.path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HAT, world.path(name))
    with Repository.init(world.cwd) as repo:
        add(repo, ["."], cwd=world.cwd)
        create_tag(repo, "v1", commit(repo, "first").commit)
        add_task(repo, "kind", {"taxonomy": "fashion"})
        make_classes(repo, ["fashion/shoes/heels", "fashion/bags"], parents=True)
    yield world


@pytest.mark.parametrize(
    ("kind", "prefix", "offered"),
    [
        ("branches", "", ["main"]),
        ("tags", "v", ["v1"]),
        ("tags", "x", []),
        ("revisions", "", ["HEAD", "main", "v1"]),
        ("keys", "", ["a/", "top.jpg"]),
        ("keys", "a/", ["a/1.jpg", "a/b c/"]),
        ("keys", "a/b", ["a/b c/"]),
        ("keys", "t", ["top.jpg"]),
        ("classes", "", ["fashion"]),
        ("classes", "fashion/s", ["fashion/shoes"]),
        ("classes", "fashion/shoes/", ["fashion/shoes/heels"]),
        ("tasks", "k", ["kind"]),
        ("nonsense", "", []),
    ],
)
def test_names_of_a_repository(
    kind: str, prefix: str, offered: list[str], repository: World
) -> None:
    assert repository.vgr("__complete", kind, prefix).text.splitlines() == offered


def test_keys_are_relative_to_where_we_are(repository: World) -> None:
    assert repository.vgr("-C", "a", "__complete", "keys", "").text == "1.jpg\nb c/\n"
    assert repository.vgr("-C", "a/b c", "__complete", "keys", "").text == "2.jpg\n"


def test_silent_outside_a_repository(world: World) -> None:
    for kind in ("branches", "tags", "revisions", "keys", "classes", "tasks", "nonsense", ""):
        result = world.vgr("__complete", kind, "")
        assert (result.code, result.text) == (0, "")
    assert world.vgr("__complete").code == 0


def test_settings(world: World) -> None:
    assert world.vgr("__complete", "settings", "user.").out == "user.email\nuser.name\n"
