"""What the stories of `switch` and `checkout` do not tell: two at once."""

from __future__ import annotations

import pytest
from sealed_world import World

from voyager.errors import RefMoved
from voyager.repo.repository import RUNNING, Repository


def test_two_checkouts_at_once(world: World) -> None:
    world.vgr("init", "-q")
    with (
        Repository.open(world.cwd) as one,
        Repository.open(world.cwd) as two,
        one.transaction("begin", "") as first,
        two.transaction("begin", "") as second,
    ):
        for txn in (first, second):
            txn.move(RUNNING, {"kind": "switch"}, old=None)
        first.commit()
        with pytest.raises(RefMoved, match="another checkout is running"):
            second.commit()


def test_numbers_are_no_options_after_dashes(world: World) -> None:
    world.vgr("init", "-q")
    world.vgr("commit", "-q", "--allow-empty", "-m", "first")
    assert world.vgr("log", "--oneline", "--", "-1").code == 0
    assert world.vgr("log", "--oneline", "-0").text == ""
