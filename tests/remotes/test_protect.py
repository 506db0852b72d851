"""`vgr remote protect`: which branches a remote wants handled with care."""

from __future__ import annotations

import json

from sealed_world import World

from voyager.errors import NotFoundError, StateError, UsageError


def _publish(world: World) -> None:
    world.vgr("init", "-q")
    world.vgr("commit", "-q", "--allow-empty", "-m", "first")
    world.vgr("remote", "add", "origin", "../shared")


def test_branches_are_protected_until_they_are_not(world: World) -> None:
    _publish(world)
    world.vgr("push", "origin", "main")
    assert world.vgr("remote", "protect", "origin").out == "origin protects no branch\n"
    shown = world.vgr("remote", "protect", "origin", "release/*", "main")
    assert shown.out == "origin protects 'main', 'release/*'\n"
    told = json.loads(world.vgr("remote", "protect", "--json", "origin", "main").out)
    assert told == {"protected": ["main", "release/*"]}

    world.vgr("commit", "-q", "--amend", "-m", "another")
    refused = world.vgr("push", "--force", "origin", "main")
    assert refused.code == StateError.exit
    assert "'main' is protected at origin and goes forward only" in refused.err

    shown = world.vgr("remote", "protect", "origin", "--delete", "main")
    assert shown.out == "origin protects 'release/*'\n"
    assert world.vgr("push", "--force", "origin", "main").code == 0
    world.vgr("remote", "protect", "origin", "-d", "release/*")
    assert world.vgr("remote", "protect", "origin").out == "origin protects no branch\n"


def test_what_cannot_be_protected(world: World) -> None:
    _publish(world)
    nothing = world.vgr("remote", "protect", "origin", "main")
    assert nothing.code == NotFoundError.exit
    assert "nothing was pushed to" in nothing.err
    world.vgr("push", "origin", "main")
    unknown = world.vgr("remote", "protect", "origin", "-d", "man")
    assert unknown.code == NotFoundError.exit
    assert "the remote does not protect 'man'" in unknown.err
    assert world.vgr("remote", "protect", "origin", "-d").code == UsageError.exit
