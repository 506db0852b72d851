"""Ctrl-C and a full disk in the middle of a switch, as one sees them at the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sealed_world import World

from voyager.store import files


@pytest.fixture
def fail_at() -> Iterator[Callable[[str, BaseException], None]]:
    """Let the creation of a file of that name fail, once."""

    def set_up(name: str, error: BaseException) -> None:
        def watch(step: str, where: object, _half: object) -> None:
            if step == "create" and str(where).endswith(name):
                files.watch = None
                raise error

        files.watch = watch

    yield set_up
    files.watch = None


@pytest.fixture
def two(world: World) -> World:
    """`main` has a.txt; `other` has b.txt and c.txt instead."""
    for line in (
        "vgr init -q",
        "printf 'a' > a.txt",
        "vgr add -q .",
        "vgr commit -q -m One",
        "vgr switch -q -c other",
        "vgr rm -q a.txt",
        "printf 'b' > b.txt",
        "printf 'c' > c.txt",
        "vgr add -q .",
        "vgr commit -q -m Two",
        "vgr switch -q main",
    ):
        assert world.run(line).code == 0
    return world


def test_ctrl_c_and_on_again(two: World, fail_at: Callable[[str, BaseException], None]) -> None:
    fail_at("c.txt", KeyboardInterrupt())
    assert two.run("vgr switch other").code == 130
    text = two.run("vgr status").text
    assert "An interrupted switch is not finished." in text
    assert '(use "vgr checkout --continue" to finish it)' in text
    assert '"operation": "switch"' in two.run("vgr status --json").out
    for line in ("vgr add .", "vgr commit -m x", "vgr switch main", "vgr stash", "vgr undo"):
        refused = two.run(line)
        assert refused.code == 5
        assert "an interrupted switch is not finished" in refused.err
    done = two.run("vgr checkout --continue")
    assert (done.text, done.code) == ("switched to branch 'other' (1 file written)\n", 0)
    assert two.run("ls").out == "b.txt\nc.txt\n"
    assert "working tree clean" in two.run("vgr status").out


def test_a_full_disk_and_back(two: World, fail_at: Callable[[str, BaseException], None]) -> None:
    fail_at("c.txt", OSError(28, "No space left on device", str(two.path("c.txt"))))
    failed = two.run("vgr switch other")
    assert failed.code == 5
    assert "the switch stopped half-way: /world/work/c.txt: no space left on device" in failed.err
    assert "vgr checkout --abort" in failed.err
    back = two.run("vgr checkout --abort")
    assert back.text.startswith("back: switched to branch 'main'")
    assert two.run("ls").out == "a.txt\n"
    assert two.run("vgr checkout --abort").code == 5
    assert two.run("vgr checkout --continue --abort").code == 2
    assert two.run("vgr switch other").code == 0
